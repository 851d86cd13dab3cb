"""From the raw splits of any source to `TextData`: columns, labels, subsets."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
from datasets import ClassLabel, Dataset, Features, Value
from numpy.typing import NDArray

from textclf.data.options import LANGUAGE_COLUMN, DatasetOptions
from textclf.data.splits import stratified_choice, stratified_slice
from textclf.data.text_data import SPLITS, TextData
from textclf.errors import DataError, did_you_mean, listed

log = logging.getLogger(__name__)

IN_MEMORY_EXAMPLES = 100_000
"""Splits above this size are written to the cache of `datasets`, and read from there."""


def to_text_data(
    options: DatasetOptions, raw: Mapping[str, Dataset], source: str, test_fraction: float = 0.2
) -> TextData:
    """Check, label, split and cut down raw data.

    Args:
        options: Names of the columns and classes, sizes of the slices and subsets.
        raw: `train`, and where the source has them `validation` and `test`.
        source: Where the data came from, for a person.
        test_fraction: Share of train, 0 to 1, that becomes the test split where there is none.

    Raises:
        DataError: If a column is missing, a split is empty, a label is unknown or missing, or a
            class is too small to be split.
    """
    for split, rows in raw.items():
        _check_columns(options, split, rows, source)
    label_names, lookup = _label_lookup(options, raw["train"], source)
    labels = {split: _labels(options, rows, lookup, label_names, f"{source}, {split}") for split, rows in raw.items()}
    _check_classes(labels["train"], label_names, source)
    languages = _languages(options, raw, source)
    rows = _rows_of_splits(options, labels, label_names, test_fraction, languages)

    splits = {}
    for split in SPLITS:
        origin = split if split in raw else "train"
        chosen = _select(options, raw[origin], labels[origin], rows[split], f"{source}, {split}")
        if languages:
            chosen = chosen.add_column(LANGUAGE_COLUMN, languages[origin][rows[split]].tolist())  # type: ignore[call-arg]
        splits[split] = chosen
    return TextData(options.display_name, label_names=label_names, source=source, **splits)


def _check_columns(options: DatasetOptions, split: str, rows: Dataset, source: str) -> None:
    """Refuse an empty split, and one that lacks a column that the options name."""
    if len(rows) == 0:
        raise DataError(f"{source}: the {split} split is empty; it needs at least one example of each class.")
    for option in ("text_column", "text_pair_column", "title_column", "label_column", "language_column"):
        column = getattr(options, option)
        if column is not None and column not in rows.column_names:
            raise DataError(
                f"{source}: the {split} split has no column {column!r} (dataset.{option}); it has "
                f"{listed(rows.column_names)}.{did_you_mean(column, rows.column_names)}"
            )


def _label_lookup(options: DatasetOptions, train: Dataset, source: str) -> tuple[tuple[str, ...], dict[str | int, int]]:
    """Return the names of the classes (as asked, declared, or found in train) and each value's label."""
    feature = train.features[options.label_column]
    declared = tuple(feature.names) if isinstance(feature, ClassLabel) else ()
    asked = tuple(options.label_names)
    if asked and declared and len(declared) != len(asked):
        raise DataError(
            f"{source} declares {len(declared)} classes ({listed(declared)}), but dataset.label_names "
            f"lists {len(asked)} ({listed(asked)})."
        )
    if names := asked or declared:
        return names, {name: label for label, name in enumerate(names)} | {i: i for i in range(len(names))}
    values = {value for value in train.unique(options.label_column) if value is not None}
    if not (all(isinstance(v, str) for v in values) or all(isinstance(v, int) for v in values)):
        raise DataError(
            f"{source}: labels must be strings or integers, but column {options.label_column!r} holds "
            f"{feature}. Name another column with dataset.label_column."
        )
    found = sorted(values)
    return tuple(str(value) for value in found), {value: label for label, value in enumerate(found)}


def _labels(
    options: DatasetOptions,
    rows: Dataset,
    lookup: Mapping[str | int, int],
    names: tuple[str, ...],
    where: str,
) -> NDArray[np.int64]:
    """Return the labels as integers, int64 (n,)."""
    values = rows.select_columns([options.label_column]).with_format("arrow")[:].column(0).to_pylist()
    labels = [lookup.get(value) if isinstance(value, (str, int)) else None for value in values]
    if all(label is None and value in (-1, None) for label, value in zip(labels, values, strict=True)):
        raise DataError(
            f"{where}: the labels are hidden (all of them -1 or missing), so nothing can be measured on this "
            f"split. Name another one, as in dataset.test_split=validation."
        )
    for row, label in enumerate(labels):
        if label is None:
            raise DataError(
                f"{where}, row {row}: label {values[row]!r} is not one of {listed(names)}. "
                f"Correct it, or add it to dataset.label_names."
            )
    return np.array(labels, dtype=np.int64)


def _check_classes(labels: NDArray[np.int64], label_names: tuple[str, ...], source: str) -> None:
    """Refuse a train split from which not every class can be learned."""
    seen = np.unique(labels)
    if len(seen) < 2:
        raise DataError(f"{source}: train holds one class only ({label_names[seen[0]]}); at least two are needed.")
    unseen = [name for label, name in enumerate(label_names) if label not in seen]
    if unseen:
        raise DataError(
            f"{source}: train has no example of {listed(unseen)}, so no model could learn it. "
            f"Take it out of dataset.label_names and of the other splits, or add examples."
        )


def _rows_of_splits(
    options: DatasetOptions,
    labels: Mapping[str, NDArray[np.int64]],
    label_names: tuple[str, ...],
    test_fraction: float,
    languages: Mapping[str, NDArray[np.str_]],
) -> dict[str, NDArray[np.int64]]:
    """Return which rows make each split; a split that is not in `labels` is taken from train."""
    train = np.arange(len(labels["train"]))
    rows = {split: np.arange(len(values)) for split, values in labels.items()}
    for split, fraction in [("test", test_fraction), ("validation", options.validation_fraction)]:
        if split not in labels:
            share = min(fraction * len(labels["train"]) / len(train), 0.9)
            kept, taken = stratified_slice(labels["train"][train], share, options.split_seed, label_names, split)
            rows[split], train = train[taken], train[kept]
            log.info("%s: no %s split; %d stratified examples of train are it", options.name, split, len(taken))
    rows["train"] = train
    if options.train_languages:
        for split in ("train", "validation"):
            own = languages[split if split in labels else "train"][rows[split]]
            rows[split] = rows[split][np.isin(own, options.train_languages)]
            left = np.unique(labels[split if split in labels else "train"][rows[split]])
            if len(left) < (len(label_names) if split == "train" else 1):
                lacking = [name for label, name in enumerate(label_names) if label not in left]
                raise DataError(
                    f"{options.name}: {split} has no example of {listed(lacking)} in "
                    f"{listed(options.train_languages)}; name more languages with dataset.train_languages."
                )
    limits = {"train": options.max_train_examples, "validation": options.max_eval_examples}
    for split in SPLITS:
        limit = limits.get(split, options.max_eval_examples)
        if limit is not None:
            own = labels[split if split in labels else "train"][rows[split]]
            chosen = stratified_choice(own, limit, options.split_seed, label_names, f"the {split} subset")
            rows[split] = rows[split][chosen]
    return rows


def _languages(options: DatasetOptions, raw: Mapping[str, Dataset], source: str) -> dict[str, NDArray[np.str_]]:
    """Return each example's language by raw split; nothing where no column names it."""
    column = options.languages_from
    if column is None:
        return {}
    found = {}
    for split, rows in raw.items():
        values = rows.select_columns([column]).with_format("arrow")[:].column(0).to_pylist()
        if unnamed := [row for row, value in enumerate(values) if not isinstance(value, str)]:
            raise DataError(f"{source}, {split}, row {unnamed[0]}: column {column!r} names no language.")
        found[split] = np.array(values, dtype=object).astype(str)
    known = sorted(set(found["train"].tolist()))
    if unknown := [language for language in options.train_languages if language not in known]:
        raise DataError(
            f"{source}: train has no example in {listed(unknown)} (dataset.train_languages); it has {listed(known)}."
        )
    return found


def _select(
    options: DatasetOptions, raw: Dataset, labels: NDArray[np.int64], rows: NDArray[np.int64], where: str
) -> Dataset:
    """Return the chosen rows with textclf's own columns."""
    columns = {"text": options.text_column, "text_pair": options.text_pair_column}
    chosen = raw.select(rows) if len(rows) < len(raw) else raw

    def standard(batch: dict[str, list], indices: list[int]) -> dict[str, list]:
        out: dict[str, list] = {"example": rows[indices].tolist()}
        for name, column in columns.items():
            if column is not None:
                out[name] = _texts(batch[column], column, rows[indices], where)
        if options.title_column is not None:
            titles = _texts(batch[options.title_column], options.title_column, rows[indices], where)
            out["text"] = [f"{title}\n{text}" for title, text in zip(titles, out["text"], strict=True)]
        out["label"] = labels[rows[indices]].tolist()
        return out

    names = ["example", "text", *(["text_pair"] if options.text_pair_column else []), "label"]
    kinds = {"example": Value("int64"), "label": Value("int64")}
    features = Features({name: kinds.get(name, Value("string")) for name in names})
    if len(chosen) <= IN_MEMORY_EXAMPLES:
        return Dataset.from_dict(standard(chosen[:], list(range(len(chosen)))), features=features)
    return chosen.map(
        standard, batched=True, with_indices=True, remove_columns=raw.column_names, features=features
    ).select_columns(names)


def _texts(values: list, column: str, rows: NDArray[np.int64], where: str) -> list[str]:
    """Return the values, refusing any that is not a string."""
    for row, value in zip(rows, values, strict=True):
        if not isinstance(value, str):
            raise DataError(
                f"{where}, row {row}: column {column!r} holds {value!r}, not a text. Fill it in or remove the row."
            )
    return values
