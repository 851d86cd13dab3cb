"""Compare finished runs; write the report, its tables and its plots to a folder."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any

import pandas as pd
from tabulate import tabulate

from textclf.compare.answer import answer
from textclf.compare.comparison import Comparison
from textclf.compare.comparison_tables import scores_table
from textclf.compare.crossings import crossings
from textclf.compare.curves import forecast_sentence, forecasts
from textclf.compare.figures import draw
from textclf.compare.options import CompareOptions
from textclf.compare.report import MOST_QUOTES, closing_blocks, comparison_blocks, failure_blocks
from textclf.compare.runs import FailedRun, find_runs
from textclf.compare.scores import TestScores
from textclf.compare.setups import shared_tests
from textclf.documents.document import Block, Code, Heading, Link, Paragraph, Table, to_html, to_markdown, with_link
from textclf.documents.escape import csv_table, markdown, terminal
from textclf.documents.wording import in_milliseconds, in_seconds
from textclf.errors import ArtifactError
from textclf.system.files import MANIFEST_FILE, filled, manifest_problem, plain, replace_vouched, write_json, write_text
from textclf.system.unfinished import claimed
from textclf.tracking.find_runs import OUTPUTS

log = logging.getLogger(__name__)

REPORT = "report.md"
PAGE = "report.html"
FIGURES = "figures"
MOST_ROWS = 8
"""Setups that the terminal shows; the best, since a screen has little room."""
MOST_SAID, MOST_CURVES, MOST_NOTES = 1, 2, 2
"""Verdicts, forecasts and caveats there."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a comparison."""

    verdicts: str
    """The verdicts as Markdown."""
    problems: tuple[str, ...]
    """What could not be compared, a sentence each."""
    take: Path | None = None
    """The run to take, of the answer where there is one test set; none where no setup is worth it."""


def compare(
    folders: Sequence[Path | str] | Mapping[Path, str] | Path | str,
    options: CompareOptions | None = None,
    output: Path | str | None = None,
    title: str = "Comparison",
    command: str = "",
    latex: bool = False,
) -> Outcome:
    """Compare the finished runs of some folders, print the verdicts and write the report.

    Args:
        folders: Run folders, or folders that hold some; or one such folder; or run folders by what each is called.
        options: How to compare; none for the defaults.
        output: The folder to write to, which must not hold a comparison already; none takes
            `outputs/comparisons/DATE/TIME`.
        title: Heading of the report.
        command: What a person types to make the runs again.
        latex: Write the table of setups as `setups.tex` too.

    Returns:
        The verdicts, and what could not be compared.

    Raises:
        ArtifactError: If there is nothing to compare, or the folder holds a comparison or is being given one.
        ConfigError: If the metric asked for cannot be tested.
    """
    folders = [folders] if isinstance(folders, (str, Path)) else folders
    options = options or CompareOptions()
    output = new_folder(output)
    found = find_runs(folders if isinstance(folders, Mapping) else [Path(folder) for folder in folders])
    comparisons = [Comparison(TestScores(test), options) for test in shared_tests(found.runs)]
    return write_comparisons(comparisons, found.problems, options, output, title, command, latex, found.failed)


def write_comparisons(
    comparisons: Sequence[Comparison],
    problems: Sequence[str],
    options: CompareOptions,
    output: Path,
    title: str,
    command: str,
    latex: bool,
    failed: Sequence[FailedRun] = (),
) -> Outcome:
    """Write the report of comparisons and print their verdicts; arguments as of `compare`, and the runs that failed."""
    for comparison in comparisons:
        comparison.metric  # noqa: B018  (refuses a metric that cannot be tested, before anything is written)

    runs = sum(len(setup.runs) for comparison in comparisons for setup in comparison.test.setups)
    setups = sum(len(comparison.rows) for comparison in comparisons)
    blocks = opening_blocks(title, f"{runs:,} runs of {setups:,} setups", len(comparisons), options, command)
    prefixes = file_prefixes([comparison.test.dataset for comparison in comparisons])
    blocks += failure_blocks(failed, runs, output)
    with filled(output, REPORT, partial(refuse_written, output)) as made:
        for comparison, prefix in zip(comparisons, prefixes, strict=True):
            blocks += comparison_blocks(comparison, draw(comparison, made / FIGURES, prefix), output)
        blocks += closing_blocks(comparisons, problems)
        write_text(made / PAGE, to_html(title, blocks))
        _write_tables(comparisons, [*problems, *map(str, failed)], made)
        if latex:
            write_latex([scores_table(comparison) for comparison in comparisons], made)
        write_text(made / REPORT, to_markdown(blocks, made))
    _link_back(comparisons, output, title)
    return Outcome(_announce(comparisons, output), (*problems, *map(str, failed)), _run_to_take(comparisons))


def _link_back(comparisons: Sequence[Comparison], output: Path, title: str) -> None:
    """Add to the reports of the runs that lie beside a comparison, or below the same outputs, where it is.

    A report that is not as its run left it stays so, as does one whose folder cannot be written: the comparison is
    written, and a link less costs nobody anything.
    """
    page = (output / PAGE).resolve()
    around = OUTPUTS.resolve() if page.is_relative_to(OUTPUTS.resolve()) else page.parent.parent
    runs = [run for comparison in comparisons for setup in comparison.test.setups for run in setup.runs]
    for folder in dict.fromkeys(run.folder for run in runs):
        if not folder.is_relative_to(around) or not (folder / MANIFEST_FILE).is_file():
            continue
        try:
            with claimed(folder / PAGE):
                if manifest_problem(folder, [PAGE]) is None:
                    before = (folder / PAGE).read_text(encoding="utf-8")
                    link = Link(title, Path(os.path.relpath(page, folder)).as_posix())
                    after = with_link(before, "Compared with others in", link)
                    if after != before:
                        replace_vouched(folder, PAGE, after)
        except (OSError, ValueError, ArtifactError) as error:
            log.info("%s leads to no comparison: %s", folder / PAGE, error)


def _run_to_take(comparisons: Sequence[Comparison]) -> Path | None:
    """Return the folder of the run that the answer means: of its seeds the best on validation."""
    found = answer(comparisons[0]) if len(comparisons) == 1 else None
    if found is None or found.setup is None:
        return None
    return comparisons[0].setup(found.setup).chosen_run.folder


def new_folder(output: Path | str | None) -> Path:
    """Return the folder that a comparison is written to, which holds none.

    Raises:
        ArtifactError: If it holds one.
    """
    folder = Path(output or f"outputs/comparisons/{datetime.now():%Y-%m-%d/%H-%M-%S}")
    refuse_written(folder)
    return folder


def refuse_written(output: Path) -> None:
    """Refuse a folder that holds a comparison."""
    if (output / REPORT).exists():
        raise ArtifactError(f"{output} holds a comparison, which is never overwritten; name another with --output.")


def opening_blocks(title: str, counts: str, num_tests: int, options: CompareOptions, command: str) -> list[Block]:
    """Return what a report opens with: title, counts, note and command."""
    blocks: list[Block] = [
        Heading(1, title),
        Paragraph(counts + (f" on {num_tests} test sets." if num_tests > 1 else ".")),
    ]
    blocks += [Paragraph(options.note)] if options.note else []
    return blocks + ([Code(command)] if command else [])


def file_prefixes(datasets: Sequence[str]) -> list[str]:
    """Return what the names of each test set's files begin with; nothing where there is one only."""
    if len(datasets) == 1:
        return [""]
    slugs = [re.sub(r"[^A-Za-z0-9]+", "_", dataset).strip("_") for dataset in datasets]
    return [f"{slug}_{number + 1}_" if slugs.count(slug) > 1 else f"{slug}_" for number, slug in enumerate(slugs)]


def _announce(comparisons: Sequence[Comparison], output: Path) -> str:
    """Print a table and the verdicts of each test set; return the verdicts as Markdown."""
    written = []
    for comparison in comparisons:
        sentences = comparison.sentences((comparison.leading_pairs or comparison.pairs)[:MOST_QUOTES])
        heading = f"{comparison.test.dataset}: {len(comparison.test.labels):,} test examples"
        found = answer(comparison)
        said = [] if found is None else [" ".join((found.title, *found.reasons))]
        curves = forecasts(comparison)
        more = [forecast_sentence(name, curves[name], comparison.metric) for name in list(curves)[:MOST_CURVES]]
        more += [f"{one} {one.step}\n{indent(one.step.command, '    ')}".rstrip() for one in comparison.outlooks[:1]]
        costs = [
            (in_seconds(row.costs.get("train_seconds")), in_milliseconds(row.costs.get("latency_median_seconds")))
            for row in comparison.rows
        ]
        print_verdicts(
            heading, scores_table(comparison), [*said, *sentences[:MOST_SAID], *more], comparison.caveats, costs
        )
        written += verdict_lines(comparison.test.dataset, [*said, *sentences])
    print(f"the report: {output / PAGE}")
    return "\n".join(written)


def print_verdicts(
    heading: str,
    table: Table,
    sentences: Sequence[str],
    caveats: Sequence[str],
    costs: Sequence[tuple[str, str]] = (),
) -> None:
    """Print the first columns of a table of scores (setup, seeds, score, interval), costs, verdicts and caveats.

    However many there are of each, it fits a screen; the report has them all.
    """
    rows = [[cell if isinstance(cell, str) else cell.text for cell in row[:4]] for row in table.rows[:MOST_ROWS]]
    heads = [column.title for column in table.columns[:4]]
    if costs:
        rows = [[*row, *cost] for row, cost in zip(rows, costs, strict=False)]
        heads += ["training", "one text"]
    print(terminal(heading))
    print(terminal(tabulate(rows, heads, disable_numparse=True, colalign=["left", *["right"] * (len(heads) - 1)])))
    if len(table.rows) > MOST_ROWS:
        print(f"… and {len(table.rows) - MOST_ROWS:,} more in the report")
    for line in sentences:
        print(terminal(f"\n{line}"))
    notes = [f"note: {caveat}" for caveat in caveats[:MOST_NOTES]]
    if len(caveats) > MOST_NOTES:
        notes.append(f"{len(caveats) - MOST_NOTES:,} more notes are in the report")
    print(terminal("\n".join(["", *notes, ""])) if notes else "")


def verdict_lines(dataset: str, sentences: Sequence[str]) -> list[str]:
    """Return the verdicts on a test set as lines of Markdown."""
    return [f"**{markdown(dataset)}**", *(f"- {markdown(sentence)}" for sentence in sentences)]


def _write_tables(comparisons: Sequence[Comparison], problems: Sequence[str], output: Path) -> None:
    """Write every figure as CSV and JSON."""
    setups: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    for comparison in comparisons:
        dataset = comparison.test.dataset
        for row in comparison.rows:
            levels = {
                f"{metric}_{key}": value for metric, level in row.levels.items() for key, value in asdict(level).items()
            }
            seeds = " ".join(map(str, row.seeds))
            setups.append(
                {"dataset": dataset, "setup": row.name, "seeds": seeds, "train_examples": row.train_examples}
                | levels
                | row.costs
            )
        for pair in (*comparison.pairs, *(pair for others in comparison.other_pairs.values() for pair in others)):
            pairs.append(
                {
                    "dataset": dataset,
                    **plain(asdict(pair)),
                    "seeds": " and ".join(str(count or "any") for count in pair.seeds),
                }
            )
        for setup in comparison.test.setups:
            for run in setup.runs:
                own = {"dataset": dataset, "setup": setup.name, "seed": run.record.seed, "run": run.record.name}
                runs.append(own | run.record.metrics | run.record.costs | {"started": run.record.started})
    for name, rows in (("setups", setups), ("pairs", pairs), ("runs", runs)):
        csv_table(pd.DataFrame(rows)).to_csv(output / f"{name}.csv", index=False)
    content = {
        "setups": setups,
        "pairs": pairs,
        "runs": runs,
        "answers": {
            comparison.test.dataset: None if (found := answer(comparison)) is None else asdict(found)
            for comparison in comparisons
        },
        "verdicts": {comparison.test.dataset: comparison.sentences(comparison.pairs) for comparison in comparisons},
        "outlooks": {
            comparison.test.dataset: [plain(one.plain()) for one in comparison.outlooks] for comparison in comparisons
        },
        "forecasts": {
            comparison.test.dataset: {name: asdict(found) for name, found in forecasts(comparison).items()}
            for comparison in comparisons
        },
        "crossings": {
            comparison.test.dataset: [asdict(found) | {"said": str(found)} for found in crossings(comparison)]
            for comparison in comparisons
        },
        "caveats": {comparison.test.dataset: comparison.caveats for comparison in comparisons},
        "problems": list(problems),
    }
    write_json(output / "comparison.json", without_nan(content))


def without_nan(value: Any) -> Any:
    """Return plain values with what is no finite number as null, which JSON has."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_latex(tables: Sequence[Table], output: Path) -> None:
    """Write tables for LaTeX (booktabs)."""
    written = []
    for table in tables:
        rows = [[cell if isinstance(cell, str) else cell.text for cell in row] for row in table.rows]
        heads = [column.title for column in table.columns]
        align = ["right" if column.numeric else "left" for column in table.columns]
        written.append(tabulate(rows, heads, tablefmt="latex_booktabs", disable_numparse=True, colalign=align))
    write_text(output / "setups.tex", "\n\n".join(written) + "\n")
