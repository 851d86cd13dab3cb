"""Special tokens on which tokenizer and model must agree: the padding, its side, and the end of a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from tokenizers import processors
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, TokenizersBackend

from textclf.errors import ArtifactError

PROBE = (7, 3)
"""Tokens and padding of the made-up input by which the side of the padding is chosen."""


def settle_special_tokens(
    tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, positions_from_padding: bool, checkpoint: str
) -> None:
    """Let tokenizer and configuration name the same padding, and end each text where the model looks for its end.

    Args:
        tokenizer: Changed in place.
        config: Changed in place, before the model is made of it.
        positions_from_padding: Whether the model counts positions from the padding's id, which then stays.
        checkpoint: Its name, for errors.

    Raises:
        ArtifactError: If there is no token to pad with, or no way to end a text.
    """
    _settle_padding(tokenizer, config, positions_from_padding, checkpoint)
    if config.is_encoder_decoder:
        _settle_end(tokenizer, config, checkpoint)


def _settle_padding(
    tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, positions_from_padding: bool, checkpoint: str
) -> None:
    """Choose what is padded with: the tokenizer's own padding, the configuration's, or else the end of a text."""
    text_config: Any = config.get_text_config()
    own, configured = tokenizer.pad_token_id, getattr(text_config, "pad_token_id", None)
    choices = [configured, own] if positions_from_padding else [own, configured]
    if not config.is_encoder_decoder:  # there the ends are counted, so padding must be something else
        choices += [tokenizer.eos_token_id, *_ids(getattr(text_config, "eos_token_id", None))]
    size = getattr(text_config, "vocab_size", None)
    chosen = next((int(i) for i in choices if isinstance(i, int) and 0 <= i < (size or i + 1)), None)
    if chosen is not None and own != chosen:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(chosen)
    if chosen is None or tokenizer.pad_token_id != chosen:
        raise ArtifactError(
            f"Checkpoint {checkpoint!r} has no padding token in its vocabulary and no end-of-text token that could "
            f"stand in for it, so its texts cannot be batched. Give its tokenizer a pad_token, or choose another "
            f"checkpoint."
        )
    for each in (config, text_config):
        each.pad_token_id = chosen


def _ids(value: object) -> Iterable[object]:
    """Return one or several ids as several."""
    return value if isinstance(value, list | tuple) else [value]


def _settle_end(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, checkpoint: str) -> None:
    """End each text with the token that the model classifies by, once: T5 and BART look for it among the ids.

    A text in which the token is written out would have two of them, so it is read as its letters.
    """
    end = next(iter(_ids(getattr(config, "eos_token_id", None))), None)
    token = tokenizer.convert_ids_to_tokens(end) if isinstance(end, int) else None
    if not isinstance(end, int) or not isinstance(token, str):
        raise ArtifactError(
            f"Checkpoint {checkpoint!r} ({config.model_type}) classifies by the token that ends a text, and its "
            f"configuration names none that its tokenizer has (eos_token_id is {end}). Choose another checkpoint."
        )
    config.eos_token_id = end
    tokenizer.split_special_tokens = True
    tokenizer.init_kwargs["split_special_tokens"] = True
    if end in tokenizer("a")["input_ids"]:
        return
    if not isinstance(tokenizer, TokenizersBackend):
        raise ArtifactError(
            f"Checkpoint {checkpoint!r} ({config.model_type}) classifies by the token that ends a text ({token}), "
            f"which its tokenizer ({type(tokenizer).__name__}) does not add and cannot be told to. Choose another one."
        )
    backend = tokenizer.backend_tokenizer
    ends = processors.TemplateProcessing(
        single=f"$A {token}", pair=f"$A {token} $B {token}", special_tokens=[(token, end)]
    )
    before = backend.post_processor
    backend.post_processor = ends if before is None else processors.Sequence([before, ends])


def settle_padding_side(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Pad on the right where padding on the left, which the tokenizer wants, would change the logits.

    Models that generate are padded on the left for that; read as classifiers, those with absolute positions such as
    GPT-2 would place a text by the length of its neighbours.
    """
    if tokenizer.padding_side != "left":
        return
    size, pad = getattr(model.config, "vocab_size", 0), cast(int, tokenizer.pad_token_id)
    own = [i for i in range(3, size) if i not in tokenizer.all_special_ids][: PROBE[0]]
    if len(own) < PROBE[0]:
        return
    tokens, blank = torch.tensor([own]), torch.full((1, PROBE[1]), pad)  # (1, tokens), (1, padding)
    there, nothing = torch.ones_like(tokens), torch.zeros_like(blank)

    def logits(ids: list[torch.Tensor], mask: list[torch.Tensor]) -> torch.Tensor:
        return model(input_ids=torch.cat(ids, dim=1), attention_mask=torch.cat(mask, dim=1)).logits

    was_training = model.training
    model.eval()
    with torch.inference_mode():
        alone = logits([tokens], [there])
        left, right = logits([blank, tokens], [nothing, there]), logits([tokens, blank], [there, nothing])
    model.train(was_training)
    same_left, same_right = (torch.allclose(found, alone, rtol=1e-3, atol=1e-6) for found in (left, right))
    if same_right and not same_left:
        tokenizer.padding_side = "right"
