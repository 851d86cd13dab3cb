"""One experiment, from data to record: the main path, top to bottom.

experiment = Experiment(dataset, model, trainer, tracker, seed=1)
record = run_experiment(experiment, Path("outputs/mine"))
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from textclf import records
from textclf.audit.gate import pass_gate
from textclf.data.options import DatasetOptions
from textclf.data.text_data import TextData, labels_of, summary
from textclf.errors import ArtifactError
from textclf.evaluation.analysis import analyse
from textclf.evaluation.calibration import calibrate
from textclf.evaluation.cost import latency
from textclf.evaluation.metric_names import check_objective
from textclf.evaluation.options import AnalysisOptions
from textclf.evaluation.predictions import Predictions, evaluate_split, measure_predictions
from textclf.memory import watch_memory
from textclf.models.base import Calibration, Classifier, FitResult, ModelOptions, RunContext
from textclf.models.options import TransformerModel
from textclf.models.token_cache import remembering_tokens
from textclf.phases import Phases
from textclf.provenance import costs_of, course_of, described, resolved_options, tags_of
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
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)
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
    experiment: Experiment,
    run_dir: Path,
    command: str = "",
    parent_run_id: str | None = None,
    begun: float | None = None,
) -> RunRecord:
    """Run an experiment and write its record.

    Args:
        experiment: What to run.
        run_dir: The folder to write to; made where it is not there. It must hold no finished run.
        command: What a person types to run it again, for the record.
        parent_run_id: The tracker's id of the run that holds the sweep that this one is part of.
        begun: When the command was given, in seconds since 1970; none for now.

    Returns:
        The record, as written to `run_dir`.

    Raises:
        TextclfError: If the options, the data or the checkpoint are not usable; before anything
            expensive wherever it can be known then.
    """
    started, clock = datetime.now(UTC).astimezone(), time.perf_counter()
    phases = Phases(begun)
    run_dir = Path(run_dir)
    _prepare(run_dir)
    log.info("== %s", experiment.title)
    if parent_run_id is None:
        check(experiment)  # before anything else: a person waits for the answer
    config = resolved_options(experiment)
    environment = records.environment()
    fingerprint = records.config_fingerprint(config)
    tags = tags_of(experiment, fingerprint, environment)

    with experiment.tracker.start(experiment.name, experiment.title, tags, parent_run_id) as tracked:
        if parent_run_id is not None:
            check(experiment)  # the tracker's record of the sweep then shows what failed
        tracked.set_tags({"run_folder": str(run_dir.resolve())})
        tracked.log_params(records.flat(config))
        with phases.phase("load"):
            data = experiment.dataset.load(run_dir)
            log.info("%s", summary(data))
        with phases.phase("audit"):
            data, audited = pass_gate(data, experiment.dataset.on_leakage)
        tracked.log_dataset(data)

        with watch_memory() as peak, remembering_tokens():
            with phases.phase("fit"):
                classifier, fit = fit_model(experiment, data, tracked)
            with phases.phase("evaluate"):
                validated, validation = validate(experiment, classifier, data, fit)
                single = latency(classifier, data)
                test = evaluate_split(classifier, data, "test", tuple(experiment.dataset.metrics))
        size = _save(experiment, classifier, run_dir)  # before all that could still fail
        analysis = analyse(classifier, data, validated, test.predictions, experiment.analysis)
        metrics = {**validation, **test.metrics}
        costs = costs_of(fit, test, peak) | single | size
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
            data=described(data) | {"audit": audited},
            fit=course_of(fit),
            config=config,
            config_fingerprint=fingerprint,
            command=command,
            environment=environment,
            started=started.isoformat(timespec="seconds"),
            seconds=round(time.perf_counter() - clock, 3),
            tracking={"run_id": tracked.run_id, "url": tracked.url},
        )
        files = write_results(run_dir, record, data, fit, test, analysis)
        records.write_record(run_dir, record)
        tracked.log_artifacts(run_dir, files)
        if experiment.tracker.log_model and experiment.save_classifier:
            tracked.log_model(run_dir)
        record = replace(record, phases=phases.plain("record", fit.began))
        records.write_record(run_dir, record)
        tracked.log_artifacts(run_dir, [records.RUN_FILE])
    announce(record, data, test, analysis, run_dir)
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
    data, _ = pass_gate(experiment.dataset.load(), experiment.dataset.on_leakage, tell=False)
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


def validate(
    experiment: Experiment, classifier: Classifier, data: TextData, fit: FitResult
) -> tuple[Predictions, dict[str, float]]:
    """Return what the fitted classifier predicts on validation, with its metrics, calibrated first where asked for."""
    if fit.validation_probabilities is None:
        found = evaluate_split(classifier, data, "validation")
        predictions, metrics = found.predictions, found.metrics
    else:
        predictions = Predictions(labels_of(data.validation), fit.validation_probabilities, data.label_names)
        metrics = fit.best_metrics
    if experiment.model.calibration is not Calibration.temperature:
        return predictions, metrics
    change = calibrate(classifier, predictions)
    log.info(
        "temperature %.2f, fitted on validation: log loss there %.4f, was %.4f; calibration error %.3f, was %.3f",
        change.temperature,
        change.after.log_loss,
        change.before.log_loss,
        change.after.ece,
        change.before.ece,
    )
    return change.predictions, measure_predictions(data, "validation", change.predictions)


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


def _save(experiment: Experiment, classifier: Classifier, run_dir: Path) -> dict[str, float]:
    """Keep the classifier where that is asked for, and return its size as a cost."""
    if not experiment.save_classifier:
        return {}
    classifier.save(run_dir / records.CLASSIFIER)
    return {"size_bytes": float(folder_bytes(run_dir / records.CLASSIFIER))}


def _last_step(fit: FitResult) -> int:
    """Return the step that the kept weights belong to."""
    return next((epoch.step for epoch in fit.epochs if epoch.epoch == fit.best_epoch), 0)
