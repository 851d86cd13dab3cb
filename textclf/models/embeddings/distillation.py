"""Distil word vectors from a sentence encoder: each token of its vocabulary is encoded by itself.

As model2vec does it (Tulkens & van Dongen 2024): the vectors are reduced by PCA, and weighed by how rare a token is
expected to be at its place in the vocabulary. It takes torch, which the vectors that come of it do without.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from tokenizers import Tokenizer

from textclf.errors import ArtifactError, ConfigError
from textclf.models.embeddings.sentence_encoder import SentenceEncoder, load_encoder, open_encoder
from textclf.models.embeddings.static_encoder import StaticEncoder, rounded_encoder
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.embeddings.word_vectors import MODEL2VEC, PACKAGED
from textclf.models.options import EmbeddingsModel, StaticEmbeddingsModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

TOKENS_AT_ONCE = 1024
SMOOTHING = 1e-4
"""The a of the weights a / (a + p) of a token of probability p (Arora et al. 2017, SIF)."""


def check_distillation(options: StaticEmbeddingsModel) -> None:
    """Raise where there is no such sentence encoder, by what is small of it.

    Raises:
        ConfigError: If the checkpoint is no sentence encoder, or has word vectors already.
        ArtifactError: If it cannot be reached, trusted or understood.
    """
    already = options.checkpoint in PACKAGED
    try:
        if not already:
            open_encoder(_encoder_options(options))
    except ArtifactError as error:
        already = MODEL2VEC in str(error)  # which transformers does not know
        if not already:
            raise
    if already:
        raise ConfigError(
            f"model.checkpoint={options.checkpoint} has word vectors already, and none can be distilled from them. "
            f"Leave model.distil out."
        )


def distil(options: StaticEmbeddingsModel, device: torch.device) -> StaticEncoder:
    """Make word vectors of a sentence encoder.

    Args:
        options: Which encoder, and how long the vectors are to be.
        device: Where it computes, in float32.

    Raises:
        TextclfError: If the encoder cannot be had, or its tokenizer has no form that runs without transformers.
    """
    encoder = load_encoder(_encoder_options(options), device, "fp32")
    tokenizer = _bare(encoder, options)
    words = [tokenizer.id_to_token(number) or "" for number in range(_rows(encoder.tokenizer))]
    how = ["distilled", str(options.size), *encoder.identity()]
    vectors = VECTORS.remembered(lambda: how, words, lambda some, _: _distilled(encoder, list(some), options))
    return rounded_encoder(tokenizer, vectors)


def _encoder_options(options: StaticEmbeddingsModel) -> EmbeddingsModel:
    """Return the sentence encoder that vectors are distilled from."""
    return EmbeddingsModel(name=options.name, checkpoint=options.checkpoint, revision=options.revision)


def _bare(encoder: SentenceEncoder, options: StaticEmbeddingsModel) -> Tokenizer:
    """Return the encoder's tokenizer without the special tokens that it would put around a text."""
    backend = getattr(encoder.tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ArtifactError(
            f"Checkpoint {options.checkpoint!r} has a tokenizer that is written in Python and runs with transformers "
            f"alone, so word vectors of it would need transformers too. Choose another encoder for model.distil=true."
        )
    content = json.loads(backend.to_str()) | {"post_processor": None}
    if encoder.recipe.lowercase:
        steps = [step for step in (content["normalizer"],) if step is not None]
        content["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *steps]}
    return Tokenizer.from_str(json.dumps(content))


def _rows(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many vectors there are to be: one for each id."""
    return max(tokenizer.get_vocab().values()) + 1


def _distilled(encoder: SentenceEncoder, words: list[str], options: StaticEmbeddingsModel) -> NDArray[np.float32]:
    """Encode each token by itself and return what is left of the vectors: float32 (tokens, size)."""
    log.info("distilling vectors of %s tokens from %s", f"{len(words):,}", options.checkpoint)
    known = min(len(words), encoder.module.model.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    special = set(encoder.tokenizer.all_special_ids)
    without = {number for number, word in enumerate(words) if not word or word.startswith("[unused")} | special
    used = np.array([number for number in range(known) if number not in without])
    before, after = _around(encoder.tokenizer)
    found = np.zeros((len(words), encoder.size), dtype=np.float32)
    for start in range(0, len(used), TOKENS_AT_ONCE):
        rows = used[start : start + TOKENS_AT_ONCE]
        ids = np.hstack([np.tile(before, (len(rows), 1)), rows[:, None], np.tile(after, (len(rows), 1))])
        given = torch.from_numpy(ids.astype(np.int64)).to(encoder.device)
        with torch.inference_mode():
            found[rows] = encoder.module(input_ids=given, attention_mask=torch.ones_like(given)).float().cpu().numpy()
    reduced = found[used]
    if options.size < min(reduced.shape):
        reduced = PCA(options.size, svd_solver="covariance_eigh").fit_transform(reduced)
    chances = 1 / np.arange(2, len(used) + 2)  # Zipf's law: a vocabulary has frequent tokens first
    chances /= chances.sum()
    vectors = np.zeros((len(words), reduced.shape[1]), dtype=np.float32)
    vectors[used] = reduced * (SMOOTHING / (SMOOTHING + chances))[:, None]
    return vectors


def _around(tokenizer: PreTrainedTokenizerBase) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids that stand before and after those of a text."""
    bare = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("a")["input_ids"])
    start = next((start for start in range(len(whole)) if whole[start : start + len(bare)] == bare), 0)
    return np.array(whole[:start], dtype=np.int64), np.array(whole[start + len(bare) :], dtype=np.int64)
