"""Classifiers on embeddings are saved, read again, damaged and exported."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from torch import nn

from tests.conftest import make_data, unlisted
from tests.models.embeddings.encoders import options_of, static_of, word_vectors, write_encoder
from textclf import load_classifier
from textclf.errors import ArtifactError
from textclf.export.onnx import quantise, write_embeddings
from textclf.training.fit import fit
from textclf.training.options import Precision, TorchTrainer
from textclf.training.result import RunContext

TEXTS = ["it is a lovely film", "an awful lamp and it stays that way " * 6, "LOUD", "日本語", "dull"]


@pytest.fixture(scope="module")
def encoder(tiny_checkpoint, tmp_path_factory):
    return write_encoder(tiny_checkpoint, tmp_path_factory.mktemp("encoders") / "plain", dense=nn.Tanh())


def fitted(encoder, data, precision=Precision.fp32, **changes):
    return fit(options_of(encoder, **changes), data, TorchTrainer(precision=precision), RunContext())[0]


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16])
@pytest.mark.parametrize("pairs", [False, True])
def test_read_again_it_predicts_the_same(encoder, tmp_path, monkeypatch, precision, pairs):
    monkeypatch.setattr("textclf.models.embeddings.sentence_encoder.cpu_is_fast_at_bf16", lambda: True)
    classifier = fitted(encoder, make_data(pairs=pairs), precision, prefix="query: ")
    given = (TEXTS, TEXTS[::-1]) if pairs else (TEXTS,)
    expected = classifier.predict_proba(*given)
    assert expected.shape == (5, 2)
    classifier.save(tmp_path / "saved")
    again = load_classifier(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_proba(*given), expected)
    files = json.loads((tmp_path / "saved" / "classifier.json").read_text())["files"]
    assert {"head.safetensors", "model.safetensors", "projections.safetensors", "tokenizer.json"} <= set(files)
    assert again.predict_proba([], [] if pairs else None).shape == (0, 2)


def fitted_words(folder):
    words = static_of(word_vectors(folder / "words"))
    return fit(words, make_data(), TorchTrainer(), RunContext())[0]


def _rewrite(folder, change):
    arrays = load_file(folder / "head.safetensors")
    change(arrays)
    save_file(arrays, folder / "head.safetensors")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "head.safetensors").unlink(), "head.safetensors is missing or damaged"),
        (lambda f: (f / "head.safetensors").write_bytes(b"no"), "is missing or damaged"),
        (lambda f: _rewrite(f, lambda a: a.pop("bias")), "is missing or damaged"),
        (lambda f: _rewrite(f, lambda a: a.update(bias=np.zeros(3, np.float32))), "holds no weights and biases"),
        (lambda f: _rewrite(f, lambda a: a["weight"].fill(np.nan)), "holds no weights and biases"),
        (lambda f: _rewrite(f, lambda a: a.update(weight=a["weight"][:1].copy(), bias=a["bias"][:1].copy())), "is of 1 classes"),
        (lambda f: _rewrite(f, lambda a: a.update(weight=a["weight"][:, :5].copy())), "do not belong together"),
        (lambda f: (f / "projections.safetensors").unlink(), "usable sentence encoder"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), "usable sentence encoder"),
    ],
)  # fmt: skip
def test_a_damaged_one_is_refused(encoder, tmp_path, spoil, said):
    fitted(encoder, make_data()).save(tmp_path / "saved")
    spoil(unlisted(tmp_path / "saved"))
    with pytest.raises(ArtifactError, match=said):
        load_classifier(tmp_path / "saved")


@pytest.mark.parametrize(
    ("key", "value"),
    [("kind", "other"), ("precision", "fp8"), ("pooling", ["best"]), ("pooling", []), ("prefix", 3), ("max_length", 0)],
)
def test_a_description_of_nonsense_is_refused(encoder, tmp_path, key, value):
    fitted(encoder, make_data()).save(tmp_path / "saved")
    path = tmp_path / "saved" / "classifier.json"
    about = json.loads(path.read_text())
    about["options"][key] = value
    path.write_text(json.dumps(about))
    with pytest.raises(ArtifactError, match="is damaged"):
        load_classifier(tmp_path / "saved")


@pytest.mark.parametrize("kind", ["sentence", "static"])
def test_files_that_lead_outside_are_refused(encoder, tmp_path, kind):
    made = fitted(encoder, make_data()) if kind == "sentence" else fitted_words(tmp_path)
    made.save(tmp_path / "saved")
    for path in sorted(tmp_path.glob("saved/*.safetensors")):
        outside = path.rename(tmp_path / "elsewhere")
        path.symlink_to(outside)
        with pytest.raises(ArtifactError, match=f"{path.name} is a link to"):
            load_classifier(tmp_path / "saved")
        path.unlink()
        outside.rename(path)
    load_classifier(tmp_path / "saved")


@pytest.mark.parametrize("kernel", ["somebody/kernel", ["somebody/kernel"]])
def test_a_kernel_from_elsewhere_is_refused(encoder, tmp_path, kernel):
    fitted(encoder, make_data()).save(tmp_path / "saved")
    path = unlisted(tmp_path / "saved") / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"_attn_implementation": kernel}))
    with pytest.raises(ArtifactError, match="_attn_implementation"):
        load_classifier(tmp_path / "saved")


def test_encoder_and_head_are_one_graph_in_onnx(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("textclf.models.embeddings.sentence_encoder.cpu_is_fast_at_bf16", lambda: True)
    classifier = fitted(encoder, make_data(), Precision.bf16, prefix="query: ")
    classifier.encoder.precision = "fp32"  # as the graph is
    write_embeddings(classifier, tmp_path)
    exported = load_classifier(tmp_path)
    np.testing.assert_allclose(exported.predict_proba(TEXTS), classifier.predict_proba(TEXTS), atol=1e-5)
    quantise(tmp_path)
    smaller = load_classifier(tmp_path).predict_proba(TEXTS)
    assert 0 < abs(smaller - classifier.predict_proba(TEXTS)).max() < 0.2


def test_pairs_have_no_graph(encoder, tmp_path):
    with pytest.raises(ArtifactError, match="reads pairs of texts"):
        write_embeddings(fitted(encoder, make_data(pairs=True)), tmp_path)
