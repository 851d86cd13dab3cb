"""What the children of the zygote do. It imports little, and above all not `tests.conftest`, which starts a server.

python -m tests.reliability.child OVERRIDE …      the same in a fresh process
"""

from __future__ import annotations

import sys


def command(*arguments: str) -> None:
    """Do what `python -m textclf.run` does with these arguments, in this process; its pictures are of one pixel."""
    spare()
    from textclf.run import main

    sys.argv = ["textclf.run", *arguments]
    main()


def spare() -> None:
    """Draw and measure little, which is not what is tested here."""
    from tests import sparing

    sparing.draw_pixels()
    sparing.measure_little()


def soak(jobs: int, *arguments: str) -> list[tuple[int, int, int]]:
    """Do a sweep in this process, and measure it after each job.

    Args:
        jobs: Number of its jobs.
        arguments: What `python -m textclf.run -m` is given, but for the seeds that make the jobs.

    Returns:
        Resident bytes, open files and threads after each job.
    """
    import psutil

    from textclf.experiment.sweep.callback import SweepCallback

    process, found = psutil.Process(), []
    end = SweepCallback.on_job_end

    def measured(callback: SweepCallback, *args: object, **rest: object) -> None:
        end(callback, *args, **rest)  # type: ignore[arg-type]
        with process.oneshot():
            found.append((process.memory_info().rss, process.num_fds(), process.num_threads()))

    SweepCallback.on_job_end = measured  # type: ignore[method-assign]
    command("-m", *arguments, f"seed={','.join(str(seed) for seed in range(1, jobs + 1))}")
    return found


def main() -> None:
    """Do a run; an argument `mutation:NAME` puts a defect into it first."""
    names = [given for given in sys.argv[1:] if given.startswith("mutation:")]
    for name in names:
        from tests.reliability.mutations import MUTATIONS

        MUTATIONS[name.partition(":")[2]]()
    command(*(given for given in sys.argv[1:] if given not in names))


if __name__ == "__main__":
    main()
