"""Results of others, read from a table: scores of setups over draws, or predictions of single examples.

Columns are found by their names, or named with `--column ROLE=NAME`. A table may have a row for each score, or be
wide: a row a draw and a column a setup, or a row a setup and a column a draw.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from textclf.compare.options import TableOptions
from textclf.data.readers.csv import SeparatedValues
from textclf.data.readers.jsonl import JsonLines
from textclf.data.readers.source import BadRow, Reader, is_missing
from textclf.errors import DataError, did_you_mean, listed
from textclf.evaluation.metric_names import METRICS, is_in_points

METRIC_WORDS = {
    "acc": "accuracy", "f1_macro": "macro_f1", "f1_micro": "micro_f1", "f1_weighted": "weighted_f1",
    "exact_match": "subset_accuracy", "exact_match_ratio": "subset_accuracy", "hamming": "hamming_loss",
    "matthews_correlation": "mcc", "matthews": "mcc", "auc": "roc_auc", "auroc": "roc_auc",
    "logloss": "log_loss", "nll": "log_loss",
}  # fmt: skip
"""Other words for metrics."""
WORDS = {
    "setup": ("setup", "system", "model", "method", "classifier", "approach", "algorithm", "model_name", "setting",
              "settings", "name"),
    "draw": ("draw", "seed", "run", "fold", "random_seed", "repetition", "repeat", "replicate", "trial", "iteration",
             "experiment"),
    "dataset": ("dataset", "data_set", "task", "benchmark", "corpus", "data"),
    "size": ("shots", "shot", "num_shots", "n_shots", "train_examples", "train_size", "sample_size", "datasize",
             "examples_per_class"),
    "score": ("score", "value", "result"),
    "metric": ("metric", "measure", "metric_name"),
    "examples": ("test_examples", "n_test", "num_test", "test_size", "num_examples", "n_examples", "n", "support"),
    "example": ("example", "example_id", "id", "index", "idx", "text_id", "row", "item", "guid"),
    "label": ("label", "gold", "gold_label", "true_label", "y_true", "truth", "target"),
    "prediction": ("prediction", "predicted", "pred", "y_pred", "predicted_label"),
}  # fmt: skip
"""The roles of columns, by the names under which they are found; `size` is of the training data."""
NUMBERED = re.compile(r"(?:(?:draw|seed|run|fold|split|trial|repetition)[ _-]?)?\d+", re.IGNORECASE)
"""Names of columns that are draws."""
ENDINGS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
FOLDS = "fold"
LONGEST_CELL = 100_000
"""Characters of a cell; a longer one is no part of a table of results."""


@dataclass(frozen=True)
class Score:
    """One score of a setup."""

    line: int
    setup: str
    draw: str | None
    """Its draw of training examples, or seed; none where the table does not name draws."""
    value: float
    unit: float
    """The last digit that was written: 0.001 of `0.712`."""


@dataclass(frozen=True)
class Guess:
    """One prediction of a setup."""

    line: int
    setup: str
    draw: str | None
    example: str
    label: str
    prediction: str


@dataclass
class Group:
    """The rows of a table that are compared with each other: those on one data set, by one metric."""

    dataset: str
    metric: str
    scores: list[Score] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    examples: int | None = None
    """Test examples that each score was computed on, where the table says it."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Results:
    """The content of a table."""

    groups: tuple[Group, ...]
    draws_are_folds: bool
    """Whether the draws are folds of a cross-validation, whose training examples overlap."""
    notes: tuple[str, ...]


def read_results(path: Path, options: TableOptions) -> Results:
    """Read a table of results.

    Args:
        path: CSV, TSV or JSON Lines.
        options: The columns, where they are not found by name, and what the table does not say.

    Raises:
        DataError: If it cannot be read, lacks a column, or a row makes no sense; with the line.
        ConfigError: If an option names no column.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file. --table takes a table of results: CSV, TSV or JSON Lines.")
    reader = _reader(path)
    names = reader.columns(path)
    rows = list(_rows(reader, path, names))
    if not rows:
        raise DataError(f"{path}: the table has no rows. It needs one for each score of a setup, or each prediction.")
    roles = _roles(path, names, rows, options)
    if "prediction" in roles:
        groups = _guesses(path, names, rows, roles)
        notes: list[str] = []
    else:
        groups, notes = _scores(path, names, rows, roles, options)
    folded = names[roles["draw"][0]].lower().startswith(FOLDS) if "draw" in roles else False
    folded = folded or (bool(roles.get("wide_draws")) and names[roles["wide_draws"][0]].lower().startswith(FOLDS))
    return Results(tuple(groups), folded, tuple(notes))


Rows = Sequence[tuple[int, Sequence[Any]]]
Roles = Mapping[str, Sequence[int]]
"""The numbers of the columns of each role; of a wide table `wide_draws` or `wide_setups` hold the scores."""


def _reader(path: Path) -> Reader:
    ending = path.suffix.lower()
    if ending in (".jsonl", ".json", ".ndjson"):
        return JsonLines()
    if ending not in ENDINGS:
        raise DataError(
            f"{path}: the ending {ending or '(none)'} says nothing of the format; a table of results ends in "
            f"{listed([*ENDINGS, '.jsonl'])}."
        )
    return SeparatedValues(ENDINGS[ending], LONGEST_CELL)


def _rows(reader: Reader, path: Path, names: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
    for row in reader.rows(path, names):
        if isinstance(row, BadRow):
            raise DataError(f"{path}:{row.at}: {row.cause} {row.detail}: {row.start[:60]!r}. Put the row right.")
        yield row.at or 0, row.values


def _plain(name: str) -> str:
    """Return a column's name as it is looked up."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def known_metric(name: str) -> str:
    """Return the metric that a name stands for, under textclf's name where it has one."""
    plain = _plain(name.rpartition("/")[2])
    return METRIC_WORDS.get(plain, plain)


def _roles(path: Path, names: Sequence[str], rows: Rows, options: TableOptions) -> Roles:
    """Return which columns play which role, checked to suffice."""
    roles: dict[str, list[int]] = {}
    for role, wanted in options.columns.items():
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise DataError(
                f"{path} has no column {listed(map(repr, unknown))}, which --column {role}= names; it has "
                f"{listed(names)}.{did_you_mean(unknown[0], names)}"
            )
        roles[role] = [names.index(name) for name in wanted]
    taken = {number for numbers in roles.values() for number in numbers}
    for role, words in WORDS.items():
        free = {_plain(name): n for n, name in reversed(list(enumerate(names))) if n not in taken}
        if role not in roles and (found := next((free[word] for word in words if word in free), None)) is not None:
            roles[role] = [found]
            taken.add(found)
    if "prediction" in roles and "label" in roles and not options.columns.get("score"):
        needed, what = ("setup", "example"), "A table of predictions"
    else:
        roles.pop("prediction", None)
        if "score" not in roles:
            roles |= _score_columns(names, rows, roles, options)
        wide = "wide_setups" in roles or "wide_draws" in roles
        needed, what = ("setup", "score")[: 1 if wide else 2], "A table of scores"
        needed = () if "wide_setups" in roles else needed
    if missing := [role for role in needed if role not in roles]:
        words = {role: [*WORDS[role], *(METRICS if role == "score" else ())] for role in missing}
        close = [
            f" {name!r} is near to {found[0]!r}."
            for number, name in enumerate(names)
            if number not in taken
            and (found := get_close_matches(_plain(name), [word for own in words.values() for word in own], cutoff=0.7))
        ]
        known = "; ".join(f"{role}: {listed(own, 8)}" for role, own in words.items())
        raise DataError(
            f"{path}: {what} needs a column for the {' and the '.join(missing)}, and no name of its columns "
            f"({listed(names)}) says that it is one ({known})."
            f"{''.join(close)} Name it with --column {missing[0]}=NAME."
        )
    return roles


def _score_columns(names: Sequence[str], rows: Rows, roles: Roles, options: TableOptions) -> dict[str, list[int]]:
    """Return the columns that hold scores, where none is named `score`: a metric's, or those of a wide table."""
    metrics = {known_metric(name): n for n, name in reversed(list(enumerate(names)))}
    wanted = None if options.metric is None else known_metric(options.metric)
    found = [metrics[metric] for metric in ([wanted] if wanted else [*METRICS, "f1"]) if metric in metrics]
    if found:
        return {"score": found[:1]}
    used = {number for role, numbers in roles.items() if role not in ("example", "label") for number in numbers}
    free = [n for n in range(len(names)) if n not in used and all(_is_number(row[n]) for _, row in rows)]
    if "setup" in roles and "draw" not in roles:
        numbered = [n for n in free if NUMBERED.fullmatch(names[n].strip())]
        if len(numbered) > 1:
            return {"wide_draws": numbered}
    return {"wide_setups": free} if "setup" not in roles and len(free) > 1 else {}


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(str(value).strip().rstrip("%")))
    except ValueError:
        return False


def _text(value: Any) -> str:
    """Return a cell as text; whole numbers of JSON and `1.0` are the same draw."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if is_missing(value) else str(value).strip()


def _cell(path: Path, line: int, row: Sequence[Any], names: Sequence[str], numbers: Sequence[int], role: str) -> str:
    """Return the text of a role's columns, those of several joined; refuse an empty one."""
    parts = [_text(row[number]) for number in numbers]
    if not all(parts):
        empty = names[numbers[parts.index("")]]
        raise DataError(f"{path}:{line}: the {role} is missing (column {empty}). Fill it in, or take the row out.")
    return " ".join(parts)


def _dataset(path: Path, line: int, row: Sequence[Any], names: Sequence[str], roles: Roles) -> str:
    """Return what the rows that are compared have in common: the data set, and the size of the training data."""
    parts = [_cell(path, line, row, names, roles["dataset"], "dataset")] if "dataset" in roles else [path.stem]
    for number in roles.get("size", ()):
        parts.append(f"{names[number]}={_cell(path, line, row, names, [number], 'size')}")
    return " ".join(parts)


def _number(path: Path, line: int, name: str, value: Any) -> tuple[float, float, bool]:
    """Return a score, its last digit, and whether it was written as a percentage."""
    text = _text(value)
    digits = text.rstrip("%").strip()
    try:
        number = float(digits)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        hint = " Write decimals with a point." if re.fullmatch(r"-?\d+,\d+ ?%?", text) else ""
        raise DataError(
            f"{path}:{line}: the score (column {name}) is {text or 'missing'!r}, which is no number.{hint} Put it "
            f"right, or take the row out and say in the text why that draw has none."
        )
    mantissa, _, exponent = digits.lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    return number, 10.0**-decimals, text.endswith("%")


def _scores(
    path: Path, names: Sequence[str], rows: Rows, roles: Roles, options: TableOptions
) -> tuple[list[Group], list[str]]:
    """Return the scores of a table by what they are compared within."""
    groups: dict[tuple[str, str], Group] = {}
    seen: dict[tuple[str, str, str, str], int] = {}
    percents: dict[str, list[Score]] = {}
    asked = None if options.metric is None else known_metric(options.metric)
    others: set[str] = set()
    for line, row in rows:
        dataset = _dataset(path, line, row, names, roles)
        for setup, draw, number in _cells(path, line, row, names, roles):
            metric = asked or known_metric(names[number] if "score" in roles else "score")
            if "metric" in roles:
                own = known_metric(_cell(path, line, row, names, roles["metric"], "metric"))
                if asked not in (None, own):
                    others.add(own)
                    continue
                metric = own
            value, unit, percent = _number(path, line, names[number], row[number])
            group = groups.setdefault((dataset, metric), Group(dataset, metric))
            if draw is not None:
                first = seen.setdefault((dataset, metric, setup, draw), line)
                if first != line:
                    raise DataError(_twice(path, names, rows, roles, (first, line), setup, draw))
            score = Score(line, setup, draw, value, unit)
            group.scores.append(score)
            if percent:
                percents.setdefault(metric, []).append(score)
            _note_examples(path, line, row, roles, group)
    if not groups:
        raise DataError(
            f"{path}: no row has the metric {asked}; the table has {listed(sorted(others))}."
            f"{did_you_mean(asked or '', others)}"
        )
    several = {dataset for dataset, _ in groups if sum(key[0] == dataset for key in groups) > 1}
    for group in groups.values():
        if group.dataset in several:
            group.dataset = f"{group.dataset}, {group.metric}"
        group.scores = _in_one_unit(path, group, group.metric in percents)
        group.examples = group.examples or options.test_examples
    notes = []
    left = [name for n, name in enumerate(names) if known_metric(name) in METRICS and n not in roles.get("score", ())]
    if left and "wide_setups" not in roles:
        notes.append(f"The table has {listed(left)} too, which were not looked at; choose with --metric.")
    return list(groups.values()), notes


def _cells(
    path: Path, line: int, row: Sequence[Any], names: Sequence[str], roles: Roles
) -> Iterator[tuple[str, str | None, int]]:
    """Yield setup, draw and column of each score of a row."""
    draw = _cell(path, line, row, names, roles["draw"], "draw") if "draw" in roles else None
    if "wide_setups" in roles:
        for number in roles["wide_setups"]:
            yield names[number], draw if draw is not None else str(line), number
        return
    setup = _cell(path, line, row, names, roles["setup"], "setup")
    for number in roles.get("wide_draws", ()):
        yield setup, names[number].strip(), number
    for number in roles.get("score", ())[:1]:
        yield setup, draw, number


def _note_examples(path: Path, line: int, row: Sequence[Any], roles: Roles, group: Group) -> None:
    """Note the number of test examples that a row gives; of several numbers the smallest holds for the group."""
    for number in roles.get("examples", ()):
        text = _text(row[number])
        if not text:
            continue
        if not re.fullmatch(r"[1-9]\d*", text.replace(",", "")):
            raise DataError(f"{path}:{line}: the number of test examples is {text!r}; it must be a whole number.")
        count = int(text.replace(",", ""))
        if group.examples not in (None, count) and not group.notes:
            group.notes.append("The scores are of different numbers of test examples; the smallest is taken for all.")
        group.examples = min(count, group.examples or count)


def _twice(
    path: Path, names: Sequence[str], rows: Rows, roles: Roles, lines: tuple[int, int], setup: str, draw: str
) -> str:
    """Return what to say of two rows with the same setup, draw and data set."""
    one, other = (next(row for at, row in rows if at == line) for line in lines)
    used = {number for numbers in roles.values() for number in numbers}
    apart = [names[n] for n in range(len(names)) if n not in used and _text(one[n]) != _text(other[n])]
    apart = [name for name in apart if known_metric(name) not in METRICS]
    what = (
        f"They differ in {listed(apart)}: say what that is with --column setup=… or --column dataset=…, which may name "
        f"several columns (dataset={','.join([*(names[n] for n in roles.get('dataset', ())), apart[0]])})."
        if apart
        else "Take one of them out."
    )
    return f"{path}:{lines[1]}: setup {setup} has draw {draw} in line {lines[0]} already, on the same data set. {what}"


def _in_one_unit(path: Path, group: Group, in_percent: bool) -> list[Score]:
    """Return the scores as fractions where the metric is one; those in percent are divided by 100."""
    scores = group.scores
    if not is_in_points(group.metric) and group.metric != "mcc":
        return scores
    large = [score for score in scores if score.value > 1]
    if not large and not in_percent:
        return _possible(path, group, scores)
    small = [score for score in scores if 0 < abs(score.value) <= 1]
    if small and large:
        group.notes.append(
            f"Percents and fractions seem to be mixed: {large[0].value:g} in line {large[0].line}, {small[0].value:g} "
            f"in line {small[0].line}. All are taken for percents; put the table right if some are not."
        )
    return _possible(path, group, [Score(s.line, s.setup, s.draw, s.value / 100, s.unit / 100) for s in scores])


def _possible(path: Path, group: Group, scores: list[Score]) -> list[Score]:
    """Return the scores; refuse what the metric cannot be."""
    lowest = -1 if group.metric == "mcc" else 0
    for score in scores:
        if not lowest <= score.value <= 1:
            raise DataError(
                f"{path}:{score.line}: {group.metric} is {score.value:g}, or {100 * score.value:g} %; it lies between "
                f"{lowest} and 1. Put it right, or name the metric with --metric."
            )
    return scores


def _guesses(path: Path, names: Sequence[str], rows: Rows, roles: Roles) -> list[Group]:
    """Return the predictions of a table by data set."""
    groups: dict[str, Group] = {}
    seen: dict[tuple[str, str, str | None, str], int] = {}
    truths: dict[tuple[str, str], tuple[str, int]] = {}
    for line, row in rows:
        dataset = _dataset(path, line, row, names, roles)
        if any(isinstance(row[number], list) for role in ("label", "prediction") for number in roles[role]):
            raise DataError(
                f"{path}:{line}: the label or the prediction is a list; a table of predictions has one class each. Of "
                f"sets of labels, compare run folders, or a table of scores such as micro_f1 or subset_accuracy."
            )
        setup, example, label, prediction = (
            _cell(path, line, row, names, roles[role], role) for role in ("setup", "example", "label", "prediction")
        )
        draw = _cell(path, line, row, names, roles["draw"], "draw") if "draw" in roles else None
        first = seen.setdefault((dataset, setup, draw, example), line)
        if first != line:
            of = "" if draw is None else f", draw {draw},"
            raise DataError(
                f"{path}:{line}: setup {setup}{of} has predicted example {example} in line {first} already. Take one "
                f"out; if they are of several draws or data sets, name the column with --column draw=NAME."
            )
        truth, at = truths.setdefault((dataset, example), (label, line))
        if truth != label:
            raise DataError(
                f"{path}:{line}: the label of example {example} is {label!r}, and {truth!r} in line {at}. An example "
                f"has one label; put it right, or give other examples other names."
            )
        groups.setdefault(dataset, Group(dataset, "accuracy")).guesses.append(
            Guess(line, setup, draw, example, label, prediction)
        )
    return list(groups.values())
