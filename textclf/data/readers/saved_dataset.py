"""Folders that `save_to_disk` of `datasets` wrote: one dataset, or one for each split."""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset, DatasetDict, load_from_disk

from textclf.data.origins import check_saved
from textclf.errors import DataError, first_line

ONE, SEVERAL = "state.json", "dataset_dict.json"
"""What lies in such a folder."""


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (folder / ONE).is_file() or (folder / SEVERAL).is_file()


def read_saved(folder: Path) -> dict[str, Dataset]:
    """Return the splits of a saved dataset by name; one without splits as `train`.

    Raises:
        DataError: If it is damaged, or names files outside of it.
    """
    check_saved(folder)
    try:
        found = load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder}: the saved dataset cannot be read: {first_line(error)}") from error
    return {str(name): rows for name, rows in found.items()} if isinstance(found, DatasetDict) else {"train": found}
