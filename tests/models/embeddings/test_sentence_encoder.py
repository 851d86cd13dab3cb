"""A sentence encoder gives the vectors that sentence-transformers gives, and refuses what is none."""

import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoTokenizer, T5Config, T5Model

from tests.models.embeddings.encoders import options_of, write_encoder
from textclf.errors import ArtifactError, ConfigError
from textclf.models.embeddings.pooling import pool
from textclf.models.embeddings.sentence_encoder import load_encoder, open_encoder
from textclf.models.options import Pooling

CPU = torch.device("cpu")
TEXTS = ["it is a lovely film", "dull", "an awful lamp " * 20, "a good book and it stays that way", "LOUD film"] * 3


@pytest.fixture(scope="module")
def encoder(tiny_checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders") / "plain"
    return write_encoder(tiny_checkpoint, folder, prompts={"query": "query: ", "document": "text: "})


@pytest.mark.parametrize(
    ("pooling", "normalize", "dense"),
    [
        ("mean", True, None),
        ("cls", False, None),
        ("max", True, None),
        ("lasttoken", False, None),
        ("mean_sqrt_len_tokens", True, None),
        (("cls", "max", "mean"), False, None),
        ("mean", True, nn.Tanh()),
        ("cls", False, nn.Identity()),
    ],
)
def test_its_vectors_are_those_of_sentence_transformers(tiny_checkpoint, tmp_path, pooling, normalize, dense):
    from sentence_transformers import SentenceTransformer

    folder = write_encoder(tiny_checkpoint, tmp_path / "encoder", pooling, normalize, dense)
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    found = load_encoder(options_of(folder), CPU, "fp32").encode(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("pooling", list(Pooling))
def test_padding_on_the_left_changes_nothing(pooling):
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    hidden = torch.randn(2, 5, 3, generator=torch.manual_seed(0))
    alone = pool(hidden[:1, 2:], mask[:1, 2:], pooling)
    assert torch.allclose(pool(hidden, mask, pooling)[:1], alone, atol=1e-6)


def test_prompts_and_prefixes_stand_before_each_text(encoder, tiny_checkpoint, tmp_path):
    plain = load_encoder(options_of(encoder), CPU, "fp32")
    by_name = load_encoder(options_of(encoder, prompt="query"), CPU, "fp32")
    by_hand = load_encoder(options_of(encoder, prefix="query: "), CPU, "fp32")
    expected = plain.encode([f"query: {text}" for text in TEXTS])
    np.testing.assert_allclose(by_name.encode(TEXTS), expected, atol=1e-6)
    np.testing.assert_allclose(by_hand.encode(TEXTS), expected, atol=1e-6)
    usual = write_encoder(tiny_checkpoint, tmp_path / "usual", prompts={"query": "query: "}, usual="query")
    assert load_encoder(options_of(usual), CPU, "fp32").prefix == "query: "


def test_a_prompt_that_is_not_known_is_refused_with_those_that_are(encoder):
    with pytest.raises(ConfigError, match="no prompt of that name; it knows document, query") as refusal:
        open_encoder(options_of(encoder, prompt="querry"))
    assert "Did you mean 'query'?" in str(refusal.value)


def test_a_checkpoint_without_a_pooling_is_no_encoder_unless_one_is_named(tiny_checkpoint):
    with pytest.raises(ConfigError, match=r"is no encoder of texts.*model.pooling"):
        open_encoder(options_of(tiny_checkpoint))
    named = load_encoder(options_of(tiny_checkpoint, pooling=Pooling.mean, normalize=True), CPU, "fp32")
    np.testing.assert_allclose(np.linalg.norm(named.encode(TEXTS), axis=1), 1, atol=1e-5)


def test_a_generative_model_is_refused(tiny_checkpoint, tmp_path):
    small = T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=120)
    T5Model(small).save_pretrained(tmp_path / "t5")
    AutoTokenizer.from_pretrained(tiny_checkpoint).save_pretrained(tmp_path / "t5")
    with pytest.raises(ConfigError, match="a t5 gives no vectors of texts"):
        open_encoder(options_of(tmp_path / "t5"))


def _modules(folder, change):
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    change(modules)
    path.write_text(json.dumps(modules))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: _modules(f, lambda m: m.append({"type": "somebody.Code", "path": "3"})), "makes its embeddings with"),
        (lambda f: _modules(f, lambda m: m.pop(1)), "is no encoder of texts"),
        (lambda f: _modules(f, lambda m: m[1].update(path="../outside")), "outside of its folder"),
        (lambda f: _modules(f, lambda m: m[1].update(path="/etc")), "outside of its folder"),
        (lambda f: _modules(f, lambda m: m[1].update(path=3)), "outside of its folder"),
        (lambda f: (f / "modules.json").write_text("{"), "is damaged"),
        (lambda f: (f / "modules.json").write_text(" " * (1 << 21)), "is too large|MB"),
        (lambda f: (f / "modules.json").write_text("{}"), "must hold a JSON list"),
        (lambda f: (f / "1_Pooling" / "config.json").write_text('{"pooling_mode": "best"}'), "pools its token vectors by"),
        (lambda f: (f / "config_sentence_transformers.json").write_text('{"prompts": [1]}'), "prompts that are no texts"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(encoder, tmp_path, spoil, said):
    folder = shutil.copytree(encoder, tmp_path / "spoiled")
    spoil(folder)
    with pytest.raises(ArtifactError, match=said):
        open_encoder(options_of(folder))


def test_a_layer_of_pickled_weights_is_refused(tiny_checkpoint, tmp_path):
    folder = write_encoder(tiny_checkpoint, tmp_path / "encoder", dense=nn.Tanh())
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="weights that are pickles are not read"):
        open_encoder(options_of(folder))


def test_texts_are_cut_where_the_checkpoint_or_the_options_say(encoder):
    assert load_encoder(options_of(encoder), CPU, "fp32").lengths.max_length == 16
    assert load_encoder(options_of(encoder, max_length=8), CPU, "fp32").lengths.max_length == 8
    with pytest.raises(ConfigError, match="at most 64 tokens"):
        open_encoder(options_of(encoder, max_length=65))


def test_in_bf16_the_vectors_are_nearly_the_same(encoder, monkeypatch):
    monkeypatch.setattr("textclf.models.embeddings.sentence_encoder.cpu_is_fast_at_bf16", lambda: True)
    whole, half = (load_encoder(options_of(encoder), CPU, precision) for precision in ("fp32", "bf16"))
    expected, found = whole.encode(TEXTS), half.encode(TEXTS)
    assert half.arithmetic == "bf16"
    assert 0 < abs(found - expected).max() < 0.05
    monkeypatch.setattr("textclf.models.embeddings.sentence_encoder.cpu_is_fast_at_bf16", lambda: False)
    slow = load_encoder(options_of(encoder), CPU, "bf16")
    assert slow.arithmetic == "fp32"
    np.testing.assert_array_equal(slow.encode(TEXTS), expected)
