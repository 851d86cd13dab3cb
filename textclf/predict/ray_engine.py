"""Shards handed out by Ray (`--engine ray`): a process for each core or GPU, on this machine or in a cluster.

Each process is an actor, which loads the classifier once and is given one shard after another, so that its work is what
a single process does (`shard_worker`), with the same ledger. Ray Data was looked at in its place: it resumes by rows,
for which it needs a column of distinct numbers and holds all of those that are done in memory, and it names its outputs
itself. Ray's `ActorPool` does not say which shard a dead actor had.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from textclf.errors import ConfigError, ResourceError
from textclf.predict.predict_file import progress_bar
from textclf.predict.shard_worker import LOOK_SECONDS, Fate, Job, Outcome, ShardWorker
from textclf.predict.shards import Shard
from textclf.system import signals
from textclf.system.redact import names_secret
from textclf.system.unfinished import remove_all_of, this_writer
from textclf.system.wait_policy import cores

log = logging.getLogger(__name__)

TRIES = 3
"""How often a shard is given to a process that dies of it."""
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: listen on 127.0.0.1, in place of all addresses
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a process without a GPU of its own leaves CUDA_VISIBLE_DEVICES alone
}
"""What is said to Ray before it is imported, where nothing else is set."""
PASSED_ON = ("TEXTCLF_", "HF_", "MLFLOW_", "OMP_", "TOKENIZERS_", "CUBLAS_", "OPENAI_BASE_URL")
"""What the names of variables begin with that processes on other machines get too, but for secrets."""


class _Process:
    """What a process of Ray does; Ray makes an actor of it."""

    def __init__(self, job: Job):
        self.worker = ShardWorker(job)

    def begin(self) -> str:
        """Load the classifier, and return what the names of unfinished files begin with that this process writes."""
        self.worker.run.classifier  # noqa: B018  (loaded when it is first asked for)
        return this_writer()

    def predict(self, shard: Shard) -> Outcome:
        """Predict a shard; of one that another command is writing, wait a moment before that is said."""
        outcome = self.worker.predict(shard)
        if outcome.fate is Fate.busy:
            time.sleep(LOOK_SECONDS)
        return outcome


def predict_with_ray(job: Job, shards: Sequence[Shard], note: Callable[[Outcome], None], progress: bool) -> None:
    """Predict shards in as many processes as there are cores or GPUs.

    Args:
        job: What is done with each shard.
        shards: The shards.
        note: Told of the outcome of each.
        progress: Show a progress bar on stderr.

    Raises:
        ConfigError: If Ray is not installed, or cannot be reached.
        ResourceError: If no process can be started.
    """
    if not shards:
        return
    with _connected() as ray, progress_bar(progress) as tell:
        count, resources = _processes(ray.cluster_resources(), job.device)
        actor = ray.remote(**resources, max_restarts=0)(_Process)
        pool = _Pool(ray, lambda: actor.remote(job), min(count, len(shards)))
        sizes = {shard.name: max(shard.input.stat().st_size, 1) for shard in shards}
        past, whole = 0, sum(sizes.values())
        for outcome in pool.outcomes(shards):
            note(outcome)
            past += sizes[outcome.name]
            if tell is not None:
                tell(outcome.rows, past / whole)


class _Pool:
    """Processes of Ray that are given shards, one at a time, and are replaced where they die."""

    def __init__(self, ray: Any, start: Callable[[], Any], count: int):
        """Start processes.

        Args:
            ray: The module.
            start: Starts a process, and returns its handle.
            count: How many there are at once.
        """
        self.ray, self.start = ray, start
        self.starting: dict[Any, Any] = {}
        """Handles by the promise of their beginning."""
        self.working: dict[Any, tuple[Any, Shard]] = {}
        """Handles and their shards, by the promise of an outcome."""
        self.writers: dict[Any, str] = {}
        """What each process writes to, by its handle."""
        self.deaths = 0
        self.is_waiting_told = False
        for _ in range(count):
            self._start()

    def outcomes(self, shards: Sequence[Shard]) -> Iterator[Outcome]:
        """Yield what became of each shard, as they come.

        Raises:
            ResourceError: If processes die before they have begun.
            Exception: What no shard alone is to blame for, as it was raised in a process.
        """
        left, tries, idle = deque(shards), dict.fromkeys(shards, 0), deque[Any]()
        while left or self.working:
            while idle and left:
                handle, shard = idle.popleft(), left.popleft()
                self.working[handle.predict.remote(shard)] = handle, shard
            done, _ = self.ray.wait([*self.starting, *self.working], num_returns=1, timeout=LOOK_SECONDS)
            signals.check()
            for promise in done:
                if promise in self.starting:
                    if (begun := self._begun(promise)) is not None:
                        idle.append(begun)
                    continue
                handle, shard = self.working.pop(promise)
                try:
                    outcome: Outcome = self.ray.get(promise)
                except self.ray.exceptions.RayTaskError as error:
                    raise (error.cause if isinstance(error.cause, Exception) else error) from error
                except self.ray.exceptions.RayError as error:
                    tries[shard] += 1
                    self._bury(handle, shard)
                    if tries[shard] < TRIES:
                        left.append(shard)
                        log.warning("the process that predicted %s died, so it is predicted again", shard.input)
                    else:
                        said = f"{shard.input}: {TRIES} processes died of it ({_first(error)})"
                        yield Outcome(shard.name, Fate.failed, said)
                    continue
                idle.append(handle)
                if outcome.fate is Fate.busy:  # another command is writing it: asked again after the others
                    left.append(shard)
                    if not self.is_waiting_told and len(left) + len(self.working) < len(idle):
                        log.warning("waiting for shards that others write, such as %s %s", shard.output, outcome.said)
                        self.is_waiting_told = True
                else:
                    yield outcome

    def _start(self) -> None:
        handle = self.start()
        self.starting[handle.begin.remote()] = handle

    def _begun(self, promise: Any) -> Any:
        """Return the handle of a process that has begun; none of one that died over it, in whose place one is started.

        Raises:
            ResourceError: If too many have died so.
            Exception: What was raised when the classifier was loaded.
        """
        handle = self.starting.pop(promise)
        try:
            self.writers[handle] = self.ray.get(promise)
        except self.ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from error
        except self.ray.exceptions.RayError as error:
            self.deaths += 1
            if self.deaths > TRIES:
                raise ResourceError(
                    f"Ray's processes die before they have loaded the classifier ({_first(error)}). Their memory may "
                    f"be too small for it; predict with --engine local, which says so."
                ) from error
            self._start()
            return None
        return handle

    def _bury(self, handle: Any, shard: Shard) -> None:
        """Take away what a dead process has left of its shard, and start another in its place."""
        self.ray.kill(handle)
        if (writer := self.writers.pop(handle, None)) is not None:
            remove_all_of(writer, shard.output)
        self._start()


def _processes(resources: dict[str, float], device: str) -> tuple[int, dict[str, float]]:
    """Return how many processes there are, and what each of them takes: a GPU where there are some, else a core."""
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if device == "cuda" and not gpus:
        raise ConfigError("--device cuda: Ray finds no GPU; leave --device out, or name another cluster.")
    if gpus and device in ("auto", "cuda"):
        return gpus, {"num_gpus": 1, "num_cpus": 1 if cpus >= gpus else 0}
    return max(cpus, 1), {"num_cpus": 1, "num_gpus": 0}


def _first(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _connected() -> Iterator[Any]:
    """Give Ray, connected to the cluster that RAY_ADDRESS names, or to processes of this machine alone.

    Raises:
        ConfigError: If it is not installed, or the cluster cannot be reached.
    """
    address = os.environ.get("RAY_ADDRESS")
    names = [name for name in QUIET if address is None or name == "RAY_USAGE_STATS_ENABLED"]
    for name in names:
        os.environ.setdefault(name, QUIET[name])
    if address is None and "RAY_AUTH_MODE" not in os.environ:  # else a token is written to the home folder
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray  # pyright: ignore[reportMissingImports]  (in an environment of its own)
    except ImportError as error:
        raise ConfigError(
            "--engine ray needs the extra ray, which is not installed; in an environment of its own, since it wants "
            "older versions of some libraries: pip install -e '.[ray]'. Without it, the same command without --engine "
            "may be given several times at once, which share the shards."
        ) from error
    passed = {name: value for name, value in os.environ.items()
              if name.startswith(PASSED_ON) and not names_secret(name)}  # fmt: skip
    common = {"log_to_driver": False, "configure_logging": False, "runtime_env": {"env_vars": passed}}
    try:
        if address is None:
            ray.init(address="local", num_cpus=len(cores()), include_dashboard=False, **common)
        else:
            ray.init(address="auto" if address in ("", "auto") else address, **common)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--engine ray: Ray cannot be started or reached{f' at {address}' if address else ''} "
            f"({_first(error)}). Without RAY_ADDRESS it starts processes of this machine."
        ) from error
    try:
        yield ray
    except KeyboardInterrupt as stop:  # Ray raises one of its own in place of what a signal raises
        raise (signals.stopped() if signals.requested() else stop) from None
    finally:
        ray.shutdown()
