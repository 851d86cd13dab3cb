"""Draws of folds: which example is tested when, and a validation slice for each fit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from datasets import Dataset, concatenate_datasets
from numpy.typing import NDArray

from textclf.data.folds import Fold, Folds, Rows
from textclf.data.options import DatasetOptions
from textclf.data.splits import group_slice, set_slice, stratified_slice, with_none
from textclf.errors import DataError, cut, listed


def joined(parts: Mapping[str, Dataset], sizes: Mapping[str, int]) -> Dataset:
    """Return examples of several splits of a source as one pool, each with a number of its own in `example`.

    Args:
        parts: The examples by split.
        sizes: Rows of each split of the source, by which the numbers of the next ones are shifted.
    """
    moved, shift = [], 0
    for split, rows in parts.items():
        numbers = pa.array(np.asarray(rows.with_format("numpy")["example"][:], dtype=np.int64) + shift)
        moved.append(rows.remove_columns("example").add_column("example", numbers).select_columns(rows.column_names))
        shift += sizes[split]
    return moved[0] if len(moved) == 1 else concatenate_datasets(moved)


def make_folds(
    options: DatasetOptions,
    pool: Dataset,
    labels: NDArray[np.int64],
    label_names: Sequence[str],
    groups: NDArray[np.object_] | None,
    languages: NDArray[np.object_] | None,
    fixed_test: Dataset | None,
    sets: NDArray[np.bool_] | None = None,
) -> Folds:
    """Draw the partitions, and a validation slice for each fit.

    Copies of a text are tested together, so that no fit has seen what it is tested on; so are the examples of a group.

    Args:
        options: How many folds and repeats, and the share of validation.
        pool: The n examples.
        labels: int64 (n,).
        label_names: Names of the classes.
        groups: The group of each example, str objects (n,); none where there are none.
        languages: The language of each example, str objects (n,); none where they are not known.
        fixed_test: The source's own test split, if it has one.
        sets: Which labels each example has, bool (n, num_labels), of sets of labels.

    Raises:
        DataError: If a class, or the groups, are too few.
    """
    assert options.folds is not None
    together = copies_of(pool) if groups is None else np.unique(groups.astype(str), return_inverse=True)[1]
    parts = []
    for repeat in range(options.fold_repeats):
        seed = options.split_seed + 1000 * repeat
        if sets is not None and groups is None:
            numbers = set_partition(sets, together, options.folds, seed, label_names)
        else:
            numbers = partition(labels, together, groups is not None, options.folds, seed, label_names, sets)
        for number in range(options.folds):
            test, rest = np.flatnonzero(numbers == number), np.flatnonzero(numbers != number)
            if options.train_languages and languages is not None:
                rest = rest[np.isin(languages[rest].astype(str), options.train_languages)]
            share, what = options.validation_fraction, f"validation in fold {number + 1}"
            if groups is None and sets is not None:
                train, validation = set_slice(sets[rest], share, seed + number, what)
            elif groups is None:
                train, validation = stratified_slice(labels[rest], share, seed + number, label_names, what)
            else:
                has = None if sets is None else sets[rest]
                train, validation = group_slice(
                    labels[rest], groups[rest], share, seed + number, label_names, what, has
                )
            parts.append(Fold(repeat, number, rest[train], rest[validation], test))
    return Folds(pool, tuple(parts), fixed_test)


def copies_of(pool: Dataset) -> Rows:
    """Return a number for each example, int64 (n,): the same for the same text, or pair of texts."""
    names = [name for name in ("text", "text_pair") if name in pool.column_names]
    known: dict[tuple[str, ...], int] = {}
    found = np.empty(len(pool), dtype=np.int64)
    for start in range(0, len(pool), 10_000):
        batch = pool.select_columns(names)[start : start + 10_000]
        for row, key in enumerate(zip(*(batch[name] for name in names), strict=True), start):
            found[row] = known.setdefault(key, len(known))
    return found


def set_partition(has: NDArray[np.bool_], together: Rows, folds: int, seed: int, label_names: Sequence[str]) -> Rows:
    """Return the fold of each example with a set of labels, int64 (n,), each label in its share.

    Args:
        has: Which labels each example has, bool (n, num_labels).
        together: A number for each example, int64 (n,); those with the same are in the same fold.
        folds: How many folds.
        seed: Seed of the draw.
        label_names: Names of the labels, for errors.

    Raises:
        DataError: If fewer different examples than there are folds have a label.
    """
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    _, first, inverse = np.unique(together, return_index=True, return_inverse=True)
    counts, least = has[first].sum(axis=0), max(folds, 4 if folds == 2 else 3)
    if rare := [f"{cut(repr(label_names[k]))} has {count}" for k, count in enumerate(counts.tolist()) if count < least]:
        raise DataError(
            f"dataset.folds={folds} needs at least {least} different texts with each label: {listed(rare, 20)}. Add "
            f"texts, or leave such labels out with dataset.min_class_examples={least}."
        )
    of_first = np.empty(len(first), dtype=np.int64)
    splitter = MultilabelStratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(np.zeros(len(first)), with_none(has[first]))):
        of_first[test] = number
    return of_first[inverse]


def partition(
    labels: NDArray[np.int64],
    together: Rows,
    are_groups: bool,
    folds: int,
    seed: int,
    label_names: Sequence[str],
    sets: NDArray[np.bool_] | None = None,
) -> Rows:
    """Return the fold of each example, int64 (n,), each class in its share.

    Args:
        labels: int64 (n,).
        together: A number for each example, int64 (n,); those with the same are in the same fold.
        are_groups: Whether these are groups of many examples, not mere copies.
        folds: How many folds.
        seed: Seed of the draw.
        label_names: Names of the classes, for errors.
        sets: Which labels each example has, bool (n, num_labels), of sets of labels in groups; `labels` then only say
            what the shares go by.

    Raises:
        DataError: If a class has fewer different examples than there are folds, or the groups are fewer.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    _, first, inverse = np.unique(together, return_index=True, return_inverse=True)
    if are_groups and len(first) < folds:
        raise DataError(
            f"dataset.folds={folds} needs at least {folds} groups (dataset.group_column), and there are {len(first)}. "
            f"Ask for fewer folds, or leave dataset.group_column out."
        )
    counts = np.bincount(labels if are_groups else labels[first], minlength=len(label_names))
    counts = counts if sets is None else sets.sum(axis=0)
    least = max(folds, 4 if folds == 2 else 3)  # one to test, one to choose by, one to learn from
    rare = [label for label, count in enumerate(counts.tolist()) if count < least]
    if rare:
        said = listed([f"{cut(repr(label_names[label]))} has {counts[label]}" for label in rare], 20)
        fits = int(counts.min())
        fewer = f"Ask for fewer folds (dataset.folds={fits}), add" if fits >= 3 else "Add"
        raise DataError(
            f"dataset.folds={folds} needs at least {least} different texts of each class: {said}. {fewer} examples, or "
            f"leave such classes out with dataset.min_class_examples={least}."
        )
    found = np.empty(len(labels), dtype=np.int64)
    if are_groups:
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            if sets is not None:  # a label may be the rarest one of fewer texts than there are folds
                warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            for number, (_, test) in enumerate(splitter.split(np.zeros(len(labels)), labels, together)):
                found[test] = number
        return found
    of_first = np.empty(len(first), dtype=np.int64)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(np.zeros(len(first)), labels[first])):
        of_first[test] = number
    return of_first[inverse]
