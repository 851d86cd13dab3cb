"""Options of a dataset: on the Hub, in files, with its columns, labels and splits."""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import PurePath
from typing import Any

from omegaconf import MISSING

from textclf.data.label_descriptions import read_descriptions
from textclf.errors import ConfigError, listed, refuse_unless

log = logging.getLogger(__name__)

LANGUAGE = "%language%"
"""Stands for the language in the names of files."""
LANGUAGE_COLUMN = "language"
"""textclf's own column of languages."""
OWN_COLUMNS = ("example", "text", "text_pair", "label", LANGUAGE_COLUMN)
"""The columns of a loaded split."""


DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
"""Separators by their names."""


class UnknownLabels(Enum):
    """What becomes of a row whose label is no class of train."""

    error = "error"
    drop = "drop"


class OnLeakage(Enum):
    """What becomes of texts that stand on both sides of a split."""

    warn = "warn"
    drop = "drop"
    fail = "fail"


class SimilarLabels(Enum):
    """What becomes of labels that differ only by case, white space or Unicode form."""

    warn = "warn"
    merge = "merge"
    fail = "fail"


class Task(Enum):
    """What a text is given: one class, or a set of labels."""

    single = "single"
    multi = "multi"


class Quoting(Enum):
    """What quote marks mean in a file of separated values."""

    check = "check"
    standard = "standard"
    none = "none"


@dataclass(frozen=True)
class DatasetOptions:
    """Options that every dataset shares: its columns, its labels, its splits."""

    name: str = MISSING
    """What the runs on this dataset are called."""
    text_column: str = "text"
    """The column to classify. Where there is no `text`, a column with a usual name for it (`review`, `sentence`,
    `content`, …) is taken, and the log says which."""
    text_pair_column: str | None = None
    """The second text of a pair (a hypothesis, an answer); none for single texts."""
    title_column: str | None = None
    """A column put in front of the text, on a line of its own."""
    label_column: str = "label"
    """Class labels: strings or integers. Where there is no `label`, a column with a usual name for it (`class`,
    `sentiment`, `stars`, …) is taken, and the log says which."""
    task: Task | None = None
    """`single` gives each text one class, `multi` a set of labels, which may be empty. None takes what the data show:
    lists of labels, `label_separator` and `label_columns` make sets."""
    label_separator: str | None = None
    """What stands between the labels of a text in the label column, as `|` in `funny|sad`."""
    label_columns: list[str] = field(default_factory=list)
    """One column a label, each 0 or 1 (or true and false), instead of the label column; the columns name the labels."""
    label_names: list[str] = field(default_factory=list)
    """Names of the classes in label order; empty takes them from the data."""
    label_map: Any = None
    """The class of each label of the source, as in `{1: negative, 2: negative, 4: positive, 5: positive}`. Rows with
    a label that it does not name are left out and counted; `null` as a class leaves rows out too."""
    label_descriptions: Any = None
    """What labels mean in words, as in `{1: a complaint about delivery, 2: praise}`, or a YAML file that says so.
    Zero-shot models read it in place of the names, other models do not. A label that it leaves out stands for
    itself."""
    on_similar_labels: SimilarLabels = SimilarLabels.warn
    """What to do with labels that differ only by case, white space or Unicode form (`Pos`, `pos`): `warn` keeps them
    as classes of their own, `merge` takes them as one (the one with most rows names it), `fail` stops."""
    min_class_examples: int = 1
    """A class with fewer rows in train than this is left out, there and in the other splits; of sets of labels the
    label alone, and the text stays."""
    language_column: str | None = None
    """A column that names each example's language; scores are then given by language too."""
    train_languages: list[str] = field(default_factory=list)
    """Train and validate on these languages alone, and test on all: zero-shot transfer. Empty trains on all."""
    group_column: str | None = None
    """A column of authors, products, patients: no group is on both sides of a slice taken from train."""
    slice_columns: list[str] = field(default_factory=list)
    """Further columns kept as strings; scores are then given by their values too."""
    unknown_labels: UnknownLabels = UnknownLabels.error
    """What to do with a label that is no class: `error` stops, `drop` leaves its rows out and counts them."""
    max_rejected: float = 0.01
    """Largest share, 0 to 1, of a split's rows that may be unusable (no text, no label, damaged) and left out; the
    run stops above it. Rows that `unknown_labels=drop` leaves out do not count."""
    max_text_characters: int = 1_000_000
    """A row with a longer text than this is not used."""
    on_leakage: OnLeakage = OnLeakage.warn
    """What to do where texts of test (or validation) also occur in train: `warn` says how many, `drop` takes them
    out of train, `fail` stops."""
    validation_fraction: float = 0.1
    """Share of train, 0 to 1, set aside (stratified) where there is no validation split."""
    max_train_examples: int | None = None
    """Train on a stratified subset of this many examples; none trains on all."""
    examples_per_class: int | None = None
    """Train on so many examples of each class, and validate on at most as many; none trains on all. For questions of
    few examples: what a model needs for its choices is then counted too."""
    draw_seed: int | None = None
    """Seed of the subset of train (and, with `examples_per_class`, of validation); none for `split_seed`. With
    draw_seed=${seed} each seed of a run has its own examples, so that claims over seeds reach to other examples."""
    extra_train: str | None = None
    """A file of further examples to train on, such as feedback: anything that dataset=files reads, with columns text
    (text_pair) and label, labels by the names of the classes. They are added to train alone, after the splits and
    subsets are made, so that validation and test stay what they are without; of several on one text the last
    counts."""
    max_eval_examples: int | None = None
    """Validate and test on stratified subsets of at most this many examples each."""
    split_seed: int = 0
    """Seed of the validation slice and of the subsets. It is apart from the run's seed, so that
    runs with different seeds are tested on the same examples."""
    folds: int | None = None
    """Cross-validate: cut train (with validation) into so many parts and test each by a fit to the others, so that
    every example is tested; none tests the test split alone. A test split of the source stays as it is and is
    predicted by the final classifier, which is trained on all parts."""
    fold_repeats: int = 1
    """Draw the folds so many times anew."""
    fold_test: bool = False
    """Take the source's own test split into the folds as well, where it is no benchmark that others report."""
    metrics: list[str] = field(default_factory=list)
    """Further metrics by their name in `evaluate`. Their code comes from the Hub and is executed; only that of
    `evaluate` itself, never from a path or from somebody's repository."""

    def __post_init__(self) -> None:
        """Refuse what cannot be right before any data is loaded."""
        if self.label_map is not None:
            object.__setattr__(self, "label_map", _plain_map(self.label_map))
        if self.label_descriptions is not None:
            object.__setattr__(self, "label_descriptions", read_descriptions(self.label_descriptions))
        if {"True", "False"} & set(self.label_names):
            log.warning(
                "dataset.label_names holds %s: YAML reads yes, on, no and off as true and false. If the classes are "
                "called so, put them in quotes, as in ['no', 'yes']",
                listed([name for name in self.label_names if name in ("True", "False")]),
            )
        refuse_unless(
            (
                self.min_class_examples >= 1,
                f"min_class_examples must be at least 1, got {self.min_class_examples}.",
            ),
            (self.text_pair_column != self.text_column, "text_pair_column must differ from text_column."),
            (
                self.label_column not in (self.text_column, self.text_pair_column, self.title_column),
                f"label_column must be a column of its own, got {self.label_column!r} for it and for a text.",
            ),
            (
                not self.train_languages or self.languages_from is not None,
                "train_languages needs to know each example's language: give language_column (or, of files, one file "
                "per language, as in dataset.train=train.%language%.jsonl).",
            ),
            (
                self.task is not Task.single or not (self.label_columns or self.label_separator),
                "task=single gives each text one class, and label_columns and label_separator make sets of labels. "
                "Leave task out, or these.",
            ),
            (
                not (self.label_columns and self.label_separator),
                "label_columns and label_separator are two ways to write sets of labels; give one of them.",
            ),
            (
                self.label_separator is None or self.label_separator.strip() != "" or self.label_separator == " ",
                f"label_separator must be what stands between labels, got {self.label_separator!r}.",
            ),
            (
                not self.label_columns or len(set(self.label_columns)) == len(self.label_columns) >= 2,
                f"label_columns must be two columns or more, each named once, got {list(self.label_columns)}. One "
                f"column of 0 and 1 alone is a task of two classes: name it with label_column.",
            ),
            (
                not self.label_columns or list(self.label_names) in ([], list(self.label_columns)),
                f"label_columns name the labels, so label_names must be left out, got {list(self.label_names)}.",
            ),
            (
                not self.label_columns or self.label_map is None,
                "label_columns name the labels, and label_map cannot rename them; rename the columns, or leave out of "
                "label_columns what is no label.",
            ),
            (
                not (self.has_sets and self.examples_per_class is not None),
                f"examples_per_class={self.examples_per_class} draws so many texts of each class, and here a text has "
                f"several labels or none; use max_train_examples.",
            ),
            (
                0 < self.validation_fraction < 1,
                f"validation_fraction must lie between 0 and 1, got {self.validation_fraction}.",
            ),
            (
                0 <= self.max_rejected <= 1,
                f"max_rejected is a share and must lie between 0 and 1, got {self.max_rejected}.",
            ),
            (
                self.max_text_characters >= 1,
                f"max_text_characters must be at least 1, got {self.max_text_characters}.",
            ),
            (
                len(set(self.slice_columns)) == len(self.slice_columns)
                and not set(self.slice_columns) & {*OWN_COLUMNS, self.label_column},
                f"slice_columns must be distinct and none of {', '.join(OWN_COLUMNS)} or the label, "
                f"got {list(self.slice_columns)}.",
            ),
            (
                len(set(self.label_names)) == len(self.label_names),
                f"label_names must be distinct, got {list(self.label_names)}.",
            ),
            (
                not self.label_names or len(self.label_names) >= 2,
                f"label_names must name at least two classes, got {list(self.label_names)}.",
            ),
            *(
                (
                    re.fullmatch(r"[A-Za-z0-9_-]+", name) is not None,
                    f"metrics must be names of evaluate's own metrics, such as mcc, got {name!r}; nothing else is run.",
                )
                for name in self.metrics
            ),
            (
                self.examples_per_class is None or self.examples_per_class >= 1,
                f"examples_per_class must be at least 1 (or null for all), got {self.examples_per_class}.",
            ),
            (
                self.examples_per_class is None or self.max_train_examples is None,
                f"examples_per_class={self.examples_per_class} and max_train_examples={self.max_train_examples} both "
                f"say how many examples there are to train on; give one of them.",
            ),
            *(
                (value is None or value >= 2, f"{option} must be at least 2 (or null for all), got {value}.")
                for option, value in [
                    ("max_train_examples", self.max_train_examples),
                    ("max_eval_examples", self.max_eval_examples),
                ]
            ),
            (self.folds is None or self.folds >= 2, f"folds must be at least 2 (or null for none), got {self.folds}."),
            (self.fold_repeats >= 1, f"fold_repeats must be at least 1, got {self.fold_repeats}."),
            (
                self.folds is not None or (self.fold_repeats == 1 and not self.fold_test),
                "fold_repeats and fold_test say how folds are drawn, and there are none: give dataset.folds=5.",
            ),
            (
                self.folds is None or self.draw_seed is None,
                f"draw_seed={self.draw_seed} draws other examples for each seed, and with folds={self.folds} these "
                f"would be tested too, so that no two seeds could be compared. Leave one of them out.",
            ),
        )

    @property
    def has_sets(self) -> bool:
        """Whether it is asked that texts have sets of labels; else the data show it."""
        return self.task is Task.multi or bool(self.label_columns) or self.label_separator is not None

    @property
    def languages_from(self) -> str | None:
        """The column that names each example's language."""
        return self.language_column

    @property
    def display_name(self) -> str:
        """The name of the dataset with the subset and the further examples asked for, as in `imdb[train=4000]`."""
        each = None if self.examples_per_class is None else f"{self.examples_per_class}-per-class"
        sizes: dict[str, object] = {"train": self.max_train_examples or each, "eval": self.max_eval_examples}
        sizes["from"] = "+".join(self.train_languages) or None
        repeated = f"x{self.fold_repeats}" if self.fold_repeats > 1 else ""
        sizes["folds"] = None if self.folds is None else f"{self.folds}{repeated}"
        sizes["test"] = "folded" if self.fold_test else None
        sizes["extra"] = name_of_files(self.extra_train) if self.extra_train else None
        said = ",".join(f"{part}={size}" for part, size in sizes.items() if size is not None)
        return f"{self.name}[{said}]" if said else self.name

    def draws(self, seed: int) -> bool:
        """Whether a run of this seed is trained on a subset that other seeds are not trained on."""
        limited = self.examples_per_class is not None or self.max_train_examples is not None
        return limited and self.draw_seed == seed

    def plain_options(self) -> dict[str, Any]:
        """Return the options by name, as plain values that a record can hold."""
        return {option.name: getattr(self, option.name) for option in fields(self)}


def _plain_map(given: Any) -> dict[str, str | None]:
    """Return a map of labels with strings for keys and classes.

    Raises:
        ConfigError: If it is no map of labels to classes.
    """
    if not isinstance(given, Mapping) or any(isinstance(value, (Mapping, list, tuple)) for value in given.values()):
        raise ConfigError(
            f"label_map must name the class of each label, as in {{1: negative, 5: positive}}, got {given!r}."
        )
    found = {str(label).strip(): None if name is None else str(name).strip() for label, name in given.items()}
    if len({name for name in found.values() if name is not None}) < 2:
        raise ConfigError(f"label_map must name at least two classes, got {found}.")
    return found


@dataclass(frozen=True)
class HubDataset(DatasetOptions):
    """A dataset on the Hugging Face Hub, or a local folder laid out like one."""

    path: str = MISSING
    """`owner/name` on the Hub, or a local folder that `datasets.load_dataset` can read."""
    config: str | None = None
    """The dataset's configuration, such as `rte` of `nyu-mll/glue`."""
    revision: str | None = None
    """A commit, tag or branch to pin."""
    train_split: str = "train"
    """Name of the split to train on."""
    validation_split: str | None = None
    """Name of the split to select on; none takes `validation` where there is one, else a slice of train."""
    test_split: str = "test"
    """Name of the split that is looked at once, at the end."""

    def __post_init__(self) -> None:
        """Refuse a test split that is also trained or selected on."""
        super().__post_init__()
        refuse_unless(
            (self.test_split != self.train_split, "test_split must differ from train_split."),
            (self.test_split != self.validation_split, "test_split must differ from validation_split."),
            (self.validation_split != self.train_split, "validation_split must differ from train_split."),
        )


@dataclass(frozen=True)
class FilesDataset(DatasetOptions):
    """Local files: CSV and its like, JSON, Excel, Parquet, Arrow, fastText's; packed ones; or folders."""

    name: str = ""
    """What the runs on this dataset are called; empty takes the name of the train file."""
    train: str = MISSING
    """File to train on: CSV, TSV, JSON Lines, a JSON array (each also packed as .gz, .bz2, .xz, .zst or .zip),
    Excel (.xlsx), Parquet, Arrow or Feather, fastText's .txt, or an export of Label Studio, Prodigy or doccano. A
    pattern such as `data/*.csv` names several of one kind. A folder holds one folder of text files per label, or is
    one that `save_to_disk` of `datasets` wrote. `bundled:reviews/train.jsonl` names a file that comes with textclf;
    `%language%` in a name stands for one file per language, as in `train.%language%.jsonl`. An address such as
    `hf://datasets/OWNER/NAME/train.csv` or `https://…` is fetched into a cache."""
    validation: str | None = None
    """File to select on; none takes a stratified slice of train."""
    test: str | None = None
    """File that is looked at once, at the end; none takes a stratified slice of train."""
    test_fraction: float = 0.2
    """Share of train, 0 to 1, set aside (stratified) where there is no test file."""
    split_column: str | None = None
    """A column of the train file that says which split each row is of: `train`, `validation` (`valid`, `val`, `dev`)
    or `test`."""
    encoding: str = "utf-8"
    """Encoding of text files, such as `latin-1`, `cp1252` or `utf-16`; `auto` takes what the bytes show for sure, and
    says which."""
    delimiter: str | None = None
    """What stands between the values of .csv, .tsv and .txt, as `;` or `tab`; none takes what the first lines show."""
    column_names: list[str] = field(default_factory=list)
    """Names of the columns of separated values whose first line does not name them."""
    quoting: Quoting = Quoting.check
    """What quote marks mean in separated values: `standard` lets a quoted text span lines, `check` too, but stops
    where the lines that it spans look like rows of their own, and with `none` they are characters like any other."""

    def __post_init__(self) -> None:
        """Refuse fractions that leave nothing to train on; name the dataset where it has no name."""
        super().__post_init__()
        if not self.name:
            object.__setattr__(self, "name", name_of_files(self.train))
            log.info("dataset.name is not given: runs on %s are called %s", self.train, self.name)
        object.__setattr__(self, "delimiter", DELIMITERS.get((self.delimiter or "").lower(), self.delimiter))
        refuse_unless(
            (is_encoding(self.encoding), f"encoding must be one that Python knows, or auto, got {self.encoding!r}."),
            (
                self.delimiter is None or len(self.delimiter) == 1,
                f"delimiter must be one character, or `tab`, got {self.delimiter!r}.",
            ),
            (
                len(set(self.column_names)) == len(self.column_names),
                f"column_names must be distinct, got {list(self.column_names)}.",
            ),
            (
                self.split_column is None or (self.test is None and self.validation is None),
                "split_column takes the splits from the train file: leave test and validation out.",
            ),
            (
                self.split_column not in (self.text_column, self.label_column) or self.split_column is None,
                f"split_column must be a column of its own, got {self.split_column!r}.",
            ),
            (
                0 < self.test_fraction < 1,
                f"test_fraction must lie between 0 and 1, got {self.test_fraction}.",
            ),
            (
                self.test is not None or self.test_fraction + self.validation_fraction < 1,
                "test_fraction and validation_fraction must leave something to train on.",
            ),
        )

    @property
    def languages_from(self) -> str | None:
        """The column that names each example's language; of files by language, one that is made of their names."""
        by_file = any(LANGUAGE in (file or "") for file in (self.train, self.validation, self.test))
        return self.language_column or (LANGUAGE_COLUMN if by_file else None)


ENDINGS = re.compile(
    r"(\.(jsonl|ndjson|json|csv|tsv|tab|txt|ft|xlsx|parquet|arrow|feather|gz|bz2|xz|zst|zip))+$", re.IGNORECASE
)
"""What is taken off the end of a file's name to name a dataset."""


def name_of_files(file: str) -> str:
    """Return what runs on a file are called: its own name, or its folder's where it is `train` or a pattern."""
    path = PurePath(file.removeprefix("bundled:"))
    for part in (path.name.replace(LANGUAGE, ""), *reversed(path.parent.parts)):
        stem = re.sub(
            r"(\.(jsonl|ndjson|json|csv|tsv|txt|xlsx|parquet|arrow|feather|gz|bz2|xz|zst|zip))+$",
            "",
            part,
            flags=re.IGNORECASE,
        )
        stem = re.sub(r"[^\w.-]+", "", stem).strip("._-")
        if stem and stem.lower() != "train":
            return stem
    return "files"


def is_encoding(name: str) -> bool:
    """Whether a text file can be read in an encoding of that name, or `auto`."""
    try:
        return name == "auto" or codecs.lookup(name)._is_text_encoding
    except LookupError:
        return False
