from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.naive_bayes import MultinomialNB
from sklearn.svm import SVC, LinearSVC

from textclf.errors import ConfigError, ResourceError
from textclf.models.classical.linear_classes import LinearClasses, as_scikit_learns
from textclf.models.classical.nb_svm import NBSVM
from textclf.models.options import UNWEIGHED, Balance, Imbalance
from textclf.training import each_label
from textclf.training.each_label import fit_chain, fit_each_class, fit_each_label, with_probabilities


def examples(n=200, labels=5, seed=0):
    generator = np.random.default_rng(seed)
    features = generator.poisson(0.5, size=(n, 30))
    weights = generator.normal(size=(30, labels))
    has = features @ weights + generator.normal(size=(n, labels)) > 1.0
    return csr_matrix(features.astype(np.float64)), has


@pytest.mark.parametrize("classifier", [LogisticRegression(max_iter=500), MultinomialNB()])
def test_as_scikit_learns_own_one_versus_rest(classifier):
    features, has = examples()
    ours = fit_each_label(classifier, features, has, UNWEIGHED, seed=1)
    theirs = OneVsRestClassifier(classifier).fit(features, has.astype(int))
    np.testing.assert_allclose(ours.predict_proba(features), theirs.predict_proba(features), rtol=1e-5)
    np.testing.assert_array_equal(ours.predict(features), theirs.predict(features))


@pytest.mark.parametrize(
    ("classifier", "shared"),
    [
        (LogisticRegression(), True),
        (SGDClassifier(loss="log_loss", random_state=1), True),
        (LogisticRegression(solver="liblinear", dual=True, random_state=1), False),
        (CalibratedClassifierCV(LinearSVC(random_state=1), cv=2), False),
        (CalibratedClassifierCV(SVC(random_state=1), cv=2), False),
    ],
)
def test_where_it_is_worth_it_labels_are_fitted_at_once_and_the_digits_are_the_same(classifier, shared, monkeypatch):
    """But for libraries that draw from one generator of the whole process."""
    features, has = examples()
    alone = fit_each_label(classifier, features, has, UNWEIGHED, seed=1).predict_proba(features)
    threads = []

    def pool(count):
        threads.append(count)
        return ThreadPoolExecutor(3)

    monkeypatch.setattr(each_label, "WORTH_SHARING", 0.0)
    monkeypatch.setattr(each_label, "ThreadPoolExecutor", pool)
    monkeypatch.setattr(each_label.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    beside = fit_each_label(classifier, features, has, UNWEIGHED, seed=1).predict_proba(features)
    np.testing.assert_array_equal(alone, beside)
    assert bool(threads) == shared


def test_rare_labels_weigh_more_where_that_is_asked():
    features, has = examples()
    rare = has[:, :2] & (np.arange(len(has)) % 6 == 0)[:, None]
    plain = fit_each_label(LogisticRegression(), features, rare, UNWEIGHED, 1).predict_proba(features)
    balance = Balance(Imbalance.class_weights)
    weighed = fit_each_label(LogisticRegression(), features, rare, balance, 1).predict_proba(features)
    theirs = OneVsRestClassifier(LogisticRegression(class_weight="balanced")).fit(features, rare.astype(int))
    assert (weighed.mean(axis=0) > 2 * plain.mean(axis=0)).all()
    np.testing.assert_allclose(weighed, theirs.predict_proba(features), atol=1e-3)


def test_a_chain_is_scikit_learns_with_the_frequent_labels_first():
    features, has = examples()
    ours = fit_chain(LogisticRegression(), features, has, UNWEIGHED, seed=1)
    order = np.argsort(-has.sum(axis=0), kind="stable")
    theirs = ClassifierChain(LogisticRegression(), order=order, random_state=1).fit(features, has.astype(int))
    np.testing.assert_array_equal(ours.predict_proba(features), theirs.predict_proba(features))
    with pytest.raises(ConfigError, match=r"label_chain=true and model.imbalance=focal contradict"):
        fit_chain(LogisticRegression(), features, has, Balance(Imbalance.focal), seed=1)


def test_without_probabilities_a_classifier_is_calibrated_as_far_as_the_rarest_label_allows():
    _, has = examples()
    has[:, 0] = np.arange(len(has)) < 3
    assert with_probabilities(LinearSVC(), has, 1).cv.n_splits == 3
    assert isinstance(with_probabilities(MultinomialNB(), has, 1), MultinomialNB)
    has[:, 0] = np.arange(len(has)) < 1
    with pytest.raises(ConfigError, match="the rarest has 1. Use model=tfidf_logreg"):
        with_probabilities(LinearSVC(), has, 1)


def test_many_classes_are_as_scikit_learns_own_one_versus_rest(monkeypatch):
    features, has = examples()
    labels = has.sum(axis=1) * 2  # classes need not follow one another
    monkeypatch.setattr(each_label, "WORTH_SHARING", 0.0)
    ours = fit_each_class(LogisticRegression(solver="liblinear", dual=True, random_state=0), features, labels)
    theirs = OneVsRestClassifier(LogisticRegression(solver="liblinear", dual=True, random_state=0))
    theirs.fit(features, labels)
    scores = np.stack([one.decision_function(features) for one in theirs.estimators_], axis=1)
    np.testing.assert_allclose(ours.predict_proba(features), softmax(scores, axis=1), rtol=1e-5)
    np.testing.assert_array_equal(ours.predict(features), theirs.predict(features))
    again = as_scikit_learns(ours)
    np.testing.assert_allclose(again.predict_proba(features), ours.predict_proba(features), rtol=1e-5)
    np.testing.assert_array_equal(ours.classes_, np.unique(labels))
    np.testing.assert_allclose(ours.predict_proba(features).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("classifier", "kept"),
    [
        (LogisticRegression(), True),
        (SGDClassifier(loss="log_loss", random_state=1), True),
        (CalibratedClassifierCV(LinearSVC(random_state=1), ensemble=False), True),
        (CalibratedClassifierCV(NBSVM(random_state=1), ensemble=False), True),
        (CalibratedClassifierCV(LinearSVC(random_state=1), ensemble=True), False),
        (CalibratedClassifierCV(LinearSVC(random_state=1), method="isotonic", ensemble=False), False),
        (SGDClassifier(loss="modified_huber", random_state=1), False),
        (MultinomialNB(), False),
    ],
)
def test_of_a_logistic_model_only_the_weights_are_kept(classifier, kept):
    features, has = examples()
    ours = fit_each_label(classifier, features, has, UNWEIGHED, seed=1)
    theirs = OneVsRestClassifier(classifier).fit(features, has.astype(int))
    assert isinstance(ours, LinearClasses) == kept
    np.testing.assert_allclose(ours.predict_proba(features), theirs.predict_proba(features), rtol=2e-5, atol=1e-6)
    if kept:
        assert ours.weights_.dtype == np.float32
        assert ours.weights_.flags.c_contiguous
        again = as_scikit_learns(ours)
        np.testing.assert_allclose(ours.predict_proba(features), again.predict_proba(features), rtol=2e-5, atol=1e-6)
        np.testing.assert_array_equal(ours.predict(features), again.predict(features))
        dense = ours.predict_proba(features.toarray())
        np.testing.assert_allclose(dense, ours.predict_proba(features), rtol=2e-5, atol=1e-6)
        with pytest.raises(ValueError, match="X has 29 features, but 30"):
            ours.predict_proba(features[:, :29])


def test_weights_beyond_the_memory_are_refused_after_the_first_label(monkeypatch):
    features, has = examples()
    fits = []

    class Counted(LogisticRegression):
        def fit(self, *given):
            fits.append(1)
            return super().fit(*given)

    monkeypatch.setattr(each_label, "free_memory", lambda: 30 * 5 * 8 - 1)
    said = r"5 classes or labels of 30 features .* 0.0 GB are free.*model.vectorizer.min_df=2"
    with pytest.raises(ResourceError, match=said):
        fit_each_label(Counted(), features, has, UNWEIGHED, seed=1)
    assert len(fits) == 1
    monkeypatch.setattr(each_label, "free_memory", lambda: 30 * 5 * 8)
    fit_each_label(Counted(), features, has, UNWEIGHED, seed=1)
