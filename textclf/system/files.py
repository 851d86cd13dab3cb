"""Files that are there whole or not at all, and folders whose content is known by its digests.

A file or folder is made under a temporary name beside its final one, brought to the disk, and renamed. What a killed
process leaves behind begins with a dot, is never read, and goes when the same is written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from textclf.system.unfinished import begin, claimed

MANIFEST_FILE = "manifest.json"
"""Size and digest of each file of a folder; written last, so that the folder is whole where it holds.

It is no signature. It tells of accidents and of edits; who changes a file on purpose can write a manifest that fits."""
CHUNK_BYTES = 1 << 20


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name; leaving the context gives it its own, an exception removes it.

    Args:
        path: The file; one of that name is replaced.

    Yields:
        The name to write to, with the ending of the final one.
    """
    temporary = begin(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name; leaving the context adds its manifest and gives it its own name.

    Args:
        path: The folder, which must not be there.

    Yields:
        The folder to write to; an exception removes it.
    """
    temporary = begin(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        write_manifest(temporary)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync(path.parent)


@contextmanager
def filled(folder: Path, last: str, refuse: Callable[[], None]) -> Iterator[Path]:
    """Put files into a folder, made where it is not there: all of them when the context ends without an error.

    Args:
        folder: The folder; what it holds besides stays, and what has the name of a new file is replaced.
        last: The file that is put there last, so that the others are there where it is.
        refuse: Raises where the folder holds such files already that may not be replaced; asked first and in the end.

    Yields:
        The folder to write to.

    Raises:
        ArtifactError: If another process is writing the same.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with claimed(folder / last, folder=True) as made:
            refuse()
            yield made
            refuse()
            for path in sorted(made.iterdir(), key=lambda path: (path.name == last, path.name)):
                target = folder / path.name
                if target.is_dir():
                    shutil.rmtree(target)
                path.replace(target)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # others may have put something there
                folder.rmdir()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file of text in UTF-8, whole or not at all."""
    with new_file(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write plain values as JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            found.update(block)
    return found.hexdigest()


def files_below(folder: Path, without: Iterable[str] = ()) -> list[str]:
    """Return the files below a folder by their path from it, in order, but for hidden ones and the manifest.

    Args:
        folder: The folder.
        without: Names directly in the folder, of files or folders, to leave out.
    """
    left_out = {MANIFEST_FILE, *without}
    found = []
    for root, folders, files in os.walk(folder):
        below = Path(root).relative_to(folder)
        skipped = left_out if below == Path() else set()
        folders[:] = [name for name in folders if not name.startswith(".") and name not in skipped]
        found += [(below / name).as_posix() for name in files if not name.startswith(".") and name not in skipped]
    return sorted(found)


def folders_with(name: str, folder: Path) -> list[Path]:
    """Return the folders at or below a folder that hold a file of this name, in order, but for hidden ones below it.

    What others move or remove meanwhile is passed over.
    """
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = [below for below in folders if not below.startswith(".")]
        if name in files:
            found.append(Path(root))
    return sorted(found)


def write_manifest(folder: Path, without: Iterable[str] = ()) -> None:
    """Write the manifest of a folder, after its files have been brought to the disk.

    Args:
        folder: The folder.
        without: Names directly in the folder that may still change and are not vouched for.
    """
    files = {}
    for name in files_below(folder, without):
        sync(folder / name)
        files[name] = {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)}
    write_json(folder / MANIFEST_FILE, {"files": files})


def replace_vouched(folder: Path, name: str, text: str) -> None:
    """Replace a text that a folder's manifest vouches for, in the manifest too.

    Meanwhile the manifest does not name it, so that whatever ends the process the folder's other files are still whole
    by it.

    Args:
        folder: A folder with a manifest.
        name: The file, by its path from the folder.
        text: What it is to hold.
    """
    content = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    content["files"].pop(name, None)
    write_json(folder / MANIFEST_FILE, content)
    write_text(folder / name, text)
    content["files"][name] = {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)}
    content["files"] = dict(sorted(content["files"].items()))
    write_json(folder / MANIFEST_FILE, content)


def manifest_problem(
    folder: Path, names: Iterable[str] | None = None, digest_of: Callable[[Path], str] = digest
) -> str | None:
    """Return in a few words what is wrong with a folder by its manifest; none where every file is as it was written.

    Args:
        folder: The folder.
        names: The files to look at, by their path from the folder; of a folder among them all files below it are
            looked at, and none may have come to it. None looks at every file of the manifest, and lets others come.
        digest_of: Gives the digest of a file.
    """
    try:
        if (folder / MANIFEST_FILE).exists() and not (folder / MANIFEST_FILE).is_file():  # a pipe would never end
            return "its manifest is no file"
        files = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))["files"]
        for name in list(files) if names is None else _asked(folder, files, names):
            path = folder / name
            if Path(name).is_absolute() or ".." in Path(name).parts:
                return f"its manifest names {name!r}, which lies outside it"
            # A link is followed to what it was, and nowhere else: what is read there has the digest that was written.
            if names is None and not path.resolve().is_relative_to(folder.resolve()):
                return f"its manifest names {name!r}, which lies outside it"
            if not path.is_file():
                return f"{name} is missing"
            if name not in files:
                return f"{name} was added after it was finished"
            expected = files[name]
            if path.stat().st_size != expected["bytes"] or digest_of(path) != expected["sha256"]:
                return f"{name} is not what was written"
    except FileNotFoundError:
        return "it has no manifest, so it was never finished"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"its manifest cannot be read ({type(error).__name__}: {error})"
    return None


def _asked(folder: Path, files: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return the files that names of files and folders mean: those of the manifest, and those that are there.

    An empty folder that the manifest names no file of means none: what was not written need not be there.
    """
    found: dict[str, None] = {}
    for name in names:
        below = [file for file in files if file.startswith(f"{name}/")]
        there = [f"{name}/{file}" for file in files_below(folder / name)] if (folder / name).is_dir() else []
        alone = [] if (folder / name).is_dir() else [name]
        found.update(dict.fromkeys([*below, *there] or alone))
    return list(found)


def plain(value: Any) -> Any:
    """Return a value with its enums by name."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
