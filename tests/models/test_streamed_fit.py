import numpy as np
import pytest
from datasets import Dataset
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier

from tests.conftest import make_data
from tests.models.test_classical import configured, fit
from textclf import load_classifier
from textclf.data.text_data import labels_of, texts_of
from textclf.data.texts import MappedTexts
from textclf.models import streamed_fit
from textclf.models.base import UNWEIGHED, Balance, Imbalance
from textclf.models.streamed_fit import fit_streamed, is_streamed

HASHES = HashingVectorizer(n_features=64)


@pytest.mark.parametrize(
    ("features", "classifier", "texts", "balance", "expected"),
    [
        (HASHES, SGDClassifier(), 11, UNWEIGHED, True),
        (HASHES, SGDClassifier(), 10, UNWEIGHED, False),
        (CountVectorizer(), SGDClassifier(), 11, UNWEIGHED, False),
        (HASHES, LogisticRegression(), 11, UNWEIGHED, False),
        (HASHES, SGDClassifier(), 11, Balance(Imbalance.class_weights), False),
    ],
)
def test_only_many_texts_and_parts_that_can_are_streamed(monkeypatch, features, classifier, texts, balance, expected):
    monkeypatch.setattr(streamed_fit, "PART", 10)
    assert is_streamed(features, classifier, texts, balance) is expected


def test_every_text_is_seen_once_with_its_own_label_from_memory_as_from_disk(monkeypatch):
    monkeypatch.setattr(streamed_fit, "PART", 7)
    texts = [f"text{i}" for i in range(30)]
    labels = np.arange(30) % 3
    seen = []

    class Recorder:
        def transform(self, texts):
            return list(texts)

        def partial_fit(self, texts, labels, classes):
            assert len(texts) <= 7
            assert classes.tolist() == [0, 1, 2]
            seen.append(list(zip(texts, labels.tolist(), strict=True)))

    recorder = Recorder()
    fit_streamed(recorder, recorder, texts, labels, seed=1)
    first, seen = seen, []
    assert sorted(sum(first, [])) == sorted(zip(texts, labels.tolist(), strict=True))
    assert sum(first, []) != list(zip(texts, labels.tolist(), strict=True))
    fit_streamed(recorder, recorder, MappedTexts(Dataset.from_dict({"text": texts}), "text"), labels, seed=1)
    assert seen == first


@pytest.mark.parametrize(("part", "least"), [(10, 0.7), (1000, 1.0)])
def test_hashed_logreg_learns_in_parts_and_whole(monkeypatch, tmp_path, part, least):
    monkeypatch.setattr(streamed_fit, "PART", part)
    data = make_data()
    classifier, _ = fit(configured("hashed_logreg"), data)
    texts, _ = texts_of(data.test)
    found = classifier.predict_proba(texts)
    assert (found.argmax(axis=1) == labels_of(data.test)).mean() >= least
    classifier.save(tmp_path)
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(texts), found)
