import numpy as np
import pytest

from tests.conftest import make_data
from textclf.evaluation.predictions import Predictions, evaluate_split, prediction_table, sample_lines


class Oracle:
    """Knows the positive words; sure of itself."""

    def predict_proba(self, texts, text_pairs=None):
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
