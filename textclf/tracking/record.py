"""The run folder, which is the record of a run: what it holds, how it is written and read."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from textclf.errors import ArtifactError
from textclf.system.files import folders_with, write_json
from textclf.system.redact import redacted, redacted_tree

RUN_FILE = "run.json"
METRICS_FILE = "evaluation_metrics.json"
PREDICTIONS_FILE = "predictions.parquet"
REPORT_FILE = "report.md"
CONFIG_FILE = "config.yaml"
FIGURES = "figures"
CLASSIFIER = "classifier"
STARTED_FILE = "started.json"
STATUS_FILE = "status.json"
TRACKING_FILE = "tracking.jsonl"
CHECKPOINTS = "checkpoints"
FORMAT = 1
"""Raised when a record written before can no longer be read."""
LIBRARIES = (
    *("textclf", "torch", "transformers", "tokenizers", "datasets", "scikit-learn", "evaluate", "mlflow", "numpy"),
)


@dataclass(frozen=True)
class RunRecord:
    """All that is known of a finished run, but its predictions and weights."""

    name: str
    """Such as `imdb/bert/seed1`."""
    experiment: str
    dataset: str
    """Name of the dataset, with the size of the subset where it is one."""
    model: str
    trainer: str
    """The engine that trained it; `none` for models that need none."""
    seed: int
    objective: str
    metrics: dict[str, float]
    """Metrics by name, as `test/accuracy`; an undefined one is absent."""
    costs: dict[str, float]
    """`num_parameters`, `size_bytes` of the saved classifier, `train_seconds`, `train_examples_per_second`,
    `test_examples_per_second`, `latency_median_seconds`, `latency_p95_seconds`, `peak_memory_bytes`,
    `peak_gpu_memory_bytes`; one that was not measured is absent."""
    data: dict[str, Any]
    """Source, fingerprints, label names, and examples of each split."""
    fit: dict[str, Any]
    """How training went: device, precision, epochs, and which was kept."""
    config: dict[str, Any]
    """The resolved config."""
    config_fingerprint: str
    """Digest of the options that affect the result."""
    command: str
    """What to type to run it again."""
    environment: dict[str, str]
    """Versions, platform and commit."""
    started: str
    """Time of the start, ISO 8601 with zone."""
    seconds: float
    """Duration of the whole run."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds of each phase: `start` (from the command to the data: imports, config, tracker), `load`, `audit`, `fit`,
    `evaluate` (scores and latency), `record` (analysis, figures, files); and `before_first_step`, from the
    command to the first training step of a model that has steps. Empty in records written before there were phases."""
    tracking: dict[str, str | None] = field(default_factory=dict)
    """The tracker's id of the run, and where a person finds it."""
    format: int = FORMAT


def write_record(directory: Path, record: RunRecord) -> None:
    """Write `run.json`, which comes last of a run's files but for the manifest."""
    write_json(directory / RUN_FILE, redacted_tree(asdict(record)))


def read_record(directory: Path) -> RunRecord:
    """Read `run.json`.

    Raises:
        ArtifactError: If it is missing, damaged, or of a later format.
    """
    path = Path(directory) / RUN_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise ArtifactError(f"{path} is of format {content.get('format')!r}; this textclf reads {FORMAT}.")
        later = {"phases"} - content.keys()
        return RunRecord(**{f.name: content[f.name] for f in fields(RunRecord) if f.name not in later})
    except FileNotFoundError as error:
        raise ArtifactError(f"{directory} holds no finished run: there is no {RUN_FILE} in it.") from error
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ArtifactError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def run_folders(directory: Path) -> list[Path]:
    """Return the folders of all finished runs at or below a folder, in order.

    Copies in MLflow's store are no runs, nor what was set aside in hidden folders.
    """
    found = folders_with(RUN_FILE, Path(directory))
    return [folder for folder in found if folder == Path(directory) or folder.name != "artifacts"]


def find_records(directory: Path) -> list[RunRecord]:
    """Return the records of all finished runs at or below a folder, in order of their paths."""
    return [read_record(folder) for folder in run_folders(directory)]


def folder_bytes(directory: Path) -> int:
    """Return the size of all files below a folder, in bytes."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def config_fingerprint(config: dict[str, Any]) -> str:
    """Return a digest (12 hexadecimal digits) of the options that affect a run's result."""
    relevant = {key: config[key] for key in ("dataset", "model", "trainer", "seed", "objective")}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True, default=str).encode()).hexdigest()[:12]


def environment() -> dict[str, str]:
    """Return the versions of the libraries, the platform, and the commit of textclf's code."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "machine": machine()}
    found |= {"threads": _threads(), **{library: _version(library) for library in LIBRARIES}}
    commit, hub = git_commit(), other_hub()
    return found | ({"git_commit": commit} if commit else {}) | ({"hub": hub} if hub else {})


def _threads() -> str:
    """Return how many threads this process is to compute with."""
    return os.environ.get("OMP_NUM_THREADS") or str(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )


@functools.cache
def _version(library: str) -> str:
    """Return the version of a library that is installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def other_hub() -> str | None:
    """Return the host of the Hub that HF_ENDPOINT names; none for huggingface.co.

    What bears a name of huggingface.co elsewhere, on a mirror or a test server, need not be the same.
    """
    host = urlsplit(os.environ.get("HF_ENDPOINT", "")).netloc.rpartition("@")[2]
    return host if host and host != "huggingface.co" else None


def machine() -> str:
    """Return what computes: the number and kind of the processors, and the GPUs that torch sees."""
    kind = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        kind = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), kind)
    except OSError:
        pass  # not Linux
    said = f"{os.cpu_count()} × {kind}"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        said += "".join(f", {names.count(name)} × {name}" for name in dict.fromkeys(names))
    return said


@functools.cache
def git_commit() -> str | None:
    """Return the commit of the checkout that textclf runs from, `-dirty` where it was changed since.

    Asked once in a process: the code that runs is the code that was there when it was imported.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # installed: a checkout around it would be somebody else's
        return None
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None


def command_line(arguments: list[str]) -> str:
    """Return the command that runs an experiment with these overrides, without the secrets in them."""
    return shlex.join(["python", "-m", "textclf.run", *map(redacted, arguments)])


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Return nested options by dotted names, as in `trainer.batch_size`."""
    out: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            out.update(flat(value, f"{prefix}{key}."))
        else:
            out[f"{prefix}{key}"] = value
    return out


def plain(value: Any) -> Any:
    """Return a value with its enums by name."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
