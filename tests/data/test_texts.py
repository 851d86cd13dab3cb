import numpy as np
import pytest
from datasets import Dataset

from tests.conftest import make_data
from textclf.data import text_data
from textclf.data.text_data import texts_of
from textclf.data.texts import MappedTexts
from textclf.models.base import Cleaning, RunContext
from textclf.models.options import ClassicalModel, TransformerModel
from textclf.training.options import TorchTrainer

WORDS = [f"Word {number}" for number in range(2500)]


@pytest.fixture
def mapped():
    return MappedTexts(Dataset.from_dict({"text": WORDS, "label": [0] * 2500}), "text")


def test_it_is_read_like_a_list(mapped):
    assert len(mapped) == 2500
    assert list(mapped) == WORDS
    assert mapped[7] == "Word 7"
    assert mapped[-1] == "Word 2499"
    assert mapped[990:1010] == WORDS[990:1010]
    assert mapped[2490:9999] == WORDS[2490:]


def test_changes_are_made_as_it_is_read(mapped):
    loud = mapped.changed(lambda texts: [text.upper() for text in texts])
    assert loud[3] == "WORD 3"
    assert list(loud) == [word.upper() for word in WORDS]


def test_large_splits_stay_on_disk_and_small_ones_do_not(monkeypatch):
    data = make_data(pairs=True)
    texts, pairs = texts_of(data.train)
    assert isinstance(texts, list)
    monkeypatch.setattr(text_data, "IN_MEMORY_BYTES", 100)
    mapped, mapped_pairs = texts_of(data.train)
    assert isinstance(mapped, MappedTexts)
    assert (list(mapped), list(mapped_pairs)) == (texts, pairs)
    assert isinstance(texts_of(data.train.select([0]))[0], list)  # its share of the table is small


def test_no_rows():
    data = make_data()
    assert texts_of(data.train.select([])) == ([], None)


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("family", ["classical", "transformer"])
def test_models_learn_the_same_from_disk(family, pairs, tiny_checkpoint, monkeypatch):
    data = make_data(pairs=pairs)
    if family == "classical":
        model = ClassicalModel(
            name="m",
            classifier={"_target_": "sklearn.linear_model.LogisticRegression"},
            text_cleaning=[Cleaning.lowercase],
        )
    else:
        model = TransformerModel(
            name="m", checkpoint=str(tiny_checkpoint), max_length=16, text_cleaning=[Cleaning.lowercase]
        )
    found = []
    for size in (10**9, 100):
        monkeypatch.setattr(text_data, "IN_MEMORY_BYTES", size)
        classifier, _ = model.fit(data, TorchTrainer(epochs=1), RunContext())
        found.append(classifier.predict_proba(*texts_of(data.test)))
    np.testing.assert_array_equal(*found)
