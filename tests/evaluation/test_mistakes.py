import numpy as np
import pytest

from tests.conftest import make_data
from textclf.evaluation.mistakes import confident_mistakes, confused_pairs
from textclf.evaluation.predictions import Predictions


def predictions(labels, probabilities, names=("negative", "positive")):
    return Predictions(np.array(labels), np.array(probabilities, dtype=np.float32), names)


@pytest.mark.parametrize("pairs", [False, True])
def test_the_surest_mistakes_come_first_with_their_texts(pairs):
    data = make_data(evaluation=4, pairs=pairs)  # labels 0 1 0 1
    test = predictions([0, 1, 0, 1], [[0.4, 0.6], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]])
    found = confident_mistakes(data, test, 2)
    assert [(one.row, one.label, one.prediction) for one in found] == [
        (2, "negative", "positive"), (3, "positive", "negative"),
    ]  # fmt: skip
    assert found[0].probability == pytest.approx(0.8)
    assert found[0].label_probability == pytest.approx(0.2)
    assert found[0].text == data.test[2]["text"]
    assert found[0].text_pair == (data.test[2]["text_pair"] if pairs else None)
    assert len(confident_mistakes(data, test, 20)) == 3
    assert confident_mistakes(data, test, 0) == ()


def test_no_mistake_is_no_row():
    data = make_data(evaluation=2)
    right = predictions([0, 1], [[0.9, 0.1], [0.1, 0.9]])
    assert confident_mistakes(data, right, 5) == ()
    assert confused_pairs(right) == ()


def test_pairs_are_counted_by_direction():
    table = np.eye(3)[[1, 1, 0, 2, 0, 2]]
    found = confused_pairs(predictions([0, 0, 0, 1, 1, 2], table, ("a", "b", "c")))
    assert [(one.label, one.prediction, one.count) for one in found] == [
        ("a", "b", 2),
        ("b", "c", 1),
        ("b", "a", 1),
    ] or [(one.label, one.prediction, one.count) for one in found] == [("a", "b", 2), ("b", "a", 1), ("b", "c", 1)]
    assert found[0].share == pytest.approx(2 / 3)
    assert found[1].share == pytest.approx(1 / 2)
