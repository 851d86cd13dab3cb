"""The work behind `python -m textclf.label`: gather the texts that nobody labelled, predict, order, write."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from textclf.audit.shingles import digest
from textclf.errors import ConfigError, DataError, did_you_mean, listed
from textclf.label.labellers import Chosen, choose, prepared
from textclf.label.options import LabelOptions
from textclf.label.ordering import UNKNOWN, least_certain_first, uncertainty
from textclf.label.worklist import (
    FOLDER,
    LABEL,
    LABELS,
    PREFIX,
    PROBABILITY,
    Labelled,
    labelled_in,
    labels_file,
    read_labelled,
    stem_of,
)
from textclf.models.base import Classifier
from textclf.models.saved import read_description
from textclf.predict.inputs import TextColumns, WantedTexts
from textclf.predict.options import PredictOptions
from textclf.predict.predict_file import (
    PIPE,
    Ends,
    check_ends,
    fetched,
    kinds_of,
    opened,
    progress_bar,
    wanted_texts,
)
from textclf.predict.rows import Batch, Kind
from textclf.predict.stream import CHUNK, predict_batches
from textclf.predict.texts import ready
from textclf.predict.true_labels import names_in
from textclf.predict.values import as_fields
from textclf.predict.writers import ForTerminal, open_writer
from textclf.tracking.find_runs import OUTPUTS

log = logging.getLogger(__name__)

SEED = 1
"""Seed of the texts that `--sample` draws."""
WRITTEN = (Kind.jsonl, Kind.csv, Kind.tsv, Kind.parquet)


@dataclass
class Gathered:
    """The texts of an input that are to be labelled, in its order."""

    texts: list[str] = field(default_factory=list)
    pairs: list[str] | None = None
    others: list[pa.Table] = field(default_factory=list)
    """The other columns of the rows, a table for each part that was read."""
    rows: int = 0
    """Rows of the input."""
    labelled: int = 0
    """Those that a person has labelled."""
    repeated: int = 0
    """Those whose text came before."""
    unusable: int = 0
    """Those without a text that can be read."""
    why: str = ""
    """What is wrong with the first of them."""


@dataclass(frozen=True)
class Suggested:
    """What was written."""

    output: str
    written: int
    gathered: Gathered
    classifier: Classifier
    unanswered: int
    """Texts to which a language model named no label."""
    labels: Counter[str]
    """How often each label was suggested in what was written."""


def suggest(
    by: str,
    overrides: Sequence[str],
    ends: Ends,
    asked: TextColumns,
    options: LabelOptions,
    device: str = "auto",
    progress: bool = False,
) -> Suggested:
    """Write the texts of a file that nobody has labelled, with a suggested label each, the least certain first.

    Args:
        by: The run, or the model that needs no training, which suggests the labels.
        overrides: Options of that model, such as `model.checkpoint=NAME`.
        ends: What is read and what is written.
        asked: The columns that hold the texts, where a person names them.
        options: Which texts and which labels.
        device: Where a transformer computes: `cpu`, `cuda`, `mps`, or `auto` for the fastest that is there.
        progress: Show a progress bar on stderr.

    Raises:
        TextclfError: With what is wrong; wherever it can be known, before the first text is predicted or paid for.
    """
    ends = fetched(ends)
    input_kind, output_kind = kinds_of(ends)
    if output_kind is not None and output_kind not in WRITTEN:
        raise ConfigError(
            f"--output {ends.output}: plain lines have no room for labels and probabilities. Write "
            f"{listed(f'.{kind.value}' for kind in WRITTEN)}."
        )
    check_ends(ends, output_kind)
    chosen = choose(by, overrides)
    wanted = _wanted(chosen, asked, options)
    labelled = _labelled(options, ends, asked, wanted)
    with opened(ends, input_kind, wanted) as given:
        columns = wanted.found_in(names_in(given.first), given.name)
        gathered = _gathered(given.batches, columns, options, labelled)
    if not gathered.texts:
        raise DataError(f"{given.name}: no text is left to label: {left_out(gathered)}.")
    if options.sample is not None:
        _draw(gathered, options.sample)
    classifier, offered = _classifier(chosen, gathered, labelled, options, device)
    table, probabilities = _predicted(classifier, gathered, progress)
    uncertain = uncertainty(probabilities, classifier.thresholds)
    if not classifier.gives_probabilities:
        uncertain = np.where(uncertain == UNKNOWN, UNKNOWN, 0.0)
    order = least_certain_first(uncertain, gathered.texts, gathered.pairs)[: options.most]
    written = _table(table, gathered, offered).take(pa.array(order))
    shown = ForTerminal(sys.stdout.buffer) if sys.stdout.isatty() else sys.stdout.buffer
    sink = cast(BinaryIO, shown) if ends.output == PIPE else Path(ends.output)
    with open_writer(sink, output_kind or Kind.jsonl, ends.force) as writer:
        for start in range(0, max(len(written), 1), CHUNK):
            part = written.slice(start, CHUNK)
            writer.write(Batch(part, [""] * len(part), None))
    values = written.column(LABELS if classifier.has_sets else LABEL).to_pylist()
    counts = Counter(one for value in values for one in (value if isinstance(value, list) else [value]) if one)
    return Suggested(ends.output, len(written), gathered, classifier, int((uncertain == UNKNOWN).sum()), counts)


def default_output(given: str) -> Path:
    """Return the file that suggestions go to where nobody names one; the app looks there."""
    name = "stdin" if given == PIPE else stem_of(Path(given.rstrip("/")))
    return OUTPUTS / FOLDER / f"{name or 'texts'}.jsonl"


def left_out(gathered: Gathered) -> str:
    """Return how many rows of an input are left out and why, for a person; nothing where none is."""
    said = [
        (gathered.labelled, "labelled already"),
        (gathered.repeated, "with a text that came before"),
        (gathered.unusable, "without a text that can be read"),
    ]
    parts = [f"{count:,} {what}" for count, what in said if count]
    return f"of {gathered.rows:,} rows, {', '.join(parts)}" if parts else f"{gathered.rows:,} rows"


def _wanted(chosen: Chosen, asked: TextColumns, options: LabelOptions) -> WantedTexts:
    """Return which columns are read; a model that is not trained takes pairs where there are any."""
    if chosen.run is not None:
        if options.several and read_description(chosen.run.classifier).thresholds is None:
            raise ConfigError(f"--several: {chosen.run.said} gives each text one class. Leave it out.")
        return wanted_texts(chosen.run, asked)
    pairs = True if asked.text_pair is not None else False if asked.text is not None else None
    return WantedTexts(asked, has_pairs=pairs)


def _labelled(
    options: LabelOptions, ends: Ends, asked: TextColumns, wanted: WantedTexts
) -> list[tuple[str, list[Labelled]]]:
    """Return the texts that people have labelled, by the file; those of the app for this output are among them."""
    files = [Path(name) for name in options.labelled]
    if ends.output != PIPE and (own := labels_file(Path(ends.output))).is_file():
        files += [own] if own.resolve() not in [path.resolve() for path in files] else []
    columns = TextColumns(
        asked.text or wanted.trained_on.text, asked.text_pair or wanted.trained_on.text_pair, asked.title
    )
    return [(str(path), read_labelled(path, columns, wanted.has_pairs)) for path in files]


def _gathered(
    batches: Iterator[Batch],
    columns: TextColumns,
    options: LabelOptions,
    labelled: list[tuple[str, list[Labelled]]],
) -> Gathered:
    """Return the rows to label; what people have labelled in the input itself is added to `labelled`."""
    found = Gathered()
    done = {one.key for _, each in labelled for one in each}
    inside: list[Labelled] = []
    seen: set[int] = set()
    for batch in batches:
        if options.label_column is not None:
            if not found.rows and options.label_column not in (names := batch.table.column_names):
                raise DataError(
                    f"There is no column {options.label_column!r} (--label-column); there are {listed(names)}."
                    f"{did_you_mean(options.label_column, names)}"
                )
            inside += (own := labelled_in(batch, options.label_column))
            done |= {one.key for one in own}
        found.rows += len(batch)
        kept = []
        for row, text in enumerate(batch.texts):
            if row in batch.problems:
                problem = batch.problems[row]
                found.why = found.why or f"{problem.cause}{' ' * bool(problem.detail)}{problem.detail}"
                found.unusable += 1
                continue
            key = digest(text, None if batch.text_pairs is None else batch.text_pairs[row])
            if key in done:
                found.labelled += 1
            elif key in seen:
                found.repeated += 1
            else:
                seen.add(key)
                kept.append(row)
        found.texts += [batch.texts[row] for row in kept]
        if batch.text_pairs is not None:
            found.pairs = (found.pairs or []) + [batch.text_pairs[row] for row in kept]
        if kept:
            found.others.append(_others(batch, columns).take(pa.array(kept)))
    if inside:
        labelled.append((f"column {options.label_column!r}", inside))
    return found


def _others(batch: Batch, columns: TextColumns) -> pa.Table:
    """Return the columns that are neither a text nor an earlier suggestion."""
    used = {columns.text, columns.text_pair, columns.title, "text", "text_pair"}
    names = [name for name in batch.table.column_names if name not in used and not name.startswith(PREFIX)]
    return batch.table.select(names).replace_schema_metadata(None)


def _draw(gathered: Gathered, count: int) -> None:
    """Keep so many texts, drawn at random, in their order."""
    if count >= len(gathered.texts):
        return
    rows = np.sort(np.random.default_rng(SEED).permutation(len(gathered.texts))[:count])
    others = _joined(gathered.others).take(pa.array(rows))
    gathered.texts = [gathered.texts[row] for row in rows.tolist()]
    gathered.pairs = None if gathered.pairs is None else [gathered.pairs[row] for row in rows.tolist()]
    gathered.others = [others]


def _classifier(
    chosen: Chosen,
    gathered: Gathered,
    labelled: list[tuple[str, list[Labelled]]],
    options: LabelOptions,
    device: str,
) -> tuple[Classifier, tuple[str, ...]]:
    """Return what predicts, and the labels that people are offered.

    Raises:
        DataError: If people gave labels that it does not know.
    """
    if chosen.run is None:
        examples = [one for _, each in labelled for one in each]
        classifier = prepared(chosen, gathered.texts, gathered.pairs, examples, options)
        own = classifier.label_names
    else:
        own = read_description(chosen.run.classifier).label_names
    offered = (*own, *(name for name in options.labels if name not in own))
    for said, each in labelled:
        given = Counter(label for one in each for label in one.labels)
        unknown = [name for name in given if name not in offered]
        if unknown:
            raise DataError(
                f"{said} has labels that {chosen.said} does not know: {listed(map(repr, unknown), 6)}; it knows "
                f"{listed(own)}. Offer such a label beside them with --label {unknown[0]!r}, or name the run that was "
                f"trained on these labels.{did_you_mean(unknown[0], own)}"
            )
    return (classifier if chosen.run is None else ready(chosen.run, device)), offered


def _predicted(classifier: Classifier, gathered: Gathered, progress: bool) -> tuple[pa.Table, NDArray[np.float32]]:
    """Return the columns of the suggestions, and each label's probability, float32 (n, num_labels)."""
    tables: list[pa.Table] = []
    found: list[NDArray[np.float32]] = []
    with progress_bar(progress) as tell:
        for batch in predict_batches(
            classifier,
            _parts(gathered),
            PredictOptions(prefix=PREFIX),
            tell,
            lambda _, probabilities, __: found.append(probabilities.copy()),
        ):
            tables.append(batch.table)
    return pa.concat_tables(tables), np.concatenate(found)


def _parts(gathered: Gathered) -> Iterator[Batch]:
    """Yield the texts a part at a time, so that a signal is noticed between two."""
    total = len(gathered.texts)
    for start in range(0, total, CHUNK):
        texts = gathered.texts[start : start + CHUNK]
        pairs = None if gathered.pairs is None else gathered.pairs[start : start + CHUNK]
        columns = {"text": pa.array(texts, pa.string())}
        if pairs is not None:
            columns["text_pair"] = pa.array(pairs, pa.string())
        yield Batch(pa.table(columns), texts, pairs, share=min(1.0, (start + len(texts)) / total))


def _table(predicted: pa.Table, gathered: Gathered, offered: Sequence[str]) -> pa.Table:
    """Return texts, suggestions and the other columns of the input."""
    table = predicted
    for name in offered:
        if (column := f"{PROBABILITY}{name}") not in table.column_names:
            table = table.append_column(column, pa.nulls(len(table), pa.float32()))
    others = _joined(gathered.others)
    for name in others.column_names:
        table = table.append_column(pa.field(name, others.schema.field(name).type), others.column(name))
    return table


def _joined(tables: list[pa.Table]) -> pa.Table:
    """Return tables one under the other; a column whose type is not the same in all becomes strings."""
    types: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for column in table.schema:
            if not pa.types.is_null(column.type):
                types.setdefault(column.name, set()).add(column.type)
    mixed = {name for name, own in types.items() if len(own) > 1}
    same = []
    for table in tables:
        for place, name in enumerate(table.column_names):
            if name in mixed:
                table = table.set_column(place, name, pa.array(as_fields(table.column(name)), pa.string()))
        same.append(table)
    return pa.concat_tables(same, promote_options="default")
