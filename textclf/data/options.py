"""What can be said about a dataset in a config, and the data it loads into."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omegaconf import MISSING

from textclf.errors import refuse_unless

if TYPE_CHECKING:
    from textclf.data.text_data import TextData


LANGUAGE = "%language%"
"""Stands for the language in the names of files."""
LANGUAGE_COLUMN = "language"
"""textclf's own column of languages."""


@dataclass(frozen=True)
class DatasetOptions(ABC):
    """Options that every dataset shares: its columns, its labels, its splits."""

    name: str = MISSING
    """What the runs on this dataset are called."""
    text_column: str = "text"
    """The column to classify."""
    text_pair_column: str | None = None
    """The second text of a pair (a hypothesis, an answer); none for single texts."""
    title_column: str | None = None
    """A column put in front of the text, on a line of its own."""
    label_column: str = "label"
    """Class labels: strings, or integers from 0."""
    label_names: list[str] = field(default_factory=list)
    """Names of the classes in label order; empty takes them from the data."""
    language_column: str | None = None
    """A column that names each example's language; scores are then given by language too."""
    train_languages: list[str] = field(default_factory=list)
    """Train and validate on these languages alone, and test on all: zero-shot transfer. Empty trains on all."""
    validation_fraction: float = 0.1
    """Share of train, 0 to 1, set aside (stratified) where there is no validation split."""
    max_train_examples: int | None = None
    """Train on a stratified subset of this many examples; none trains on all."""
    max_eval_examples: int | None = None
    """Validate and test on stratified subsets of at most this many examples each."""
    split_seed: int = 0
    """Seed of the validation slice and of the subsets. It is apart from the run's seed, so that
    runs with different seeds are tested on the same examples."""
    metrics: list[str] = field(default_factory=list)
    """Further metrics by their name in `evaluate`. Their code comes from the Hub and is executed."""

    def __post_init__(self) -> None:
        """Refuse what cannot be right before any data is loaded."""
        refuse_unless(
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
                0 < self.validation_fraction < 1,
                f"validation_fraction must lie between 0 and 1, got {self.validation_fraction}.",
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
                (value is None or value >= 2, f"{option} must be at least 2 (or null for all), got {value}.")
                for option, value in [
                    ("max_train_examples", self.max_train_examples),
                    ("max_eval_examples", self.max_eval_examples),
                ]
            ),
        )

    @property
    def languages_from(self) -> str | None:
        """The column that names each example's language."""
        return self.language_column

    @property
    def display_name(self) -> str:
        """The name of the dataset with the subset asked for, as in `imdb[train=4000]`."""
        sizes: dict[str, object] = {"train": self.max_train_examples, "eval": self.max_eval_examples}
        sizes["from"] = "+".join(self.train_languages) or None
        said = ",".join(f"{part}={size}" for part, size in sizes.items() if size is not None)
        return f"{self.name}[{said}]" if said else self.name

    @abstractmethod
    def load(self) -> TextData:
        """Read, split and label the data.

        Raises:
            DataError: If the data cannot be reached, or does not hold what the options name.
        """


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

    def load(self) -> TextData:
        """Download (or find in the cache), split and label the data."""
        from textclf.data.hub import load_hub_dataset

        return load_hub_dataset(self)


@dataclass(frozen=True)
class FilesDataset(DatasetOptions):
    """Local files, one per split: JSON Lines, CSV, TSV or Parquet."""

    train: str = MISSING
    """File to train on. `bundled:reviews/train.jsonl` names a file that comes with textclf; `%language%` in a name
    stands for one file per language, as in `train.%language%.jsonl`."""
    validation: str | None = None
    """File to select on; none takes a stratified slice of train."""
    test: str | None = None
    """File that is looked at once, at the end; none takes a stratified slice of train."""
    test_fraction: float = 0.2
    """Share of train, 0 to 1, set aside (stratified) where there is no test file."""

    def __post_init__(self) -> None:
        """Refuse fractions that leave nothing to train on."""
        super().__post_init__()
        refuse_unless(
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

    def load(self) -> TextData:
        """Read, split and label the files."""
        from textclf.data.files import load_files_dataset

        return load_files_dataset(self)
