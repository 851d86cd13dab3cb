import datasets
import numpy as np
import pytest

from tests.conftest import make_data
from textclf.data.dataset import TextData
from textclf.documents.document import Explorer, to_html
from textclf.documents.escape import script_json
from textclf.evaluation import mistakes
from textclf.evaluation.mistakes import confident_mistakes, confused_pairs, explored_mistakes
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


@pytest.mark.parametrize("pairs", [False, True])
def test_all_mistakes_are_given_to_be_explored_with_the_slices_that_they_lie_in(pairs):
    data = make_data(evaluation=8, pairs=pairs)  # labels 0 1 0 1 …
    table = np.where(np.arange(8)[:, None] % 4 < 2, [[0.25, 0.75]], [[0.75, 0.25]]).astype(np.float32)
    test = predictions(data.test["label"], table)
    found = explored_mistakes(data, test)
    assert found["total"] == len(found["rows"]) == 4
    assert found["labels"] == ["negative", "positive"]
    example, text, pair, label, prediction, share, label_share, own = found["rows"][0]
    assert (example, label, prediction, share, label_share) == (0, 0, 1, 0.75, 0.25)
    assert (text, pair) == (data.test[0]["text"], data.test[0]["text_pair"] if pairs else None)
    assert found["slices"]
    assert all(name.startswith("words: ") for name in found["slices"])
    assert len(own) == 1  # one quarter by length


def test_of_many_or_long_mistakes_as_many_as_fit_a_page_are_given(monkeypatch):
    data = make_data(evaluation=8)
    test = predictions(1 - np.array(data.test["label"]), np.eye(2)[data.test["label"]])
    monkeypatch.setattr(mistakes, "MOST_EXPLORED", 5)
    found = explored_mistakes(data, test)
    assert (found["total"], len(found["rows"])) == (8, 5)
    first = data.test[0]["text"]
    monkeypatch.setattr(mistakes, "MOST_EXPLORED_CHARACTERS", 2 * len(script_json(first)) + 1)
    assert len(explored_mistakes(data, test)["rows"]) < 5
    monkeypatch.setattr(mistakes, "MOST_CHARACTERS", 8)
    assert explored_mistakes(data, test)["rows"][0][1] == f"{first[:7]}…"


@pytest.mark.slow
def test_a_page_of_the_longest_mistakes_stays_small_enough_to_mail():
    count = 3000
    columns = {"example": range(count), "text": ["映画" * 5000] * count, "label": [0] * count}
    split = datasets.Dataset.from_dict(columns)
    data = TextData("d", split, split, split, ("a", "b"), "tests")
    wrong = Predictions(np.zeros(count, np.int64), np.tile(np.float32([0.1, 0.9]), (count, 1)), ("a", "b"))
    found = explored_mistakes(data, wrong)
    assert found["total"] == count
    assert 500 < len(found["rows"]) < 2000
    assert all(len(row[1]) == found["cut"] for row in found["rows"])
    assert len(to_html("t", [Explorer(found, ())]).encode()) < 2_000_000  # 3 MB with its pictures
