"""Encoders are trained on pairs of few examples."""

import dataclasses

import numpy as np
import pytest
from datasets import Dataset

from tests.conftest import make_data, make_set_data
from tests.models.embeddings.encoders import write_encoder
from textclf import load_classifier
from textclf.errors import ConfigError, DataError
from textclf.models.options import SetfitModel
from textclf.training.contrastive import pairs_of
from textclf.training.fit import draws_seed, fit
from textclf.training.options import Precision, TorchTrainer
from textclf.training.result import RunContext


@pytest.fixture(scope="module")
def encoder(tiny_checkpoint, tmp_path_factory):
    return write_encoder(tiny_checkpoint, tmp_path_factory.mktemp("encoders") / "plain")


def setfit(encoder, **changes):
    return SetfitModel(**{"name": "setfit", "checkpoint": str(encoder), "learning_rate": 5e-3, **changes})


def with_train(data, rows):
    chosen = {name: [data.train[name][row] for row in rows] for name in data.train.column_names}
    return dataclasses.replace(data, train=Dataset.from_dict(chosen, data.train.features))


@pytest.mark.parametrize("counts", [(2, 2), (5, 9), (2, 3, 30)])
def test_half_of_the_pairs_are_of_one_class_and_none_of_one_example(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    pairs = pairs_of(labels, 10, 10_000, 1)
    assert len(pairs.labels) == 10 * len(labels)
    assert (pairs.first != pairs.second).all()
    np.testing.assert_array_equal(labels[pairs.first] == labels[pairs.second], pairs.labels == 1)
    assert pairs.labels.mean() == 0.5
    assert (np.bincount(pairs.first) == 10).all()
    assert len(pairs_of(labels, 10, 7, 1).labels) == 7
    assert not np.array_equal(pairs_of(labels, 10, 10_000, 2).second, pairs.second)


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16])
def test_training_moves_the_classes_apart_and_is_saved(encoder, tmp_path, monkeypatch, capfd, precision):
    monkeypatch.setattr("textclf.models.embeddings.sentence_encoder.cpu_is_fast_at_bf16", lambda: True)
    data = with_train(make_data(evaluation=48), range(16))
    options = setfit(encoder, pairs_per_example=40)
    assert draws_seed(options)
    classifier, result = fit(options, data, TorchTrainer(precision=precision), RunContext(seed=3))
    assert result.draws_seed
    assert result.step_losses[-1][1] < result.step_losses[0][1] * 0.7
    assert result.precision == precision.value
    texts, labels = data.test["text"][:], np.array(data.test["label"][:])
    found = classifier.predict_proba(texts)
    assert (found.argmax(1) == labels).mean() > 0.95
    classifier.save(tmp_path / "saved")
    np.testing.assert_array_equal(load_classifier(tmp_path / "saved").predict_proba(texts), found)
    assert capfd.readouterr() == ("", "")
    if precision is Precision.bf16:
        return  # the other shows it too
    again, _ = fit(options, data, TorchTrainer(precision=precision), RunContext(seed=3))
    np.testing.assert_array_equal(again.predict_proba(texts), found)


def test_a_class_of_one_example_is_told_before_anything_is_loaded():
    data = with_train(make_data(), [0, 1, 2])
    with pytest.raises(DataError, match=r"has 1 training example, and setfit needs 2 of each class"):
        fit(setfit("nowhere/at-all"), data, TorchTrainer(), RunContext())


def test_pairs_of_texts_are_refused():
    with pytest.raises(ConfigError, match="holds pairs of texts"):
        fit(setfit("nowhere/at-all"), make_data(pairs=True), TorchTrainer(), RunContext())


def test_sets_of_labels_are_refused_with_what_takes_them(encoder):
    with pytest.raises(ConfigError, match=r"tiny-sets have sets of labels.*Use model=minilm_embeddings"):
        fit(setfit(encoder), make_set_data(), TorchTrainer(), RunContext())
