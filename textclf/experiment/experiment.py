"""One experiment, from data to record: the main path, top to bottom.

experiment = Experiment(dataset, model, trainer, tracker, seed=1)
record = run_experiment(experiment, Path("outputs/mine"))
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textclf.audit.gate import pass_gate
from textclf.data.dataset import SPLITS, TextData, headline, summary
from textclf.data.load import check as check_data
from textclf.data.load import load
from textclf.errors import ConfigError, DataError
from textclf.evaluation.evaluate import evaluate_split, latency
from textclf.evaluation.label_sets.set_predictions import SetPredictions
from textclf.evaluation.metric_names import check_objective, check_objective_of
from textclf.evaluation.predictions import Predictions
from textclf.experiment.cross_validation import cross_validate
from textclf.experiment.fitting import Outcome, fit_and_tell, validate, warned_of_collapse, warned_of_unread
from textclf.experiment.leaderboard.home import update_home
from textclf.experiment.notes import costs_words, rounded_figures, run_note
from textclf.experiment.options import Decides, Experiment, deciding
from textclf.experiment.provenance import costs_of, course_of, described, money_of, resolved_options, tags_of
from textclf.models.base import Classifier
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.llm.options import OF_ASKING
from textclf.models.options import ClassicalModel
from textclf.models.transformer.token_cache import TOKENS
from textclf.system.environment import environment
from textclf.system.imports import importing
from textclf.system.memory import watch_memory
from textclf.system.redact import redacted_tree
from textclf.system.timing import Phases
from textclf.system.wait_policy import wait_policy
from textclf.tracking import record as records
from textclf.tracking.options import COSTS_TAG, NOTE_TAG
from textclf.tracking.record import RunRecord, folder_bytes
from textclf.tracking.run_folder import RunFolder, open_run
from textclf.tracking.run_start import RunStart, code_digest
from textclf.tracking.start import start_run
from textclf.training.fit import check as check_model
from textclf.training.fit import fit as fit_model
from textclf.training.result import FitResult, RunContext

if TYPE_CHECKING:
    from textclf.evaluation.analysis import Analysis
    from textclf.evaluation.label_sets.set_analysis import SetAnalysis

log = logging.getLogger("textclf.experiment")
screen = logging.getLogger("textclf.said")
screen_of_data = logging.getLogger("textclf.said.data")


def run_experiment(
    experiment: Experiment,
    run_dir: Path | str | None = None,
    command: str = "",
    parent_run_id: str | None = None,
    begun: float | None = None,
    resume: bool = False,
    accept_changes: bool = False,
) -> RunRecord:
    """Run an experiment and write its record.

    Args:
        experiment: What to run.
        run_dir: The folder to write to; made where it is not there. It must hold no run, but for `resume`. None takes
            `outputs/runs/DATE/TIME`, as the command does.
        command: What a person types to run it again, for the record.
        parent_run_id: The tracker's id of the run that holds the sweep that this one is part of.
        begun: When the command was given, in seconds since 1970; none for now.
        resume: Resume the run that `run_dir` holds. A finished one is not run again.
        accept_changes: Resume although code, versions or machine have changed since it was started.

    Returns:
        The record, as written to `run_dir`.

    Raises:
        TextclfError: If the options, the data, the checkpoint or the folder are not usable; before
            anything expensive wherever it can be known then.
    """
    phases = Phases(begun)
    run_dir = Path(run_dir or f"outputs/runs/{datetime.now():%Y-%m-%d/%H-%M-%S-%f}")
    log.info("== %s", experiment.title)
    if parent_run_id is None:
        check(experiment)  # before anything else: a person waits for the answer
    started = started_now(experiment, command)
    with open_run(run_dir, started, resume, accept_changes) as folder:
        if folder.record is not None:
            folder.check_data(load(experiment.dataset).fingerprint)
            from textclf.experiment.results import scores_said

            screen.info("finished before, so not run again: %s in %s", scores_said(folder.record), run_dir)
            return folder.record
        record = _run(experiment, folder, phases, parent_run_id)
    update_home(run_dir)
    return record


def started_now(experiment: Experiment, command: str = "") -> RunStart:
    """Return what a run of the experiment would start with in this process."""
    config = resolved_options(experiment)
    return RunStart(
        name=experiment.title,
        fingerprint=run_fingerprint(config),
        config=redacted_tree(config),
        environment=environment() | {"code": code_digest()},
        command=command,
        started=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
    )


def run_fingerprint(config: Mapping[str, Any]) -> str:
    """Return the digest of the options that decide the results a run leaves, by which it is found again to resume."""
    options = deciding(config, Decides.metrics, Decides.files)
    trainer = {key: value for key, value in config["trainer"].items() if key != "checkpoint_every"}
    model = {key: value for key, value in config["model"].items() if key not in OF_ASKING}
    return records.config_fingerprint(options | {"trainer": trainer, "model": model}, digits=16)


def _run(experiment: Experiment, folder: RunFolder, phases: Phases, parent_run_id: str | None) -> RunRecord:
    """Run an experiment in a folder that is open, from where it stands there to the end."""
    clock = time.perf_counter()
    started, run_dir, stage = folder.started, folder.path, folder.stage
    fingerprint = records.config_fingerprint(deciding(started.config, Decides.metrics))
    tags = tags_of(experiment, fingerprint, started.environment)
    name, title = experiment.experiment, experiment.title
    with start_run(experiment.tracker, name, title, tags, parent_run_id, run_dir) as tracked:
        if parent_run_id is not None:
            check(experiment)  # the tracker's record of the sweep then shows what failed
        tracked.set_tags({"run_folder": str(run_dir.resolve())})
        tracked.log_params(records.flat(started.config))
        with phases.phase("load"):
            data = load(experiment.dataset, run_dir)
            folder.check_data(data.fingerprint)
            check_objective_of(experiment.objective, data.has_sets)
            screen_of_data.info("%s", headline(data))
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
            currency=experiment.currency,
        )
        with watch_memory() as peak, TOKENS.remembering(), VECTORS.remembering():
            found = (_fitted if data.folds is None else cross_validate)(experiment, data, context, phases)
            with phases.phase("evaluate"):
                single = latency(found.classifier, found.data)
        if waits := wait_policy():
            log.info("threads that waited slept: %s", waits["wait_policy"])
        classifier, fit, test, metrics = found.classifier, found.fit, found.test, found.metrics
        size = _save(experiment, classifier, stage)
        with folder.keeping(records.CLASSIFIER):  # whatever still fails
            with importing():  # not before the first step: pictures and statistics take a second and a half
                from textclf.experiment.results import announce, write_results

            analysis = _analysed(experiment, found)
            costs = costs_of(fit, test, peak) | found.costs | single | size
            costs |= money_of(costs, classifier, experiment.price_per_hour)
            chosen = {name: value for name, value in metrics.items() if name.startswith("validation/")}
            final = {name: value for name, value in metrics.items() if name not in chosen}
            final |= {f"cost/{key}": value for key, value in costs.items()}
            tracked.log_metrics(chosen, _last_step(fit), corrects=True)
            tracked.log_metrics(rounded_figures(final))  # at step 0, where MLflow draws bars and no lines of one point

            record = RunRecord(
                name=experiment.title,
                experiment=experiment.experiment,
                dataset=data.name,
                model=experiment.model.name,
                trainer=experiment.engine,
                seed=experiment.seed,
                objective=experiment.objective,
                metrics=metrics,
                costs=costs,
                data=described(data) | {"audit": audited},
                folds=found.folds,
                fit=course_of(fit),
                config=started.config,
                config_fingerprint=fingerprint,
                command=started.command,
                environment=started.environment | folder.changes_under_way() | wait_policy(),
                started=started.started,
                seconds=round(time.perf_counter() - clock, 3),
                tracking={"run_id": tracked.run_id, "url": tracked.url},
            )
            files = write_results(stage, record, found, analysis)
            _check_unchanged(data)
        record = replace(record, phases=phases.plain("record", fit.began))
        folder.finish(record)
        tracked.set_tags({NOTE_TAG: run_note(record, test.predictions, run_dir), COSTS_TAG: costs_words(record)})
        tracked.log_artifacts(run_dir, [*files, records.RUN_FILE])
        if experiment.tracker.log_model and experiment.save_classifier:
            if classifier.billed is None:
                tracked.log_model(run_dir)
            else:
                log.warning(
                    "tracker.log_model: a language model behind a server is no model to serve, so none is logged"
                )
    announce(record, found.data, test, analysis, run_dir)
    return record


def _analysed(experiment: Experiment, found: Outcome) -> Analysis | SetAnalysis:
    """Return the error analysis of a run."""
    from textclf.evaluation.analysis import analyse
    from textclf.evaluation.label_sets.set_analysis import analyse_sets

    validated, tested = found.validated, found.test.predictions
    if isinstance(validated, Predictions) and isinstance(tested, Predictions):
        return analyse(found.classifier, found.data, validated, tested, experiment.analysis)
    assert isinstance(tested, SetPredictions)
    return analyse_sets(found.data, tested, found.thresholds, experiment.analysis)


def _fitted(experiment: Experiment, data: TextData, context: RunContext, phases: Phases) -> Outcome:
    """Fit to train, choose on validation, and look at test once."""
    with phases.phase("fit"):
        classifier, fit = fit_and_tell(experiment, data, context)
    with phases.phase("evaluate"):
        chosen = validate(experiment, classifier, data, fit)
        fit = warned_of_collapse(experiment, data, fit, chosen.predictions)
        test = evaluate_split(classifier, data, "test", tuple(experiment.dataset.metrics))
        fit = warned_of_unread(fit, classifier, "test")
    metrics = {**chosen.metrics, **test.metrics}
    splits = {split: data.split(split) for split in SPLITS}
    return Outcome(
        classifier,
        fit,
        data,
        chosen.predictions,
        test,
        metrics,
        (test.predictions,),  # type: ignore[arg-type]
        splits,
        thresholds=chosen.thresholds,
    )


def check(experiment: Experiment) -> None:
    """Raise before any data is loaded where the objective, the data, the model or the trainer is not usable.

    Raises:
        TextclfError: With what is wrong and what would help.
    """
    check_objective(experiment.objective)
    if experiment.dataset.folds is not None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("dataset.folds cross-validates in one process; leave out torchrun, or dataset.folds.")
    check_model(experiment.model, experiment.trainer)
    if experiment.save_classifier and isinstance(experiment.model, ClassicalModel):
        from textclf.models.classical.pipeline import check_is_read_again

        check_is_read_again(experiment.model)
    check_data(experiment.dataset)


def follow_experiment(experiment: Experiment) -> None:
    """Take part in a data-parallel experiment beside the process that runs and records it."""
    data, _ = pass_gate(load(experiment.dataset), experiment.dataset.on_leakage, tell=False)
    context = RunContext(experiment.seed, experiment.objective, is_main=False)
    fit_model(experiment.model, data, experiment.trainer, context)


def _check_unchanged(data: TextData) -> None:
    """Raise if the data that are read from disk were changed under the run."""
    if replace(data).fingerprint != data.fingerprint:  # computed anew
        raise DataError(
            "The data were changed on disk while the run read them, so its scores belong to no data there are. "
            "Leave the files (and the cache of datasets) alone during a run, and start it again."
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
