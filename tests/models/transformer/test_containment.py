"""Checkpoints and saved classifiers that lead transformers elsewhere are refused; those that lead nowhere are read."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import make_tiny_bert, unlisted
from textclf.errors import ArtifactError
from textclf.models.families import load_classifier
from textclf.models.options import TransformerModel
from textclf.models.transformer.containment import check_config
from textclf.models.transformer.loading import load_checkpoint, open_checkpoint


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("originals")
    make_tiny_bert(root / "checkpoint")
    load_checkpoint(options(root / "checkpoint"), ("a", "b"), seed=1).save(root / "classifier")
    return root


def options(folder):
    return TransformerModel(name="x", checkpoint=str(folder), max_length=32)


def as_checkpoint(folder):
    return load_checkpoint(options(folder), ("a", "b"), seed=1)


WAYS = {"checkpoint": as_checkpoint, "classifier": load_classifier}


@pytest.fixture(params=WAYS)
def opened(request, originals, tmp_path):
    """Return a folder of either kind, and what reads it."""
    shutil.copytree(originals / request.param, tmp_path / "folder")
    if request.param == "classifier":
        unlisted(tmp_path / "folder")
    return tmp_path / "folder", WAYS[request.param]


def change(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_index_of_another_name_leads_to_no_weights_elsewhere(opened):
    folder, load = opened
    weights = load_file(folder / "model.safetensors")
    (folder.parent / "outside").mkdir()
    save_file(weights, folder.parent / "outside" / "secret.safetensors", {"format": "pt"})
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "../outside/secret.safetensors")}
    (folder / "mine.safetensors.index.json").write_text(json.dumps(index))
    change(folder / "config.json", transformers_weights="mine.safetensors.index.json")
    with pytest.raises(ArtifactError, match=r"secret.safetensors', which lie outside of its folder"):
        load(folder)


@pytest.mark.parametrize("name", ["sub/mine.safetensors", "../x.safetensors", ["a.safetensors"], 3])
def test_weights_are_named_plainly(opened, name):
    folder, load = opened
    change(folder / "config.json", transformers_weights=name)
    with pytest.raises(ArtifactError, match="outside of its folder"):
        load(folder)


def test_weights_of_another_name_in_the_folder_are_read(originals, tmp_path):
    folder = tmp_path / "folder"
    shutil.copytree(originals / "checkpoint", folder)
    (folder / "model.safetensors").rename(folder / "mine.safetensors")
    change(folder / "config.json", transformers_weights="mine.safetensors")
    assert as_checkpoint(folder).label_names == ("a", "b")


@pytest.mark.parametrize(
    "value",
    [
        "kernels-community/evil",
        {"": "someone/kernel"},
        ["someone/kernel"],
        {"a": {"b": "someone/kernel"}},
        1,
        "paged|x/y",
    ],
)
@pytest.mark.parametrize("name", ["_attn_implementation", "attn_implementation", "_experts_implementation"])
def test_no_implementation_comes_from_elsewhere(opened, name, value):
    folder, load = opened
    change(folder / "config.json", **{name: value})
    with pytest.raises(ArtifactError, match="code from elsewhere"):
        load(folder)


def test_an_implementation_within_the_configuration_of_a_part_is_seen(opened):
    folder, load = opened
    change(folder / "config.json", text_config={"attn_implementation": ["x/y"]})
    with pytest.raises(ArtifactError, match="code from elsewhere"):
        load(folder)


def test_what_transformers_has_read_is_looked_at_too(originals):
    """However it came into the configuration."""
    config = open_checkpoint(options(originals / "checkpoint")).config
    config._attn_implementation = "someone/kernel"
    with pytest.raises(ArtifactError, match="code from elsewhere"):
        check_config(config, "It")
    config._attn_implementation = None
    config.transformers_weights = "../x.safetensors"
    with pytest.raises(ArtifactError, match="outside"):
        check_config(config, "It")


@pytest.mark.parametrize("value", ["eager", "sdpa", "flash_attention_2", {"": "sdpa"}, None])
def test_what_comes_with_the_model_is_left_to_the_options(opened, value):
    folder, load = opened
    change(folder / "config.json", _attn_implementation=value)
    assert load(folder).model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"configuration_files": ["../config.4.0.0.json"]}),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["../tokenizer.4.0.json"]}),
        ("tokenizer_config.json", {"vocab": "{secret}"}),
        ("tokenizer_config.json", {"merges_file": "../secret.txt"}),
        ("tokenizer_config.json", {"options": {"dictionary_path": "{secret}"}}),
        ("tokenizer_config.json", {"gguf_file": "../x.gguf"}),
        ("tokenizer_config.json", {"init_inputs": ["{secret}"]}),
    ],
)
def test_no_description_leads_to_other_files(opened, file, changes, monkeypatch):
    folder, load = opened
    secret = folder.parent / "secret.txt"
    secret.write_text("secret\n")
    monkeypatch.chdir(folder)
    change(folder / file, **json.loads(json.dumps(changes).replace("{secret}", str(secret))))
    with pytest.raises(ArtifactError, match=r"outside of its folder|any file"):
        load(folder)


def test_where_a_tokenizer_once_was_is_no_matter(opened):
    folder, load = opened
    change(
        folder / "tokenizer_config.json",
        name_or_path="/home/somebody/x",
        vocab_file="/not/there/vocab.txt",
        special_tokens_map_file=str(folder.parent),
        unk_token="[UNK]",
    )
    assert load(folder).tokenizer is not None


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_no_file_is_a_link_out_of_the_folder(opened, name):
    folder, load = opened
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
    with pytest.raises(ArtifactError, match=r"is a link to .*cp -rL"):
        load(folder)


def test_a_shard_that_an_index_names_is_no_link_out(opened):
    folder, load = opened
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder.parent / "secret.safetensors")
    (folder / "shard.safetensors").symlink_to(folder.parent / "secret.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "shard.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ArtifactError, match="is a link to"):
        load(folder)


def test_links_in_the_folder_and_in_the_cache_of_the_hub_are_followed(opened):
    folder, load = opened
    home = folder.parent / "models--a--b"
    snapshot = home / "snapshots" / "0123"
    (home / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in folder.iterdir():
        shutil.copy(path, home / "blobs" / path.name)
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    load(snapshot)
    (folder / "model.safetensors").rename(folder / "real.bin")
    (folder / "model.safetensors").symlink_to("real.bin")
    linked = folder.parent / "linked"
    linked.symlink_to(folder)
    load(linked)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json", "vocab.txt"])
def test_sizes_are_bounded_before_anything_is_read(opened, name):
    folder, load = opened
    with (folder / name).open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(ArtifactError, match="300 MB, and at most"):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_what_is_nested_deeply_ends_in_a_paragraph(opened, name):
    folder, load = opened
    (folder / name).write_text('{"a":' * 20_000 + "1" + "}" * 20_000)
    with pytest.raises(ArtifactError):
        load(folder)


def test_an_adapter_over_a_model_is_not_loaded_unasked(opened, monkeypatch):
    folder, load = opened
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/elsewhere"}))
    monkeypatch.setattr("textclf.models.transformer.containment.is_peft_available", lambda: True)
    with pytest.raises(ArtifactError, match="adapter of peft"):
        load(folder)


def test_a_checkpoint_keeps_its_weights(originals):
    """The checks change nothing of what is read."""
    weights = load_file(originals / "checkpoint" / "model.safetensors")
    model = as_checkpoint(originals / "checkpoint").model
    found = dict(model.bert.named_parameters())["embeddings.word_embeddings.weight"]
    assert torch.equal(found, next(w for name, w in weights.items() if name.endswith("word_embeddings.weight")))
