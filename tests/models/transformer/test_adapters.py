"""Adapters of LoRA: where they go in every family, what is trained with them, and that merging changes only rounding."""

import importlib.util

import numpy as np
import pytest
import torch

from tests.tiny_checkpoints import FAMILIES, make_checkpoint
from textclf.errors import ConfigError
from textclf.models.families import load_classifier
from textclf.models.options import Peft, TransformerModel
from textclf.models.transformer.adapters import ADAPTED
from textclf.models.transformer.loading import load_checkpoint, open_checkpoint
from textclf.models.transformer.parts import is_of_encoder

pytest.importorskip("peft")

TEXTS = ["a lovely film", "it is a dull lamp and it stays that way"]


def load(family, folder, **options):
    checkpoint = make_checkpoint(family, folder) if not (folder / "config.json").exists() else folder
    options = TransformerModel(name="x", checkpoint=str(checkpoint), max_length=32, peft=Peft.lora, **options)
    return load_checkpoint(options, ("negative", "positive"), seed=1)


def disturb(classifier):
    """Give the adapters and the head other values, as training does."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in classifier.model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)


USUAL = {"bert", "deberta-v3", "modernbert", "gpt2", "t5", "qwen3"}
"""Families that are tried each time; the others among the slow tests."""


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[] if name in USUAL else pytest.mark.slow) for name in FAMILIES]
)
def test_adapters_and_head_are_trained_and_merged_into_an_ordinary_classifier(family, tmp_path):
    classifier = load(family, tmp_path / "base")
    plain = load_checkpoint(
        TransformerModel(name="x", checkpoint=str(tmp_path / "base"), max_length=32), ("negative", "positive"), seed=1
    )
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), plain.predict_proba(TEXTS), atol=1e-6)  # nothing yet
    trained = [name for name, weight in classifier.model.named_parameters() if weight.requires_grad]
    assert any(ADAPTED in name for name in trained)
    head = [name for name, _ in plain.model.named_parameters() if not is_of_encoder(plain.model, name)]
    assert {name for name in trained if ADAPTED not in name} == set(head)

    disturb(classifier)
    unmerged = classifier.predict_proba(TEXTS)
    assert classifier.settle()
    merged = classifier.predict_proba(TEXTS)
    np.testing.assert_allclose(merged, unmerged, atol=2e-5)
    assert np.abs(merged - plain.predict_proba(TEXTS)).max() > 1e-3
    assert [n for n, _ in classifier.model.named_parameters()] == [n for n, _ in plain.model.named_parameters()]
    classifier.save(tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("adapter*"))
    np.testing.assert_array_equal(load_classifier(tmp_path / "saved").predict_proba(TEXTS), merged)


@pytest.mark.parametrize(
    ("family", "targets", "places"),
    [
        ("bert", [], {"query", "value"}),
        ("bert", ["key", "intermediate.dense"], {"key", "dense"}),
        ("bert", ["all-linear"], {"query", "key", "value", "dense"}),
        ("modernbert", [], {"Wqkv", "Wo", "Wi"}),
        ("qwen3", [], {"q_proj", "v_proj"}),
        ("gpt2", [], {"c_attn"}),
    ],
)
def test_adapters_go_where_they_are_told_and_never_into_the_head(family, targets, places, tmp_path):
    model = load(family, tmp_path, lora_targets=targets, lora_rank=2).model
    adapted = [path for path, module in model.named_modules() if hasattr(module, "lora_A")]
    assert {path.rpartition(".")[2] for path in adapted} == places
    assert all(is_of_encoder(model, path) for path in adapted)
    assert model.get_submodule(adapted[0]).lora_A["default"].weight.shape[0] == 2


def test_targets_that_are_not_there_are_refused_before_weights_are_read(tmp_path):
    folder = make_checkpoint("bert", tmp_path)
    (folder / "model.safetensors").unlink()
    options = TransformerModel(name="x", checkpoint=str(folder), peft=Peft.lora, lora_targets=["query", "q_proj"])
    with pytest.raises(ConfigError, match="a bert has none called q_proj. Name some of query, key, value, dense"):
        open_checkpoint(options)


def test_without_peft_the_extra_is_named(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "peft" else found(name))
    options = TransformerModel(name="x", checkpoint=str(make_checkpoint("bert", tmp_path)), peft=Peft.lora)
    with pytest.raises(ConfigError, match=r'pip install "textclf\[peft\]"'):
        open_checkpoint(options)


@pytest.mark.parametrize(
    "options",
    [
        {"peft": Peft.lora, "freeze": "encoder"},
        {"lora_rank": 0},
        {"lora_alpha": 0},
        {"lora_dropout": 1.0},
        {"lora_targets": ["all-linear", "query"]},
    ],
)
def test_options_that_contradict_each_other_are_refused(options):
    with pytest.raises(ConfigError):
        TransformerModel(name="x", checkpoint="a/b", **options)


def test_the_same_seed_gives_the_same_adapters(tmp_path):
    one, same = (load("bert", tmp_path).model.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)
