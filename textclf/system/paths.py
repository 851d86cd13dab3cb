"""Paths that a checkpoint may name: nothing outside of its folder, and no code."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from textclf.errors import ArtifactError

CONFIG = "config.json"
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
"""Under these names a config can ask for kernels, which are code from the Hub."""
ATTENTION_KINDS = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")


def check_contained(folder: Path) -> None:
    """Refuse a local checkpoint whose description leads out of its folder or to code from elsewhere.

    Raises:
        ArtifactError: With the file, and what it asks for.
    """
    config = _read(folder / CONFIG)
    for name in ATTENTION:
        asked = config.get(name)
        if isinstance(asked, str) and asked not in ATTENTION_KINDS:
            raise ArtifactError(
                f"{folder / CONFIG} asks for {asked!r} as {name}, which is code from elsewhere; it was not loaded. "
                f"Take the line out if you trust the rest."
            )
    for name in INDEXES:
        files = _read(folder / name).get("weight_map", {})
        for file in files.values() if isinstance(files, dict) else ():
            if not is_plain_name(file):
                raise ArtifactError(
                    f"{folder / name} names the weights {file!r}, which lie outside of its folder; it was not loaded."
                )


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


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is none, or none that can be read: the loader says so itself."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
