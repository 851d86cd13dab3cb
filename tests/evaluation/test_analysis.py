import json
import re
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from tests.sparing import seldom
from textclf.data.dataset import TextData
from textclf.documents.document import ConfusionTable, Details, Paragraph, Picture, Table, to_html, to_markdown
from textclf.errors import ConfigError
from textclf.evaluation import plots
from textclf.evaluation.analysis import analyse, plain_analysis, plain_attributions
from textclf.evaluation.calibration import Bin, Calibration, calibration_from, trust_words
from textclf.evaluation.options import AnalysisOptions
from textclf.evaluation.predictions import Predictions
from textclf.evaluation.report import (
    attribution_blocks,
    calibration_blocks,
    confusion_blocks,
    describe_calibration,
    mistake_blocks,
    slice_blocks,
    trust_sentence,
    weakness_sentence,
)

pytestmark = pytest.mark.drawn

FIGURES = ("plot_reliability", "plot_coverage", "plot_slices")


class Fixed:
    """Predicts the same for every text."""

    thresholds, has_sets, billed, gives_probabilities = None, False, None, True

    temperature = 1.0

    def __init__(self, num_labels):
        self.num_labels = num_labels

    def probabilities(self, texts, text_pairs=None):
        return np.full((len(texts), self.num_labels), 1 / self.num_labels, dtype=np.float32)


def world(labels, probabilities, names):
    """Return data of these labels and what was predicted on its test split."""
    labels, probabilities = np.array(labels), np.array(probabilities, dtype=np.float32)
    columns = {"example": list(range(len(labels))), "text": [f"text $number$ {i}" for i in range(len(labels))]}
    split = datasets.Dataset.from_dict({**columns, "label": labels.tolist()})
    return TextData("d", split, split, split, names, "tests"), Predictions(labels, probabilities, names)


def random_world(num_labels, count, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_labels, count)
    return world(
        labels,
        generator.dirichlet(np.ones(num_labels), count) * 0.4 + 0.6 * np.eye(num_labels)[labels],
        tuple(f"class ${k}_{'long ' * (k % 9)}" for k in range(num_labels)),
    )


CASES = {
    "two classes": random_world(2, 300),
    "four classes": random_world(4, 300),
    "thirty classes": random_world(30, 900),
    "two examples": world([0, 1], [[0.9, 0.1], [0.8, 0.2]], ("a", "b")),
    "one example": world([0], [[0.9, 0.1]], ("a", "b")),
    "one wrong example": world([1], [[0.9, 0.1]], ("a", "b")),
    "no mistake": world([0, 1] * 40, [[0.9, 0.1], [0.2, 0.8]] * 40, ("a", "b")),
    "all wrong": world([1, 0] * 40, [[0.9, 0.1], [0.2, 0.8]] * 40, ("a", "b")),
    "a class absent": world([0, 1] * 20, [[0.5, 0.3, 0.2]] * 40, ("a", "b", "c")),
    "all as sure": world([0, 1] * 20, [[0.5, 0.5]] * 40, ("a", "b")),
    "certain": world([0, 1] * 20, [[1.0, 0.0]] * 40, ("a", "b")),
}


@pytest.mark.parametrize(
    "name", seldom(CASES, ("two classes", "thirty classes", "one example", "a class absent", "certain"))
)
def test_anything_can_be_analysed_written_drawn_and_told(name, tmp_path):
    data, test = CASES[name]
    analysis = analyse(Fixed(data.num_labels), data, test, test, AnalysisOptions(attributions=1))
    json.dumps([plain_analysis(analysis), plain_attributions(analysis)], allow_nan=False)
    for figure in FIGURES:
        path = tmp_path / f"{figure}.png"
        if getattr(plots, figure)(analysis, path) is not False:
            assert len(np.unique(np.asarray(Image.open(path).convert("L")))) > 10
    drawn = plots.plot_class_scores(test, tmp_path / "class_scores.png")
    assert drawn == (data.num_labels > 2)
    weakness_sentence(analysis)
    trust_sentence(analysis)
    blocks = [
        *confusion_blocks(analysis, {}),
        *mistake_blocks(analysis.mistakes, analysis.num_mistakes, analysis.accuracy.total),
        *slice_blocks(analysis, {}),
        *calibration_blocks(analysis, {}),
        *attribution_blocks(analysis),
    ]
    assert "Expected calibration error" in to_markdown(blocks, tmp_path)
    assert "<h3>Thresholds</h3>" in to_html("t", blocks)
    assert analysis.num_mistakes == len(test.labels) - analysis.accuracy.count
    assert len(analysis.mistakes) == min(20, analysis.num_mistakes)


def test_the_majority_is_that_of_train():
    data, test = world([0, 0, 1], [[0.1, 0.9]] * 3, ("a", "b"))
    mostly_b = datasets.Dataset.from_dict({"example": [0, 1], "text": ["x", "y"], "label": [1, 1]})
    analysis = analyse(Fixed(2), replace(data, train=mostly_b), test, test, AnalysisOptions(attributions=0))
    assert (analysis.majority.count, analysis.majority.total) == (1, 3)
    assert analysis.attributions == ()


def test_a_temperature_that_helps_is_suggested_and_one_that_is_there_is_told_with_what_it_did():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.5, (2000, 2))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (generator.random(2000) < true[:, 1]).astype(int)
    sure = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    data, raw = world(labels, sure, ("a", "b"))
    options = AnalysisOptions(attributions=0)
    suggested = analyse(Fixed(2), data, raw, raw, options)
    assert not suggested.temperature.is_applied
    assert suggested.temperature.temperature == pytest.approx(3, rel=0.1)
    assert suggested.calibration == suggested.temperature.before
    assert suggested.temperature.after.ece < suggested.calibration.by_chance < suggested.calibration.ece
    assert "too sure" in describe_calibration(suggested)
    assert "model.calibration=temperature does it" in describe_calibration(suggested)
    said = trust_sentence(suggested)
    claimed, met = map(int, re.findall(r"(\d+) %", said))
    assert said == (
        f"Its probabilities are too sure: {claimed} % means about {met} % here; model.calibration=temperature mends it."
    )
    top = raw.probabilities.max(axis=1)
    near = np.abs(top - claimed / 100) < 0.033  # half a bin
    assert (raw.predicted == raw.labels)[near].mean() == pytest.approx(met / 100, abs=0.05)

    calibrated, mended = Fixed(2), Predictions(raw.labels, true.astype(np.float32), raw.label_names)
    calibrated.temperature = 3.0
    applied = analyse(calibrated, data, mended, mended, options)
    assert applied.temperature.is_applied
    assert applied.temperature.before.ece == pytest.approx(suggested.calibration.ece, abs=1e-4)
    assert applied.calibration == applied.temperature.after
    assert "no miscalibration is shown" in describe_calibration(applied)
    assert trust_sentence(applied) == ""


def test_the_worst_slice_is_one_that_is_marked():
    data, test = CASES["no mistake"]
    assert analyse(Fixed(2), data, test, test, AnalysisOptions(attributions=0)).worst_slice is None
    half = world([0, 1] * 60, [[0.9, 0.1], [0.9, 0.1]] * 60, ("a", "b"))
    found = analyse(Fixed(2), half[0], half[1], half[1], AnalysisOptions(attributions=0)).worst_slice
    assert (found.by, found.value, found.right.count) == ("class", "b", 0)


def test_the_weakness_is_the_worst_slice_or_else_the_most_frequent_confusion():
    options = AnalysisOptions(attributions=0)
    half = world([0, 1] * 60, [[0.9, 0.1], [0.9, 0.1]] * 60, ("a", "b"))
    said = weakness_sentence(analyse(Fixed(2), half[0], half[1], half[1], options))
    assert said == "Weakest on the class b: right on 0 % of 60, elsewhere on 100 %."
    few = world([0, 1, 1, 1, 1, 0, 0, 0], [[0.9, 0.1]] * 4 + [[0.1, 0.9]] * 4, ("a", "b"))
    said = weakness_sentence(analyse(Fixed(2), few[0], few[1], few[1], options))
    assert said == "Most frequent mistake: 3 of 4 a are taken for b."
    data, test = CASES["no mistake"]
    assert weakness_sentence(analyse(Fixed(2), data, test, test, options)) == ""


def test_where_no_bin_shows_it_the_means_over_all_say_that_probabilities_are_off():
    bins = tuple(Bin(k / 10, (k + 1) / 10, 4, k / 10 + 0.05, k / 10 - 0.15) for k in range(5, 10))
    own = Calibration(ece=0.2, by_chance=0.1, brier=0.5, log_loss=0.7, bins=bins)
    assert trust_words(own, None) == "probabilities are too sure: on average they say 75 % where 55 % are right"
    better = replace(own, ece=0.12)
    assert trust_words(own, better).endswith("; model.calibration=temperature helps")
    assert trust_words(own, replace(own, ece=0.3)) == trust_words(own, None)
    assert trust_words(replace(own, by_chance=0.2), better) == ""
    shy = replace(own, bins=tuple(replace(one, accuracy=min(1.0, one.confidence + 0.2)) for one in bins))
    assert "too cautious" in trust_words(shy, None)
    plain = {**vars(own), "bins": [vars(one) for one in own.bins]}
    assert calibration_from(json.loads(json.dumps(plain))) == own


def test_options_that_make_no_analysis_are_refused():
    with pytest.raises(ConfigError) as caught:
        AnalysisOptions(bins=1, alpha=0.7, wanted_precision=1.0, attributions=-1)
    said = str(caught.value)
    for name in ("bins", "alpha", "wanted_precision", "attributions"):
        assert name in said
    AnalysisOptions(wanted_precision=None, wanted_coverage=None)
    data, test = CASES["two classes"]
    without = AnalysisOptions(wanted_precision=None, wanted_coverage=None, attributions=0)
    analysis = analyse(Fixed(2), data, test, test, without)
    assert analysis.answers == ()
    assert [one.purpose for one in analysis.decisions] == ["default", "best F1"]


def test_confusions_are_a_table_up_to_so_many_classes_and_their_pairs_are_folded_away_beside_it():
    data, test = CASES["all wrong"]
    analysis = analyse(Fixed(2), data, test, test, AnalysisOptions(attributions=0))
    picture = {"confusion_matrix": Picture(Path("m.png"), "", "")}
    counts = ((0, 40), (40, 0))
    assert [type(block) for block in confusion_blocks(analysis, picture, counts)] == [ConfusionTable, Details]
    assert [type(block) for block in confusion_blocks(analysis, picture)] == [Picture, Table]
    many = ((0,) * 30,) * 30
    assert type(confusion_blocks(analysis, picture, many)[0]) is Picture
    right = CASES["no mistake"]
    none = analyse(Fixed(2), right[0], right[1], right[1], AnalysisOptions(attributions=0))
    assert type(confusion_blocks(none, picture, ((40, 0), (0, 40)))[1]) is Paragraph
