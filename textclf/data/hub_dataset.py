"""Read datasets from the Hugging Face Hub, its local cache, or a local folder laid out like one."""

from __future__ import annotations

import logging
from pathlib import Path

from datasets import DatasetDict, load_dataset
from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

from textclf.data.options import HubDataset
from textclf.data.origins import own_files_only
from textclf.data.prepare import RawData
from textclf.data.readers.saved_dataset import is_saved, read_saved
from textclf.errors import DataError, cut, did_you_mean, first_line, listed
from textclf.system.hub import Repository, explain, hub_or_cache, local_folder, names_a_folder, ways_on, why_missing

log = logging.getLogger(__name__)

BUNDLED = "dataset=reviews, headlines, entailment or messages"
"""What to type for data without any network."""
VALIDATION_NAMES = ("validation", "valid", "val", "dev")


def read_hub(options: HubDataset) -> RawData:
    """Read the splits of a dataset on the Hub, in its cache, or in a local folder.

    Raises:
        DataError: If it is not there, cannot be reached, or lacks a split.
    """
    source = options.path + (f" ({options.config})" if options.config else "")
    found = _read(options, source)
    names = {"train": options.train_split, "test": options.test_split}
    validation = options.validation_split or next(
        (name for name in VALIDATION_NAMES if name in found and name != options.test_split), None
    )
    if validation is not None:
        names["validation"] = validation
    for role, name in names.items():
        if name not in found:
            raise DataError(
                f"{source} has no split {name!r} (dataset.{role}_split); it has {listed(found)}."
                f"{did_you_mean(name, found)}"
            )
    return RawData({role: found[name] for role, name in names.items()}, source, options)


def check_hub(options: HubDataset) -> None:
    """Raise where there is no such dataset; what it holds is looked at when it is read.

    Raises:
        DataError: If its folder is not there, or the Hub has no such dataset or cannot be reached and the cache does
            not hold it.
    """
    if local_folder(options.path, "dataset.path") is not None or options.path in _PACKAGED_DATASETS_MODULES:
        return
    if names_a_folder(options.path):
        raise DataError(_no_folder(options))
    if (why := why_missing(Repository("dataset", options.path, options.revision), BUNDLED)) is not None:
        raise DataError(why)


def _no_folder(options: HubDataset) -> str:
    return f"dataset.path={options.path}: there is no such folder, and it is no Hub id (owner/name)."


def _read(options: HubDataset, source: str) -> DatasetDict:
    """Return every split of the dataset as it is."""
    local = local_folder(options.path, "dataset.path")
    if local is not None:
        if is_saved(local):
            return DatasetDict(read_saved(local))
        path = str(local) if names_a_folder(str(local)) else f"./{local}"  # no name of a reader of datasets, as `csv`
        try:
            return _load(path, options, source, local)
        except OSError as error:  # it holds no data files, or not those that it names
            raise DataError(f"dataset.path={options.path} could not be read: {cut(first_line(error))}") from error
    if names_a_folder(options.path):
        raise DataError(_no_folder(options))
    if options.path in _PACKAGED_DATASETS_MODULES:
        raise DataError(
            f"dataset.path={options.path}: to the library datasets this is a kind of files, and it would read what it "
            f"finds in the working folder. Name the files, as in dataset=files dataset.train=train.csv."
        )
    repository = Repository("dataset", options.path, options.revision)
    with hub_or_cache(repository) as access:
        try:
            return _load(options.path, options, source, options.path)
        except OSError as error:  # all that datasets and the Hub's client raise about files is one
            refusal = explain(repository, access, error)
            if refusal is not None:
                raise DataError(refusal) from error
            if access.online:
                raise DataError(f"{source} could not be read from the Hub: {first_line(error)}") from error
            raise DataError(ways_on(f"Dataset {source!r}", "dataset.path", BUNDLED)) from error


def _load(path: str, options: HubDataset, source: str, root: Path | str) -> DatasetDict:
    """Call `load_dataset` for what is below the root, its own refusals made plain."""
    try:
        with own_files_only(root, f"dataset.path={options.path}"):
            found = load_dataset(path, options.config, revision=options.revision)
    except ValueError as error:  # an unknown or missing configuration
        raise DataError(f"{source} could not be loaded: {first_line(error)}") from error
    except RuntimeError as error:
        raise DataError(
            f"{source} could not be loaded: {first_line(error)} Datasets that need a script of their own are not "
            f"run; look for a copy of it as Parquet files."
        ) from error
    assert isinstance(found, DatasetDict)
    return found
