"""Every family of checkpoints: it trains, predicts, is saved and read again, in both arithmetics and both engines."""

import numpy as np
import pytest

from tests.conftest import make_data
from tests.sparing import seldom
from tests.tiny_checkpoints import FAMILIES, OFTEN, make_checkpoint
from textclf.models.families import load_classifier
from textclf.models.options import LongText, TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.training.fit import check, train
from textclf.training.options import Device, HFTrainer, Precision, TorchTrainer
from textclf.training.result import RunContext

KINDS = {
    "single": {"max_length": 32},
    "pair": {"max_length": 32},
    "windows": {"max_length": 16, "long_text": LongText.sliding_window, "window_overlap": 4, "max_windows": 3},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return what makes the checkpoint of a family, once."""
    made = {}

    def of(family):
        if family not in made:
            made[family] = make_checkpoint(family, tmp_path_factory.mktemp(family))
        return made[family]

    return of


def fit_and_predict(folder, kind, precision, engine, again):
    """Train two steps, predict, and hold the saved classifier against that."""
    data = make_data(train=8, evaluation=4, pairs=kind == "pair")
    options = TransformerModel(name="x", checkpoint=str(folder), **KINDS[kind])
    trainer = engine(epochs=1, batch_size=4, precision=precision, device=Device.cpu, log_every=1)
    check(options, trainer)
    classifier = load_checkpoint(options, data.label_names, seed=1)
    classifier.has_pairs = data.has_pairs
    result = train(trainer, classifier, data, RunContext())
    assert result.precision == precision.value
    assert all(0.1 < loss < 3 for _, loss in result.step_losses)
    texts = ["a lovely film", "it is a dull lamp and it stays that way, and stays that way" * 2]
    pairs = ["it is good", "it is not"] if kind == "pair" else None
    found = classifier.predict_proba(texts, pairs)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    classifier.save(again)
    np.testing.assert_array_equal(load_classifier(again).predict_proba(texts, pairs), found)


@pytest.mark.parametrize("family", seldom(FAMILIES, OFTEN))
def test_each_trains_and_predicts_in_bf16(family, checkpoint, tmp_path):
    fit_and_predict(checkpoint(family), "single", Precision.bf16, TorchTrainer, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("engine", [TorchTrainer, HFTrainer])
@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_each_does_everything_that_any_does(family, kind, precision, engine, checkpoint, tmp_path):
    fit_and_predict(checkpoint(family), kind, precision, engine, tmp_path)


@pytest.mark.parametrize("family", ["xlnet", "mpnet", "funnel", "t5", "bart", "gpt2", "llama", "qwen2", "qwen3"])
def test_neighbours_in_a_batch_change_no_prediction(family, checkpoint):
    classifier = load_checkpoint(
        TransformerModel(name="x", checkpoint=str(checkpoint(family)), max_length=48), ("negative", "positive"), seed=1
    )
    texts = ["a lovely film", "dull", "it is a broken lamp and it stays that way"]
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(classifier.predict_proba(texts), alone, atol=1e-5)
