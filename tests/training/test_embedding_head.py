"""Fitting heads to embeddings: strengths, few examples, rare classes, and what is encoded how often."""

import dataclasses

import numpy as np
import pytest
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from tests.conftest import make_data, make_set_data
from tests.models.embeddings.encoders import options_of, static_of, word_vectors, write_encoder
from textclf import InMemoryDataset, load_classifier
from textclf.errors import DataError
from textclf.evaluation.evaluate import timed
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.models.embeddings import sentence_encoder
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.options import Balance, Imbalance
from textclf.system import text_cache
from textclf.training.embedding_head import STRENGTHS, Examples, choose_head
from textclf.training.fit import draws_seed, fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext


@pytest.fixture(scope="module")
def encoder(tiny_checkpoint, tmp_path_factory):
    return write_encoder(tiny_checkpoint, tmp_path_factory.mktemp("encoders") / "plain")


@pytest.fixture
def encoded(monkeypatch):
    """The numbers of texts that were really encoded."""
    counts = []
    work = sentence_encoder.SentenceEncoder._encode
    monkeypatch.setattr(
        sentence_encoder.SentenceEncoder, "_encode", lambda self, texts: counts.append(len(texts)) or work(self, texts)
    )
    return counts


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Few texts are worth a file in a folder of its own."""
    monkeypatch.setattr(text_cache.constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(VECTORS, "file_seconds", 0.0)
    return tmp_path / "textclf" / "embeddings"


def blobs(count, classes=3, spread=1.0, seed=0):
    """Return examples around a corner for each class."""
    chance = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = 2 * np.eye(classes, 8, dtype=np.float32)
    return Examples((centres[labels] + spread * chance.normal(size=(count, 8))).astype(np.float32), labels)


def accuracy(found, examples):
    return float((found.head.logits(examples.features).argmax(1) == examples.labels).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_the_strength_of_the_least_loss_on_validation_is_taken(classes):
    train, held = blobs(60, classes), blobs(200, classes, seed=1)
    found = choose_head(train, held, None, Balance(), 0)
    losses = {}
    for strength in STRENGTHS:
        head = choose_head(train, held, strength, Balance(), 0).head
        right = head.probabilities(held.features)[np.arange(200), held.labels]
        losses[strength] = -np.log(right).mean()
    assert found.strength == min(losses, key=losses.get)
    assert found.chosen == "chosen on 200 validation examples"
    assert accuracy(found, held) > 0.8


def test_a_small_validation_leaves_the_choice_to_train():
    found = choose_head(blobs(60), blobs(6), None, Balance(), 0)
    assert found.chosen == "chosen by cross-validation in train"
    single = choose_head(blobs(3), blobs(1), None, Balance(), 0)
    assert (single.strength, accuracy(single, blobs(3))) == (10.0, 1.0)


def test_the_size_of_the_vectors_changes_nothing():
    train, held = blobs(60), blobs(60, seed=1)
    large = [Examples(examples.features * np.float32(1000), examples.labels) for examples in (train, held)]
    one, other = choose_head(train, held, None, Balance(), 0), choose_head(*large, None, Balance(), 0)
    assert one.strength == other.strength
    np.testing.assert_allclose(
        one.head.probabilities(held.features), other.head.probabilities(large[1].features), atol=1e-3
    )


@pytest.mark.parametrize("imbalance", list(Imbalance))
def test_rare_classes_are_found_more_often_where_that_is_asked_for(imbalance):
    both = blobs(400, 2, spread=1.5)
    rare = np.flatnonzero((both.labels == 0) | (np.arange(400) % 20 == 1))
    train, held = both.rows(rare), blobs(400, 2, 1.5, seed=1)
    found = choose_head(train, held, 1.0, Balance(imbalance), 0)
    share = float((found.head.logits(held.features).argmax(1) == 1).mean())
    assert share > 0.4 if imbalance in (Imbalance.class_weights, Imbalance.oversample) else share < 0.45


def labelled(count, seed=0):
    """Return examples of sets of three labels: each moves its own number."""
    chance = np.random.default_rng(seed)
    has = chance.random((count, 3)) < [0.5, 0.3, 0.1]
    features = chance.normal(size=(count, 8))
    features[:, :3] += 2 * has
    return Examples(features.astype(np.float32), has)


def test_heads_of_labels_are_scikit_learns_one_versus_rest():
    train, held = labelled(300), labelled(100, seed=1)
    scale = np.float32(1 / np.sqrt(np.mean(np.square(train.features, dtype=np.float64).sum(1))))
    reference = OneVsRestClassifier(LogisticRegression(C=3.0, max_iter=300))
    reference.fit(train.features * scale, train.labels.astype(int))
    found = choose_head(train, held, 3.0, Balance(), 0)
    probabilities = found.head.probabilities(held.features, sets=True)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, reference.predict_proba(held.features * scale), atol=1e-5)


def test_labels_share_the_strength_of_the_least_loss_over_all_of_them():
    train, held = labelled(60), labelled(200, seed=1)
    found = choose_head(train, held, None, Balance(), 0)
    losses = {}
    for strength in STRENGTHS:
        p = choose_head(train, held, strength, Balance(), 0).head.probabilities(held.features, sets=True)
        losses[strength] = -np.log(np.where(held.labels, p, 1 - p)).mean()
    assert found.strength == min(losses, key=losses.__getitem__)
    assert found.chosen == "chosen on 200 validation examples"


def test_a_label_that_no_example_of_a_fold_has_does_not_stop_the_choice():
    """Its two examples have a rarer label too, by which folds are drawn, so that both may lie in one."""
    train = labelled(60)
    has = train.labels.copy()
    has[:, 1:] = False
    has[:2, 1] = has[:3, 2] = True
    found = choose_head(Examples(train.features, has), labelled(6, seed=1), None, Balance(), 0)
    assert found.chosen == "chosen by cross-validation in train"
    assert np.isfinite(found.head.weight).all()


@pytest.mark.parametrize("imbalance", list(Imbalance))
def test_rare_labels_are_found_more_often_where_that_is_asked_for(imbalance):
    train, held = labelled(400), labelled(400, seed=1)
    found = choose_head(train, held, 1.0, Balance(imbalance), 0)
    share = float((found.head.probabilities(held.features, sets=True)[:, 2] > 0.5).mean())
    assert share > 0.12 if imbalance in (Imbalance.class_weights, Imbalance.oversample) else share < 0.1


@pytest.mark.parametrize("kind", ["sentence", "static"])
def test_embeddings_of_sets_are_saved_with_their_heads(kind, encoder, tmp_path):
    options = options_of(encoder) if kind == "sentence" else static_of(word_vectors(tmp_path / "words"))
    classifier, _ = fit(options, make_set_data(), TorchTrainer(), RunContext())
    assert classifier.thresholds == (0.5, 0.5, 0.5)
    classifier.thresholds = (0.4, 0.5, 0.6)
    classifier.save(tmp_path / "saved")
    again = load_classifier(tmp_path / "saved")
    texts = ["it is a lovely lamp", "it is a dull chair"]
    np.testing.assert_array_equal(again.predict_proba(texts), classifier.predict_proba(texts))
    assert again.thresholds == (0.4, 0.5, 0.6)
    assert (again.predict_proba(texts).sum(axis=1) != 1).all()


def test_a_label_without_an_example_is_told(encoder):
    data = make_set_data()
    with pytest.raises(DataError, match="label 'seat' has no training example"):
        fit(
            options_of(encoder),
            dataclasses.replace(data, train=data.train.filter(lambda row: 1 not in row["label"])),
            TorchTrainer(),
            RunContext(),
        )


def test_a_class_without_an_example_is_told(encoder):
    data = make_data()
    only = Dataset.from_dict({name: data.train[name][1::2] for name in data.train.column_names}, data.train.features)
    with pytest.raises(DataError, match="class 'negative' has no training example"):
        fit(options_of(encoder), dataclasses.replace(data, train=only), TorchTrainer(), RunContext())


def test_other_heads_on_the_same_texts_encode_nothing_again(encoder, kept, encoded):
    for strength in (None, 0.1, 1.0):
        with VECTORS.remembering():
            fit(options_of(encoder, strength=strength), make_data(), TorchTrainer(), RunContext())
    assert sorted(encoded) == [1, 1, 1, 24, 64] or sorted(encoded) == [24, 64]
    assert len(list(kept.iterdir())) == 2
    with VECTORS.remembering():
        fit(options_of(encoder, prefix="x"), make_data(), TorchTrainer(), RunContext())
    assert encoded.count(64) == 2


def test_what_is_remembered_counts_as_if_it_were_made_again(encoder, kept, monkeypatch):
    vectors = np.ones((10, 3), np.float32)

    def slowly(texts, pairs):
        import time

        time.sleep(0.3)
        return vectors

    texts = [str(number) for number in range(10)]
    for _ in range(2):
        with VECTORS.remembering():
            found, seconds = timed(lambda: VECTORS.remembered(lambda: ["how"], texts, slowly))
        np.testing.assert_array_equal(found, vectors)
        assert seconds >= 0.3
    (path,) = kept.iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with VECTORS.remembering():
        np.testing.assert_array_equal(VECTORS.remembered(lambda: ["how"], texts, slowly), vectors)


def test_a_run_is_the_same_under_every_seed_and_says_so(encoder, tmp_path):
    data = make_data()
    rows = {split: (data.split(split)["text"][:], data.split(split)["label"][:]) for split in ("train", "test")}
    dataset = InMemoryDataset(name="tiny", **rows)
    options = options_of(encoder)
    assert not draws_seed(options)
    assert draws_seed(options_of(encoder, imbalance=Imbalance.oversample))
    one, other = (
        run_experiment(Experiment(dataset, options, seed=seed), tmp_path / str(seed)) for seed in (1, 2)
    )  # fmt: skip
    assert one.fit["draws_seed"] is False
    assert one.metrics == other.metrics
    assert one.trainer == "none"
    assert one.costs["num_parameters"] > 1000
    assert (tmp_path / "1" / "classifier" / "head.safetensors").is_file()
