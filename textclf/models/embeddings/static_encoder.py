"""Word vectors as an encoder of texts, which averages those of a text's words; without torch and transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from textclf.errors import ArtifactError
from textclf.system.paths import MEGABYTE, refuse_larger

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KIND = "static"
VECTORS = "vectors.safetensors"
"""The file of the vectors, beside `classifier.json`."""
TOKENIZER = "tokenizer.json"
MOST_OF_A_TOKENIZER = 256 * MEGABYTE
TEXTS_AT_ONCE = 1024


@dataclass
class StaticEncoder:
    """A vector for each word of a vocabulary, and the tokenizer that finds the words in a text.

    The embedding of a text is the mean of its words' vectors, each as often as the word occurs, at length 1; of a text
    without any word that is known, it is zero. No text is cut. The vectors are rounded to half precision, in which
    they are saved.
    """

    tokenizer: Tokenizer
    vectors: NDArray[np.float32]
    """float32 (words, size): of the words by the tokenizer's ids; zero where a word is to count for nothing."""

    kind = KIND

    def __post_init__(self) -> None:
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        return self.vectors.shape[1]

    @property
    def num_parameters(self) -> int:
        """Numbers of all vectors."""
        return self.vectors.size

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of texts: float32 (n, size)."""
        found = np.zeros((len(texts), self.size), dtype=np.float32)
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            rows = slice(start, start + TEXTS_AT_ONCE)
            sums = self._counts(list(texts[rows])) @ self.vectors
            lengths = np.linalg.norm(sums, axis=1, keepdims=True)
            np.divide(sums, lengths, out=found[rows], where=lengths > 0)  # a sum has the direction of the mean
        return found

    def _counts(self, texts: list[str]) -> csr_array:
        """Return how often each word occurs in each text: float32 (n, words), sparse, an entry for each time."""
        ids = [encoded.ids for encoded in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        bounds = np.zeros(len(ids) + 1, dtype=np.int32)
        np.cumsum([len(some) for some in ids], out=bounds[1:])
        columns = np.fromiter(chain.from_iterable(ids), np.int32, int(bounds[-1]))
        ones = np.ones(len(columns), dtype=np.float32)
        return csr_array((ones, columns, bounds), shape=(len(ids), len(self.vectors)))

    def save(self, folder: Path) -> dict[str, Any]:
        """Write vectors and tokenizer; nothing else is to be known to read them again."""
        from safetensors.numpy import save_file

        save_file({"vectors": self.vectors.astype(np.float16)}, folder / VECTORS)
        self.tokenizer.save(str(folder / TOKENIZER), pretty=False)
        return {}


def rounded_encoder(tokenizer: Tokenizer, vectors: NDArray[Any], unknown: str | None = None) -> StaticEncoder:
    """Return an encoder of vectors as they will be read again: scaled to at most 1, and rounded to half precision.

    Args:
        tokenizer: Finds the words in a text.
        vectors: (words, size), any kind of number; they must be finite.
        unknown: The tokenizer's word for what it does not know, which is to count for nothing; none where it has none.
    """
    whole = np.array(vectors, dtype=np.float32, order="C")
    whole /= np.abs(whole).max() or 1.0  # the scale has no part in embeddings of length 1
    if unknown is not None and (number := tokenizer.token_to_id(unknown)) is not None:
        whole[number] = 0.0
    return StaticEncoder(tokenizer, whole.astype(np.float16).astype(np.float32))


def read_static(directory: Path) -> StaticEncoder:
    """Read what `StaticEncoder.save` wrote.

    Args:
        directory: The folder of the classifier.

    Raises:
        ArtifactError: If a file is missing or damaged, or they do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = directory / VECTORS
    try:
        vectors = load_file(path)["vectors"]
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ArtifactError(
            f"{path} is missing or damaged ({error}). Copy it again from where it was saved."
        ) from error
    if vectors.ndim != 2 or vectors.dtype != np.float16 or not vectors.size or not np.isfinite(vectors).all():
        raise ArtifactError(f"{path} is damaged: it holds no word vectors. Copy it again from where it was saved.")
    tokenizer = read_words(directory / TOKENIZER)
    if last_id(tokenizer) >= len(vectors):
        raise ArtifactError(
            f"{path} has vectors of {len(vectors):,} words, and the tokenizer beside it gives more: they do not belong "
            f"together. Copy the whole folder again from where it was saved."
        )
    return StaticEncoder(tokenizer, vectors.astype(np.float32))


def read_words(path: Path) -> Tokenizer:
    """Read a tokenizer.

    Raises:
        ArtifactError: If the file is missing or damaged.
    """
    from tokenizers import Tokenizer

    refuse_larger(path, MOST_OF_A_TOKENIZER)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise ArtifactError(f"{path} is missing, or holds no usable tokenizer: {error}") from error


def last_id(tokenizer: Tokenizer) -> int:
    """Return the highest id that a tokenizer gives; -1 for one without words."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
