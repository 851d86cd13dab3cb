"""DeBERTa, which adds biases by itself, in 16 bits; and BigBird, which has two kinds of attention."""

import numpy as np
import pytest
import torch

from tests.conftest import make_data
from tests.tiny_checkpoints import make_checkpoint
from textclf.export.onnx import write_transformer
from textclf.models.families import load_classifier
from textclf.models.options import TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.training.fit import train
from textclf.training.options import Device, HFTrainer, Precision, TorchTrainer
from textclf.training.result import RunContext

NAMES = ("negative", "positive")
SHORT = ["a lovely film", "a dull lamp"]
LONG = [" ".join(["it is a lovely film and a dull lamp"] * 8)]


def load(folder, max_length=32):
    return load_checkpoint(TransformerModel(name="x", checkpoint=str(folder), max_length=max_length), NAMES, seed=1)


@pytest.fixture(scope="module")
def deberta(tmp_path_factory):
    return make_checkpoint("deberta", tmp_path_factory.mktemp("deberta"))


@pytest.fixture(scope="module")
def bigbird(tmp_path_factory):
    return make_checkpoint("bigbird", tmp_path_factory.mktemp("bigbird"))


@pytest.mark.parametrize("engine", [TorchTrainer, HFTrainer])
def test_deberta_trains_and_predicts_in_bf16(engine, deberta, tmp_path):
    classifier = load(deberta)
    options = engine(epochs=1, batch_size=8, precision=Precision.bf16, device=Device.cpu, log_every=1)
    result = train(options, classifier, make_data(train=16, evaluation=8), RunContext())
    assert result.precision == "bf16"
    assert all(0.2 < loss < 2 for _, loss in result.step_losses)
    found = classifier.predict_proba(SHORT)
    classifier.save(tmp_path)
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(SHORT), found)
    classifier.autocast = None
    np.testing.assert_allclose(classifier.predict_proba(SHORT), found, atol=0.02)


def test_deberta_under_autocast_is_near_float32(deberta):
    classifier = load(deberta)
    model = classifier.model.eval()
    ids = torch.randint(5, 100, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    with torch.no_grad():
        plain = model(input_ids=ids, attention_mask=mask).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = model(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(low.float(), plain, atol=0.02, rtol=0.05)


def test_deberta_becomes_a_graph(deberta, tmp_path):
    classifier = load(deberta)
    classifier.autocast = torch.bfloat16  # as after training in it
    in_float32 = load(deberta).predict_proba(SHORT + LONG)
    write_transformer(classifier, tmp_path)
    np.testing.assert_allclose(load_classifier(tmp_path).predict_proba(SHORT + LONG), in_float32, atol=1e-4)


def test_bigbird_says_the_same_of_a_long_text_after_a_short_one(bigbird):
    classifier = load(bigbird, max_length=256)
    assert classifier.model.bert.attention_type == "block_sparse"
    fresh = classifier.predict_proba(LONG)
    assert classifier.model.bert.attention_type == "block_sparse"  # long enough for it
    classifier.predict_proba(SHORT)
    np.testing.assert_array_equal(classifier.predict_proba(LONG), fresh)


def test_bigbirds_change_of_attention_draws_no_random_numbers(bigbird):
    classifier = load(bigbird, max_length=256)
    classifier.predict_proba(SHORT)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    classifier.predict_proba(LONG)
    assert torch.equal(torch.rand(3), expected)
