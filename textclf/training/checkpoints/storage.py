"""The folders in which the state of training is kept: written whole, verified by content, at most two of them.

A checkpoint is safetensors files, `state.json`, and a manifest with the digest of each. It bears the step in its name,
which is only believed once the content holds.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from textclf.system.files import manifest_problem, new_folder
from textclf.system.paths import is_plain_name
from textclf.system.unfinished import PREFIX, begin

log = logging.getLogger(__name__)

STATE_FILE = "state.json"
FORMAT = 1
"""Raised when a checkpoint written before can no longer be read."""
NAMES = re.compile(r"step-(\d{8,})(?:-(epoch)-\d+|-(finished))?")


@dataclass(frozen=True)
class Saved:
    """The state of training at a moment."""

    identity: dict[str, str]
    """What the run is."""
    environment: dict[str, str]
    """What its digits stand on."""
    plain: dict[str, Any]
    """What JSON can hold; its floats are the same when they are read again."""
    tensors: dict[str, dict[str, torch.Tensor]] = field(repr=False)
    """The rest, by file and name."""


def name_of(step: int, epoch: int | None = None, finished: bool = False) -> str:
    """Return the name of a checkpoint's folder.

    Args:
        step: Optimizer updates so far.
        epoch: The epoch that was validated after this step; none for a checkpoint before that.
        finished: Whether training is over.
    """
    return f"step-{step:08d}" + ("-finished" if finished else f"-epoch-{epoch}" if epoch is not None else "")


def write_checkpoint(path: Path, saved: Saved) -> bool:
    """Write a checkpoint, whole or not at all.

    Returns:
        Whether it was written; a disk that is full or fails is warned of, and training can go on.
    """
    try:
        if path.exists():  # damaged, or training would have resumed from it
            _remove(path)
        with new_folder(path) as temporary:
            for group, tensors in saved.tensors.items():
                save_file(_apart(tensors), temporary / f"{group}.safetensors")
            content = {
                "format": FORMAT,
                "identity": saved.identity,
                "environment": saved.environment,
                "tensors": {group: len(tensors) for group, tensors in saved.tensors.items()},
                **saved.plain,
            }
            (temporary / STATE_FILE).write_text(json.dumps(content), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        log.warning("no checkpoint could be written to %s (%s); training goes on without it", path, error)
        return False
    return True


def remove_all_but(folder: Path, kept: list[Path]) -> None:
    """Remove the other checkpoints of a folder, and what killed processes left half-written there."""
    names = {path.name for path in kept}
    for path in folder.glob("*step-*"):
        if path.name not in names and NAMES.fullmatch(PREFIX.sub("", path.name, count=1)):
            _remove(path)


def _remove(path: Path) -> None:
    """Remove a folder; under a name that is never read first, lest half of it be left under its own."""
    hidden = path if path.name.startswith(".") else begin(path)
    with contextlib.suppress(OSError):
        path.rename(hidden)
        shutil.rmtree(hidden)


def newest_checkpoint(folder: Path, tell: bool = True) -> tuple[Path, Saved] | None:
    """Return the newest checkpoint that is as it was written; none where there is none.

    Args:
        folder: Where the checkpoints are; it need not be there.
        tell: Whether to warn of those that are damaged.
    """
    found = [path for path in folder.iterdir() if NAMES.fullmatch(path.name)] if folder.is_dir() else []
    for path in sorted(found, key=_order, reverse=True):
        try:
            return path, read_checkpoint(path)
        except ValueError as error:
            if tell:
                log.warning("checkpoint %s is not used: %s", path, error)
    if found and tell:
        log.warning("no checkpoint in %s can be used; training starts from the beginning", folder)
    return None


def read_checkpoint(path: Path) -> Saved:
    """Read a checkpoint.

    Raises:
        ValueError: If it is not as it was written, with what is wrong with it.
    """
    problem = manifest_problem(path)
    if problem is not None:
        raise ValueError(problem)
    try:
        content = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise ValueError("it is of another version's format")
        groups = content.pop("tensors")
        if not all(map(is_plain_name, groups)):
            raise ValueError("it names files outside of its folder")
        tensors = {group: load_file(path / f"{group}.safetensors") for group in groups}
        if any(len(tensors[group]) != count for group, count in groups.items()):
            raise ValueError("tensors are missing")
        return Saved(content.pop("identity"), content.pop("environment"), content, tensors)
    except (OSError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise ValueError(f"it cannot be read ({type(error).__name__}: {error})") from error


def _order(path: Path) -> tuple[int, int]:
    """Return by what checkpoints are ordered: the step, and how much was done after it."""
    match = NAMES.fullmatch(path.name)
    assert match is not None
    step, validated, finished = match.groups()
    return int(step), 2 if finished else 1 if validated else 0


def _apart(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors on the CPU, each with its own memory, as the format wants them."""
    out, places = {}, set()
    for name, tensor in tensors.items():
        own = tensor.detach().to("cpu").contiguous()
        if own.numel() and own.data_ptr() in places:
            own = own.clone()
        places.add(own.data_ptr())
        out[name] = own
    return out
