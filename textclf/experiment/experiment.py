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

from textclf.audit.gate import pass_gate
from textclf.data.dataset import TextData, fingerprint_of, summary
from textclf.data.load import load
from textclf.data.options import DatasetOptions
from textclf.errors import DataError
from textclf.evaluation.analysis import analyse
from textclf.evaluation.evaluate import evaluate_split, latency
from textclf.evaluation.metric_names import check_objective
from textclf.evaluation.options import AnalysisOptions
from textclf.experiment.fitting import fit_model, validate, warned_of_collapse
from textclf.experiment.provenance import costs_of, course_of, described, resolved_options, tags_of
from textclf.experiment.results import announce, scores_said, write_results
from textclf.models.base import Classifier
from textclf.models.options import ModelOptions, TransformerModel
from textclf.models.transformer.token_cache import remembering_tokens
from textclf.system.environment import environment
from textclf.system.memory import watch_memory
from textclf.system.redact import redacted, redacted_tree
from textclf.system.timing import Phases
from textclf.tracking import record as records
from textclf.tracking.options import NullTracker, TrackerOptions
from textclf.tracking.record import RunRecord, folder_bytes
from textclf.tracking.run_folder import RunFolder, open_run
from textclf.tracking.run_start import RunStart, code_digest, fingerprint_of_work
from textclf.training.fit import check as check_model
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer, TrainerOptions
from textclf.training.result import FitResult, RunContext

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
        return redacted(self.run_name or f"{self.dataset.display_name}/{self.model.name}/seed{self.seed}")

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
    resume: bool = False,
    accept_changes: bool = False,
) -> RunRecord:
    """Run an experiment and write its record.

    Args:
        experiment: What to run.
        run_dir: The folder to write to; made where it is not there. It must hold no run, but for `resume`.
        command: What a person types to run it again, for the record.
        parent_run_id: The tracker's id of the run that holds the sweep that this one is part of.
        begun: When the command was given, in seconds since 1970; none for now.
        resume: Go on with the run that `run_dir` holds. A finished one is not run again.
        accept_changes: Go on although code, versions or machine have changed since it was begun.

    Returns:
        The record, as written to `run_dir`.

    Raises:
        TextclfError: If the options, the data, the checkpoint or the folder are not usable; before
            anything expensive wherever it can be known then.
    """
    phases = Phases(begun)
    run_dir = Path(run_dir)
    log.info("== %s", experiment.title)
    if parent_run_id is None:
        check(experiment)  # before anything else: a person waits for the answer
    started = started_now(experiment, command)
    with open_run(run_dir, started, resume, accept_changes) as folder:
        if folder.record is not None:
            folder.check_data(load(experiment.dataset).fingerprint)
            log.info("finished before, so not run again: %s in %s", scores_said(folder.record), run_dir)
            return folder.record
        return _run(experiment, folder, phases, parent_run_id)


def started_now(experiment: Experiment, command: str = "") -> RunStart:
    """Return what a run of the experiment would be begun with in this process."""
    config = resolved_options(experiment)
    return RunStart(
        name=experiment.title,
        fingerprint=fingerprint_of_work(config),
        config=redacted_tree(config),
        environment=environment() | {"code": code_digest()},
        command=command,
        started=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
    )


def _run(experiment: Experiment, folder: RunFolder, phases: Phases, parent_run_id: str | None) -> RunRecord:
    """Run an experiment in a folder that is open, from where it stands there to the end."""
    clock = time.perf_counter()
    started, run_dir, stage = folder.started, folder.path, folder.stage
    fingerprint = records.config_fingerprint(started.config)
    tags = tags_of(experiment, fingerprint, started.environment)
    with experiment.tracker.start(experiment.name, experiment.title, tags, parent_run_id, run_dir) as tracked:
        if parent_run_id is not None:
            check(experiment)  # the tracker's record of the sweep then shows what failed
        tracked.set_tags({"run_folder": str(run_dir.resolve())})
        tracked.log_params(records.flat(started.config))
        with phases.phase("load"):
            data = load(experiment.dataset, run_dir)
            folder.check_data(data.fingerprint)
            log.info("%s", summary(data))
        with phases.phase("audit"):
            data, audited = pass_gate(data, experiment.dataset.on_leakage)
        tracked.log_dataset(data)

        context = RunContext(
            experiment.seed,
            experiment.objective,
            tracked.log_metrics,
            checkpoints=folder.checkpoints,
            accept_changes=folder.accept_changes,
            fenced=folder.lease.fenced,
        )
        with watch_memory() as peak, remembering_tokens():
            with phases.phase("fit"):
                classifier, fit = fit_model(experiment, data, context)
            with phases.phase("evaluate"):
                validated, validation = validate(experiment, classifier, data, fit)
                fit = warned_of_collapse(experiment, data, fit, validated)
                single = latency(classifier, data)
                test = evaluate_split(classifier, data, "test", tuple(experiment.dataset.metrics))
        size = _save(experiment, classifier, stage)
        with folder.keeping(records.CLASSIFIER):  # whatever still fails
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
                config=started.config,
                config_fingerprint=fingerprint,
                command=started.command,
                environment=started.environment | folder.said_of_changes(),
                started=started.started,
                seconds=round(time.perf_counter() - clock, 3),
                tracking={"run_id": tracked.run_id, "url": tracked.url},
            )
            files = write_results(stage, record, data, fit, test, analysis)
            _check_unchanged(data)
        record = replace(record, phases=phases.plain("record", fit.began))
        folder.finish(record)
        tracked.log_artifacts(run_dir, [*files, records.RUN_FILE])
        if experiment.tracker.log_model and experiment.save_classifier:
            tracked.log_model(run_dir)
    announce(record, data, test, analysis, run_dir)
    return record


def check(experiment: Experiment) -> None:
    """Raise before any data is loaded where the objective, the model or the trainer cannot be had.

    Raises:
        TextclfError: With what is wrong and what would help.
    """
    check_objective(experiment.objective)
    check_model(experiment.model, experiment.trainer)


def follow_experiment(experiment: Experiment) -> None:
    """Take part in a data-parallel experiment beside the process that runs and records it."""
    data, _ = pass_gate(load(experiment.dataset), experiment.dataset.on_leakage, tell=False)
    context = RunContext(experiment.seed, experiment.objective, is_main=False)
    fit(experiment.model, data, experiment.trainer, context)


def _check_unchanged(data: TextData) -> None:
    """Raise if the data that are read from disk were changed under the run."""
    if fingerprint_of(data.label_names, data.train, data.validation, data.test) != data.fingerprint:
        raise DataError(
            "The data were changed on disk while the run read them, so its scores belong to no data there are. "
            "Leave the files (and the cache of datasets) alone during a run, and run it anew."
        )


def _save(experiment: Experiment, classifier: Classifier, folder: Path) -> dict[str, float]:
    """Keep the classifier where that is asked for, and return its size as a cost."""
    if not experiment.save_classifier:
        return {}
    classifier.save(folder / records.CLASSIFIER)
    return {"size_bytes": float(folder_bytes(folder / records.CLASSIFIER))}


def _last_step(fit: FitResult) -> int:
    """Return the step that the kept weights belong to."""
    return next((epoch.step for epoch in fit.epochs if epoch.epoch == fit.best_epoch), 0)
