"""One GPU for each job where jobs run side by side on one machine."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

_claimed: dict[Path, FileLock | None] = {}
"""The locks on the GPU that this process has, by the folder of the sweep; none where it shares one."""


def claim_gpu(folder: Path, count: int | None = None) -> int | None:
    """Let this process see one GPU only, one that no other process of the sweep has.

    The first claim of a process holds until it ends, since CUDA does not change its devices once it
    has begun. Where there are more processes than GPUs, those left over share them by turns.

    Args:
        folder: The folder of the sweep, on a file system that all its processes see.
        count: Number of GPUs; none asks CUDA.

    Returns:
        The GPU's number among those that this process saw, or nothing where there are fewer than two.
    """
    if folder in _claimed:
        return None
    if count is None:
        import torch

        count = torch.cuda.device_count()
    if count < 2:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        lock = FileLock(folder / f".gpu{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _claimed[folder] = lock
        return _see(number)
    _claimed[folder] = None
    return _see(os.getpid() % count)


def _see(number: int) -> int:
    """Restrict this process to one of the GPUs that it sees."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",") if visible else []
    os.environ["CUDA_VISIBLE_DEVICES"] = names[number] if number < len(names) else str(number)
    log.info("this job has GPU %s", os.environ["CUDA_VISIBLE_DEVICES"])
    return number
