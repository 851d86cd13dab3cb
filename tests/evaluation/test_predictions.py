from dataclasses import replace

import datasets
import numpy as np
import pytest

from tests.conftest import make_data
from textclf.data.dataset import TextData
from textclf.evaluation.evaluate import evaluate_split
from textclf.evaluation.predictions import Predictions, prediction_table, sample_lines


class Oracle:
    """Knows the positive words; sure of itself."""

    thresholds, has_sets, billed, gives_probabilities = None, False, None, True

    def probabilities(self, texts, text_pairs=None):
        good = np.array([any(word in text for word in ("lovely", "great", "fine", "superb")) for text in texts])
        return np.where(good[:, None], [[0.1, 0.9]], [[0.9, 0.1]]).astype(np.float32)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_split_is_evaluated_and_tabled(pairs):
    data = make_data(pairs=pairs)
    result = evaluate_split(Oracle(), data, "test")
    assert result.metrics["test/accuracy"] == 1.0
    assert result.examples_per_second > 0
    table = prediction_table(data, "test", result.predictions)
    columns = ["example", "text", *(["text_pair"] if pairs else []), "label", "prediction"]
    assert list(table.columns) == [*columns, "probability_negative", "probability_positive"]
    assert (table["label"] == table["prediction"]).all()
    assert table["example"].tolist() == list(range(24))


def test_samples_show_every_score_and_what_was_wrong(tiny_data):
    labels = np.array([1 - k for k in tiny_data.test["label"]])
    wrong = Predictions(labels, evaluate_split(Oracle(), tiny_data, "test").predictions.probabilities, ("no", "yes"))
    data = type(tiny_data)("t", tiny_data.train, tiny_data.validation, tiny_data.test, ("no", "yes"), "tests")
    lines = sample_lines(data, wrong, count=2, width=10)
    assert len(lines) == 4
    assert "…" in lines[0]
    assert "no 0.90, yes 0.10" in lines[1]
    assert "wrong: yes" in lines[1]


class Knows:
    """Right on each text but those that begin with its unknown language."""

    thresholds, has_sets, billed, gives_probabilities = None, False, None, True

    def probabilities(self, texts, text_pairs=None):
        positive = np.array([("good" in text) != text.startswith("fr 1") for text in texts])
        return np.eye(2, dtype=np.float32)[positive.astype(int)]


def spoken(train_languages):
    """Four German texts and two each of French and Greek; half of the French ones are predicted wrongly."""

    def split(languages):
        rows = [(i, f"{name} {i % 2} {'good' if i % 4 > 1 else 'bad'}", name) for i, name in enumerate(languages)]
        return datasets.Dataset.from_dict(
            {
                "example": [i for i, _, _ in rows],
                "text": [text for _, text, _ in rows],
                "label": [int("good" in text) for _, text, _ in rows],
                "language": [name for _, _, name in rows],
            }
        )

    test = split(["de", "de", "de", "de", "fr", "fr", "el", "el"])
    return TextData("d", split(train_languages), test, test, ("no", "yes"), "tests")


def test_languages_count_the_same_in_their_average_and_unseen_ones_make_a_gap():
    found = evaluate_split(Knows(), spoken(["de", "el"]), "test").metrics
    assert found["test/accuracy"] == pytest.approx(7 / 8)
    assert found["test/accuracy/fr"] == 0.5
    assert found["test/accuracy/average_of_languages"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert found["test/zero_shot_gap"] == pytest.approx(1 - 0.5)
    assert evaluate_split(Knows(), spoken(["de"]), "test").metrics["test/zero_shot_gap"] == pytest.approx(1 - 0.75)


def test_there_is_no_gap_where_all_languages_were_seen_and_no_average_of_one():
    assert "test/zero_shot_gap" not in evaluate_split(Knows(), spoken(["de", "fr", "el"]), "test").metrics
    assert "test/zero_shot_gap" not in evaluate_split(Knows(), spoken(["xx"]), "test").metrics
    data = spoken(["de", "fr"])
    german = replace(data, test=data.test.select(range(4)))
    assert "test/accuracy/average_of_languages" not in evaluate_split(Knows(), german, "test").metrics
