"""Defects that the checks must find: each is put into textclf, in a child, before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def in_place() -> None:
    """Write files under their final names: what is killed between opening and writing leaves an empty one."""
    from textclf.system import files as durable

    @contextmanager
    def new_file(path: Path) -> Iterator[Path]:
        path.touch()
        yield path

    durable.new_file = new_file


def manifest_not_checked() -> None:
    """Take a run for finished once it has a record."""
    from textclf.tracking import run_folder

    run_folder.manifest_problem = lambda folder: None


def random_numbers_not_restored() -> None:
    """Go on from a checkpoint with whatever random numbers there are."""
    from textclf.training.checkpoints import state

    state.set_random_state = lambda *args: None


def lease_always_granted() -> None:
    """Let whoever comes last write to the folder."""
    from textclf.tracking.lease import Lease

    @contextmanager
    def fenced(lease: Lease) -> Iterator[None]:
        yield

    Lease.fenced = fenced  # type: ignore[method-assign]


def leftovers_kept() -> None:
    """Leave the checkpoints and temporary files of a finished run."""
    from textclf.tracking.run_folder import RunFolder

    RunFolder.clean = lambda folder: None  # type: ignore[method-assign]


def leaking() -> None:
    """Keep half a megabyte of each job."""
    from textclf.experiment.sweep.callback import SweepCallback

    kept: list[Any] = []
    end = SweepCallback.on_job_end

    def on_job_end(callback: SweepCallback, *args: Any, **rest: Any) -> None:
        kept.append(bytearray(b"x" * 500_000))
        end(callback, *args, **rest)

    SweepCallback.on_job_end = on_job_end  # type: ignore[method-assign]


def addresses_kept() -> None:
    """Write a pipeline as scikit-learn holds it: with a number that is an address in memory."""
    from textclf.models.classical import saving

    saving.ADDRESSES = ()


MUTATIONS = {
    mutation.__name__: mutation
    for mutation in (
        in_place,
        manifest_not_checked,
        random_numbers_not_restored,
        lease_always_granted,
        leftovers_kept,
        leaking,
        addresses_kept,
    )
}
