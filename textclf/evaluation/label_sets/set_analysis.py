"""The error analysis of a run with sets of labels: each label's scores, and the labels that are missed or added."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from textclf.data.dataset import TextData, label_sets_of
from textclf.evaluation.calibration import bin_error
from textclf.evaluation.label_sets.set_calibration import LabelCalibration, whole_calibration
from textclf.evaluation.label_sets.set_metrics import label_figures
from textclf.evaluation.label_sets.set_predictions import SetPredictions, names_of
from textclf.evaluation.label_sets.set_thresholds import ChosenThresholds
from textclf.evaluation.options import AnalysisOptions
from textclf.evaluation.proportions import Proportion
from textclf.evaluation.slices import Slice, shown_slices, slice_scores


@dataclass(frozen=True)
class LabelScore:
    """What a label came to on the test split."""

    label: str
    threshold: float
    """The probability from which on it is given."""
    support: int
    """Texts that have it."""
    given: int
    """Texts that it is given."""
    precision: float | None
    recall: float | None
    f1: float | None
    chosen_on: int | None
    """Positives on validation that the threshold was chosen on; none where that is not known."""
    ece: float | None
    """Expected calibration error of its probability, 0 to 1; none where there are no probabilities."""


@dataclass(frozen=True)
class SetMistake:
    """A test example that is not given exactly its labels."""

    row: int
    """Its place in the test split, from 0."""
    example: int
    """Its row in the source's own split."""
    text: str
    text_pair: str | None
    labels: tuple[str, ...]
    missed: tuple[str, ...]
    """Labels that it has and is not given."""
    added: tuple[str, ...]
    """Labels that it is given and has not."""
    surprise: float | None
    """How sure the classifier was of the label that it was most wrong about: distance of that label's probability from
    the truth, 0 to 1; none where there are no probabilities."""


@dataclass(frozen=True)
class SwappedPair:
    """A label that is missed where another is added."""

    missed: str
    added: str
    count: int


@dataclass(frozen=True)
class SetAnalysis:
    """The errors of a run on the test split."""

    label_names: tuple[str, ...]
    exact: Proportion
    """Texts that are given exactly their labels."""
    usual: Proportion
    """The same of giving every text the most frequent set of the training data."""
    usual_set: tuple[str, ...]
    labels: tuple[LabelScore, ...]
    num_mistakes: int
    mistakes: tuple[SetMistake, ...]
    """Those it was surest of."""
    swapped: tuple[SwappedPair, ...]
    """Pairs of labels, the most frequent first."""
    calibration: LabelCalibration | None
    """Of all labels together; none where there are no probabilities."""
    slices: tuple[Slice, ...]
    """Parts of the test split, by how often they are given exactly their labels."""
    optimism: float | None
    """By how much choosing the thresholds flatters the F-score on validation."""
    seconds: float
    options: AnalysisOptions

    @property
    def accuracy(self) -> Proportion:
        """What slices are beside: texts that are given exactly their labels."""
        return self.exact

    @property
    def shown_slices(self) -> list[Slice]:
        """The slices to show in their order."""
        return shown_slices(self.slices)


def analyse_sets(
    data: TextData, test: SetPredictions, chosen: ChosenThresholds | None, options: AnalysisOptions
) -> SetAnalysis:
    """Analyse the errors of a fitted classifier of sets of labels.

    Args:
        data: The data.
        test: What it predicted on `data.test`, of at least one example.
        chosen: How its thresholds were chosen; none where that is not known.
        options: How far to look.
    """
    begun = time.perf_counter()
    learned = label_sets_of(data.train, data.num_labels)
    sets, counts = np.unique(learned, axis=0, return_counts=True)
    usual = sets[int(counts.argmax())]
    hits = int((test.truth == usual).all(axis=1).sum())
    return SetAnalysis(
        label_names=test.label_names,
        exact=Proportion(int(test.right.sum()), len(test)),
        usual=Proportion(hits, len(test)),
        usual_set=tuple(names_of(usual[None], test.label_names)[0]),
        labels=label_scores(test, chosen),
        num_mistakes=int((~test.right).sum()),
        mistakes=surest_mistakes(data, test, options.mistakes),
        swapped=_swapped(test),
        calibration=whole_calibration(test, options.bins) if test.have_probabilities else None,
        slices=slice_scores(data, test, options.fewest_examples, options.alpha),
        optimism=None if chosen is None else chosen.optimism,
        seconds=time.perf_counter() - begun,
        options=options,
    )


def label_scores(test: SetPredictions, chosen: ChosenThresholds | None = None) -> tuple[LabelScore, ...]:
    """Return what each label came to, and where known on how many positives its threshold was chosen."""
    figures, given = label_figures(test), test.predicted.sum(axis=0)
    thresholds = test.thresholds if test.thresholds.ndim == 1 else test.thresholds.mean(axis=0)

    def value(name: str, label: int) -> float | None:
        found = float(figures[name][label])
        return None if found != found else found

    return tuple(
        LabelScore(
            label=name,
            threshold=float(thresholds[k]),
            support=int(figures["support"][k]),
            given=int(given[k]),
            precision=value("precision", k),
            recall=value("recall", k),
            f1=value("f1", k),
            chosen_on=None if chosen is None else int(chosen.positives[k]),
            ece=bin_error(test.probabilities[:, k].astype(np.float64), test.truth[:, k].astype(np.float64))
            if test.have_probabilities
            else None,
        )
        for k, name in enumerate(test.label_names)
    )


def surest_mistakes(data: TextData, test: SetPredictions, most: int) -> tuple[SetMistake, ...]:
    """Return the test examples that are not given exactly their labels, those with the surest wrong label first."""
    given, wrong = test.predicted, np.flatnonzero(~test.right)
    off = np.abs(np.nan_to_num(test.probabilities) - test.truth) * (given != test.truth)
    surprise = off.max(axis=1)
    chosen = wrong[np.argsort(-surprise[wrong], kind="stable")][:most]
    rows = data.test.select(chosen)
    pairs = list(rows["text_pair"]) if data.has_pairs else [None] * len(chosen)
    names = test.label_names
    has = names_of(test.truth[chosen], names)
    missed = names_of(test.truth[chosen] & ~given[chosen], names)
    added = names_of(given[chosen] & ~test.truth[chosen], names)
    return tuple(
        SetMistake(
            int(row),
            int(example),
            text,
            pair,
            tuple(own),
            tuple(less),
            tuple(more),
            float(surprise[row]) if test.have_probabilities else None,
        )
        for row, example, text, pair, own, less, more in zip(
            chosen, rows["example"], rows["text"], pairs, has, missed, added, strict=True
        )
    )


def _swapped(test: SetPredictions) -> tuple[SwappedPair, ...]:
    """Return how often a label is missed where another is added."""
    missed = (test.truth & ~test.predicted).astype(np.int64)
    added = (test.predicted & ~test.truth).astype(np.int64)
    counts = missed.T @ added
    order = np.argsort(-counts, axis=None, kind="stable")
    names, size = test.label_names, len(test.label_names)
    found = [(int(at) // size, int(at) % size) for at in order if counts.flat[at]]
    return tuple(SwappedPair(names[a], names[b], int(counts[a, b])) for a, b in found)


def plain_set_analysis(analysis: SetAnalysis) -> dict[str, Any]:
    """Return the analysis as plain values for JSON."""
    from textclf.evaluation.analysis import plain_values

    return plain_values(analysis)
