"""A process that has imported what runs need and forks a child for each attempt, so that a run costs no imports.

python -m tests.reliability.zygote        reads requests from stdin, a line of JSON each, and answers likewise
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.faults import Fault, arm

ROOT = Path(__file__).parents[2]
IMPORTED = (
    "textclf.run", "textclf.experiment.experiment", "textclf.experiment.sweep.callback", "textclf.models.classical.pipeline",
    "textclf.training.classical", "textclf.tracking.mlflow.tracked_run", "textclf.compare.compare_runs",
    "textclf.data.file_dataset", "textclf.models.classical.hashed_tfidf", "textclf.experiment.results",
    "textclf.experiment.set_results", "textclf.experiment.leaderboard.trend", "textclf.training.plots", "tests.sparing",
    "skops.io", "mlflow", "matplotlib.pyplot", "PIL.PngImagePlugin", "sklearn.naive_bayes", "pandas",
)  # fmt: skip
"""What every run needs."""
OF_TRANSFORMERS = (
    "textclf.models.transformer.classifier", "textclf.training.torch_engine", "textclf.training.hf_engine",
    "textclf.models.transformer.loading", "transformers.models.bert.modeling_bert", "transformers",
)  # fmt: skip
"""What one with a transformer needs beside it. torch is used by the children alone: the zygote itself computes nothing."""
CLASSICAL = {"majority", "naive_bayes", "nb_svm", "tfidf_logreg", "tfidf_svm"}


@dataclass(frozen=True)
class Ended:
    """How an attempt ended."""

    status: int
    """The exit status; the negative number of the signal that killed it."""
    out: str
    err: str
    seconds: float
    report: dict[str, Any] = field(default_factory=dict)
    """What the child left: `operations` that were counted, `fired`, and `result`; empty where it was killed."""

    @property
    def was_killed(self) -> bool:
        return self.status < 0

    def __str__(self) -> str:
        return f"exit {self.status} after {self.seconds:.1f} s\n{self.out[-3000:]}\n{self.err[-6000:]}"


class Attempt:
    """A child that is under way."""

    def __init__(self, zygote: Zygote, pid: int, folder: Path):
        self.zygote, self.pid, self.folder = zygote, pid, folder
        self.began = time.monotonic()

    def signal(self, number: int) -> None:
        """Send it a signal; one that has ended already gets none."""
        self.zygote.ask({"do": "signal", "pid": self.pid, "number": int(number)})

    def is_over(self) -> bool:
        return self.zygote.ask({"do": "poll", "pid": self.pid})["over"]

    def wait(self, timeout: float = 120) -> Ended:
        """Wait for its end; one that takes too long is killed, which is an error."""
        answer = self.zygote.ask({"do": "wait", "pid": self.pid, "timeout": timeout})
        out, err = ((self.folder / name).read_text(errors="replace") for name in ("out", "err"))
        if answer["status"] is None:
            raise TimeoutError(f"an attempt did not end within {timeout} s:\n{out[-2000:]}\n{err[-4000:]}")
        report = self.folder / "report.json"
        found = json.loads(report.read_text()) if report.exists() else {}
        return Ended(answer["status"], out, err, time.monotonic() - self.began, found)


class Zygote:
    """The process that forks, seen from the one that asks.

    Args:
        scratch: Where the output of the attempts is kept.
        library: `faults.so`, to be loaded with LD_PRELOAD; none does without.
        environment: Variables of all attempts.
    """

    def __init__(self, scratch: Path, library: Path | None = None, **environment: str):
        self.scratch, self.library = scratch, library
        scratch.mkdir(parents=True, exist_ok=True)
        self.count = 0
        mine = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true", "MPLCONFIGDIR": str(scratch / "matplotlib"), "MPLBACKEND": "agg",
                "HF_HOME": str(scratch / "hf_home")}  # fmt: skip
        self.environment = {**mine, **environment}
        """What all attempts have, but for the faults in C."""
        if library is not None:
            mine["LD_PRELOAD"] = str(library)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.zygote"], cwd=ROOT, env={**os.environ, **mine, **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.ready = False

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *args: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if not self.ready:
            line = self.process.stdout.readline()
            if line.strip() != "ready":
                raise RuntimeError(f"the zygote could not start: {line}")
            self.ready = True
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(
        self,
        function: str,
        *args: Any,
        cwd: Path,
        fault: Fault | None = None,
        folders: list[Path] | None = None,
        mutation: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> Attempt:
        """Fork a child that calls `module:function` with plain arguments.

        Args:
            function: What to call.
            args: Its arguments, as JSON can hold them.
            cwd: Where it runs.
            fault: What befalls it.
            folders: Where operations count; by default `cwd`.
            mutation: Name of a defect of `mutations.py` that is put into it first.
            environment: Variables of its own.
        """
        self.count += 1
        folder = self.scratch / f"attempt{self.count}"
        folder.mkdir()
        request = {
            "do": "start", "function": function, "args": args, "cwd": str(cwd), "folder": str(folder),
            "fault": fault.plain() if fault else None, "folders": [str(f) for f in folders or [cwd]],
            "mutation": mutation, "environment": environment or {},
        }  # fmt: skip
        return Attempt(self, self.ask(request)["pid"], folder)

    def run(self, function: str, *args: Any, timeout: float = 120, **rest: Any) -> Ended:
        """Fork a child, and wait for its end."""
        return self.start(function, *args, **rest).wait(timeout)


def _child(request: dict[str, Any]) -> int:
    """Do what a request asks; return the exit status."""
    folder = Path(request["folder"])
    for number, name in ((1, "out"), (2, "err")):
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    if request["mutation"]:
        from tests.reliability.mutations import MUTATIONS

        MUTATIONS[request["mutation"]]()
    module, _, name = request["function"].partition(":")
    function = getattr(importlib.import_module(module), name)
    countdown = None
    if request["fault"]:
        fault = Fault(**request["fault"])
        trace = folder / "trace" if fault.kind == "count" else None
        countdown = arm(fault, [Path(path) for path in request["folders"]], trace)
    result, status = None, 0
    try:
        result = function(*request["args"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 99
    _run_exit_handlers()
    report = {"result": result}
    if countdown is not None:
        report |= {"operations": countdown.counted(), "fired": countdown.fired()}
    with open(folder / "report.json", "w") as file:
        json.dump(report, file)
    return status


def _run_exit_handlers() -> None:
    """Do what the interpreter would do at its end, which a forked child leaves out."""
    import atexit
    import threading

    try:
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()


def _status(code: int) -> int:
    return -os.WTERMSIG(code) if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)


def import_all(names: Iterable[str]) -> None:
    """Import modules for good: no collection of garbage looks through them."""
    gc.disable()
    for name in names:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    gc.enable()


def _may_load_transformer(arguments: list[Any]) -> bool:
    """Whether a command may train or load a transformer, by the models that it names; one that names none may."""
    models = [str(given).removeprefix("model=") for given in arguments if str(given).startswith("model=")]
    return not models or not CLASSICAL.issuperset(",".join(models).split(","))


def main() -> None:
    """Import what every run needs, then fork a child for each request until stdin ends."""
    from textclf.system.environment import git_commit
    from textclf.tracking.run_start import code_digest

    import_all(IMPORTED)
    code_digest(), git_commit()  # asked once, so that an edit under way makes no difference between two attempts
    ended: dict[int, int] = {}
    started: set[int] = set()
    print("ready", flush=True)

    def look(pid: int, flags: int) -> bool:
        if pid not in ended:
            found, code = os.waitpid(pid, flags)
            if found:
                ended[pid] = _status(code)
        return pid in ended

    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        pid = request.get("pid", 0)
        if request["do"] == "start":
            if _may_load_transformer(request["args"]) and OF_TRANSFORMERS[0] not in sys.modules:
                import_all(OF_TRANSFORMERS)
            pid = os.fork()
            if pid == 0:
                try:
                    os._exit(_child(request))
                except BaseException:
                    traceback.print_exc()
                    os._exit(98)
            started.add(pid)
            answer = {"pid": pid}
        elif request["do"] == "signal":
            if not look(pid, os.WNOHANG):
                os.kill(pid, request["number"])
        elif request["do"] == "poll":
            answer = {"over": look(pid, os.WNOHANG)}
        elif request["do"] == "wait":
            until = time.monotonic() + request["timeout"]
            while not look(pid, os.WNOHANG) and time.monotonic() < until:
                time.sleep(0.005)
            if pid not in ended:
                os.kill(pid, signal.SIGKILL)
                look(pid, 0)
                answer = {"status": None}
            else:
                answer = {"status": ended[pid]}
        print(json.dumps(answer), flush=True)
    for pid in started - ended.keys():
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
