import datasets
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from tests.conftest import sentences
from textclf.data.dataset import TextData
from textclf.errors import ConfigError
from textclf.models.options import Balance, ClassicalModel, Imbalance
from textclf.training.balanced_fit import fit_balanced
from textclf.training.fit import check, fit
from textclf.training.imbalance import balanced_rows, class_weights, repetitions
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

LABELS = np.array([0] * 90 + [1] * 9 + [2])
LOGREG = {"_target_": "sklearn.linear_model.LogisticRegression"}
NB = {"_target_": "sklearn.naive_bayes.MultinomialNB"}
SVM = {"_target_": "sklearn.svm.LinearSVC"}
NBSVM = {"_target_": "textclf.models.classical.nb_svm.NBSVM"}


def test_class_weights_are_those_of_scikit_learn():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(class_weights(LABELS, 3), expected)
    assert class_weights(LABELS, 3)[LABELS].mean() == pytest.approx(1)
    assert class_weights(LABELS, 5)[4] == 0


def test_balanced_rows():
    rows = balanced_rows(LABELS, 100, np.random.default_rng(0))
    assert sorted(np.bincount(LABELS[rows]).tolist()) == [33, 33, 34]
    frequent = rows[LABELS[rows] == 0]
    assert len(set(frequent)) == len(frequent)  # no example of it twice while others wait
    times = np.bincount(rows[LABELS[rows] == 1])[90:]
    assert times.max() - times.min() <= 1
    other = balanced_rows(LABELS, 100, np.random.default_rng(1))
    assert set(other) != set(rows)


def test_repetitions_bring_every_class_to_the_largest():
    times = repetitions(LABELS, np.random.default_rng(0))
    assert [times[label == LABELS].sum() for label in range(3)] == [90, 90, 90]
    assert times.min() == 1


def rare(train=2000, every=40):
    """Return data in which one example in `every` is positive and half of those say so in plain words."""
    generator = np.random.default_rng(0)
    words = [f"w{i}" for i in range(30)]

    def split(count):
        labels = (np.arange(count) % every == 0).astype(int)
        texts = []
        for label in labels:
            own = generator.choice(words, 6).tolist()
            if generator.random() < (0.6 if label else 0.08):
                own.append("refund")
            texts.append(" ".join(own))
        return datasets.Dataset.from_dict({"example": range(count), "text": texts, "label": labels})

    return TextData("rare", split(train), split(1000), split(1000), label_names=("fine", "broken"), source="tests")


@pytest.mark.parametrize("classifier", [LOGREG, NB, SVM, NBSVM], ids=lambda node: node["_target_"].split(".")[-1])
@pytest.mark.parametrize("imbalance", [Imbalance.class_weights, Imbalance.oversample])
def test_a_rare_class_is_found_more_often(classifier, imbalance):
    data = rare()
    recalls = []
    for choice in (Imbalance.none, imbalance):
        options = ClassicalModel(name="m", classifier=classifier, imbalance=choice)
        fitted, _ = fit(options, data, TorchTrainer(), RunContext())
        labels = np.array(data.test["label"])
        predicted = fitted.predict_proba(list(data.test["text"])).argmax(axis=1)
        recalls.append((predicted[labels == 1] == 1).mean())
    assert recalls[0] < 0.2
    assert recalls[1] > recalls[0] + 0.3


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_refitting_minimises_the_focal_loss(gamma):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(600, 3))
    labels = (features @ [1.5, -1.0, 0.5] + generator.logistic(size=600) > 2.5).astype(np.int64)
    model = LogisticRegression(C=1e6, tol=1e-8, max_iter=1000)
    fit_balanced(model, features, labels, Balance(Imbalance.focal, gamma), seed=1)

    weights = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")
    x, y = torch.tensor(np.c_[features, np.ones(600)]), torch.tensor(labels)

    def closure():
        optimizer.zero_grad()
        p = torch.sigmoid((2 * y - 1) * (x @ weights))
        loss = -((1 - p) ** gamma * p.log()).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose([*model.coef_[0], *model.intercept_], weights.detach().numpy(), atol=0.03)


def test_focal_finds_a_rare_class_more_often():
    data = rare()
    texts, positive = list(data.test["text"]), np.array(data.test["label"]) == 1
    found = []
    for choice in (Imbalance.none, Imbalance.focal):
        model = ClassicalModel(name="m", classifier=LOGREG, imbalance=choice)
        scores = fit(model, data, TorchTrainer(), RunContext())[0].predict_proba(texts)[:, 1]
        found.append(scores[positive].mean())
        assert (scores > 0.5).mean() < 0.3
    assert found[1] > found[0] + 0.1


@pytest.mark.parametrize(
    ("classifier", "imbalance", "message"),
    [
        (SVM, Imbalance.focal, "does not have"),
        ({"_target_": "sklearn.neighbors.KNeighborsClassifier"}, Imbalance.class_weights, "does not take weights"),
    ],
)
def test_what_a_classifier_cannot_do_is_refused_at_once(classifier, imbalance, message):
    with pytest.raises(ConfigError, match=message):
        check(ClassicalModel(name="m", classifier=classifier, imbalance=imbalance), TorchTrainer())


def test_the_same_seed_draws_the_same():
    texts = [row["text"] for row in sentences(10)]
    model = ClassicalModel(name="m", classifier=LOGREG, imbalance=Imbalance.oversample)
    fits = [fit(model, rare(), TorchTrainer(), RunContext(seed=3))[0].predict_proba(texts) for _ in range(2)]
    np.testing.assert_array_equal(*fits)
