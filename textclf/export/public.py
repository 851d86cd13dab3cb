"""What a run's record may tell the world: no secrets, and no folders of the machine that it ran on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from textclf.system.hub import names_a_folder
from textclf.system.redact import MASK, names_secret, redacted
from textclf.tracking.record import RunRecord

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
"""`name` or `owner/name`."""
BUNDLED = "bundled:"
FILES = ("train", "validation", "test", "extra_train")
"""Options of a dataset that name files."""
UNTOLD = ("tracker", "hydra", "experiment", "run_name", "tracking", "save_classifier")
"""Groups and options that say where a run was kept, and nothing about the classifier."""
ABSOLUTE = re.compile(
    r"(?<![\w:/.~-])(?:~|[A-Za-z]:)?[/\\](?:[^\s'\",;:=()\[\]{}<>|/\\]+[/\\]+)*[^\s'\",;:=()\[\]{}<>|/\\]+"
)
FILE_URL = re.compile(r"\bfile:/+")
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def public_record(record: RunRecord) -> RunRecord:
    """Return a record with the names of files in place of paths, and without secrets."""
    config = scrubbed({key: value for key, value in record.config.items() if key not in UNTOLD})
    dataset, model = dict(config.get("dataset", {})), dict(config.get("model", {}))
    for option in FILES:
        if option in dataset:
            dataset[option] = _file_names(dataset[option])
    source = record.data.get("source")
    if "path" in dataset:
        if not is_on_hub(record.config["dataset"]["path"]):
            dataset["path"] = file_name(str(record.config["dataset"]["path"]))
            source = dataset["path"]
    elif isinstance(source, str):
        source = _file_names(source)
    data = {**record.data, "source": source}
    if isinstance(extra := data.get("extra_train"), Mapping):
        data["extra_train"] = {**extra, "file": _file_names(extra.get("file"))}
    if checkpoint := record.config.get("model", {}).get("checkpoint"):
        model["checkpoint"] = checkpoint if is_on_hub(checkpoint) else file_name(checkpoint)
    return replace(
        record,
        name=scrubbed(record.name),
        dataset=scrubbed(record.dataset),
        data=scrubbed(data, but=("label_names",)),
        config={**config, "dataset": dataset, "model": model},
        command=public_command(record.command),
        environment=scrubbed(record.environment),
        tracking={},
    )


def is_on_hub(name: str) -> bool:
    """Whether a checkpoint's or a dataset's name can only be that of a repository on the Hub."""
    return bool(HUB_ID.fullmatch(name)) and not names_a_folder(name) and not Path(name).expanduser().exists()


def public_command(command: str) -> str:
    """Return the command of a run for somebody else: files by their names, and nothing of where it was kept."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    said = []
    for word in words:
        name, given, value = word.partition("=")
        option = name.lstrip("+~")
        if option.partition(".")[0] in UNTOLD or names_secret(option):
            continue
        last = option.rpartition(".")[2]
        if given and option.startswith("dataset.") and (last in FILES or (last == "path" and not is_on_hub(value))):
            value = _file_names(value)
        elif given and option == "model.checkpoint" and not is_on_hub(value):
            value = file_name(value)
        said.append(scrubbed(f"{name}={value}") if given else scrubbed(word))
    return shlex.join(said)


def scrubbed(value: Any, but: tuple[str, ...] = ()) -> Any:
    """Return plain values, however nested, with file names in place of absolute paths, and without secrets.

    Args:
        value: A string, number, list or mapping.
        but: Keys of a mapping whose values are left as they are.
    """
    if isinstance(value, str):
        said = FILE_URL.sub("/", redacted(CREDENTIALS.sub("", value)))
        return ABSOLUTE.sub(lambda found: file_name(found[0]), said)
    if isinstance(value, Mapping):
        return {
            key: inner if key in but else MASK if _is_secret(key, inner) else scrubbed(inner)
            for key, inner in value.items()
        }
    return [scrubbed(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _is_secret(key: Any, value: Any) -> bool:
    """Whether an option is a secret by its name."""
    return isinstance(value, str) and names_secret(str(key))


def file_name(path: str) -> str:
    """Return the last part of a path of any system; of a pattern, its own."""
    plain = path.rstrip("/\\")
    name = PureWindowsPath(plain).name if "\\" in plain else PurePosixPath(plain).name
    return name if name not in ("", "~", "..", ".") else "a local folder"


def _file_names(value: Any) -> Any:
    """Return the names of files where an option names one or several; what comes with textclf is named whole."""
    if isinstance(value, str):
        return value if value.startswith(BUNDLED) else file_name(value)
    return [_file_names(inner) for inner in value] if isinstance(value, (list, tuple)) else value
