"""Load a dataset: read its splits from where it is, and prepare them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from textclf.data.dataset import TextData
from textclf.data.extra_train import check_extra_train, with_extra_train
from textclf.data.file_dataset import check_files, read_files
from textclf.data.hub_dataset import check_hub, read_hub
from textclf.data.in_memory import InMemoryDataset, read_memory
from textclf.data.options import DatasetOptions, FilesDataset, HubDataset
from textclf.data.prepare import RawData, prepare
from textclf.data.rejected import RejectedRows
from textclf.data.remote import is_address


def load(options: DatasetOptions, folder: Path | None = None) -> TextData:
    """Read, split and label the data.

    Args:
        options: The dataset.
        folder: Where `rejected.jsonl`, the rows that could not be used, is written (also where the load then fails);
            none writes nothing.

    Raises:
        DataError: If the data cannot be reached, or does not hold what the options name.
    """
    if options.extra_train is not None:
        check_extra_train(options)
    rejects = RejectedRows(options.max_rejected)
    try:
        raw = _read(options, rejects)
        data = prepare(raw, rejects)
        if options.extra_train is not None:
            data = with_extra_train(options, data, rejects, len(raw.splits["train"]))
        return replace(data, rejected=rejects.by_split())
    finally:
        rejects.write(folder)


def check(options: DatasetOptions) -> None:
    """Raise where the data are not where the options say, or lack the columns that they name, without reading them.

    Raises:
        DataError: With what is wrong, and what would help.
    """
    if options.extra_train is not None and not is_address(options.extra_train):
        check_extra_train(options)
    match options:
        case FilesDataset():
            check_files(options)
        case HubDataset():
            check_hub(options)


def _read(options: DatasetOptions, rejects: RejectedRows) -> RawData:
    """Read the splits of a dataset as they are."""
    match options:
        case FilesDataset():
            return read_files(options, rejects)
        case HubDataset():
            return read_hub(options)
        case InMemoryDataset():
            return read_memory(options, rejects)
        case _:
            raise TypeError(f"{type(options).__name__} is no dataset that textclf can load")
