"""Averages of word vectors: what the embeddings are, how a classifier of them is kept, and that it needs no torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.conftest import make_data, unlisted
from tests.models.embeddings.encoders import static_of, word_vectors
from textclf import load_classifier
from textclf.errors import ArtifactError
from textclf.export.onnx import write_embeddings
from textclf.models.bundle import copy_code, libraries_needed
from textclf.models.embeddings.static_encoder import TEXTS_AT_ONCE, rounded_encoder
from textclf.models.options import Cleaning
from textclf.models.saved import read_description
from textclf.training.fit import fit
from textclf.training.options import Precision, TorchTrainer
from textclf.training.result import RunContext

ROOT = Path(__file__).parents[3]
TEXTS = ["it is a lovely film", "LOUD, dull: film film", "日本語", "an awful lamp and it stays that way " * 40]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    return word_vectors(tmp_path_factory.mktemp("vectors") / "plain")


def fitted(vectors, data, precision=Precision.fp32, **changes):
    return fit(static_of(vectors, **changes), data, TorchTrainer(precision=precision), RunContext())[0]


def encoder_of(rows):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = Tokenizer(WordLevel({"?": 0, "a": 1, "b": 2, "c": 3}, unk_token="?"))
    words.pre_tokenizer = Whitespace()
    words.enable_truncation(2)
    words.enable_padding(length=9)
    return rounded_encoder(words, np.array(rows, dtype=np.float32), "?")


def test_an_embedding_is_the_mean_of_the_words_at_length_1():
    encoder = encoder_of([[9, 9], [1, 0], [0, 2], [-1, 0]])
    assert encoder.size == 2
    assert encoder.num_parameters == 8
    found = encoder.encode(["a", "a b", "a a b a", "b unknown b", "unknown", "", "a c"])
    expected = [[1, 0], np.array([1, 2]) / 5**0.5, np.array([3, 2]) / 13**0.5, [0, 1], [0, 0], [0, 0], [0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found.dtype == np.float32
    assert encoder.encode([]).shape == (0, 2)


def test_how_texts_are_put_together_changes_nothing():
    encoder = encoder_of(np.random.default_rng(0).normal(size=(4, 5)))
    texts = [" ".join("abc"[number % size % 3] for size in range(1, 3 + number % 7)) for number in range(3000)]
    assert len(texts) > 2 * TEXTS_AT_ONCE
    alone = np.vstack([encoder.encode([text]) for text in texts[::37]])
    np.testing.assert_array_equal(encoder.encode(texts)[::37], alone)


def test_the_scale_of_vectors_has_no_part_in_it():
    rows = np.random.default_rng(0).normal(size=(4, 5))
    small, large = (encoder_of(rows * scale).encode(["a b b c"]) for scale in (1e-9, 1e9))
    np.testing.assert_allclose(small, large, atol=1e-6)


@pytest.mark.parametrize("precision", [Precision.fp32, Precision.bf16])
@pytest.mark.parametrize("pairs", [False, True])
def test_read_again_it_predicts_the_same(vectors, tmp_path, precision, pairs):
    classifier = fitted(vectors, make_data(pairs=pairs), precision, text_cleaning=[Cleaning.normalize_whitespace])
    given = (TEXTS, TEXTS[::-1]) if pairs else (TEXTS,)
    expected = classifier.predict_proba(*given)
    classifier.save(tmp_path / "saved")
    again = load_classifier(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_proba(*given), expected)
    files = json.loads((tmp_path / "saved" / "classifier.json").read_text())["files"]
    assert set(files) == {"head.safetensors", "tokenizer.json", "vectors.safetensors"}
    again.save(tmp_path / "twice")
    for name in files:
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / "saved" / name).read_bytes()


def test_it_learns_what_the_words_say(vectors):
    data = make_data(train=200, evaluation=60)
    classifier, result = fit(static_of(vectors), data, TorchTrainer(), RunContext())
    found = classifier.predict_proba(list(data.test["text"])).argmax(axis=1)
    assert (found == np.array(data.test["label"])).mean() > 0.9
    assert result.num_parameters == classifier.encoder.num_parameters + classifier.head.weight.size + 2
    assert (result.device, result.precision, result.draws_seed) == ("cpu", "fp32", False)


def _rewrite(folder, vectors):
    save_file(
        {"vectors": vectors(load_file(folder / "vectors.safetensors")["vectors"])}, folder / "vectors.safetensors"
    )


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "vectors.safetensors").unlink(), "vectors.safetensors is missing or damaged"),
        (lambda f: (f / "vectors.safetensors").write_bytes(b"no"), "vectors.safetensors is missing or damaged"),
        (lambda f: save_file({"v": np.zeros((3, 4))}, f / "vectors.safetensors"), "is missing or damaged"),
        (lambda f: _rewrite(f, lambda v: v.astype(np.float32)), "holds no word vectors"),
        (lambda f: _rewrite(f, lambda v: np.full_like(v, np.nan)), "holds no word vectors"),
        (lambda f: _rewrite(f, lambda v: v[:9].copy()), "has vectors of 9 words, and the tokenizer beside it gives more"),
        (lambda f: _rewrite(f, lambda v: v[:, :3].copy()), "do not belong together"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "holds no usable tokenizer"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    ],
)  # fmt: skip
def test_a_damaged_one_is_refused(vectors, tmp_path, spoil, said):
    fitted(vectors, make_data()).save(tmp_path / "saved")
    spoil(unlisted(tmp_path / "saved"))
    with pytest.raises(ArtifactError, match=said):
        load_classifier(tmp_path / "saved")


def test_word_vectors_have_no_graph_in_onnx(vectors, tmp_path):
    with pytest.raises(ArtifactError, match=r"reads word vectors.*--to space"):
        write_embeddings(fitted(vectors, make_data()), tmp_path)


def _python(code, *arguments, path):
    environment = os.environ | {"PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FITTED = """
import sys
from textclf import InMemoryDataset, compose_experiment, load_classifier, run_experiment
rows = [{"text": f"a {word} film {number}", "label": label} for label, word in (("bad", "awful"), ("good", "lovely"))
        for number in range(30)]
experiment = compose_experiment(
    "model=static_embeddings", f"model.checkpoint={sys.argv[1]}", "model.name=words", "model.calibration=temperature",
    "tracker=none", dataset=InMemoryDataset(train=rows))
assert run_experiment(experiment, sys.argv[2]).metrics["test/accuracy"] > 0.9
print(load_classifier(sys.argv[2]).predict(["a lovely film"])[0].label)
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_neither_a_run_nor_a_prediction_loads_torch(vectors, tmp_path):
    said = _python(FITTED, vectors, tmp_path / "run", path=ROOT).splitlines()
    assert said[-2:] == ["good", "[]"]


PREDICTED = """
import sys
for name in ("torch", "transformers", "sklearn", "datasets", "huggingface_hub"):
    sys.modules[name] = None
from textclf.models.families import load_classifier
print(load_classifier(sys.argv[1]).predict_proba(["it is a lovely film"]).tolist())
"""


def test_the_code_that_goes_along_is_enough(vectors, tmp_path):
    classifier = fitted(vectors, make_data())
    classifier.save(tmp_path / "saved")
    description = read_description(tmp_path / "saved")
    copy_code(description, tmp_path / "code")
    assert {"numpy", "scipy", "tokenizers", "safetensors"} <= set(libraries_needed(description))
    assert not {"torch", "transformers"} & set(libraries_needed(description))
    assert not (tmp_path / "code" / "textclf" / "models" / "embeddings" / "sentence_encoder.py").exists()
    said = _python(PREDICTED, tmp_path / "saved", path=tmp_path / "code")
    np.testing.assert_allclose(json.loads(said), classifier.predict_proba(["it is a lovely film"]), atol=1e-7)
