"""One experiment, from data to record: the main path, top to bottom.

experiment = Experiment(dataset, model, trainer, tracker, seed=1)
record = run_experiment(experiment, Path("outputs/mine"))
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from textclf import records
from textclf.data.options import DatasetOptions
from textclf.data.text_data import SPLITS, TextData, summary
from textclf.errors import ArtifactError
from textclf.evaluation.cost import latency
from textclf.evaluation.metric_names import check_objective
from textclf.evaluation.predictions import evaluate_split
from textclf.memory import watch_memory
from textclf.models.base import Classifier, FitResult, ModelOptions, RunContext
from textclf.models.options import TransformerModel
from textclf.records import RunRecord, folder_bytes
from textclf.results import announce, write_results
from textclf.tracking.options import NullTracker, TrackedRun, TrackerOptions
from textclf.training.options import TorchTrainer, TrainerOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """All that decides a run."""

    dataset: DatasetOptions
    model: ModelOptions
    trainer: TrainerOptions = field(default_factory=TorchTrainer)
    tracker: TrackerOptions = field(default_factory=NullTracker)
    seed: int = 1
    """Seed of initial weights, order of examples and dropout."""
    objective: str = "validation/macro_f1"
    """The validation metric that chooses the best epoch and is returned to a sweeper."""
    name: str = "textclf"
    """The tracker's experiment."""
    run_name: str | None = None
    """Name of the run; none makes it from dataset, model and seed."""
    save_classifier: bool = True
    """Keep the fitted classifier in the run folder."""

    @property
    def title(self) -> str:
        """The name of the run, such as `imdb/bert/seed1`."""
        return self.run_name or f"{self.dataset.display_name}/{self.model.name}/seed{self.seed}"

    @property
    def engine(self) -> str:
        """What trains the model: `torch`, `hf`, or `none` for models that need no trainer."""
        if not isinstance(self.model, TransformerModel):
            return "none"
        return type(self.trainer).__name__.removesuffix("Trainer").lower()


def run_experiment(
    experiment: Experiment, run_dir: Path, command: str = "", parent_run_id: str | None = None
) -> RunRecord:
    """Run an experiment and write its record.

    Args:
        experiment: What to run.
        run_dir: The folder to write to; made where it is not there. It must hold no finished run.
        command: What a person types to run it again, for the record.
        parent_run_id: The tracker's id of the run that holds the sweep that this one is part of.

    Returns:
        The record, as written to `run_dir`.

    Raises:
        TextclfError: If the options, the data or the checkpoint are not usable; before anything
            expensive wherever it can be known then.
    """
    started, clock = datetime.now(UTC).astimezone(), time.perf_counter()
    run_dir = Path(run_dir)
    _prepare(run_dir)
    log.info("== %s", experiment.title)
    if parent_run_id is None:
        check(experiment)  # before anything else: a person waits for the answer
    config = resolved_options(experiment)
    environment = records.environment()
    fingerprint = records.config_fingerprint(config)
    tags = _tags(experiment, fingerprint, environment)

    with experiment.tracker.start(experiment.name, experiment.title, tags, parent_run_id) as tracked:
        if parent_run_id is not None:
            check(experiment)  # the tracker's record of the sweep then shows what failed
        tracked.log_params(records.flat(config))
        data = experiment.dataset.load()
        log.info("%s", summary(data))
        tracked.log_dataset(data)

        with watch_memory() as peak:
            classifier, fit = fit_model(experiment, data, tracked)
            validation = fit.best_metrics or evaluate_split(classifier, data, "validation").metrics
            single = latency(classifier, data)
            test = evaluate_split(classifier, data, "test", tuple(experiment.dataset.metrics))
        metrics = {**validation, **test.metrics}
        costs = {
            "num_parameters": float(fit.num_parameters),
            "train_seconds": fit.train_seconds,
            "train_examples_per_second": fit.examples_per_second,
            "test_examples_per_second": test.examples_per_second,
            **single,
            "peak_memory_bytes": float(peak.memory_bytes),
        }
        if peak.gpu_memory_bytes is not None:
            costs["peak_gpu_memory_bytes"] = float(peak.gpu_memory_bytes)
        if experiment.save_classifier:
            classifier.save(run_dir / records.CLASSIFIER)
            costs["size_bytes"] = float(folder_bytes(run_dir / records.CLASSIFIER))
        tracked.log_metrics({**metrics, **{f"cost/{key}": value for key, value in costs.items()}}, _last_step(fit))

        record = RunRecord(
            name=experiment.title,
            experiment=experiment.name,
            dataset=data.name,
            model=experiment.model.name,
            trainer=experiment.engine,
            seed=experiment.seed,
            objective=experiment.objective,
            metrics=metrics,
            costs=costs,
            data=_describe(data),
            fit=_course(fit),
            config=config,
            config_fingerprint=fingerprint,
            command=command,
            environment=environment,
            started=started.isoformat(timespec="seconds"),
            seconds=round(time.perf_counter() - clock, 3),
            tracking={"run_id": tracked.run_id, "url": tracked.url},
        )
        files = write_results(run_dir, record, data, fit, test)
        records.write_record(run_dir, record)
        tracked.log_artifacts(run_dir, [*files, records.RUN_FILE])
        if experiment.tracker.log_model and experiment.save_classifier:
            tracked.log_artifacts(run_dir, [records.CLASSIFIER])
    announce(record, data, test, run_dir)
    return record


def check(experiment: Experiment) -> None:
    """Raise before any data is loaded where the objective, the model or the trainer cannot be had.

    Raises:
        TextclfError: With what is wrong and what would help.
    """
    check_objective(experiment.objective)
    experiment.model.check()
    if experiment.engine != "none":
        experiment.trainer.check()


def follow_experiment(experiment: Experiment) -> None:
    """Take part in a data-parallel experiment beside the process that runs and records it."""
    data = experiment.dataset.load()
    experiment.model.fit(data, experiment.trainer, RunContext(experiment.seed, experiment.objective, is_main=False))


def fit_model(experiment: Experiment, data: TextData, tracked: TrackedRun) -> tuple[Classifier, FitResult]:
    """Fit the model, its course logged to the tracker."""
    context = RunContext(experiment.seed, experiment.objective, log_metrics=tracked.log_metrics)
    if experiment.engine == "none":
        log.info("%s is fitted by scikit-learn; the options of trainer have no part in it", experiment.model.name)
    classifier, fit = experiment.model.fit(data, experiment.trainer, context)
    log.info(
        "%s fitted in %.1f s: %s parameters, %s in %s",
        experiment.model.name,
        fit.train_seconds,
        f"{fit.num_parameters:,}",
        fit.device,
        fit.precision,
    )
    return classifier, fit


def resolved_options(experiment: Experiment) -> dict[str, Any]:
    """Return every option as plain values, by group."""
    groups = {
        "dataset": experiment.dataset,
        "model": experiment.model,
        "trainer": experiment.trainer,
        "tracker": experiment.tracker,
    }
    config: dict[str, Any] = {
        group: {"_target_": f"{type(node).__module__}.{type(node).__name__}", **records.plain(asdict(node))}
        for group, node in groups.items()
    }
    config["seed"] = experiment.seed
    config["objective"] = experiment.objective
    config["experiment"] = experiment.name
    config["run_name"] = experiment.title
    config["save_classifier"] = experiment.save_classifier
    return config


def _prepare(run_dir: Path) -> None:
    """Make the run folder, and refuse one that cannot be written or holds a finished run."""
    if (run_dir / records.RUN_FILE).exists():
        raise ArtifactError(f"{run_dir} holds a finished run, which is never overwritten; name another folder.")
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        probe = run_dir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ArtifactError(
            f"The run folder {run_dir} cannot be written: {error.strerror or error}. Name another with "
            f"hydra.run.dir=/path/to/it (hydra.sweep.dir for sweeps)."
        ) from error


def _tags(experiment: Experiment, fingerprint: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a run is found by in the tracker."""
    return {
        "dataset": experiment.dataset.display_name,
        "model": experiment.model.name,
        "trainer": experiment.engine,
        "seed": str(experiment.seed),
        "config_fingerprint": fingerprint,
        **{key: environment[key] for key in ("git_commit", "textclf", "torch", "transformers") if key in environment},
    }


def _describe(data: TextData) -> dict[str, Any]:
    """Return what a record says of the data."""
    return {
        "source": data.source,
        "fingerprint": data.fingerprint,
        "test_fingerprint": data.test_fingerprint,
        "label_names": list(data.label_names),
        "pairs": data.has_pairs,
        "examples": {split: len(data.split(split)) for split in SPLITS},
    }


def _course(fit: FitResult) -> dict[str, Any]:
    """Return what a record says of a fit: all but its predictions."""
    said = records.plain(asdict(replace(fit, validation_probabilities=None)))
    del said["validation_probabilities"]
    return said


def _last_step(fit: FitResult) -> int:
    """Return the step that the kept weights belong to."""
    return next((epoch.step for epoch in fit.epochs if epoch.epoch == fit.best_epoch), 0)
