"""Data files stay where they were asked for: no description of a dataset and no link leads out of its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from datasets import data_files

from textclf.errors import DataError
from textclf.system.paths import is_plain_name

STORES = (".git/annex/objects", ".dvc/cache")
"""Where git-annex and DVC keep the content of the files that they leave links to, in the folder of the project."""


def check_inside(file: Path, root: Path, said: str) -> None:
    """Refuse a file that a folder names or links to, and that lies outside of it.

    Links into a store of the project (git-annex, DVC) or of the Hub's cache, which hold a folder's own content, are
    followed.

    Args:
        file: The file.
        root: The folder that was asked for.
        said: What the folder is called, for a person.

    Raises:
        DataError: With the file, and where it really is.
    """
    if is_outside(file, root):
        real = file.resolve()
        raise DataError(
            f"{said}: {file} lies outside of this folder, at {real}, and files of a folder are read from it alone. If "
            f"you trust it, copy the folder with what its links lead to (cp -rL), or name the file itself with "
            f"dataset=files dataset.train={real}."
        )


def is_outside(file: Path, root: Path) -> bool:
    """Whether a file is outside of a folder, by its path or by the links on it."""
    real = file.resolve()
    return not any(real.is_relative_to(place) for place in _places(root.resolve()))


def _places(root: Path) -> Iterator[Path]:
    """Yield a folder, and those that hold its content in its stead."""
    yield root
    if root.parent.name == "snapshots":
        yield root.parent.parent / "blobs"
    for above in (root, *root.parents):
        yield from (above / store for store in STORES)


def check_saved(folder: Path) -> None:
    """Refuse a folder of `save_to_disk` that names files outside of it, or has links that lead out of it.

    Raises:
        DataError: With the name.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            check_inside(path, folder, str(folder))
        if path.name in ("state.json", "dataset_dict.json"):
            for name in _named(path):
                if not is_plain_name(name):
                    raise DataError(
                        f"{path} names {name!r}, which is no file or folder beside it, and what a saved dataset names "
                        f"elsewhere is not read. Write the dataset anew with save_to_disk."
                    )


def _named(path: Path) -> list[Any]:
    """Return the files or folders that a description names; none where it cannot be read, which its reader says."""
    try:
        content = json.loads(path.read_bytes())
        files = [entry["filename"] for entry in content.get("_data_files", ())]
        return [*files, *content.get("splits", ())]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


@contextmanager
def own_files_only(root: Path | str, said: str) -> Iterator[None]:
    """Let `datasets` find data files of a dataset below its root alone, inside this context.

    The README.md of a dataset names its data files by patterns, which may be paths and addresses of any kind. Each is
    looked at where `datasets` itself resolves it, before a file is opened or an address is asked.

    Args:
        root: A local folder, or the `owner/name` of a dataset on the Hub.
        said: What it is called, for a person.

    Raises:
        DataError: If it names a file elsewhere.
    """
    resolve = data_files.resolve_pattern
    refused: list[DataError] = []

    def resolve_own(pattern: str, base_path: str, *args: Any, **kwargs: Any) -> list[str]:
        try:
            if not _is_below(pattern, base_path, root):
                raise DataError(_refusal(said, pattern if _is_below("*", base_path, root) else base_path, root))
            found = resolve(pattern, base_path, *args, **kwargs)
            for file in found:
                if isinstance(root, Path):
                    check_inside(Path(file), root, said)
                elif not _is_below(file, "", root):
                    raise DataError(_refusal(said, file, root))
        except DataError as error:
            refused.append(error)
            raise
        return found

    data_files.resolve_pattern = resolve_own  # type: ignore[assignment]
    try:
        yield
    except Exception as error:
        if refused and error is not refused[0]:
            raise refused[0] from error
        raise
    finally:
        data_files.resolve_pattern = resolve
    if refused:  # datasets has gone on without, to what it read of it at another time
        raise refused[0]


def _is_below(pattern: str, base: str, root: Path | str) -> bool:
    """Whether a pattern of data files, relative to a base or whole, can lead to files of a dataset alone."""
    if isinstance(root, Path):
        place = os.path.normpath(os.path.join(os.path.realpath(base), pattern))
        return not ("://" in pattern or "::" in pattern) and Path(place).is_relative_to(root.resolve())
    whole = pattern if "://" in pattern else f"{base}/{pattern}"
    home = f"hf://datasets/{root}"
    inside = whole.removeprefix(home)
    if inside == whole or inside[:1] not in ("@", "/") or "::" in inside or "://" in inside:
        return False
    return ".." not in unquote(inside).split("/") and not pattern.startswith("/")


def _refusal(said: str, pattern: str, root: Path | str) -> str:
    """Return the paragraph for a pattern that leads elsewhere."""
    whose = "folder" if isinstance(root, Path) else "repository"
    return (
        f"{said}: its description (README.md) names the data files {pattern!r}, which are not in its {whose}; files "
        f"elsewhere are not read. If you trust it, name them yourself with dataset=files dataset.train=…, which takes "
        f"paths, patterns and addresses; or copy them into the {whose}."
    )
