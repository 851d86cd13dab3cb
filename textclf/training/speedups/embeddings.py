"""Training only the token embeddings that the training texts use.

Most of a vocabulary does not occur in them: its embeddings get no gradient, yet the gradient, its norm and the moments
of Adam are computed and kept for all of them. An encoder with a large vocabulary, such as XLM-RoBERTa's 250,000 tokens,
spends most of its memory and much of its time on that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

MOST = 0.8
"""Share of the vocabulary above which all of it is trained, since little would be saved."""


class TrimmedEmbedding(nn.Module):
    """An embedding of which some tokens' vectors are trained; in evaluation it has all of them."""

    row_of: torch.Tensor
    tokens: torch.Tensor

    def __init__(self, whole: nn.Embedding, tokens: torch.Tensor):
        """Take the place of `whole`.

        Args:
            whole: Vectors of the whole vocabulary, (num_tokens, size).
            tokens: The tokens to train, int64 (n,), sorted.
        """
        super().__init__()
        self.whole = whole.requires_grad_(False)
        self.rows = nn.Parameter(whole.weight.detach()[tokens])  # (n, size)
        row_of = torch.zeros(whole.num_embeddings, dtype=torch.int64, device=tokens.device)
        row_of[tokens] = torch.arange(len(tokens), device=tokens.device)
        self.register_buffer("tokens", tokens, persistent=False)
        self.register_buffer("row_of", row_of, persistent=False)
        padding = whole.padding_idx
        self.padding_row = None if padding is None else int(row_of[padding])
        self.decayed = 1.0
        """What weight decay has left of the vectors that are not trained, as a factor still to be applied."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of token ids: (…, size)."""
        if not self.training:
            return self.whole(ids)
        return functional.embedding(self.row_of[ids], self.rows, self.padding_row)

    def train(self, mode: bool = True) -> TrimmedEmbedding:
        """Go over to training, or to evaluation with what has been learned."""
        if not mode and self.training:
            self.write_back()
        return super().train(mode)

    @torch.no_grad()
    def write_back(self) -> None:
        """Put the trained vectors into the whole vocabulary, and give the others the weight decay they would have."""
        if self.decayed != 1.0:
            self.whole.weight.mul_(self.decayed)
            self.decayed = 1.0
        self.whole.weight[self.tokens] = self.rows

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Note the weight decay of each step, which AdamW does not apply to the vectors that it does not know of."""
        (number,) = [
            number
            for number, group in enumerate(optimizer.param_groups)
            if any(own is self.rows for own in group["params"])
        ]

        def after_step(*_: object) -> None:
            group = optimizer.param_groups[number]  # another object once the optimizer's state was loaded
            self.decayed *= 1 - float(group["lr"]) * group["weight_decay"]

        optimizer.register_step_post_hook(after_step)


@contextmanager
def training_seen_tokens(model: PreTrainedModel, ids: NDArray[np.int32]) -> Iterator[TrimmedEmbedding | None]:
    """Train only the embeddings of these token ids inside the context.

    Args:
        model: An encoder with a classification head; its embedding is replaced inside the context and has what was
            learned afterwards.
        ids: The token ids of all training texts, int32 of any shape.

    Yields:
        The embedding in training, whose `follow` is to be told of the optimizer; none where all of it is trained.
    """
    try:
        whole = model.get_input_embeddings()
    except NotImplementedError:  # CANINE adds up several hashes of each character
        whole = None
    if type(whole) is not nn.Embedding or model.get_output_embeddings() is not None or not whole.weight.requires_grad:
        yield None
        return
    used = np.zeros(whole.num_embeddings, dtype=bool)
    used[ids] = True
    if whole.padding_idx is not None:
        used[whole.padding_idx] = True
    if used.mean() > MOST:
        yield None
        return
    seen = TrimmedEmbedding(whole, torch.from_numpy(np.flatnonzero(used)).to(whole.weight.device))
    model.set_input_embeddings(seen)
    try:
        yield seen
    finally:
        seen.eval()
        model.set_input_embeddings(whole)
        whole.requires_grad_(True)
