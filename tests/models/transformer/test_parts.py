"""Parts of a classifier by depth, for every family, and which of them are frozen."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tests.sparing import seldom
from tests.tiny_checkpoints import FAMILIES, OFTEN, make_checkpoint
from textclf.errors import ConfigError
from textclf.models.options import TransformerModel
from textclf.models.transformer.loading import load_checkpoint, open_checkpoint
from textclf.models.transformer.parts import check_layer_decay, depths_of, freeze_weights, number_of_layers
from textclf.models.transformer.skeleton import weights_of_labels

NO_LIST = {"t5", "bart", "albert"}
"""Families whose layers are not one list."""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Return what makes the classifier of a family from its checkpoint, which is written once."""
    folders = {}

    def of(family):
        if family not in folders:
            folders[family] = make_checkpoint(family, tmp_path_factory.mktemp(family))
        return AutoModelForSequenceClassification.from_pretrained(folders[family])

    return of


def trained(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("family", seldom(FAMILIES, OFTEN))
def test_each_family_has_embeddings_layers_and_a_head(family, fresh):
    model = fresh(family)
    depths = depths_of(model)
    assert set(depths.of) == {name for name, _ in model.named_parameters(remove_duplicate=False)}
    assert set(depths.of.values()) == set(range(depths.head + 1))
    assert all(depths.of[name] == depths.head for name in weights_of_labels(model))
    assert (number_of_layers(model) is None) == (family in NO_LIST)
    assert depths.head == (2 if family in NO_LIST else 3)
    table = "char_embeddings" if family == "canine" else None
    tables = [
        n
        for n, p in model.named_parameters()
        if (p is model.get_input_embeddings().weight if not table else table in n)
    ]
    assert tables
    assert all(depths.of[name] == 0 for name in tables)


@pytest.mark.parametrize("family", seldom(FAMILIES, OFTEN))
def test_what_is_frozen_gets_no_gradient_and_the_rest_does(family, fresh):
    model = fresh(family)
    everything = trained(model)
    left = {}
    for part in ("embeddings", *(() if family in NO_LIST else ("1", "2")), "encoder"):
        freeze_weights(model, part)
        left[part] = trained(model)
        model.requires_grad_(True)
    sizes = [len(names) for names in (everything, *left.values())]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[1] > sizes[-1] > 0
    head = {name for name, depth in depths_of(model).of.items() if depth == depths_of(model).head}
    assert left["encoder"] == head
    if family not in NO_LIST:
        assert left["2"] == head


@pytest.mark.parametrize("family", ["deberta", "deberta-v3", "mpnet"])
def test_tables_that_serve_all_layers_go_with_the_embeddings(family, fresh):
    of = depths_of(fresh(family)).of
    shared = [name for name in of if ".encoder." in name and ".layer." not in name]
    assert shared
    assert {of[name] for name in shared} == {0}


def test_what_follows_the_layers_is_as_deep_as_the_last(fresh):
    assert depths_of(fresh("modernbert")).of["model.final_norm.weight"] == 2
    assert depths_of(fresh("gpt2")).of["transformer.ln_f.weight"] == 2


def test_weights_that_the_checkpoint_lacks_are_trained_wherever_they_are(fresh, caplog):
    caplog.set_level("INFO")
    model = fresh("bert")
    name = "bert.embeddings.token_type_embeddings.weight"
    freeze_weights(model, "encoder", [name, "classifier.weight"])
    assert name in trained(model)
    assert "bert.embeddings.word_embeddings.weight" not in trained(model)
    assert f"the checkpoint lacks {name} and 0 others" in caplog.text


@pytest.mark.parametrize(
    ("family", "options", "said"),
    [
        ("bert", {"freeze": "3"}, "model.freeze must be at most 2, the layers of this bert, got 3"),
        ("bert", {"freeze": "2", "keep_layers": [1]}, "at most 1"),
        ("albert", {"freeze": "1"}, "Set model.freeze=embeddings or model.freeze=encoder"),
    ],
)
def test_layers_that_are_not_there_are_refused_before_weights_are_read(family, options, said, tmp_path):
    folder = make_checkpoint(family, tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=said):
        open_checkpoint(TransformerModel(name="x", checkpoint=str(folder), **options))


@pytest.mark.parametrize("freeze", ["layers", "-1", "1.5", ""])
def test_freeze_names_a_part_or_a_number(freeze):
    with pytest.raises(ConfigError, match="freeze must be embeddings, encoder or a number of layers"):
        TransformerModel(name="x", checkpoint="a/b", freeze=freeze)


def test_rates_by_layer_need_layers():
    check_layer_decay("bert", 12)
    with pytest.raises(ConfigError, match="trainer.layer_decay: the layers of a t5"):
        check_layer_decay("t5", None)


def test_a_frozen_classifier_is_whole_again_when_it_is_settled(tmp_path):
    folder = make_checkpoint("bert", tmp_path)
    options = TransformerModel(name="x", checkpoint=str(folder), max_length=32, freeze="encoder")
    classifier = load_checkpoint(options, ("a", "b"), seed=1)
    before = classifier.predict_proba(["a lamp"])
    assert trained(classifier.model) == {
        "bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"
    }  # fmt: skip
    assert not classifier.settle()
    assert all(weight.requires_grad for weight in classifier.model.parameters())
    assert (torch.tensor(classifier.predict_proba(["a lamp"])) == torch.tensor(before)).all()
