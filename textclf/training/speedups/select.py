"""Choose and apply the speedups of training steps that leave what is learned the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from textclf.errors import ConfigError
from textclf.models.options import Attention
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.training.options import TrainerOptions
from textclf.training.speedups.dropout import bulk_dropout
from textclf.training.speedups.embeddings import TrimmedEmbedding, training_seen_tokens


@dataclass(frozen=True)
class ActiveSpeedups:
    """The speed-ups of a training run."""

    names: tuple[str, ...]
    """Each in a few words, for the log and the record."""
    seen: TrimmedEmbedding | None = None

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Tell the speed-ups which optimizer steps; to be called once, after it was made."""
        if self.seen is not None:
            self.seen.follow(optimizer)


@contextmanager
def apply_speedups(
    classifier: TransformerClassifier, ids: NDArray[np.int32], options: TrainerOptions
) -> Iterator[ActiveSpeedups]:
    """Train inside this context, where steps take less time or memory.

    Args:
        classifier: Where it is to be trained; the same as before afterwards, but for what it learned.
        ids: The token ids of all training texts.
        options: `speedups` switches all of it off that could be told from the plain way by more than rounding;
            `gradient_checkpointing` trades time for memory.

    Raises:
        ConfigError: If the architecture has no gradient checkpointing and it is asked for.
    """
    model = classifier.model
    names = []
    with ExitStack() as stack:
        if options.gradient_checkpointing:
            if not model.supports_gradient_checkpointing:
                raise ConfigError(f"trainer.gradient_checkpointing: a {model.config.model_type} does not have it.")
            # Later versions of transformers call it activation checkpointing.
            start = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
            start({"use_reentrant": False})
            stack.callback(getattr(model, "activation_checkpointing_disable", model.gradient_checkpointing_disable))
            names.append("gradient checkpointing")
        if classifier.reads_one_token:
            names.append("last layer for one token")
        if not options.speedups:
            yield ActiveSpeedups(tuple(names))
            return
        seen = stack.enter_context(training_seen_tokens(model, ids))
        if seen is not None:
            names.append(f"embeddings of {len(seen.rows):,} of {len(seen.whole.weight):,} tokens")
        if classifier.device.type == "cpu":
            if classifier.attention is Attention.auto and model.config._attn_implementation == "sdpa":
                stack.enter_context(classifier.attending("eager"))
                names.append("explicit attention")
            stack.enter_context(bulk_dropout())
            names.append("bulk dropout")
        yield ActiveSpeedups(tuple(names), seen)
