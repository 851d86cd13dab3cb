"""Today's checkpoints by name: each config trains and predicts, on a tiny checkpoint of its architecture."""

import numpy as np
import pytest

from tests.conftest import make_data
from tests.tiny_checkpoints import make_checkpoint
from textclf.experiment.cli import compose_experiment
from textclf.models.families import load_classifier
from textclf.models.options import Peft
from textclf.training.fit import check, fit
from textclf.training.options import Precision
from textclf.training.result import RunContext

ARCHITECTURES = {
    "modernbert": "modernbert",
    "deberta-v3": "deberta-v3",
    "mdeberta": "deberta-v3",
    "electra": "electra",
    "mmbert": "modernbert",
    "qwen3": "qwen3",
}


def train(name, folder, engine, precision):
    data = make_data(train=64, evaluation=8)
    experiment = compose_experiment(
        f"model={name}", f"model.checkpoint={make_checkpoint(ARCHITECTURES[name], folder / 'checkpoint')}",
        "model.max_length=32", f"trainer={engine}", "trainer.epochs=1", "trainer.device=cpu",
        f"trainer.precision={precision.value}",
    )  # fmt: skip
    if experiment.model.peft is Peft.lora:
        pytest.importorskip("peft")
    check(experiment.model, experiment.trainer)
    classifier, result = fit(experiment.model, data, experiment.trainer, RunContext())
    assert result.precision == precision.value
    assert (result.num_trainable < result.num_parameters) == (name == "qwen3")
    found = classifier.predict_proba(["a lovely film", "a dull one"])
    classifier.save(folder / "saved")
    np.testing.assert_array_equal(
        load_classifier(folder / "saved").predict_proba(["a lovely film", "a dull one"]), found
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_name_trains_and_predicts(name, tmp_path):
    train(name, tmp_path, "torch", Precision.bf16)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "hf"])
@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_name_does_so_in_every_way(name, precision, engine, tmp_path):
    train(name, tmp_path, engine, precision)
