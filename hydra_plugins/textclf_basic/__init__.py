"""The jobs of a sweep as they were planned: Hydra's own sweeper, without those that would repeat another.

Hydra finds plugins in this namespace only.
"""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override


class PlannedBasicSweeper(BasicSweeper):
    """Runs the jobs that the open sweep of this process has planned."""

    def split_arguments(self, overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:  # type: ignore[override]
        """Return the planned jobs in batches.

        Args:
            overrides: Those of the command and the study, whose combinations the plan is made of.
            max_batch_size: Jobs that are launched together; none for all.
        """
        from textclf.experiment.sweep.callback import SweepCallback

        current: Any = SweepCallback.current
        if current is None or current.open is None:
            return BasicSweeper.split_arguments(overrides, max_batch_size)
        return list(self.split_overrides_to_chunks(current.open.jobs, max_batch_size))
