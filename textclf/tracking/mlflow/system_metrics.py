"""Sample the machine during a run: processor, memory, disk, network and GPUs, under MLflow's names for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
from mlflow.system_metrics.metrics.rocm_monitor import ROCMMonitor

log = logging.getLogger(__name__)

SAMPLE_SECONDS = 2.0
PREFIX = "system/"
FIRST_METRIC = f"{PREFIX}cpu_utilization_percentage"
"""A metric that each sample has."""


@contextmanager
def watch_machine(log_metrics: Callable[[Mapping[str, float], int], None], first_step: int) -> Iterator[None]:
    """Sample the machine inside the context, in the background.

    MLflow's own monitor writes to the store itself and stops for good at its first fault; this one tells the run,
    which keeps it.

    Args:
        log_metrics: Takes a sample and its number.
        first_step: Number of the first sample, above those that the run has already.
    """
    over = threading.Event()
    thread = threading.Thread(target=_sample, args=(log_metrics, first_step, over), name="machine", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(SAMPLE_SECONDS)


def _sample(log_metrics: Callable[[Mapping[str, float], int], None], step: int, over: threading.Event) -> None:
    try:
        monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor(), *_gpu_monitors()]
        while not over.wait(SAMPLE_SECONDS):
            found: dict[str, float] = {}
            for monitor in monitors:
                monitor.collect_metrics()
                found |= {f"{PREFIX}{name}": float(value) for name, value in monitor.aggregate_metrics().items()}
                monitor.clear_metrics()
            log_metrics(found, step)
            step += 1
    except Exception as error:  # of drivers and containers, which costs the run nothing
        log.warning("system metrics are not available: %s", error)


def _gpu_monitors() -> list[BaseMetricsMonitor]:
    for kind in (GPUMonitor, ROCMMonitor):
        try:
            return [kind()]
        except Exception as error:
            log.debug("no %s: %s", kind.__name__, error)
    return []
