"""What belongs to a saved classifier is listed in it, and checked when it is read."""

import json
import shutil

import pytest

from tests.conftest import unlisted
from tests.models.saved_classifiers import save_each
from textclf.errors import ArtifactError
from textclf.models import belonging
from textclf.models.belonging import digest_of, list_files
from textclf.models.families import load_classifier
from textclf.models.options import TransformerModel
from textclf.models.transformer.loading import load_checkpoint


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("belonging")
    save_each(root)
    return root


@pytest.fixture
def copied(originals, tmp_path):
    def copy(family):
        return shutil.copytree(originals / family, tmp_path / family)

    return copy


def files_of(folder):
    return json.loads((folder / "classifier.json").read_text())["files"]


@pytest.mark.parametrize("family", ["classical", "transformer"])
def test_every_file_is_listed(originals, family):
    folder = originals / family
    assert set(files_of(folder)) == {path.name for path in folder.iterdir()} - {"classifier.json"}


@pytest.mark.parametrize("family", ["classical", "transformer"])
def test_who_may_read_one_file_may_read_all(originals, family):
    modes = {path.name: oct(path.stat().st_mode) for path in (originals / family).iterdir()}
    assert set(modes.values()) == {modes["classifier.json"]}, modes


def test_the_same_classifier_gives_the_same_list(originals, tmp_path):
    classifier = load_classifier(originals / "transformer")
    for name in ("a", "b"):
        classifier.save(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("family", ["classical", "transformer"])
def test_a_file_that_is_missing_or_changed_is_named(copied, family):
    whole = copied(family)
    for name in files_of(whole):
        before = (whole / name).read_bytes()
        (whole / name).unlink()
        with pytest.raises(ArtifactError, match=rf"lacks {name}"):
            load_classifier(whole)
        (whole / name).write_bytes(before + b" ")
        with pytest.raises(ArtifactError):
            load_classifier(whole)
        (whole / name).write_bytes(before)
    load_classifier(whole)


def test_a_file_of_the_same_meaning_is_found_changed(copied):
    folder = copied("transformer")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match=r"config.json in .* has been changed since"):
        load_classifier(folder)


@pytest.mark.parametrize("name", ["shard-00001-model-00001-of-00001.safetensors", "spiece.model", "vocab.txt"])
def test_a_file_that_would_be_read_all_the_same_is_named(copied, name):
    folder = copied("transformer")
    (folder / name).write_bytes(b"")
    with pytest.raises(ArtifactError, match=rf"holds {name}, which its classifier was not saved with"):
        load_classifier(folder)


def test_what_is_no_part_of_it_may_lie_beside_it(copied):
    folder = copied("transformer")
    for name in ("README.md", ".gitattributes", "export.json", "notes.txt"):
        (folder / name).write_text("x")
    load_classifier(folder)


@pytest.mark.parametrize("family", ["classical", "transformer"])
def test_a_folder_from_before_the_list_is_read(copied, family):
    load_classifier(unlisted(copied(family)))


@pytest.mark.parametrize("keep", [[], ["tokenizer_config.json"]])
def test_a_transformer_without_its_tokenizer_is_refused(copied, keep):
    folder = unlisted(copied("transformer"))
    for name in {"tokenizer.json", "tokenizer_config.json"} - set(keep):
        (folder / name).unlink()
    with pytest.raises(ArtifactError, match=r"has no tokenizer|not hold a usable transformer"):
        load_classifier(folder)


def test_a_tokenizer_of_special_tokens_alone_is_refused(copied):
    folder = unlisted(copied("transformer"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    special = {token["content"] for token in tokenizer["added_tokens"]}
    vocab = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {word: place for word, place in vocab.items() if word in special}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ArtifactError, match="has no tokenizer"):
        load_classifier(folder)


def test_a_checkpoint_without_its_tokenizer_is_not_trained(originals, tmp_path):
    folder = shutil.copytree(originals / "checkpoint", tmp_path / "checkpoint")
    (folder / "vocab.txt").unlink()
    with pytest.raises(ArtifactError, match="has no tokenizer"):
        load_checkpoint(TransformerModel(name="x", checkpoint=str(folder), max_length=32), ("a", "b"), seed=1)


def test_of_a_large_file_the_size_and_parts_from_end_to_end_count(tmp_path, monkeypatch):
    for name, value in (("LARGE", 100), ("PARTS", 3), ("PART", 10)):
        monkeypatch.setattr(belonging, name, value)
    path, found = tmp_path / "x", set()
    middle = b"a" * 100 + b"b" + b"a" * 99
    for content in (b"a" * 200, b"a" * 201, b"b" + b"a" * 199, b"a" * 199 + b"b", middle):
        path.write_bytes(content)
        found.add(digest_of(path))
    assert len(found) == 5
    assert all(digest.startswith("sha256-of-parts:") for digest in found)


def test_files_of_another_name_are_listed_where_they_are_told(tmp_path):
    (tmp_path / "classifier.json").write_text("{}")
    for name in ("bpe.codes", "model.safetensors", "README.md"):
        (tmp_path / name).write_text(name)
    list_files(tmp_path, ["bpe.codes", "not_there"])
    assert list(files_of(tmp_path)) == ["bpe.codes", "model.safetensors"]
