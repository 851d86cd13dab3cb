"""Lengths of the texts, in characters, words and the model's tokens, and the part that the model cuts off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textclf.audit.corpus import MOST_EXAMPLES, Corpus
from textclf.audit.finding import Finding, Severity
from textclf.audit.options import AuditOptions
from textclf.audit.shingles import words_of
from textclf.data.dataset import SPLITS
from textclf.documents.wording import rounded_percent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHUNK = 1000
"""Texts that are cut into tokens in one call."""
MUCH_CUT, SOME_CUT = 0.25, 0.05
"""Shares of all tokens from which cutting is a warning, and is called more than a few tails."""


@dataclass(frozen=True)
class Tokens:
    """A sample of the examples in the model's own tokens."""

    rows: NDArray[np.int64]
    """int64 (k,): which examples."""
    lengths: NDArray[np.int64]
    """int64 (k,): tokens of each, with those that the model adds."""
    added: int
    """Tokens that the model adds to every example."""
    sampled: bool
    """Whether there are examples that are not in it."""


@dataclass(frozen=True)
class Lengths:
    """How long the examples are; of pairs, both texts together."""

    characters: NDArray[np.int64]
    """int64 (n,)."""
    words: NDArray[np.int64]
    """int64 (n,): characters of unspaced scripts count as words."""
    tokens: Tokens | None
    max_length: int | None
    """Tokens that the model keeps."""


def measure(corpus: Corpus, options: AuditOptions, tokenizer: PreTrainedTokenizerBase | None) -> Lengths:
    """Measure all texts in characters and words, and a sample of them in tokens."""
    characters = np.array([len(text) for text in corpus.texts], dtype=np.int64)
    words = words_of(corpus.texts).counts
    if corpus.text_pairs is not None:
        characters += [len(text) for text in corpus.text_pairs]
        words = words + words_of(corpus.text_pairs).counts
    tokens = None if tokenizer is None else _tokens(corpus, options, tokenizer)
    return Lengths(characters, words, tokens, options.max_length if tokenizer is not None else None)


def _tokens(corpus: Corpus, options: AuditOptions, tokenizer: PreTrainedTokenizerBase) -> Tokens:
    """Cut a sample into tokens, all of them."""
    rows = corpus.sample(options.token_sample, options.seed)
    lengths: list[int] = []
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        encoded = tokenizer(
            [corpus.texts[row] for row in part],
            None if corpus.text_pairs is None else [corpus.text_pairs[row] for row in part],
            truncation=False,
            return_attention_mask=False,
            verbose=False,
        )
        lengths.extend(len(ids) for ids in encoded["input_ids"])
    added = tokenizer.num_special_tokens_to_add(pair=corpus.text_pairs is not None)
    return Tokens(rows, np.array(lengths, dtype=np.int64), added, len(rows) < len(corpus))


def check_lengths(corpus: Corpus, lengths: Lengths) -> list[Finding]:
    """Say how many texts, and how much of them, the model does not read."""
    tokens, limit = lengths.tokens, lengths.max_length
    if tokens is None or limit is None:
        return []
    long = tokens.lengths > limit
    if not long.any():
        return []
    cut = np.maximum(tokens.lengths - limit, 0).sum() / tokens.lengths.sum()
    many = cut >= MUCH_CUT
    longest = tokens.rows[np.argsort(-tokens.lengths, kind="stable")[:MOST_EXAMPLES]]
    size = {int(row): int(length) for row, length in zip(tokens.rows, tokens.lengths, strict=True)}
    return [
        Finding(
            "truncation",
            Severity.warning if many else Severity.note,
            f"Texts longer than the {limit} tokens that the model reads",
            int(long.sum()),
            len(tokens.rows),
            "examples" + (" of a random sample" if tokens.sampled else ""),
            f"{rounded_percent(float(cut))} of all tokens are cut off and never read"
            + ("." if cut >= SOME_CUT else ", a few tails of long texts."),
            _advice(tokens.lengths, limit),
            {name: int(long[corpus.split_of[tokens.rows] == i].sum()) for i, name in enumerate(SPLITS)},
            tuple(corpus.example(int(row), f"{size[int(row)]:,} tokens") for row in longest if size[int(row)] > limit),
        )
    ]


def _advice(lengths: NDArray[np.int64], limit: int) -> str:
    """Return what to do about texts that are cut: of most the model reads all, or it would with another max_length."""
    needed = int(np.ceil(np.percentile(lengths, 95)))
    if needed <= limit:
        return (
            f"Nothing, as a rule: at least 95 % of the texts are read whole. The longest takes {int(lengths.max()):,} "
            f"tokens (model.max_length={int(lengths.max())}, if the model takes as many)."
        )
    return (
        f"95 % of the texts fit into {needed:,} tokens (model.max_length={needed}, if the model takes as many). Where "
        f"the end of a text decides, a longer max_length is worth its time; else it is not."
    )
