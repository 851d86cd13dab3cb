"""Paths that a file may name: nothing outside of its folder, not by a link either, and nothing too large to read."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from textclf.errors import ArtifactError

MEGABYTE = 1 << 20
MOST_OF_A_DESCRIPTION = 16 * MEGABYTE
"""Bytes of a JSON file that describes something; the names of 100,000 classes take a third of it."""


def is_plain_name(name: Any) -> bool:
    """Say whether a name is that of a file directly in a folder, on whatever system, and not a way to another place."""
    if not isinstance(name, str) or name in ("", ".", "..") or re.search(r"[\x00-\x1f:]", name):
        return False
    return PurePosixPath(name).name == name and PureWindowsPath(name).name == name


def link_out_of(path: Path, root: Path) -> Path | None:
    """Return the first file or folder, at or below a path, that lies outside of a root or is a link leading out of it.

    Args:
        path: A file or folder; it need not be there.
        root: The folder that it should not leave.
    """
    real = root.resolve()
    for found in (path, *(sorted(path.rglob("*")) if path.is_dir() else ())):
        if not found.resolve().is_relative_to(real):
            return found
    return None


def refuse_links_out(folder: Path) -> None:
    """Refuse a folder of which a file is a link to somewhere else.

    The cache of the Hub consists of links, to the blobs of the same repository; these are no way out, and neither is a
    link from the classifier of a run to another file of that run.

    Raises:
        ArtifactError: With the first such file.
    """
    homes = _homes_of(folder.resolve())
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_symlink() or path.is_dir():
            continue
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            continue  # in a circle, so that nothing can be read of it
        if not any(real.is_relative_to(home) for home in homes):
            raise ArtifactError(
                f"{path} is a link to {real}, which lies outside of its folder; it was not read. If it is yours and "
                f"belongs there, copy the folder with its links followed (cp -rL) and use the copy."
            )


def _homes_of(folder: Path) -> list[Path]:
    """Return the folders in which the files of a folder may be: itself, and what it is a part of."""
    homes, above = [folder], folder.parent
    if above.name == "snapshots" and (blobs := above.parent / "blobs").is_dir() and not blobs.is_symlink():
        homes.append(blobs)
    if folder.name == "classifier" and (above / "run.json").is_file():
        homes.append(above)
    return homes


def refuse_larger(path: Path, most: int) -> None:
    """Refuse a file of more bytes than it can honestly have, before it is read; one that is not there passes.

    Raises:
        ArtifactError: If it is larger.
    """
    try:
        size = path.stat().st_size
    except OSError:
        return
    if size > most:
        raise ArtifactError(
            f"{path} has {size / MEGABYTE:,.0f} MB, and at most {most / MEGABYTE:,.0f} MB are read of such a file; "
            f"it is damaged, or not what its name says."
        )


def read_object(path: Path, most: int = MOST_OF_A_DESCRIPTION) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is none, or none that can be read: the loader says so itself.

    Raises:
        ArtifactError: If the file is larger than so many bytes.
    """
    refuse_larger(path, most)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
