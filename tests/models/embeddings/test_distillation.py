"""Word vectors are distilled from a sentence encoder: what they are, and that they are made once."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from tests.conftest import make_data
from tests.models.embeddings.encoders import options_of, static_of, word_vectors, write_encoder
from textclf import load_classifier
from textclf.errors import ConfigError
from textclf.models.embeddings import distillation
from textclf.models.embeddings.distillation import check_distillation, distil
from textclf.models.embeddings.sentence_encoder import load_encoder
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.system import text_cache
from textclf.training.fit import check, draws_seed, fit
from textclf.training.options import Device, TorchTrainer
from textclf.training.result import RunContext

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tiny_checkpoint, tmp_path_factory):
    return write_encoder(tiny_checkpoint, tmp_path_factory.mktemp("encoders") / "plain")


def unscaled(vectors):
    return vectors / abs(vectors).max()


def test_each_token_has_the_vector_of_the_text_that_it_is(encoder):
    found = distil(static_of(encoder, distil=True, size=999), CPU)
    words = ["film", "lovely", "awful", "is"]
    expected = load_encoder(options_of(encoder), CPU, "fp32").encode(words)
    np.testing.assert_allclose(abs(np.sum(found.encode(words) * expected, axis=1)), 1, atol=1e-3)  # the same directions
    ids = [found.tokenizer.token_to_id(word) for word in words]
    lengths = np.linalg.norm(found.vectors[ids], axis=1)
    assert (np.argsort(lengths) == np.argsort(ids)).all()  # the later in the vocabulary, the rarer, the heavier


def test_frequent_tokens_are_weighed_less_and_special_ones_not_at_all(encoder):
    found = distil(static_of(encoder, distil=True, size=999), CPU)
    first = next(row for row, vector in enumerate(found.vectors) if vector.any())
    assert first == 5  # [PAD], [UNK], [CLS], [SEP] and [MASK] are before it
    count = len(found.vectors) - first
    chances = 1 / np.arange(2, count + 2)
    chances /= chances.sum()
    lengths = np.linalg.norm(found.vectors[first:], axis=1)
    np.testing.assert_allclose(
        lengths / lengths[-1], (1e-4 / (1e-4 + chances)) / (1e-4 / (1e-4 + chances[-1])), rtol=2e-2
    )
    assert not found.encode(["[SEP]", "日本語"]).any()


def test_the_most_important_numbers_are_kept(encoder, monkeypatch):
    monkeypatch.setattr(distillation, "SMOOTHING", 1e9)
    whole = distil(static_of(encoder, distil=True, size=999), CPU).vectors[5:]
    few = distil(static_of(encoder, distil=True, size=3), CPU).vectors[5:]
    expected = PCA(3, svd_solver="full").fit_transform(whole)
    np.testing.assert_allclose(abs(unscaled(few)), abs(unscaled(expected)), atol=5e-3)


def test_they_are_distilled_once(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(text_cache.constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(VECTORS, "file_seconds", 0.0)
    times = []
    work = distillation._distilled
    monkeypatch.setattr(distillation, "_distilled", lambda *given: times.append(1) or work(*given))

    def run(**changes):
        with VECTORS.remembering():
            return distil(static_of(encoder, distil=True, **changes), CPU).vectors

    first = run()
    np.testing.assert_array_equal(run(), first)
    assert len(times) == 1
    run(size=3)
    assert len(times) == 2


def test_a_classifier_is_fitted_and_read_again(encoder, tmp_path):
    options, trainer = static_of(encoder, distil=True, size=8), TorchTrainer(device=Device.cpu)
    check(options, trainer)
    assert not draws_seed(options)
    classifier, result = fit(options, make_data(), trainer, RunContext())
    classifier.save(tmp_path / "saved")
    texts = ["a lovely film", "an awful lamp"]
    again = load_classifier(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_proba(texts), classifier.predict_proba(texts))
    assert result.num_parameters is not None
    assert not (tmp_path / "saved" / "model.safetensors").exists()


def test_what_is_no_sentence_encoder_is_refused(tiny_checkpoint, tmp_path):
    with pytest.raises(ConfigError, match="is no encoder of texts"):
        check_distillation(static_of(tiny_checkpoint, distil=True))
    static = word_vectors(tmp_path / "static", config={"model_type": "model2vec"})
    for checkpoint in (static, "glove"):
        with pytest.raises(ConfigError, match=r"has word vectors already.*Leave model.distil out"):
            check_distillation(static_of(checkpoint, distil=True))


@pytest.mark.parametrize(("name", "value"), [("size", 1), ("strength", 0.0), ("strength", float("inf"))])
def test_options_that_nothing_has_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be"):
        static_of("glove", **{name: value})
