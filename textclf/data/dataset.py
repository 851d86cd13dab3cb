"""The data of a run: three splits of texts with integer labels, and the names of the labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

import scipy.special  # noqa: F401  (first: skops looks for its 232 functions in all modules imported before it)

# isort: split
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from numpy.typing import NDArray

from textclf.data.arrow_tables import take_rows
from textclf.data.folds import Fold, Folds
from textclf.data.label_descriptions import in_words
from textclf.data.text_columns import UNNAMED, TextColumns

IN_MEMORY_BYTES = 256_000_000
"""Texts of a split above this size stay on disk."""
BATCH = 4096
"""Rows that are read at once; fingerprints depend on it."""
SPLITS = ("train", "validation", "test")
PART = 1000
"""Texts that are read at once."""
MOST_NAMED = 6
"""Classes that a person is told of by name; of more only their number and sizes are said."""


@dataclass(frozen=True)
class TextData:
    """Texts and labels, split for training, selection and one final test."""

    name: str
    """Name of the dataset, with the size of the subset where it is one."""
    train: Dataset
    """Columns `text`, optionally `text_pair`, `label` (int64 in [0, num_labels), or a list of them where each text has
    a set of labels), and `example`."""
    validation: Dataset
    """What the best epoch, and the best setup of a sweep, are chosen on."""
    test: Dataset
    """What is looked at once, after all choices are made. `example` is the row in the source's
    own split, so that the predictions of two runs can be paired."""
    label_names: tuple[str, ...]
    """Names of the classes or labels; the label is the index."""
    source: str
    """Where the data came from, for a person."""
    rejected: dict[str, dict[str, int]] = field(default_factory=dict)
    """How many rows of the source could not be used, by its split and by cause."""
    slice_columns: tuple[str, ...] = ()
    """Further columns of every split, strings; scores are given by their values."""
    extra_train: dict[str, Any] = field(default_factory=dict)
    """The file of further examples at the end of train, their number, and how many a later one on the same text
    replaced (`file`, `examples`, `superseded`); empty where there is none."""
    columns: TextColumns = UNNAMED
    """The columns of the source that held the texts."""
    folds: Folds | None = None
    """The folds of a cross-validation, of which the three splits are the first; none where there are none."""
    label_descriptions: dict[str, str] = field(default_factory=dict)
    """What labels mean in words, by name; a label without one stands for itself."""

    @property
    def labels_in_words(self) -> tuple[str, ...]:
        """What each label means in words, in label order: its description, or its name with spaces for underscores."""
        return in_words(self.label_names, self.label_descriptions)

    @property
    def num_labels(self) -> int:
        """Number of classes."""
        return len(self.label_names)

    @property
    def has_sets(self) -> bool:
        """Whether each text has a set of labels, which may be empty, instead of one class."""
        return has_sets(self.train)

    @property
    def has_pairs(self) -> bool:
        """Whether each example is a pair of texts."""
        return "text_pair" in self.train.column_names

    def split(self, name: str) -> Dataset:
        """Return the split of that name."""
        if name not in SPLITS:
            raise KeyError(name)
        return getattr(self, name)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of every text and label in order, and of the folds: 16 hexadecimal digits."""
        whole = fingerprint_of(self.label_names, self.train, self.validation, self.test)
        return (
            whole
            if self.folds is None
            else hashlib.blake2b(
                f"{whole} {self.test_fingerprint} {self.folds.fingerprint}".encode(), digest_size=8
            ).hexdigest()
        )

    @cached_property
    def test_fingerprint(self) -> str:
        """Digest of the classes and of the tested texts and labels: what two runs must share to be compared."""
        return fingerprint_of(self.label_names, self.test if self.folds is None else self.folds.pool)

    def fold(self, part: Fold) -> TextData:
        """Return the three splits of one fit of a cross-validation."""
        assert self.folds is not None
        return replace(self, folds=None, **self.folds.splits_of(part))

    def whole_pool(self) -> TextData:
        """Return the data of the final fit: all that fits are trained on, the pool to test, nothing to choose by."""
        assert self.folds is not None
        pool, parts = self.folds.pool, self.folds.parts
        learned = np.concatenate([rows for part in parts for rows in (part.train, part.validation)])
        return replace(
            self,
            train=self.folds.training(np.unique(learned)),  # not of languages that no fit is trained on
            validation=pool.select([]),
            test=pool,
            folds=None,
        )


def fingerprint_of(label_names: Sequence[str], *splits: Dataset) -> str:
    """Return a digest of the classes and of every text and label of splits, in order: 16 hexadecimal digits."""
    digest = hashlib.blake2b("\0".join(label_names).encode(), digest_size=8)
    for split in splits:
        digest.update(f"{len(split)} examples".encode())
        columns = [name for name in ("text", "text_pair") if name in split.column_names]
        labels = answers_of(split)
        for start, batch in in_batches(split, columns):
            for texts in batch:
                offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset :][: len(texts) + 1]
                digest.update(np.diff(offsets).astype(np.int64).tobytes())
                digest.update(memoryview(texts.buffers()[2] or b"")[offsets[0] : offsets[-1]])
            digest.update(labels[start : start + len(batch[0])].tobytes())
    return digest.hexdigest()


def in_batches(split: Dataset, columns: Sequence[str]) -> Iterator[tuple[int, list[pa.Array]]]:
    """Yield the columns of strings of a split, `BATCH` rows at a time, with the number of the first row of each."""
    rows = np.arange(len(split)) if split._indices is None else split._indices.column(0).to_numpy()
    ascending = bool((rows[1:] > rows[:-1]).all())
    for start in range(0, len(split), BATCH):
        own = rows[start : start + BATCH]
        order = None if ascending else np.argsort(own)
        parts = [take_rows(split.data.column(name), own if order is None else own[order]) for name in columns]
        arrays = [part.combine_chunks().cast(pa.string()) for part in parts]
        yield start, arrays if order is None else [array.take(pa.array(np.argsort(order))) for array in arrays]


def has_sets(split: Dataset) -> bool:
    """Whether each text of a split has a set of labels instead of one class."""
    return pa.types.is_list(split.data.schema.field("label").type)


def labels_of(split: Dataset) -> NDArray[np.int64]:
    """Return the class of each text of a split, int64 (n,)."""
    labels = np.array(split.data.column("label").to_numpy(), dtype=np.int64)  # rows would bring their texts along
    return labels if split._indices is None else labels[split._indices.column(0).to_numpy()]


def label_sets_of(split: Dataset, num_labels: int) -> NDArray[np.bool_]:
    """Return which labels each text of a split has, bool (n, num_labels)."""
    column = split.data.column("label")
    sizes = pc.list_value_length(column).to_numpy().astype(np.int64)
    found = np.zeros((len(sizes), num_labels), dtype=bool)
    found[np.repeat(np.arange(len(sizes)), sizes), pc.list_flatten(column).to_numpy().astype(np.int64)] = True
    return found if split._indices is None else found[split._indices.column(0).to_numpy()]


def truth_of(split: Dataset, num_labels: int) -> NDArray:
    """Return what is right of each text of a split: its class, int64 (n,), or its labels, bool (n, num_labels)."""
    return label_sets_of(split, num_labels) if has_sets(split) else labels_of(split)


def answers_of(split: Dataset) -> NDArray[np.int64]:
    """Return a number for what is right of each text, int64 (n,): its class, or a digest of its set of labels."""
    if not has_sets(split):
        return labels_of(split)
    known: dict[tuple[int, ...], int] = {}
    codes = split.data.column("label").combine_chunks().to_pylist()
    found = np.array([known.setdefault(tuple(labels), _digest(labels)) for labels in codes], dtype=np.int64)
    return found if split._indices is None else found[split._indices.column(0).to_numpy()]


def _digest(labels: Sequence[int]) -> int:
    """Return a number for a set of labels, the same in every split and process."""
    return int.from_bytes(hashlib.blake2b(np.asarray(labels, "<i8").tobytes(), digest_size=8).digest(), "little") >> 1


def counts_of(split: Dataset, num_labels: int) -> NDArray[np.int64]:
    """Return how many texts of a split have each class or label, int64 (num_labels,)."""
    if has_sets(split):
        return label_sets_of(split, num_labels).sum(axis=0)
    return np.bincount(labels_of(split), minlength=num_labels)


def texts_of(split: Dataset) -> tuple[Sequence[str], Sequence[str] | None]:
    """Return a split's texts, and the second texts where the examples are pairs.

    Those of a large split are read from disk as they are asked for.
    """
    names = [name for name in ("text", "text_pair") if name in split.column_names]
    share = len(split) / max(split.data.num_rows, 1)
    if sum(split.data.column(name).nbytes for name in names) * share > IN_MEMORY_BYTES:
        found: list[Sequence[str]] = [MappedTexts(split, name) for name in names]
    else:
        whole = split.select_columns(names)[:]  # far faster than a column, which is read row by row
        found = [whole[name] for name in names]
    return found[0], found[1] if len(found) > 1 else None


def headline(data: TextData) -> str:
    """Return one line on the size of each split and the classes, for a person."""
    sizes = [f"{len(data.split(split)):,} {split}" for split in SPLITS]
    learned = data.train
    if data.folds is not None:
        sizes, learned = [f"{len(data.folds.pool):,} tested in {data.folds}"], data.folds.pool
        if data.folds.fixed_test is not None:
            sizes.append(f"{len(data.folds.fixed_test):,} test")
    counts = counts_of(learned, data.num_labels)
    pairs = zip(data.label_names, counts, strict=True)
    classes = ", ".join(f"{label} {count / max(len(learned), 1):.0%}" for label, count in pairs)
    if data.num_labels > MOST_NAMED:
        classes = f"of {counts.min():,} to {counts.max():,} examples"
    what = "pairs of texts" if data.has_pairs else "texts"
    kind = "classes"
    if data.has_sets:
        kind, classes = "labels", f"{counts.sum() / max(len(learned), 1):.1f} a text; {classes}"
    return f"{data.name}: {', '.join(sizes)} {what}; {data.num_labels} {kind} ({classes})"


def summary(data: TextData) -> str:
    """Return a few lines on the size of each split, its classes and its lengths, for a person."""
    kind = "labels" if data.has_sets else "classes"
    lines = [f"{data.name}: {data.num_labels} {kind}, {'pairs of texts' if data.has_pairs else 'texts'}"]
    splits = {name: data.split(name) for name in SPLITS}
    if data.folds is not None:
        lines[0] += f"; {data.folds}"
        splits = {"each tested": data.folds.pool, "test": data.folds.fixed_test}
    for name, split in splits.items():
        if split is None:
            continue
        counts = counts_of(split, data.num_labels)
        shares = [f"{label} {count / len(split):.0%}" for label, count in zip(data.label_names, counts, strict=True)]
        if data.num_labels > MOST_NAMED:
            shares = [f"{kind} of {counts.min():,} to {counts.max():,} examples"]
        words = [len(text.split()) for text in split.select(range(min(len(split), 2000)))["text"]]
        median, high = np.percentile(words, [50, 95])
        lines.append(
            f"  {name:<10} {len(split):>9,} examples   {', '.join(shares)}   "
            f"words: median {median:.0f}, 95 % up to {high:.0f}"
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class MappedTexts(Sequence[str]):
    """A column of texts that behaves like a list of them, and holds no more than a part in memory."""

    rows: Dataset
    column: str
    change: Callable[[Sequence[str]], list[str]] | None = None
    """What is done to texts as they are read."""

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self._changed(self.rows[index][self.column])
        return self._changed([self.rows[index][self.column]])[0]

    def __iter__(self) -> Iterator[str]:
        """Yield the texts in order; far faster than one by one from the dataset."""
        for start in range(0, len(self), PART):
            yield from self[start : start + PART]

    def changed(self, change: Callable[[Sequence[str]], list[str]]) -> MappedTexts:
        """Return the texts with something done to them as they are read."""
        return MappedTexts(self.rows, self.column, change)

    def _changed(self, texts: list[str]) -> list[str]:
        return texts if self.change is None else self.change(texts)
