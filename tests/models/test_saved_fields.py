"""Every field of a saved classifier is checked: it is refused by a paragraph, or its answers are probabilities."""

import copy
import json
import random
import shutil

import numpy as np
import pytest

from tests.conftest import unlisted
from tests.models.saved_classifiers import save_each
from textclf.errors import ArtifactError, TextclfError
from textclf.models.families import load_classifier

STRANGE = [
    None, True, False, 0, 1, -1, 2, 3, 10**9, -(10**9), 10**400, 0.0, -0.5, 1.5, float("nan"), float("inf"), 1e-320, "",
    "x", "1", "\ud800", "a\0b", "../x", [], ["x"], [[]], {}, {"a": 1}, {"": {}}, "x" * 10_000, ["a", "a"], [None, 3],
]  # fmt: skip
FILES = {
    "classical": ["classifier.json", "vocabularies.json"],
    "transformer": ["classifier.json", "config.json", "tokenizer_config.json"],
    "onnx": ["classifier.json"],
    "onnx-pipeline": ["classifier.json"],
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A classifier of each family, without lists of files: what is looked for is what the checks of fields find."""
    from textclf.export.onnx import write_pipeline, write_transformer

    root = tmp_path_factory.mktemp("fields")
    transformer, classical = save_each(root)
    for name in ("onnx", "onnx-pipeline"):
        (root / name).mkdir()
    write_transformer(transformer, root / "onnx")
    write_pipeline(classical, root / "onnx-pipeline")
    for family in FILES:
        unlisted(root / family)
    return root


def places(content, before=()):
    """Yield the way to every value in a JSON document, the document itself first."""
    yield before
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield from places(value, (*before, key))


def changed(content, place, value):
    """Return a document with another value at a place, or without it."""
    if not place:
        return value
    content = copy.deepcopy(content)
    holder = content
    for key in place[:-1]:
        holder = holder[key]
    if value is Ellipsis:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return content


def answers_or_refuses(folder):
    """Load a classifier and say what it was refused with; otherwise its answers must be probabilities."""
    try:
        found = load_classifier(folder).predict_proba(["it is a lovely film", "x"])
    except TextclfError as error:
        return str(error)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-2)
    return None


def fuzz(originals, tmp_path, family, count, seed):
    draw = random.Random(seed)
    folder = shutil.copytree(originals / family, tmp_path / family)
    refused = 0
    for _ in range(count):
        path = folder / draw.choice(FILES[family])
        before = path.read_text()
        content = json.loads(before)
        place = draw.choice(list(places(content))[:200])
        value = draw.choice([*STRANGE, Ellipsis] if place else STRANGE)
        path.write_text(json.dumps(changed(content, place, value)))
        try:
            refused += answers_or_refuses(folder) is not None
        except Exception as error:
            error.add_note(f"{path.name}: {place} = {value!r:.100}")
            raise
        path.write_text(before)
    assert 0 < refused < count or count < 10


@pytest.mark.parametrize("family", FILES)
def test_strange_values_are_refused_or_harmless(originals, tmp_path, family):
    fuzz(originals, tmp_path, family, 40, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("family", FILES)
def test_many_strange_values_are_refused_or_harmless(originals, tmp_path, family, seed):
    fuzz(originals, tmp_path, family, 400, seed=100 + seed)


def edited(originals, tmp_path, kind, file="classifier.json", **changes):
    folder = shutil.copytree(originals / kind, tmp_path / kind)
    content = json.loads((folder / file).read_text())
    options = changes.pop("options", {})
    content |= changes
    if options:
        content["options"] |= options
    (folder / file).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("family", FILES)
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": 0}, "temperature must be a number from"),
        ({"temperature": float("nan")}, "temperature must be a number from"),
        ({"temperature": True}, "temperature must be a number from"),
        ({"temperature": "1"}, "temperature must be a number from"),
        ({"label_names": ["a", "a"]}, "names of classes"),
        ({"label_names": ["a", " "]}, "names of classes"),
        ({"label_names": []}, "names of classes"),
        ({"label_names": "ab"}, "label_names must be a list of strings"),
        ({"label_names": ["a", "b", "c"]}, "do not belong together|cannot predict"),
        ({"label_names": [str(n) for n in range(100_000)]}, "do not belong together|cannot predict"),
        ({"text_cleaning": ["lowercase", "lowercase"]}, "text_cleaning"),
        ({"text_cleaning": "lowercase"}, "text_cleaning"),
        ({"pairs": "no"}, "pairs must be true or false"),
        ({"columns": {"text": 3}}, "columns"),
        ({"columns": {"other": "x"}}, "columns"),
        ({"options": []}, "options must be an object"),
        ({"family": 3}, "family must be a string"),
        ({"format": [1]}, "is of format"),
        ({"files": {"../x": "sha256:0"}}, "files must be"),
        ({"files": ["x"]}, "files must be"),
    ],
)
def test_each_field_is_named(originals, tmp_path, family, changes, said):
    if changes.get("options") == []:
        folder = shutil.copytree(originals / family, tmp_path / family)
        path = folder / "classifier.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "options": []}))
    else:
        folder = edited(originals, tmp_path, family, **changes)
    with pytest.raises(ArtifactError, match=said):
        load_classifier(folder)


@pytest.mark.parametrize(
    ("family", "options", "said"),
    [
        ("transformer", {"max_length": 10**9}, "max_length must be a whole number"),
        ("transformer", {"max_length": 10**5, "padding": "max_length"}, "the model takes"),
        ("transformer", {"max_length": "32"}, "max_length must be a whole number"),
        ("transformer", {"padding": "x"}, "padding must be one of"),
        ("transformer", {"precision": "x"}, "precision must be one of"),
        ("transformer", {"long_text": "sliding_window", "window_overlap": 31}, "window_overlap"),
        ("onnx", {"max_length": 10**9, "padding": "max_length"}, "max_length must be a whole number"),
        ("onnx", {"pad_id": -1}, "pad_id"),
        ("onnx", {"padding_side": "up"}, "padding_side must be left or right"),
        ("onnx", {"inputs": ["x"]}, "inputs must be of"),
        ("onnx", {"inputs": ["input_ids"]}, "do not belong together"),
        ("onnx", {"kind": "pipeline", "lowercase": True, "features": 3}, "do not belong together"),
        ("onnx-pipeline", {"lowercase": "yes"}, "lowercase must be true or false"),
        ("onnx-pipeline", {"features": 0}, "features must be a whole number"),
    ],
)
def test_each_option_is_named(originals, tmp_path, family, options, said):
    with pytest.raises(ArtifactError, match=said):
        load_classifier(edited(originals, tmp_path, family, options=options))


def test_swapped_names_of_classes_are_seen(originals, tmp_path):
    with pytest.raises(ArtifactError, match="do not belong together"):
        load_classifier(edited(originals, tmp_path, "transformer", label_names=["b", "a"]))


def test_fewer_layers_than_there_are_weights_are_seen(originals, tmp_path):
    with pytest.raises(ArtifactError, match="also hold"):
        load_classifier(edited(originals, tmp_path, "transformer", "config.json", num_hidden_layers=1))
    shutil.rmtree(tmp_path / "transformer")
    with pytest.raises(ArtifactError, match="lack"):
        load_classifier(edited(originals, tmp_path, "transformer", "config.json", num_hidden_layers=3))


def test_words_that_are_too_few_are_seen(originals, tmp_path):
    folder = shutil.copytree(originals / "classical", tmp_path / "classical")
    words = json.loads((folder / "vocabularies.json").read_text())
    (folder / "vocabularies.json").write_text(json.dumps([words[0][:-1]]))
    with pytest.raises(ArtifactError, match="is damaged"):
        load_classifier(folder)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000, "\ufeff{}", "", "null"])
def test_a_description_that_is_none_ends_in_a_paragraph(originals, tmp_path, content):
    folder = shutil.copytree(originals / "classical", tmp_path / "classical")
    (folder / "classifier.json").write_text(content)
    with pytest.raises(ArtifactError, match="is damaged"):
        load_classifier(folder)


def test_a_description_is_bounded_before_it_is_read(originals, tmp_path):
    folder = shutil.copytree(originals / "classical", tmp_path / "classical")
    with (folder / "classifier.json").open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(ArtifactError, match="300 MB, and at most 16 MB"):
        load_classifier(folder)
