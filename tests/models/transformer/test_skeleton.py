"""Options held against a model without weights: lengths, dropout, layers."""

import json
import shutil
import time

import pytest
import torch
from transformers import BertConfig

from tests.conftest import unlisted
from tests.sparing import seldom
from tests.tiny_checkpoints import FAMILIES, OFTEN, make_checkpoint
from textclf.errors import ArtifactError, ConfigError
from textclf.models.families import load_classifier
from textclf.models.options import TransformerModel
from textclf.models.transformer.loading import load_checkpoint, open_checkpoint
from textclf.models.transformer.skeleton import check_values, skeleton

NAMES = ("negative", "positive")
LONGEST = {
    **dict.fromkeys(["bert", "distilbert", "deberta", "deberta-v3", "electra", "albert", "gpt2"], 64),
    "bart": 66,
    **dict.fromkeys(["roberta", "xlm-roberta", "camembert", "mpnet", "longformer"], 64),  # 66, counted from 2
    **dict.fromkeys(["bigbird", "modernbert", "nomic", "llama", "qwen2", "qwen3"], 256),
    **dict.fromkeys(["canine"], 64),  # its table of positions is smaller than it says
    **dict.fromkeys(["xlnet", "funnel", "t5"], None),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return what makes the checkpoint of a family, once."""
    made = {}

    def of(family, **changes):
        key = (family, *changes)
        if key not in made:
            made[key] = make_checkpoint(family, tmp_path_factory.mktemp(family), **changes)
        return made[key]

    return of


def options(folder, **changes):
    return TransformerModel(name="x", checkpoint=str(folder), **{"max_length": 32, **changes})


@pytest.mark.parametrize("family", seldom(FAMILIES, OFTEN))
def test_the_longest_input_is_the_true_one(family, checkpoint):
    longest = LONGEST[family]
    if longest is None:
        open_checkpoint(options(checkpoint(family), max_length=5000))
        return
    open_checkpoint(options(checkpoint(family), max_length=longest))
    with pytest.raises(ConfigError, match=rf"model.max_length must be at most {longest} tokens"):
        open_checkpoint(options(checkpoint(family), max_length=longest + 1))


def test_the_usual_length_is_cut_to_what_the_model_takes(checkpoint, caplog):
    classifier = load_checkpoint(TransformerModel(name="x", checkpoint=str(checkpoint("mpnet"))), NAMES, seed=1)
    assert classifier.lengths.max_length == 64
    assert "takes 64 tokens at most, and model.max_length is that" in caplog.text
    assert classifier.predict_proba(["a lovely film " * 80]).shape == (1, 2)


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "longformer", "bart", "gpt2"])
def test_an_input_of_that_length_has_positions(family, checkpoint):
    classifier = load_checkpoint(options(checkpoint(family), max_length=LONGEST[family]), NAMES, seed=1)
    assert classifier.predict_proba(["a lovely film " * 80]).shape == (1, 2)


def passes_in_training(folder, dropout):
    """Return the logits of two passes in training."""
    classifier = load_checkpoint(options(folder, dropout=dropout), NAMES, seed=1)
    ids = classifier.tokenize(["it is a lovely film"] * 2, None)
    from textclf.models.transformer.tokenizer import pad

    batch = pad(classifier.tokenizer, ids, [0, 1])
    classifier.model.train()
    torch.manual_seed(3)
    return [classifier.model(**batch).logits for _ in range(2)]


@pytest.mark.parametrize("family", seldom([one for one in FAMILIES if one not in ("bigbird", "canine")], OFTEN))
def test_dropout_can_be_turned_off_and_on_in_full(family, checkpoint):
    """But for BigBird, whose attention is random too; CANINE's tokenizer takes a second to be made."""
    first, second = passes_in_training(checkpoint(family), 0.0)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    first, second = passes_in_training(checkpoint(family), 0.5)
    assert not torch.allclose(first, second, atol=1e-7)


@pytest.mark.parametrize("family", ["gpt2", "t5", "funnel", "modernbert", "albert"])
def test_every_module_that_drops_out_has_the_rate(family, checkpoint):
    model = load_checkpoint(options(checkpoint(family), dropout=0.3), NAMES, seed=1).model
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.3}


def test_dropout_of_an_architecture_without_any_is_refused(checkpoint, monkeypatch):
    monkeypatch.setattr("textclf.models.transformer.skeleton.DROPOUT", __import__("re").compile("no such"))
    with pytest.raises(ConfigError, match="a llama has no dropout that could be set"):
        open_checkpoint(options(checkpoint("llama"), dropout=0.1))


def test_what_cannot_classify_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ConfigError, match=r"model.checkpoint=.*: a clip cannot classify texts"):
        open_checkpoint(options(tmp_path))


KEEPING = ["bert", "distilbert", "roberta", "mpnet", "longformer", "xlnet", "deberta", "deberta-v3", "electra"]


@pytest.mark.parametrize("family", [*KEEPING, "bigbird", "nomic", "gpt2", "llama", "qwen2", "qwen3"])
def test_layers_are_kept_and_read_again(family, checkpoint, tmp_path):
    chosen = options(checkpoint(family), keep_layers=[1])
    open_checkpoint(chosen)
    half = load_checkpoint(chosen, NAMES, seed=1)
    whole = load_checkpoint(options(checkpoint(family)), NAMES, seed=1)
    assert half.model.config.num_hidden_layers == 1
    found = half.predict_proba(["a lovely film", "dull"])
    half.save(tmp_path)
    assert (load_classifier(tmp_path).predict_proba(["a lovely film", "dull"]) == found).all()
    assert sum(w.numel() for w in half.model.parameters()) < sum(w.numel() for w in whole.model.parameters())


@pytest.mark.parametrize("family", ["t5", "bart", "funnel", "albert"])
def test_layers_that_are_not_one_list_are_refused(family, checkpoint):
    with pytest.raises(ConfigError, match=r"model.keep_layers: the layers of a \w+ are not kept as one list"):
        open_checkpoint(options(checkpoint(family), keep_layers=[0]))


def test_a_layer_that_cannot_stand_elsewhere_is_refused(checkpoint):
    """ModernBERT's first layer has no normalisation before its attention; GPT-2's may be scaled by their number."""
    load_checkpoint(options(checkpoint("modernbert"), keep_layers=[0]), NAMES, seed=1)
    for folder in (checkpoint("modernbert"), checkpoint("gpt2", scale_attn_by_inverse_layer_idx=True)):
        with pytest.raises(ConfigError, match=r"are not alike.* Keep layers from 0 on"):
            open_checkpoint(options(folder, keep_layers=[1]))


def test_each_layer_keeps_its_kind(checkpoint):
    """ModernBERT's layers look near or far by their number."""
    folder = checkpoint("modernbert", num_hidden_layers=4)
    whole = load_checkpoint(options(folder), NAMES, seed=1).model.config.layer_types
    assert len(set(whole)) == 2
    kept = load_checkpoint(options(folder, keep_layers=[0, 3, 1]), NAMES, seed=1).model
    assert kept.config.layer_types == [whole[0], whole[3], whole[1]]


def changed(folder, to, **changes):
    shutil.copytree(folder, to)
    config = json.loads((to / "config.json").read_text())
    (to / "config.json").write_text(json.dumps({**config, **changes}))
    return to


@pytest.mark.parametrize(
    ("family", "changes", "said"),
    [
        ("bert", {"num_hidden_layers": 100_000}, "of 100,000 layers"),
        ("albert", {"num_hidden_layers": 100_000}, "of 100,000 layers"),
        ("gpt2", {"n_layer": 100_000}, "of 100,000 layers"),
        ("bart", {"encoder_layers": 100_000}, "of 100,000 layers"),
        ("bart", {"decoder_layers": 100_000}, "more than .* tensors"),
        ("bert", {"num_hidden_layers": 900}, "more than .* tensors"),
        ("bert", {"vocab_size": 10**9}, "do not belong together"),
        (
            "bert",
            {"hidden_size": 10**15, "num_attention_heads": 1},
            "no model that can be built|do not belong together",
        ),
        ("bert", {"num_attention_heads": 0}, "no model that can be built|no usable config"),
        ("bert", {"hidden_size": "x"}, "no model that can be built|no usable config"),
    ],
)
def test_a_configuration_of_more_than_its_weights_is_refused_at_once(checkpoint, tmp_path, family, changes, said):
    folder = changed(checkpoint(family), tmp_path / "changed", **changes)
    start = time.monotonic()
    with pytest.raises(ArtifactError, match=said):
        load_checkpoint(options(folder), NAMES, seed=1)
    assert time.monotonic() - start < 10


def test_a_saved_classifier_of_too_many_layers_is_refused_at_once(checkpoint, tmp_path):
    load_checkpoint(options(checkpoint("bert")), NAMES, seed=1).save(tmp_path / "saved")
    for layers in (900, 100_000):
        folder = changed(tmp_path / "saved", tmp_path / str(layers), num_hidden_layers=layers)
        with pytest.raises(ArtifactError, match=r"layers, and at most|more than .* tensors"):
            load_classifier(unlisted(folder))


def test_weights_of_the_hub_are_counted_before_more_is_made_of_them():
    model = skeleton(BertConfig(num_hidden_layers=40))
    with pytest.raises(ArtifactError, match="do not belong together"):
        check_values(model, [1000, 1000])
    check_values(model, [weight.numel() for weight in model.parameters()][: len(list(model.parameters())) // 2])
