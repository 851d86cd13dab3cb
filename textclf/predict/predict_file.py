"""The work behind `python -m textclf.predict`: find the run, open both ends, predict, count."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from textclf.data.column_names import plain_name
from textclf.data.readers.text import PLAIN, TextForm
from textclf.data.remote import fetch, is_address
from textclf.errors import ArtifactError, ConfigError, DataError, listed
from textclf.models.base import Classifier
from textclf.models.prediction import check_threshold
from textclf.models.saved import Description, read_description
from textclf.predict.familiarity import Seen, familiarity
from textclf.predict.inputs import TextColumns, WantedTexts
from textclf.predict.options import PredictOptions
from textclf.predict.rows import ENDINGS, WRITTEN, Batch, Kind, kind_like, kind_of_name, kind_to_write, read_batches
from textclf.predict.sniff import sniffed
from textclf.predict.stream import Tell, predict_batches
from textclf.predict.texts import found_run, has_pairs, ready
from textclf.predict.true_labels import SURE_NAMES, TrueLabels, label_column, names_in
from textclf.predict.true_sets import TrueSets
from textclf.predict.writers import ForTerminal, SeparatedWriter, check_target, open_writer
from textclf.system.busy import BusyWatch
from textclf.tracking.find_runs import RunReference

log = logging.getLogger(__name__)

PIPE = "-"
"""Stands for stdin and stdout."""


@dataclass(frozen=True)
class Ends:
    """What is read and what is written."""

    input: str
    """A file, or `-` for stdin."""
    output: str
    """A file, or `-` for stdout."""
    input_kind: Kind | None = None
    """Format of the input; none takes the one that its name says, and looks at how stdin begins."""
    output_kind: Kind | None = None
    """Format of the output; none takes the one that its name says, and of stdout that of the input."""
    force: bool = False
    """Replace an output that is there."""
    form: TextForm = PLAIN
    """How an input of text is written."""
    spreadsheet: bool = False
    """Put a `'` in front of texts that a spreadsheet would take for formulas; else they are written as they are."""
    option: str = "--input "
    """What stands before the input on the command line, with its space; nothing where it stands by itself."""

    @property
    def given(self) -> str:
        """The input as it was typed."""
        return self.option + self.input


@dataclass(frozen=True)
class Opened:
    """An input that is open, by its rows."""

    batches: Iterator[Batch]
    first: Batch
    """The first of them, which may be empty."""
    kind: Kind
    name: str
    """What it is called, for a person."""


@dataclass
class Done:
    """What was predicted."""

    rows: int = 0
    bad_rows: int = 0
    seconds: float = 0.0
    """Duration without finding and loading the classifier."""
    labels: Counter[str] = field(default_factory=Counter)
    """How often each label was given, `abstain` among them."""
    true: TrueLabels | TrueSets | None = None
    """The true labels that the input has; none where no column holds any."""
    familiar: str | None = None
    """How far the texts are from those that the run was tested on, in a sentence; none where that is not known."""
    page: Path | None = None
    """The report, where one was asked for."""
    formula: str | None = None
    """A text that was written as it is and that a spreadsheet would take for a formula; none where there is none."""


@dataclass(frozen=True)
class Scoring:
    """What is made of true labels in the input."""

    label_column: str | None = None
    """The column that holds them; none looks for the one that was trained on, or a usual name."""
    report: Path | None = None
    """The folder for an evaluation page; none writes none."""
    is_wanted: bool = True
    """Look for true labels, and at how far the texts are from those that the run was tested on."""


@dataclass
class OpenRun:
    """A run that one file after another is predicted with, its classifier loaded once."""

    located: RunReference
    device: str = "auto"

    @cached_property
    def description(self) -> Description:
        """What the classifier says of itself."""
        return read_description(self.located.classifier)

    @cached_property
    def classifier(self) -> Classifier:
        """The classifier, loaded when it is first asked for."""
        return ready(self.located, self.device)


def predict_file(
    run: str | OpenRun,
    ends: Ends,
    asked: TextColumns,
    options: PredictOptions,
    device: str = "auto",
    progress: bool | Tell = False,
    scoring: Scoring | None = None,
    place: Callable[[Path, Path, Done], None] | None = None,
) -> Done:
    """Predict every row of an input and write it, with its other columns, to an output.

    Args:
        run: A run folder, an MLflow run id, `models:/NAME@ALIAS`, `latest`, or `best:DATASET`; or one that is open.
        ends: What is read and what is written.
        asked: The columns that hold the texts, where a person names them.
        options: What is written of each prediction.
        device: Where a transformer computes: `cpu`, `cuda`, `mps`, or `auto` for the fastest that is there; an open
            run knows.
        progress: Show a progress bar on stderr; or what is told of rows that are done.
        scoring: What is made of true labels in the input.
        place: Gives the whole output its name, of what was predicted so far; none renames it.

    Raises:
        TextclfError: With what is wrong; wherever it can be known, before the classifier is loaded.
    """
    ends = fetched(ends)
    input_kind, output_kind = kinds_of(ends)
    check_ends(ends, output_kind)
    scoring = scoring or Scoring()
    if scoring.report is not None:
        from textclf.predict.report import check_report  # with matplotlib

        check_report(scoring.report, ends.force)
    using = run if isinstance(run, OpenRun) else OpenRun(found_run(run), device)
    located, description = using.located, using.description
    check_threshold(options.threshold, description.label_names if description.thresholds is None else ())
    done = Done()
    wanted = wanted_texts(located, asked)
    with opened(ends, input_kind, wanted) as given:
        output_kind = output_kind or kind_like(given.kind)
        if scoring.is_wanted:
            done.true = true_labels(given.first, located, wanted, scoring, description, options)
        seen = Seen()
        classifier = using.classifier
        begun, busy = time.perf_counter(), BusyWatch(wanted=1)
        shown = ForTerminal(sys.stdout.buffer) if sys.stdout.isatty() else sys.stdout.buffer
        sink = cast(BinaryIO, shown) if ends.output == PIPE else Path(ends.output)
        named = None if place is None else lambda written, target: place(written, target, done)
        with open_writer(sink, output_kind, ends.force, named) as writer, _told(progress) as tell:
            if isinstance(writer, SeparatedWriter):
                writer.is_for_spreadsheets = ends.spreadsheet

            def watch(batch: Batch, probabilities: NDArray[np.float32], abstained: NDArray[np.bool_]) -> None:
                done.rows += len(batch)
                done.bad_rows += len(batch.problems)
                if not scoring.is_wanted:
                    return
                good = [row for row in range(len(batch)) if row not in batch.problems]
                seen.add((batch.texts[row] for row in good), probabilities[good])
                if done.true is not None:
                    done.true.add(batch, probabilities, abstained)

            for batch in predict_batches(classifier, given.batches, options, tell, watch):
                writer.write(batch)
                _count(done, batch)
                if (said := busy.look()) is not None:
                    log.warning("%s", said)
        done.seconds = time.perf_counter() - begun
        done.familiar = familiarity(seen, located.folder) if scoring.is_wanted else None
        if scoring.report is not None and done.true is not None:
            if not done.true.scored:
                raise DataError(
                    " ".join([f"--report: no row of {given.name} has a label that is a class.", *done.true.warnings()])
                )
            from textclf.predict.report import write_report  # with matplotlib

            done.page = write_report(scoring.report, done.true, located, given.name, done.familiar, ends.force)
        if isinstance(writer, SeparatedWriter):
            done.formula = writer.formula
        if done.formula is not None and scoring.is_wanted:
            log.warning("%s", formula_said(done.formula))
    return done


def true_labels(
    first: Batch,
    located: RunReference,
    wanted: WantedTexts,
    scoring: Scoring,
    description: Description,
    options: PredictOptions | None = None,
) -> TrueLabels | TrueSets | None:
    """Return where the true labels of an input will be counted; none where no column holds any.

    Raises:
        DataError: If a column is named that is not there, or a report is asked for without labels.
    """
    names = names_in(first)
    dataset = located.record.config.get("dataset", {}) if located.record else {}
    trained = dataset.get("label_column")
    thresholds = (options or PredictOptions()).thresholds_for(description)
    each = tuple(dataset.get("label_columns") or description.label_names)
    if thresholds is not None and scoring.label_column is None and len(each) > 1 and set(each) <= set(names):
        return TrueSets(each, description.label_names, thresholds, None, is_sure=True)
    try:
        texts = wanted.found_in(names, "the input")
    except DataError:  # a file of lines
        texts = TextColumns()
    taken = (texts.text, texts.text_pair, texts.title)
    column = label_column(names, scoring.label_column, trained, taken)
    if column is None:
        if scoring.report is not None:
            raise DataError(f"--report needs true labels: name their column with --label-column ({listed(names)}).")
        return None
    is_sure = column in (scoring.label_column, trained) or plain_name(column) in SURE_NAMES
    if thresholds is not None:
        return TrueSets((column,), description.label_names, thresholds, dataset.get("label_separator"), is_sure)
    return TrueLabels(column, description.label_names, is_sure, keeps=scoring.report is not None)


def wanted_texts(located: RunReference, asked: TextColumns) -> WantedTexts:
    """Return what a run wants to read, by what it was trained on."""
    said = read_description(located.classifier).columns
    trained = said if said.text is not None else located.trained_on
    return WantedTexts(asked, trained, has_pairs(located))


def kinds_of(ends: Ends) -> tuple[Kind | None, Kind | None]:
    """Return the formats of input and output; none of what comes through stdin and must be looked at.

    Raises:
        ConfigError: If neither a name nor an option says one.
    """
    known = ", ".join(ENDINGS)
    read = ends.input_kind or (Kind.folder if Path(ends.input).is_dir() else kind_of_name(ends.input))
    if read is None and ends.input != PIPE:
        raise ConfigError(
            f"{ends.given}: say of what format {ends.input} is with --input-format "
            f"{'|'.join(kind.value for kind in Kind)}, or give it an ending ({known}; those of text also packed)."
        )
    written = ends.output_kind or kind_to_write(ends.output)
    if ends.output == PIPE and written is None and read is not None:
        written = kind_like(read)
    if written is None and ends.output != PIPE:
        endings = listed([f".{kind.value}" for kind in WRITTEN])
        raise ConfigError(
            f"--output {ends.output}: its ending says no format that textclf writes ({endings}; all but .parquet also "
            f"with .gz); give it one, or say it with --output-format."
        )
    return read, written


def check_ends(ends: Ends, output_kind: Kind | None) -> None:
    """Refuse, before anything is loaded, an input that is not there and an output that may not be written.

    Raises:
        DataError: If the input is no file.
        ArtifactError: If the output is there already, is the input, or cannot be written.
    """
    source = Path(ends.input)
    if ends.input != PIPE and source.is_dir() and ends.input_kind not in (None, Kind.folder):
        raise DataError(f"{ends.given}: this is a folder; leave --input-format out, or name one file.")
    if ends.input != PIPE and not source.exists():
        raise DataError(f"{ends.given}: there is no such file (looked at {source.absolute()}).")
    if ends.output == PIPE:
        if output_kind is Kind.parquet and sys.stdout.isatty():
            raise ArtifactError("Parquet is not for a terminal; name a file with --output.")
        return
    target = Path(ends.output)
    if ends.input != PIPE and target.exists() and target.is_file() and os.path.samefile(source, target):
        raise ArtifactError(f"--output {ends.output} is the input; name another file, --force or not.")
    check_target(target, ends.force)


def fetched(ends: Ends) -> Ends:
    """Return the ends with an input from the Web on this disk.

    Raises:
        DataError: If it cannot be had.
    """
    return (
        replace(ends, input=str(fetch(ends.input, ends.option.strip() or "FILE"))) if is_address(ends.input) else ends
    )


@contextmanager
def opened(ends: Ends, kind: Kind | None, wanted: WantedTexts) -> Iterator[Opened]:
    """Open an input; of stdin its beginning says the format where nobody does.

    Args:
        ends: What is read.
        kind: Its format; none of stdin that must be looked at.
        wanted: Which columns hold the texts.

    Raises:
        DataError: If it cannot be read, or lacks the columns.
    """
    with _source(ends) as (source, name):
        if kind is None and not isinstance(source, Path):
            kind, why, source = sniffed(source, wanted, ends.form)
            log.warning("stdin is read as %s: %s; --input-format says otherwise", kind.value, why)
        assert kind is not None
        batches = read_batches(source, kind, wanted, name=name, form=ends.form)
        first = next(batches, None)
        if first is None:
            raise DataError(f"{name}: the file holds no rows.")
        yield Opened(chain([first], batches), first, kind, name)


@contextmanager
def _source(ends: Ends) -> Iterator[tuple[Path | BinaryIO, str]]:
    """Give what is read, and what it is called."""
    if ends.input == PIPE:
        yield sys.stdin.buffer, "stdin"
    else:
        yield Path(ends.input), ends.input


@contextmanager
def _told(progress: bool | Tell) -> Iterator[Tell | None]:
    """Give what is told of rows that are done."""
    if not isinstance(progress, bool):
        yield progress
        return
    with progress_bar(progress) as tell:
        yield tell


@contextmanager
def progress_bar(shown: bool) -> Iterator[Tell | None]:
    """Give what is told of rows that are done: a progress bar, where one is shown."""
    if not shown:
        yield None
        return
    from tqdm import tqdm

    size = shutil.get_terminal_size()  # also where the terminal does not say it
    with tqdm(unit=" rows", ncols=size.columns - 1, nrows=size.lines, file=sys.stderr, smoothing=0.1) as bar:

        def tell(rows: int, share: float | None) -> None:
            if share:
                bar.total = round((bar.n + rows) / share)
            bar.update(rows)

        yield tell


def _count(done: Done, batch: Batch) -> None:
    added = dict(zip(batch.added, batch.table.columns[-len(batch.added) :], strict=True))
    column = added[batch.added[0]]
    if len(batch.added) > 2 and pa.types.is_boolean(added[batch.added[2]].type):  # a row for each label
        column = column.filter(added[batch.added[2]])
    if pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    counts = column.value_counts().to_pylist()
    done.labels.update({found["values"]: found["counts"] for found in counts if found["values"] is not None})


def summary(done: Done, output: str) -> str:
    """Return a line on what was predicted, for a person."""
    speed = f" ({done.rows / done.seconds:,.0f} a second)" if done.rows and done.seconds > 0 else ""
    return f"{output}: {done.rows:,} rows in {done.seconds:,.1f} s{speed}{shares_said(done.labels, done.rows)}"


def shares_said(labels: Counter[str], rows: int) -> str:
    """Return how often the most frequent labels were given, as the end of a sentence; nothing where none was."""
    shares = ", ".join(f"{label} {count / max(rows, 1):.0%}" for label, count in labels.most_common(6))
    more = f", and {len(labels) - 6} more labels" if len(labels) > 6 else ""
    return f": {shares}{more}" if shares else ""


def formula_said(formula: str) -> str:
    """Return a warning of a text that a spreadsheet would compute, for a person."""
    return (
        f"{formula[:60]!r} and maybe more begins as a formula does, and a spreadsheet may compute it; --spreadsheet "
        f"puts a ' in front of such texts"
    )


def scores_said(done: Done) -> list[str]:
    """Return lines on how right the predictions are, and how far the texts are from those of the test, for a person."""
    said = []
    if done.true is not None:
        said += [f"warning: {one}" for one in done.true.warnings()]
        said += done.true.lines()
    if done.familiar is not None:
        said.append(done.familiar)
    if done.page is not None:
        said.append(f"the evaluation: {done.page}")
    return said
