"""Room on the disk: checked before training, and explained in a paragraph where it runs out after all."""

from __future__ import annotations

import errno
import logging
import shutil
from pathlib import Path

from textclf.errors import ResourceError, causes

log = logging.getLogger(__name__)

RESULTS_BYTES = 20_000_000
"""Predictions, figures, reports and logs of a run, about."""
CHECKPOINTS = 3
"""Checkpoints that are there at once: two that are kept, and the one that is being written."""
WEIGHTS_PER_CHECKPOINT = 4
"""Sizes of the weights that a checkpoint may have: the weights, two moments of each, the best weights so far."""
FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "has no room left for you (a quota)", errno.EIO: "fails"}
MESSAGES = {"no space left on device": errno.ENOSPC, "quota exceeded": errno.EDQUOT, "input/output error": errno.EIO}
"""The system's own words, which libraries in Rust and C++ pass on without the number."""


def check_disk(folder: Path, weights_bytes: int, keeps_checkpoints: bool) -> None:
    """Raise before training where not even the classifier would fit on the disk; warn where checkpoints would not.

    Args:
        folder: A folder in the run folder; it need not be there yet.
        weights_bytes: Size of the weights.
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
    wanted = needed + CHECKPOINTS * WEIGHTS_PER_CHECKPOINT * weights_bytes
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


def describe_disk_trouble(error: BaseException) -> str:
    """Return a paragraph on a disk that is full or fails: what is kept, and the way on."""
    number = disk_trouble(error)
    assert number is not None
    names = [one.filename for one in causes(error) if isinstance(one, OSError) and isinstance(one.filename, str)]
    where = f" ({names[0]})" if names else ""
    remedy = "See to the disk" if number == errno.EIO else "Free some space there"
    return (
        f"The disk {FULL[number]}{where}, so the run could not be written to its end. What was whole before is kept in "
        f"the run folder: checkpoints of training, and the classifier if it was finished. {remedy}, then give the "
        f"same command with resume=true, which resumes from there."
    )


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count < 1e10 else f"{count / 1e9:,.0f} GB"
