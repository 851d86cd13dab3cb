"""Room on the disk: checked before training, and explained in a paragraph where it runs out after all."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from textclf.errors import ResourceError, causes

log = logging.getLogger(__name__)

RESULTS_BYTES = 20_000_000
"""Predictions, figures, reports and logs of a run, about."""
CHECKPOINTS = 3
"""Checkpoints that are there at once: two that are kept, and the one that is being written."""
WEIGHTS_PER_CHECKPOINT = 4
"""Sizes of what is trained that a checkpoint may have: the weights, two moments of each, the best weights so far."""
FULL = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "has no room left for you (a quota)",
    errno.EFBIG: "takes no file of that size (a limit of it, or of the shell's ulimit -f)",
    errno.EIO: "fails",
}
REMEDIES = {errno.EIO: "See to the disk", errno.EFBIG: "Raise that limit"}
MESSAGES = {
    "no space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,
    "quota exceeded": errno.EDQUOT,
    "file too large": errno.EFBIG,
    "input/output error": errno.EIO,
}
"""The system's own words, which libraries in Rust and C++ pass on without the number."""


def check_disk(folder: Path, weights_bytes: int, trained_bytes: int, keeps_checkpoints: bool) -> None:
    """Raise before training where not even the classifier would fit on the disk; warn where checkpoints would not.

    Args:
        folder: A folder in the run folder; it need not be there yet.
        weights_bytes: Size of the weights.
        trained_bytes: Size of those that are trained; a checkpoint holds no others.
        keeps_checkpoints: Whether the state of training is to be kept.

    Raises:
        ResourceError: With what is needed and what is free.
    """
    place = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    needed = weights_bytes + RESULTS_BYTES
    if free < needed:
        raise ResourceError(
            f"The disk of {place} has {_size(free)} free, and the classifier and the results of this run need about "
            f"{_size(needed)}. Free some, name a run folder on another disk (hydra.run.dir=/path/to/it), or take a "
            f"smaller model."
        )
    wanted = needed + CHECKPOINTS * WEIGHTS_PER_CHECKPOINT * trained_bytes
    if keeps_checkpoints and free < wanted:
        log.warning(
            "the disk of %s has %s free; with its checkpoints the run may need %s. A checkpoint that does not fit is "
            "left out, and the run goes on without it (trainer.checkpoint_every=never writes none).",
            place,
            _size(free),
            _size(wanted),
        )


def disk_trouble(error: BaseException) -> int | None:
    """Return the number of the system's error where the disk is full or fails; none for other errors."""
    for one in causes(error):
        if isinstance(one, OSError) and one.errno in FULL:
            return one.errno
        said = str(one).lower()
        for words, number in MESSAGES.items():
            if words in said and not isinstance(one, ResourceError):
                return number
    return None


@dataclass(frozen=True)
class Aftermath:
    """What is there when a command could not go on, and the way on from there."""

    kept: str
    """What is left of its work, as a sentence without its end."""
    way_on: str
    """What follows "Free some space there, ", as a sentence without its end."""


AGAIN = Aftermath("nothing half-written is left", "then give the same command again")
"""Of a command that makes its result whole or not at all."""
RUN = Aftermath(
    "the run could not be written to its end; what was whole before is kept in the run folder: checkpoints of "
    "training, and the classifier if it was finished",
    "then give the same command with resume=true, which resumes from there",
)


def describe_disk_trouble(error: BaseException, after: Aftermath = AGAIN) -> str:
    """Return a paragraph on a disk that is full or fails: what is kept, and the way on."""
    number = disk_trouble(error)
    assert number is not None
    found = [
        one.filename2 or one.filename for one in causes(error) if isinstance(one, OSError)
    ]  # copied to, or written
    names = [os.fspath(name) for name in found if isinstance(name, (str, os.PathLike))]
    where = f" ({names[0]})" if names else ""
    remedy = REMEDIES.get(number, "Free some space there")
    return f"The disk {FULL[number]}{where}: {after.kept}. {remedy}, {after.way_on}."


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count < 1e10 else f"{count / 1e9:,.0f} GB"
