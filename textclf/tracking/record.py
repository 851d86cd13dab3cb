"""The record of a run, and the names of the files of its folder."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from textclf.errors import ArtifactError
from textclf.system.digests import known_digest
from textclf.system.files import MANIFEST_FILE, folders_with, manifest_problem, write_json
from textclf.system.redact import redacted, redacted_tree

RUN_FILE = "run.json"
METRICS_FILE = "evaluation_metrics.json"
ANALYSIS_FILE = "analysis.json"
PREDICTIONS_FILE = "predictions.parquet"
REPORT_FILE = "report.md"
PAGE_FILE = "report.html"
CONFIG_FILE = "config.yaml"
FIGURES = "figures"
FOLD_COLUMNS = ("repeat", "fold")
"""Columns that the predictions of a cross-validation have as well."""
CLASSIFIER = "classifier"
STARTED_FILE = "started.json"
REPORT_PAGE = "report.html"
STATUS_FILE = "status.json"
TRACKING_FILE = "tracking.jsonl"
CHECKPOINTS = "checkpoints"
WEIGHTS = (".safetensors", ".skops")
"""How the names of files end that hold what a classifier learned."""
FORMAT = 1
"""Raised when a record written before can no longer be read."""


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
    """`num_parameters`, `num_trainable_parameters`, `size_bytes` of the saved classifier, `train_seconds`,
    `train_examples_per_second`, `test_examples_per_second`, `latency_median_seconds`, `latency_p95_seconds`,
    `peak_memory_bytes`, `peak_gpu_memory_bytes`, `folds_seconds` of all fits to folds; of a service's answers to the
    test split `input_tokens`, `cached_input_tokens` (some of those) and `output_tokens`; in the currency of the config
    `price_per_1000_texts`, `price_of_training`, and `paid` by the run itself; one that was not measured is absent."""
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
    folds: dict[str, Any] = field(default_factory=dict)
    """Of a cross-validation: `folds`, `repeats`, the fingerprint of the partitions, and the scores of each fold; empty
    where one test split was held out."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds of each phase: `start` (from the command to the data: imports, config, tracker), `load`, `audit`, `fit`,
    `evaluate` (scores and latency), `record` (analysis, figures, files); and `before_first_step`, from the
    command to the first training step of a model that has steps. Empty in records written before there were phases."""
    tracking: dict[str, str | None] = field(default_factory=dict)
    """The tracker's id of the run, and where a person finds it."""
    format: int = FORMAT


def predict_command(folder: str, pairs: bool) -> str:
    """Return the command that predicts with a run or an exported folder, on one text or on a pair of them."""
    return f"python -m textclf.predict {shlex.quote(folder)} " + ('"a text" "another text"' if pairs else '"a text"')


def currency_of(record: RunRecord) -> str:
    """Return the currency of a run's prices; older records have none."""
    return str(record.config.get("currency") or "USD")


def write_record(directory: Path, record: RunRecord) -> None:
    """Write `run.json`, which comes last of a run's files but for the manifest."""
    write_json(directory / RUN_FILE, redacted_tree(asdict(record)))


def read_record(directory: Path) -> RunRecord:
    """Read `run.json`, which must be as the run left it.

    Raises:
        ArtifactError: If it is missing, damaged, of a later format, changed after the run, or of a run whose manifest
            was not written yet.
    """
    path = Path(directory) / RUN_FILE
    refuse_changed(Path(directory), RUN_FILE)
    if path.exists() and not path.is_file():  # a pipe would never end
        raise ArtifactError(f"{path} is damaged: it is no file.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise ArtifactError(f"{path} is of format {content.get('format')!r}; this textclf reads {FORMAT}.")
        later = {"phases", "folds"} - content.keys()
        return RunRecord(**{f.name: content[f.name] for f in fields(RunRecord) if f.name not in later})
    except FileNotFoundError as error:
        raise ArtifactError(f"{directory} holds no finished run: there is no {RUN_FILE} in it.") from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ArtifactError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def has_manifest(directory: Path) -> bool:
    """Whether a run folder says what its files were when it was finished.

    Copies in MLflow's store do not, nor folders put together by hand, nor those from before there were manifests.
    """
    return (Path(directory) / MANIFEST_FILE).exists()


def refuse_changed(directory: Path, *names: str) -> None:
    """Refuse to read files of a run folder that are not as the run left them, by its manifest.

    A folder without one is read as it is, unless it has its start (`started.json`): then the manifest is still to come.
    The manifest is no signature: it tells of accidents and of edits, not of somebody who wrote another manifest too.

    Args:
        directory: The run folder.
        names: The files that are about to be read, by their path from the folder; of a folder, such as the
            classifier's, all files. A file that is not there is passed over: whoever needs it says so.

    Raises:
        ArtifactError: With the folder, the file, and what to do.
    """
    directory = Path(directory)
    if not has_manifest(directory):
        if (directory / STARTED_FILE).exists() and (directory / RUN_FILE).exists():
            raise ArtifactError(
                f"The run in {directory} is not finished: it has a record but no {MANIFEST_FILE}, which a run writes "
                f"last. If nobody is at work there, give its command again with resume=true hydra.run.dir={directory}."
            )
        return
    there = [name for name in names if (directory / name).exists()]
    problem = manifest_problem(directory, there, known_digest) if there else None
    if problem is not None:
        raise ArtifactError(
            f"The run in {directory} is not as it was left: {problem} (by its {MANIFEST_FILE}). Put the file back from "
            f"a copy, or do the run again there: its command with resume=true hydra.run.dir={directory}."
        )


def weights_of(directory: Path) -> dict[str, str]:
    """Return the digests of a run's weights by file, as its manifest has them; empty where it does not say."""
    try:
        files = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))["files"]
        own = [name for name in files if name.startswith(f"{CLASSIFIER}/") and name.endswith(WEIGHTS)]
        return {name: str(files[name]["sha256"]) for name in own}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


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


def config_fingerprint(options: Mapping[str, Any], digits: int = 12) -> str:
    """Return a digest of options that are plain values, in so many hexadecimal digits."""
    return hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode()).hexdigest()[:digits]


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
