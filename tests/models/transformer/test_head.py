"""The head of a fine-tuned checkpoint: matched by the names of its classes."""

import logging

import numpy as np
import pytest
import torch

from tests.tiny_checkpoints import make_checkpoint
from textclf.models.options import TransformerModel
from textclf.models.transformer.head import order_of
from textclf.models.transformer.loading import load_checkpoint, open_checkpoint
from textclf.models.transformer.skeleton import skeleton, weights_of_labels

TEXTS = ["a lovely film", "number 3 is a broken lamp"]


def load(folder, names, seed=1):
    return load_checkpoint(TransformerModel(name="x", checkpoint=str(folder), max_length=32), names, seed)


@pytest.fixture(scope="module", params=["bert", "roberta", "bart", "gpt2", "xlnet", "t5"])
def fine_tuned(request, tmp_path_factory):
    """A folder with a head of three classes, and what it says."""
    folder = tmp_path_factory.mktemp("fine_tuned")
    make_checkpoint(request.param, folder / "base")
    classifier = load(folder / "base", ("bad", "good", "so-so"), seed=7)
    with torch.no_grad():
        for name in weights_of_labels(classifier.model):
            classifier.model.get_parameter(name).normal_()  # so that the classes differ
    classifier.save(folder / "tuned")
    return folder / "tuned", classifier.predict_proba(TEXTS)


def test_rows_follow_the_names_of_the_classes(fine_tuned, caplog):
    folder, expected = fine_tuned
    with caplog.at_level(logging.INFO):
        np.testing.assert_allclose(
            load(folder, ("so-so", "bad", "good")).predict_proba(TEXTS), expected[:, [2, 0, 1]], rtol=1e-5
        )
    assert "the checkpoint's head is kept, its rows put into the order so-so, bad, good" in caplog.text


def test_the_same_order_is_kept_to_the_bit(fine_tuned, caplog):
    folder, expected = fine_tuned
    with caplog.at_level(logging.INFO):
        np.testing.assert_array_equal(load(folder, ("bad", "good", "so-so")).predict_proba(TEXTS), expected)
    assert [record.getMessage() for record in caplog.records] == ["the checkpoint's head is kept"]


def test_other_classes_get_a_new_head(fine_tuned, caplog):
    folder, _ = fine_tuned
    names = weights_of_labels(load(folder, ("bad", "good", "so-so")).model)
    with caplog.at_level(logging.INFO):
        heads = [
            torch.cat([load(folder, ("x", "y", "z"), seed).model.get_parameter(n).flatten() for n in names])
            for seed in (1, 1, 2)
        ]
    assert (
        "the checkpoint's head is for the classes bad, good, so-so, so a new one is trained for x, y, z" in caplog.text
    )
    kept = load(folder, ("bad", "good", "so-so")).model
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert heads[0].abs().max() < 0.5 * torch.cat([kept.get_parameter(n).flatten() for n in names]).abs().max()


def test_another_number_of_classes_gets_a_new_head(fine_tuned, caplog):
    folder, _ = fine_tuned
    with caplog.at_level(logging.INFO):
        assert load(folder, ("bad", "good")).predict_proba(TEXTS).shape == (2, 2)
    assert "the checkpoint has no classification head for these 2 classes, so a new one is trained" in caplog.text


@pytest.mark.parametrize(
    ("own", "wanted", "order"),
    [
        (("POSITIVE", "NEGATIVE"), ("negative", "positive"), [1, 0]),
        (("a", "b"), ("a", "b"), [0, 1]),
        (("a", "A"), ("A", "a"), [1, 0]),
        (("a", "A"), ("a", "b"), None),
        (("LABEL_0", "LABEL_1"), ("negative", "positive"), None),
        (("a", "b", "c"), ("a", "b"), None),
        (("a", "a"), ("a", "a"), None),
    ],
)
def test_classes_are_the_same_by_name(own, wanted, order):
    assert order_of(own, wanted) == order


def test_the_weights_with_a_row_for_each_label(tiny_checkpoint):
    config = open_checkpoint(TransformerModel(name="x", checkpoint=str(tiny_checkpoint), max_length=32)).config
    assert weights_of_labels(skeleton(config)) == ["classifier.weight", "classifier.bias"]
