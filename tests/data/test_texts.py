from hashlib import blake2b

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

from tests.conftest import make_data
from textclf.data import dataset
from textclf.data.dataset import BATCH, MappedTexts, fingerprint_of, in_batches, labels_of, texts_of
from textclf.models.options import ClassicalModel, Cleaning, TransformerModel
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

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
    monkeypatch.setattr(dataset, "IN_MEMORY_BYTES", 100)
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
        monkeypatch.setattr(dataset, "IN_MEMORY_BYTES", size)
        classifier, _ = fit(model, data, TorchTrainer(epochs=1), RunContext())
        found.append(classifier.predict_proba(*texts_of(data.test)))
    np.testing.assert_array_equal(*found)


def some_splits():
    texts = [["", "é", "中 text", "\U0001d400\n"][i % 4] * (i % 7) for i in range(2 * BATCH + 5)]
    whole = Dataset.from_dict({"text": texts, "text_pair": texts[::-1], "label": [i % 3 for i in range(len(texts))]})
    return [
        whole,
        whole.select_columns(["text", "label"]),
        whole.select(range(3, BATCH + 9)),
        whole.select(range(0, len(whole), 3)),
        whole.shuffle(seed=1),
        whole.shuffle(seed=1).select([7, 3, 3]),
        concatenate_datasets([whole.select([9, 3]), whole]),
        whole.select([0]),
        whole.select([]),
    ]


@pytest.mark.parametrize("split", some_splits())
def test_labels_batches_and_fingerprints_are_those_of_the_rows(split):
    rows = split.to_list()
    columns = [name for name in ("text", "text_pair") if name in split.column_names]
    labels = [row["label"] for row in rows]
    assert labels_of(split).tolist() == labels
    assert labels_of(split).dtype == np.int64

    digest = blake2b(f"a\0b{len(rows)} examples".encode(), digest_size=8)
    found = list(in_batches(split, columns))
    assert [start for start, _ in found] == list(range(0, len(rows), BATCH))
    for start, batch in found:
        for name, texts in zip(columns, batch, strict=True):
            encoded = [row[name].encode() for row in rows[start : start + BATCH]]
            assert texts.to_pylist() == [text.decode() for text in encoded]
            digest.update(np.array([len(text) for text in encoded], dtype=np.int64).tobytes())
            digest.update(b"".join(encoded))
        digest.update(np.array(labels[start : start + BATCH], dtype=np.int64).tobytes())
    assert fingerprint_of(["a", "b"], split) == digest.hexdigest()
