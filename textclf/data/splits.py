"""Stratified, seeded choices of rows: the validation slice and the subsets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textclf.errors import DataError


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
    class_counts = np.bincount(labels, minlength=len(label_names))
    for label, count in enumerate(class_counts):
        if count == 1:
            raise DataError(
                f"class {label_names[label]!r} has 1 example in train, and a stratified slice for {purpose} "
                f"needs at least 2. Add examples of it, leave the class out, or name a {purpose} split of your own."
            )
    count = max(round(len(labels) * fraction), int(np.count_nonzero(class_counts)))
    second = stratified_choice(labels, count, seed, label_names, purpose)
    first = np.setdiff1d(np.arange(len(labels)), second)
    if len(first) == 0:
        raise DataError(f"{len(labels)} examples are too few to set a slice for {purpose} aside.")
    return first, second
