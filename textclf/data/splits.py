"""Stratified, seeded choices of rows: the slices that become validation and test, and the subsets."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from textclf.data.dataset import SPLITS
from textclf.data.options import DatasetOptions
from textclf.errors import DataError, cut, listed

log = logging.getLogger(__name__)

MOST_ITERATED = 200_000
"""Texts above which sets of labels are not stratified step by step, which would take minutes."""
MAX_FOLDS = 20
"""Slices of whole groups are made of twentieths at the finest."""


def rows_of_splits(
    options: DatasetOptions,
    labels: Mapping[str, NDArray[np.int64]],
    label_names: tuple[str, ...],
    test_fraction: float,
    languages: Mapping[str, NDArray[np.object_]],
    groups: Mapping[str, NDArray[np.object_]],
    sets: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, NDArray[np.int64]]:
    """Return which rows make each split; a split that is not in `labels` is taken from train.

    Args:
        options: Sizes of the slices and subsets, and the languages to train on.
        labels: int64 (n,) for each split of the source.
        label_names: Names of the classes.
        test_fraction: Share of train, 0 to 1, that becomes the test split where there is none.
        languages: The language of each row, by split; empty where they are not known.
        groups: The group of each row, by split; empty where there are none.
        sets: Which labels each row has, bool (n, num_labels) by split, of sets of labels; the labels are then one
            class for each row, to draw subsets by.

    Raises:
        DataError: If the examples, or the groups, are too few.
    """
    taken_from_train = [split for split in ("test", "validation") if split not in labels]
    if taken_from_train and sets:
        refuse_rare_labels(sets["train"], label_names, taken_from_train)
    elif taken_from_train and not groups:
        _refuse_rare(labels["train"], label_names, taken_from_train)
    train = np.arange(len(labels["train"]))
    rows = {split: np.arange(len(values)) for split, values in labels.items()}
    for split, fraction in [("test", test_fraction), ("validation", options.validation_fraction)]:
        if split not in labels:
            share = min(fraction * len(labels["train"]) / len(train), 0.9)
            own = labels["train"][train]
            if groups:
                has = sets["train"][train] if sets else None
                of_each = groups["train"][train]
                kept, taken = group_slice(own, of_each, share, options.split_seed, label_names, split, has)
            elif sets:
                kept, taken = set_slice(sets["train"][train], share, options.split_seed, split)
            else:
                kept, taken = stratified_slice(own, share, options.split_seed, label_names, split)
            rows[split], train = train[taken], train[kept]
            log.info("%s: no %s split; %d stratified examples of train are it", options.name, split, len(taken))
            if len(taken) > (asked := round(len(own) * share)) and not groups and not sets:
                log.warning(
                    "%s: the %s slice is of %d examples rather than %d, since it holds one of each class at least",
                    options.name, split, len(taken), asked,
                )  # fmt: skip
    rows["train"] = train
    if options.train_languages:
        for split in ("train", "validation"):
            own = languages[split if split in labels else "train"][rows[split]]
            rows[split] = rows[split][np.isin(own.astype(str), options.train_languages)]
            left = np.unique(labels[split if split in labels else "train"][rows[split]])
            if len(left) < (len(label_names) if split == "train" and not sets else 1):
                lacking = [name for label, name in enumerate(label_names) if label not in left]
                raise DataError(
                    f"{options.name}: {split} has no example of {listed(lacking)} in "
                    f"{listed(options.train_languages)}; name more languages with dataset.train_languages."
                )
    drawn = options.split_seed if options.draw_seed is None else options.draw_seed
    limits = {"train": options.max_train_examples, "validation": options.max_eval_examples}
    for split in SPLITS:
        own = labels[split if split in labels else "train"][rows[split]]
        limit = limits.get(split, options.max_eval_examples)
        if options.examples_per_class is not None and split != "test":
            chosen = some_of_each(own, options.examples_per_class, drawn, label_names, split)
            own, rows[split] = own[chosen], rows[split][chosen]
        if limit is not None:
            seed = drawn if split == "train" else options.split_seed
            chosen = stratified_choice(own, limit, seed, label_names, f"the {split} subset")
            rows[split] = rows[split][chosen]
    return rows


def rows_of_pool(
    options: DatasetOptions, labels: Mapping[str, NDArray[np.int64]], label_names: tuple[str, ...]
) -> dict[str, NDArray[np.int64]]:
    """Return which rows of each split of the source are cross-validated, and which of test stay a test split.

    Args:
        options: Sizes of the subsets, and whether test is cross-validated too.
        labels: int64 (n,) for each split of the source.
        label_names: Names of the classes.

    Raises:
        DataError: If the examples are too few.
    """
    pooled = [split for split in SPLITS if split in labels and (split != "test" or options.fold_test)]
    own = np.concatenate([labels[split] for split in pooled])
    rows = np.arange(len(own))
    if options.examples_per_class is not None:
        rows = some_of_each(own, options.examples_per_class, options.split_seed, label_names, "train")
    elif options.max_train_examples is not None:
        rows = stratified_choice(own, options.max_train_examples, options.split_seed, label_names, "the folds")
    found, start = {}, 0
    for split in pooled:
        end = start + len(labels[split])
        found[split] = rows[(rows >= start) & (rows < end)] - start
        start = end
    if "test" in labels and "test" not in found:
        limit = len(labels["test"]) if options.max_eval_examples is None else options.max_eval_examples
        found["test"] = stratified_choice(labels["test"], limit, options.split_seed, label_names, "the test subset")
    return found


def some_of_each(
    labels: NDArray[np.int64], count: int, seed: int, label_names: Sequence[str], split: str
) -> NDArray[np.int64]:
    """Choose `count` rows of each class; of validation, as many as there are where a class has fewer.

    Args:
        labels: int64 (n,), each in [0, len(label_names)).
        count: How many rows of each class.
        seed: Seed of the choice.
        label_names: Names of the classes, for errors.
        split: The split that they are of.

    Returns:
        Row numbers, int64, ascending.

    Raises:
        DataError: If a class has fewer in train.
    """
    generator = np.random.default_rng(seed)
    chosen = []
    for label, name in enumerate(label_names):
        own = np.flatnonzero(labels == label)
        if len(own) < count and split == "train":
            raise DataError(
                f"class {name!r} has {len(own)} training examples, and dataset.examples_per_class={count} wants "
                f"{count}. Ask for fewer, or leave such classes out with dataset.min_class_examples."
            )
        chosen.append(generator.choice(own, size=min(count, len(own)), replace=False))
    return np.sort(np.concatenate(chosen))


def stratified_choice(
    labels: NDArray[np.int64], count: int, seed: int, label_names: Sequence[str], purpose: str
) -> NDArray[np.int64]:
    """Choose `count` rows with each class in its share, and at least one of each.

    Shares are rounded by largest remainder. Which rows are chosen depends on `labels`, `count`
    and `seed` alone.

    Args:
        labels: int64 (n,), each in [0, len(label_names)).
        count: How many rows to choose; all of them where it is n or more.
        seed: Seed of the choice.
        label_names: Names of the classes, for errors.
        purpose: What the rows are for, for errors.

    Returns:
        int64 (count,) row numbers, ascending.

    Raises:
        DataError: If `count` is smaller than the number of classes present.
    """
    if count >= len(labels):
        return np.arange(len(labels))
    class_counts = np.bincount(labels, minlength=len(label_names))
    present = np.flatnonzero(class_counts)
    if count < len(present):
        raise DataError(
            f"{count} examples for {purpose} cannot hold one of each of the {len(present)} classes; "
            f"ask for at least {len(present)}."
        )
    quotas = class_counts * (count / len(labels))
    take = np.where(class_counts > 0, np.maximum(np.floor(quotas).astype(int), 1), 0)
    while take.sum() > count:  # lifting small classes to one took more than there is
        take[np.argmax(np.where(take > 1, take - quotas, -np.inf))] -= 1
    while take.sum() < count:
        take[np.argmax(np.where(take < class_counts, quotas - take, -np.inf))] += 1
    generator = np.random.default_rng(seed)
    chosen = [generator.choice(np.flatnonzero(labels == label), size=take[label], replace=False) for label in present]
    return np.sort(np.concatenate(chosen))


def stratified_slice(
    labels: NDArray[np.int64], fraction: float, seed: int, label_names: Sequence[str], purpose: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide rows in two, both with each class in its share.

    Args:
        labels: int64 (n,), each in [0, len(label_names)).
        fraction: Share of the rows, 0 to 1, that goes to the second part.
        seed: Seed of the choice.
        label_names: Names of the classes, for errors.
        purpose: What the second part is for, for errors.

    Returns:
        Row numbers of the first and of the second part, each ascending.

    Raises:
        DataError: If a class has fewer than two examples, or the part would be too small.
    """
    _refuse_rare(labels, label_names, [purpose])
    class_counts = np.bincount(labels, minlength=len(label_names))
    count = max(round(len(labels) * fraction), int(np.count_nonzero(class_counts)))
    second = stratified_choice(labels, count, seed, label_names, purpose)
    first = np.setdiff1d(np.arange(len(labels)), second)
    if len(first) == 0:
        raise DataError(f"{len(labels)} examples are too few to set a slice for {purpose} aside.")
    return first, second


def set_slice(
    has: NDArray[np.bool_], fraction: float, seed: int, purpose: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide texts with sets of labels in two, each label in its share (Sechidis et al. 2011).

    Above `MOST_ITERATED` texts the second part is drawn at random, which keeps shares about as well.

    Args:
        has: Which labels each text has, bool (n, num_labels).
        fraction: Share of the rows, 0 to 1, that goes to the second part; met about.
        seed: Seed of the choice.
        purpose: What the second part is for, for errors.

    Returns:
        Row numbers of the first and of the second part, each ascending.

    Raises:
        DataError: If the part would be too small.
    """
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    if len(has) * fraction < 1 or len(has) < 3:
        raise DataError(f"{len(has)} examples are too few to set a slice for {purpose} aside.")
    if len(has) > MOST_ITERATED:
        second = np.sort(np.random.default_rng(seed).permutation(len(has))[: round(len(has) * fraction)])
        return np.setdiff1d(np.arange(len(has)), second), second
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=fraction, random_state=seed)
    first, second = next(splitter.split(np.zeros(len(has)), with_none(has)))
    return np.sort(first), np.sort(second)


def with_none(has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return labels with a further one for texts without any, int64 (n, num_labels + 1): these are a share too."""
    return np.column_stack([has, ~has.any(axis=1)]).astype(np.int64)


def refuse_rare_labels(has: NDArray[np.bool_], label_names: Sequence[str], purposes: Sequence[str]) -> None:
    """Refuse labels that too few texts have for one in train and one in each slice, all of them at once."""
    counts, least = has.sum(axis=0), len(purposes) + 1
    rare = [
        f"{cut(repr(label_names[label]))} has {count}" for label, count in enumerate(counts.tolist()) if count < least
    ]
    if rare:
        raise DataError(
            f"{len(rare)} label{'s have' if len(rare) > 1 else ' has'} too few texts in train: {listed(rare, 100)}. A "
            f"slice for {' and one for '.join(purposes)} needs at least {least} with each. Add texts, name splits of "
            f"your own, or leave such labels out with dataset.min_class_examples={least}."
        )


def _refuse_rare(labels: NDArray[np.int64], label_names: Sequence[str], purposes: Sequence[str]) -> None:
    """Refuse classes with too few examples for one in train and one in each slice, all of them at once."""
    counts, least = np.bincount(labels, minlength=len(label_names)), len(purposes) + 1
    rare = [label for label, count in enumerate(counts.tolist()) if 0 < count < least]
    if not rare:
        return
    said = [f"{cut(repr(label_names[label]))} has {counts[label]}" for label in rare]
    plural = "classes have" if len(rare) > 1 else "class has"
    others = np.count_nonzero(counts >= least)
    leave = f", or leave such classes out with dataset.min_class_examples={least}" if others > 1 else ""
    raise DataError(
        f"{len(rare)} {plural} too few examples in train: {listed(said, 100)}. A stratified slice for "
        f"{' and one for '.join(purposes)} needs at least {least} of each. Add examples, name splits "
        f"of your own{leave}."
    )


def group_slice(
    labels: NDArray[np.int64],
    groups: NDArray[np.object_],
    fraction: float,
    seed: int,
    label_names: Sequence[str],
    purpose: str,
    sets: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide rows in two, no group on both sides, and each class in its share as nearly as whole groups allow.

    Args:
        labels: int64 (n,), each in [0, len(label_names)).
        groups: The group of each row, str objects (n,).
        fraction: Share of the rows, 0 to 1, that goes to the second part; met about.
        seed: Seed of the choice.
        label_names: Names of the classes, for errors.
        purpose: What the second part is for, for errors.
        sets: Which labels each row has, bool (n, num_labels), of sets of labels; each is then on both sides, and
            `labels` only say what the shares go by.

    Returns:
        Row numbers of the first and of the second part, each ascending.

    Raises:
        DataError: If the groups are too few for every class to be on both sides.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes seconds, and few need it

    _, numbers = np.unique(groups.astype(str), return_inverse=True)
    sizes = np.bincount(labels)[np.unique(labels)] if sets is None else sets.sum(axis=0)
    count, smallest = int(numbers.max()) + 1, int(sizes.min())
    too_few = (
        f"its {count} groups (dataset.group_column) are too few to set a slice for {purpose} aside with every "
        f"{'class' if sets is None else 'label'} on both sides"
    )
    remedy = f"Add groups, name a {purpose} split of your own, or leave dataset.group_column out."
    folds = min(MAX_FOLDS, count, smallest)
    if folds < 2:
        raise DataError(f"{too_few}. {remedy}")
    share = Fraction(fraction).limit_denominator(folds)
    share = min(max(share, Fraction(1, folds)), Fraction(folds - 1, folds))
    splitter = StratifiedGroupKFold(share.denominator, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        if sets is not None:  # a label may be the rarest one of fewer texts than there are parts
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = [part for _, part in splitter.split(np.zeros(len(labels)), labels, numbers)]
    second = np.sort(np.concatenate(parts[: share.numerator]))
    first = np.setdiff1d(np.arange(len(labels)), second)
    for part in (first, second):
        lacking = np.setdiff1d(labels, labels[part]) if sets is None else np.flatnonzero(~sets[part].any(axis=0))
        if len(lacking):
            said = listed([str(label_names[label]) for label in lacking.tolist()])
            raise DataError(f"{too_few} ({said} is not). {remedy}")
    return first, second
