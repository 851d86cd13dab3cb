"""Cross-validation of an experiment: a fit to all but one fold, time after time, then a final one to everything.

Each fit makes its own choices (epoch, temperature) on its own slice of validation, and is tested on the fold that it
has not seen. The final classifier takes over what the fits chose: the median epoch, the mean temperature. Its own score
is not known; that of the fits, which saw a little less, is the estimate.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median_high
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from textclf.audit.gate import pass_gate
from textclf.data.dataset import MappedTexts, TextData, texts_of, truth_of
from textclf.data.folds import Fold, Folds
from textclf.data.options import OnLeakage
from textclf.documents.wording import in_seconds
from textclf.errors import TextclfError
from textclf.evaluation.evaluate import Evaluation, evaluate_split, measure_predictions
from textclf.evaluation.label_sets.set_predictions import SetPredictions
from textclf.evaluation.predictions import Predictions
from textclf.experiment.fitting import Outcome, fit_and_tell, validate, warned_of_collapse, warned_of_unread
from textclf.experiment.options import Experiment
from textclf.models.base import Classifier
from textclf.models.cleaning import cleaned
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.system.array_files import ArrayFiles
from textclf.system.timing import Phases
from textclf.training.result import FitResult, RunContext

log = logging.getLogger("textclf.experiment")
screen = logging.getLogger("textclf.said")

FINISHED = "folds"
"""The folder, beside the checkpoints, of the folds that are done."""
ROOM = 1 << 62
"""Bytes that the folds of a run may take: all there are."""
FIXED_TEST = "fixed_test"
"""Stands before the metrics of the source's own test split."""


@dataclass(frozen=True)
class FoldResult:
    """A fit to all but one fold, and what it predicts."""

    part: Fold
    tested: NDArray[np.float32]
    """Probabilities of the fold, float32 (n, num_labels)."""
    validated: NDArray[np.float32]
    """Those of its slice of validation, float32 (m, num_labels)."""
    validation_truth: NDArray
    """Its classes, int64 (m,), or sets of labels, bool (m, num_labels)."""
    are_given: bool
    """Whether the probabilities are the classifier's own."""
    thresholds: NDArray[np.float64]
    """The thresholds of sets of labels, float64 (num_labels,); of single classes none, (0,)."""
    metrics: dict[str, float]
    """Of validation and test, by name."""
    best_epoch: int | None
    temperature: float
    fit_seconds: float
    test_seconds: float
    """Duration of predicting the fold."""
    warnings: tuple[str, ...]
    costs: dict[str, float]
    """What the answers of a service to the fold took."""

    def plain(self) -> dict[str, Any]:
        """Return all but the probabilities, for JSON."""
        return {key: value for key, value in vars(self).items() if key != "part" and not isinstance(value, np.ndarray)}

    @property
    def arrays(self) -> dict[str, NDArray]:
        """The arrays, by name."""
        return {key: value for key, value in vars(self).items() if isinstance(value, np.ndarray)}


def cross_validate(experiment: Experiment, data: TextData, context: RunContext, phases: Phases) -> Outcome:
    """Fit and test fold by fold, then fit to everything.

    Args:
        experiment: What to fit.
        data: Data with folds.
        context: The run. A fold that was finished before is read from beside its checkpoints.
        phases: Takes the time.

    Raises:
        TextclfError: If a fit fails; the message names its fold, and the folds that are done are kept.
        Stopped: If the process was asked to stop.
    """
    folds = data.folds
    assert folds is not None
    with VECTORS.pooled(_texts(experiment, folds)), phases.phase("fit"):
        results = []
        for number, part in enumerate(folds.parts):
            results.append(found := _fold(experiment, data, part, context))
            _announce(experiment, found, number, len(folds.parts))
            context.log_metrics({f"fold/{name}": value for name, value in found.metrics.items()}, number + 1)
        screen.info("the final classifier is fitted to all %s examples", f"{len(folds.pool):,}")
        whole = data.whole_pool()
        final = replace(
            context,
            checkpoints=None if context.checkpoints is None else context.checkpoints / "final",
            keep_epoch=_usual([found.best_epoch for found in results]),
        )
        classifier, fit = fit_and_tell(experiment, whole, final)
    classifier.temperature *= float(np.exp(fmean(np.log(found.temperature) for found in results)))
    if classifier.has_sets:
        classifier.thresholds = tuple(expit(np.mean([logit(found.thresholds) for found in results], axis=0)).tolist())
    fit = replace(fit, warnings=(*fit.warnings, *_warnings(results)))
    with phases.phase("evaluate"):
        return _outcome(experiment, whole, folds, results, classifier, fit)


def _fold(experiment: Experiment, data: TextData, part: Fold, context: RunContext) -> FoldResult:
    """Return what a fold came to: as it was kept, or now."""
    key, kept = f"repeat-{part.repeat}-fold-{part.number}", None
    if context.checkpoints is not None:
        kept = ArrayFiles(context.checkpoints / FINISHED)
        if (found := kept.read(key, lambda arrays, about: _read(part, data.num_labels, arrays, about))) is not None:
            screen.info("%s was finished before", part)
            return found
    own = data.fold(part)
    if experiment.dataset.on_leakage is OnLeakage.drop:
        own, _ = pass_gate(own, OnLeakage.drop, tell=False)
    inner = replace(
        context,
        seed=seed_of(context.seed, part),
        log_metrics=lambda metrics, step: None,  # the steps of a run are its folds
        is_fold=True,
        checkpoints=None if context.checkpoints is None else context.checkpoints / key,
    )
    try:
        classifier, fit = fit_and_tell(experiment, own, inner, tell=False)
        chosen = validate(experiment, classifier, own, fit)
        fit = warned_of_collapse(experiment, own, fit, chosen.predictions)
        test = evaluate_split(classifier, own, "test")
        fit = warned_of_unread(fit, classifier, "the fold")
    except TextclfError as error:
        error.args = (f"In {part}: {error}", *error.args[1:])
        raise
    found = FoldResult(
        part,
        test.predictions.probabilities,
        chosen.predictions.probabilities,
        truth_of(own.validation, own.num_labels),
        classifier.gives_probabilities,
        np.array(classifier.thresholds or (), dtype=np.float64),
        {**chosen.metrics, **test.metrics},
        fit.best_epoch,
        classifier.temperature,
        fit.train_seconds,
        test.seconds,
        fit.warnings,
        test.costs,
    )
    if kept is not None:
        with context.fenced():
            kept.write(key, found.arrays, found.plain(), ROOM)
            if inner.checkpoints is not None:
                shutil.rmtree(inner.checkpoints, ignore_errors=True)
    return found


def _read(part: Fold, num_labels: int, arrays: dict[str, NDArray], about: dict[str, Any]) -> FoldResult:
    """Return a fold that was kept, or raise ValueError where it is not that of the part."""
    tested, validated = arrays["tested"], arrays["validated"]
    if tested.shape != (len(part.test), num_labels) or validated.shape != (
        len(arrays["validation_truth"]),
        num_labels,
    ):
        raise ValueError("it is of other examples")
    return FoldResult(
        part=part,
        **arrays,
        metrics={str(name): float(value) for name, value in about["metrics"].items()},
        best_epoch=None if about["best_epoch"] is None else int(about["best_epoch"]),
        temperature=float(about["temperature"]),
        fit_seconds=float(about["fit_seconds"]),
        test_seconds=float(about["test_seconds"]),
        warnings=tuple(map(str, about["warnings"])),
        are_given=bool(about["are_given"]),
        costs={str(name): float(value) for name, value in about["costs"].items()},
    )


def seed_of(seed: int, part: Fold) -> int:
    """Return the seed of a fold's fit: another for each, the same again for the same run."""
    return int(np.random.SeedSequence([seed, part.repeat, part.number]).generate_state(1)[0] >> 1)


def _usual(epochs: Sequence[int | None]) -> int | None:
    """Return the epoch that the final fit ends with: the median of those that were kept, of two the later."""
    known = [epoch for epoch in epochs if epoch is not None]
    return median_high(known) if known else None


def _texts(experiment: Experiment, folds: Folds) -> list[str]:
    """Return the texts that fits will ask for, as the model reads them; none of a pool that is read from disk."""
    texts, pairs = texts_of(folds.pool)
    if isinstance(texts, MappedTexts):
        return []
    cleaning = tuple(experiment.model.text_cleaning)
    return [text for some in (texts, pairs) if some is not None for text in cleaned(some, cleaning)]


def _announce(experiment: Experiment, found: FoldResult, number: int, total: int) -> None:
    """Say how a fold came out, in a line."""
    shown = [name for name in ("test/accuracy", "test/micro_f1", "test/macro_f1") if name in found.metrics]
    screen.info(
        "%s (%d of %d): %s; fitted in %s",
        found.part,
        number + 1,
        total,
        ", ".join(f"{name} {found.metrics[name]:.4f}" for name in shown),
        in_seconds(found.fit_seconds),
    )


def _warnings(results: Sequence[FoldResult]) -> tuple[str, ...]:
    """Return what went wrong in folds, with the folds; of several with the same trouble the first is named."""
    kinds: dict[str, list[tuple[Fold, str]]] = {}
    for found in results:
        for said in found.warnings:
            kinds.setdefault(said.partition(":")[0], []).append((found.part, said))
    return tuple(
        f"in {part}{f' and {len(same) - 1} more' if len(same) > 1 else ''}: {said}"
        for same in kinds.values()
        for part, said in same[:1]
    )


def _outcome(
    experiment: Experiment,
    whole: TextData,
    folds: Folds,
    results: Sequence[FoldResult],
    classifier: Classifier,
    fit: FitResult,
) -> Outcome:
    """Put together what the folds and the final fit came to."""
    passes, given = [], all(found.are_given for found in results)
    for repeat in range(folds.repeats):
        shape = (len(folds.pool), whole.num_labels)
        probabilities, thresholds = np.zeros(shape, dtype=np.float32), np.full(shape, 0.5)
        for found in results:
            if found.part.repeat == repeat:
                probabilities[found.part.test] = found.tested
                if classifier.has_sets:
                    thresholds[found.part.test] = found.thresholds
        passes.append(_predictions(truth_of(folds.pool, whole.num_labels), probabilities, whole, thresholds, given))
    further = tuple(experiment.dataset.metrics)
    of_passes = [measure_predictions(whole, "test", predictions, further) for predictions in passes]
    chosen = [{k: v for k, v in found.metrics.items() if k.startswith("validation/")} for found in results]
    metrics = {**_mean(chosen), **_mean(of_passes)}
    first = [found for found in results if found.part.repeat == 0]
    costs = _mean([found.costs for found in first])
    test = Evaluation("test", passes[0], _mean(of_passes), sum(found.test_seconds for found in first), costs)
    said: dict[str, Any] = {
        "folds": folds.count,
        "repeats": folds.repeats,
        "fingerprint": folds.fingerprint,
        "kept_epoch": _usual([found.best_epoch for found in results]),
        "scores": [_score(found) for found in results],
    }
    if folds.fixed_test is not None:
        fixed = evaluate_split(classifier, replace(whole, test=folds.fixed_test), "test", further)
        own = {f"{FIXED_TEST}/{name.partition('/')[2]}": value for name, value in fixed.metrics.items()}
        metrics |= own
        said["fixed_test"] = len(folds.fixed_test)
    return Outcome(
        classifier=classifier,
        fit=fit,
        data=whole,
        validated=_predictions(
            np.concatenate([found.validation_truth for found in results]),
            np.concatenate([found.validated for found in results]),
            whole,
            np.concatenate([np.tile(found.thresholds, (len(found.validated), 1)) for found in results]),
            given,
        ),
        test=test,
        metrics=metrics,
        passes=tuple(passes),
        splits=folds.splits_of(folds.parts[0]) | {"test": folds.pool},
        folds=said,
        fold_numbers=folds.numbers,
        costs={"folds_seconds": sum(found.fit_seconds for found in results)},
    )


def _predictions(
    truth: NDArray,
    probabilities: NDArray[np.float32],
    data: TextData,
    thresholds: NDArray[np.float64],
    given: bool = True,
) -> Predictions | SetPredictions:
    """Return what was predicted out of fold, with the thresholds of each example's fit where there are sets."""
    if data.has_sets:
        return SetPredictions(truth, probabilities, data.label_names, thresholds, given)
    return Predictions(truth, probabilities, data.label_names, given)


def _score(found: FoldResult) -> dict[str, Any]:
    """Return what the record says of a fold."""
    part = found.part
    return {
        "repeat": part.repeat + 1,
        "fold": part.number + 1,
        "train": len(part.train),
        "validation": len(part.validation),
        "test": len(part.test),
        "best_epoch": found.best_epoch,
        "temperature": found.temperature,
        "metrics": found.metrics,
    }


def _mean(of_fits: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over fits; of one that is undefined in a fit, over the others."""
    names = dict.fromkeys(name for metrics in of_fits for name in metrics)
    return {name: fmean(metrics[name] for metrics in of_fits if name in metrics) for name in names}
