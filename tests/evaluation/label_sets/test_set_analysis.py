import json

import numpy as np
import pytest

from tests.evaluation.label_sets.test_set_metrics import predicted
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.evaluation.label_sets.analysis import analyse_sets, plain_set_analysis
from textclf.evaluation.label_sets.calibration import label_calibration, set_trust_words, whole_calibration
from textclf.evaluation.label_sets.collapse import collapsed_set, set_collapse_words
from textclf.evaluation.label_sets.predictions import set_prediction_table, set_predictions, set_sample_lines
from textclf.evaluation.options import AnalysisOptions

ROWS = [
    {"text": f"text {number} of {'many words here' if number % 2 else 'few'}", "label": sorted(labels)}
    for number, labels in enumerate([{"a", "b"}, {"a"}, set(), {"b", "c"}] * 12)
]


@pytest.fixture(scope="module")
def data():
    return load(InMemoryDataset(name="sets", train=ROWS, validation=ROWS[:8], test=ROWS[:8]))


def test_missed_and_added_labels(data):
    probabilities = np.where(set_predictions(data, "test", np.zeros((8, 3), np.float32)).truth, 0.9, 0.1)
    probabilities[0] = [0.2, 0.9, 0.8]  # has a and b
    probabilities[5] = [0.45, 0.1, 0.1]  # has a
    found = analyse_sets(data, set_predictions(data, "test", probabilities.astype(np.float32)), None, AnalysisOptions())
    assert (found.exact.count, found.exact.total, found.num_mistakes) == (6, 8, 2)
    first, second = found.mistakes
    assert (first.labels, first.missed, first.added) == (("a", "b"), ("a",), ("c",))
    assert first.surprise == pytest.approx(0.8)
    assert (second.missed, second.added) == (("a",), ())
    assert [(one.missed, one.added, one.count) for one in found.swapped] == [("a", "c", 1)]
    assert [one.support for one in found.labels] == [4, 4, 2]
    assert found.usual_set in {("a", "b"), ("a",), (), ("b", "c")}
    assert found.usual.count == 2
    json.dumps(plain_set_analysis(found))


def test_the_table_and_the_sample_name_the_labels(data):
    one = set_predictions(data, "test", np.full((8, 3), 0.6, np.float32)).at([0.5, 0.7, 0.5])
    table = set_prediction_table(data, "test", one)
    assert table["labels"].tolist()[:3] == [["a", "b"], ["a"], []]
    assert table["prediction"].tolist()[0] == ["a", "c"]
    assert list(table)[-3:] == ["probability_a", "probability_b", "probability_c"]
    assert "given a + c, has a + b" in "\n".join(set_sample_lines(data, one, count=8))


def test_a_collapse_is_told_and_empty_sets_that_are_right_are_none():
    truth = np.zeros((40, 3), dtype=bool)
    truth[:30, 0] = True
    always = predicted(truth, np.tile([0.9, 0.1, 0.1], (40, 1)))
    assert collapsed_set(always) == ["a"]
    assert (
        set_collapse_words(always) == "collapse: all 40 validation texts are given the labels a, which is right of 30."
    )
    assert collapsed_set(predicted(np.zeros((40, 3)), np.zeros((40, 3)))) is None
    assert set_collapse_words(predicted(truth, np.zeros((40, 3)))).startswith(
        "collapse: all 40 validation texts are given no label"
    )


def test_calibration_of_labels():
    generator = np.random.default_rng(0)
    said = generator.random(4000).astype(np.float32)
    honest = label_calibration(said, generator.random(4000) < said)
    assert not honest.is_shown_wrong
    too_sure = label_calibration(said, generator.random(4000) < said**3)
    assert too_sure.is_shown_wrong
    assert too_sure.ece == pytest.approx(0.25, abs=0.03)
    assert "means about" in set_trust_words(too_sure)
    assert set_trust_words(honest) == ""


def test_calibration_by_chance_of_very_many_is_drawn_from_some(monkeypatch):
    from textclf.evaluation.label_sets import calibration

    generator = np.random.default_rng(1)
    said = generator.random((3000, 2)).astype(np.float32)
    one = predicted(generator.random((3000, 2)) < said, said)
    whole = whole_calibration(one).by_chance
    monkeypatch.setattr(calibration, "MOST_DRAWN", 1500)
    assert whole_calibration(one).by_chance == pytest.approx(whole, rel=0.25)
