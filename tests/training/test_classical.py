import warnings
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from scipy.sparse import csr_matrix
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC

from tests.conftest import make_data
from tests.models.classical.test_pipeline import configured, fitted
from textclf import load_classifier
from textclf.data.dataset import MappedTexts, labels_of, texts_of
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.errors import ConfigError
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.experiment.sweep.status import JobStatus, sweep_table
from textclf.models.classical.hashed_tfidf import HashedTfidf
from textclf.models.classical.linear_classes import LinearClasses
from textclf.models.options import UNWEIGHED, Balance, ClassicalModel, Imbalance
from textclf.training import classical
from textclf.training.classical import fit_streamed, is_streamed
from textclf.training.fit import check, draws_seed, fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

HASHES = HashingVectorizer(n_features=64)


@pytest.mark.parametrize(
    ("features", "classifier", "texts", "balance", "expected"),
    [
        (HASHES, SGDClassifier(), 11, UNWEIGHED, True),
        (HashedTfidf(), SGDClassifier(), 11, UNWEIGHED, True),
        (HASHES, SGDClassifier(), 10, UNWEIGHED, False),
        (CountVectorizer(), SGDClassifier(), 11, UNWEIGHED, False),
        (HASHES, LogisticRegression(), 11, UNWEIGHED, False),
        (HASHES, SGDClassifier(), 11, Balance(Imbalance.class_weights), False),
    ],
)
def test_only_many_texts_and_parts_that_can_are_streamed(monkeypatch, features, classifier, texts, balance, expected):
    monkeypatch.setattr(classical, "PART", 10)
    assert is_streamed(features, classifier, texts, balance) is expected


class Recorder:
    """A vectorizer and a classifier that remember what they were given."""

    def __init__(self):
        self.fitted = []
        self.parts = []

    def fit(self, texts):
        self.fitted.append(list(texts))

    def transform(self, texts):
        return csr_matrix([[float(text)] for text in texts])

    def partial_fit(self, features, labels, classes=None):
        assert features.shape[0] <= 7
        assert self.parts or classes.tolist() == [0, 1, 2]
        self.parts.append(list(zip(features.toarray()[:, 0].astype(int).tolist(), labels.tolist(), strict=True)))


@pytest.mark.parametrize(("enough", "epochs"), [(10, 1), (61, 3)])
def test_every_epoch_sees_every_text_once_with_its_own_label_from_memory_as_from_disk(monkeypatch, enough, epochs):
    monkeypatch.setattr(classical, "PART", 7)
    monkeypatch.setattr(classical, "ENOUGH", enough)
    texts = [str(i) for i in range(30)]
    labels = np.arange(30) % 3
    found = []
    for given in (texts, MappedTexts(Dataset.from_dict({"text": texts}), "text")):
        recorder = Recorder()
        assert fit_streamed(recorder, [recorder], given, labels[:, None], seed=1) == epochs
        assert recorder.fitted == [[str(number) for number, _ in recorder.parts[0]]]
        assert len(recorder.parts) == 5 * epochs
        for epoch in range(epochs):
            seen = sum(recorder.parts[5 * epoch : 5 * epoch + 5], [])
            assert sorted(seen) == list(zip(range(30), labels.tolist(), strict=True))
            assert seen != sorted(seen)
        found.append(recorder.parts)
    assert found[0] == found[1]


@pytest.mark.parametrize(("part", "least"), [(10, 0.9), (1000, 1.0)])
def test_hashed_logreg_learns_in_parts_and_whole(monkeypatch, tmp_path, part, least):
    monkeypatch.setattr(classical, "PART", part)
    monkeypatch.setattr(classical, "ENOUGH", 200)
    data = make_data()
    classifier, _ = fitted(configured("hashed_logreg"), data)
    texts, _ = texts_of(data.test)
    found = classifier.predict_proba(texts)
    assert (found.argmax(axis=1) == labels_of(data.test)).mean() >= least
    classifier.save(tmp_path)
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(texts), found)


def test_what_cannot_be_counted_is_not_called_none():
    features, labels = csr_matrix(np.eye(6)), np.array([0, 1] * 3)
    for classifier, count in [
        (LogisticRegression(), 7), (MultinomialNB(), 14), (DummyClassifier(), 2), (LinearSVC(), 7),
        (MLPClassifier([3], max_iter=1), 6 * 3 + 3 + 3 + 1),
        (RandomForestClassifier(3), None), (SVC(), None), (KNeighborsClassifier(), None),
        (CalibratedClassifierCV(LinearSVC(), ensemble=False, cv=3), 7),
        (CalibratedClassifierCV(RandomForestClassifier(3), ensemble=False, cv=3), None),
    ]:  # fmt: skip
        with warnings.catch_warnings(action="ignore"):
            classifier.fit(features, labels)
        assert classical._count_weights(classifier) == count, classifier


def test_a_run_of_a_forest_says_nothing_of_parameters(tmp_path, caplog):
    model = ClassicalModel(
        name="forest",
        vectorizer={"_target_": "sklearn.feature_extraction.text.TfidfVectorizer"},
        classifier={"_target_": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 3},
    )
    data = make_data()
    rows = {split: (data.split(split)["text"][:], data.split(split)["label"][:]) for split in ("train", "test")}
    dataset = InMemoryDataset(name="tiny", **rows)
    with caplog.at_level("INFO"):
        record = run_experiment(Experiment(dataset, model, save_classifier=False), tmp_path / "run")
    assert "num_parameters" not in record.costs
    assert "parameters" not in caplog.text
    assert "| parameters" not in (tmp_path / "run" / "report.md").read_text()
    table = sweep_table([JobStatus(0, False, [], 1.0, 1.0)], {0: record})
    assert table.splitlines()[-1].split()[-2] == "–"


@pytest.mark.parametrize(
    ("target", "arguments", "draws"),
    [
        ("sklearn.naive_bayes.ComplementNB", {}, False),
        ("sklearn.neighbors.KNeighborsClassifier", {}, False),
        ("sklearn.linear_model.LogisticRegression", {"solver": "lbfgs"}, False),
        ("sklearn.linear_model.LogisticRegression", {"solver": "saga"}, True),
        ("sklearn.ensemble.RandomForestClassifier", {}, True),
        ("sklearn.ensemble.RandomForestClassifier", {"random_state": 3}, False),
        ("sklearn.tree.DecisionTreeClassifier", {}, True),
        ("sklearn.dummy.DummyClassifier", {"strategy": "stratified"}, True),
        ("sklearn.linear_model.RidgeClassifier", {}, True),  # calibrated, on folds that are drawn
        ("sklearn.neighbors.KNeighborsClassifier", {"n_neighbors": 5000}, True),  # nothing can be tried on few texts
    ],
)
def test_what_is_drawn_from_the_seed_is_tried(target, arguments, draws):
    model = ClassicalModel(name="x", classifier={"_target_": target, **arguments})
    assert draws_seed(model) is draws


def test_a_model_that_is_said_to_draw_nothing_is_the_same_with_every_seed(tiny_data):
    texts, _ = texts_of(tiny_data.test)
    for name in ("majority", "naive_bayes", "tfidf_logreg"):
        assert not draws_seed(configured(name))
        runs = [fit(configured(name), tiny_data, TorchTrainer(), RunContext(seed=seed)) for seed in (1, 2)]
        first, second = (classifier.predict_proba(texts) for classifier, _ in runs)
        np.testing.assert_array_equal(first, second)
        assert not any(result.draws_seed for _, result in runs)


def of_classes(count, n=120):
    words = [f"word{number}" for number in range(count)]
    rows = [{"text": f"{words[k % count]} a text {k % 7}", "label": f"c{k % count}"} for k in range(n)]
    return InMemoryDataset(name="classes", train=rows, validation=rows[:40], test=rows[:40])


@pytest.mark.parametrize(
    ("count", "changes", "found"),
    [
        (2, {}, LogisticRegression),
        (3, {}, LinearClasses),
        (3, {"one_vs_rest": None}, LogisticRegression),
        (3, {"imbalance": Imbalance.class_weights}, LogisticRegression),
    ],
)
def test_more_than_two_classes_have_a_classifier_each(count, changes, found, tmp_path):
    model = replace(configured("tfidf_logreg"), **changes)
    data = load(of_classes(count))
    assert not draws_seed(model)
    classifier, result = fit(model, data, TorchTrainer(), RunContext(1))
    assert type(classifier.pipeline[-1]) is found
    rows = 1 if count == 2 else count
    assert result.num_parameters == rows * (len(classifier.pipeline[0].vocabulary_) + 1)
    classifier.save(tmp_path)
    texts = ["word0 a text", "word1 a text", "nothing"]
    again = load_classifier(tmp_path).predict_proba(texts)
    np.testing.assert_array_equal(again, classifier.predict_proba(texts))
    np.testing.assert_allclose(again.sum(axis=1), 1, rtol=1e-6)
    assert again.argmax(axis=1).tolist()[:2] == [0, 1]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"_target_": "sklearn.svm.LinearSVC"}, "model.one_vs_rest: a LinearSVC has no probabilities of classes"),
        ({"_target_": "os.system"}, "model.one_vs_rest._target_ must name a class of scikit-learn"),
        ({"_target_": "sklearn.linear_model.LogisticRegression", "c": 1}, "model.one_vs_rest.c: LogisticRegression"),
    ],
)
def test_a_classifier_of_each_class_must_be_one(node, said):
    with pytest.raises(ConfigError, match=said):
        check(replace(configured("tfidf_logreg"), one_vs_rest=node), TorchTrainer())
