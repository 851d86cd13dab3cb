"""A fine-tuned transformer: loaded from a checkpoint, predicting, saved and read again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from textclf.errors import ArtifactError, TextclfError, first_line, listed
from textclf.models.base import Classifier
from textclf.models.belonging import list_files
from textclf.models.options import Attention, Padding
from textclf.models.saved import DESCRIPTION, Description, Fields, read_description, write_description
from textclf.models.transformer import transformers_logging  # noqa: F401  (makes transformers quiet)
from textclf.models.transformer.containment import check_config, check_folder, check_tokenizer_files
from textclf.models.transformer.encoded import WINDOWS, Lengths, TokenizedTexts, batches_by_length, read_lengths
from textclf.models.transformer.head import MANY_LABELS, label_names_of
from textclf.models.transformer.layers import keep_attention, read_one_token
from textclf.models.transformer.precision import AUTOCAST, cpu_is_fast_at_bf16, follow_autocast, in_bf16
from textclf.models.transformer.skeleton import check_size, longest_input, skeleton
from textclf.models.transformer.tokenizer import pad, pool_windows, tokenize
from textclf.system.memory import OutOfMemoryError, brief, is_out_of_memory, release_memory

log = logging.getLogger(__name__)

FAMILY = "transformer"
WINDOW = 16_384
"""Texts that are tokenised and sorted by length together when predicting."""
TOKENS_PER_BATCH = {"cpu": 2048}
"""Padded tokens of a prediction batch: on CPUs about as many as stay in the cache."""
TOKENS_PER_GPU_BATCH = 65_536

Predict = Callable[[NDArray[np.int64]], NDArray[np.float32]]


@dataclass
class FittingBatches:
    """Batches that fit in memory, by the kind of device."""

    tokens: dict[str, int] = field(default_factory=dict)
    """Padded tokens of a batch that were found to fit, where the usual number did not."""

    def in_batches(
        self, predict: Predict, lengths: NDArray[np.int64], pad_length: int | None, device: torch.device
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield the rows of each batch and what is predicted for them, in halves for as long as memory runs out.

        Args:
            predict: Takes the numbers of some rows, and returns their probabilities.
            lengths: Tokens of each row, int64 (n,).
            pad_length: Tokens that every row is padded to; none where the batch decides.
            device: Where it is computed.

        Raises:
            OutOfMemoryError: If a single row does not fit.
        """
        kind = device.type
        usual = TOKENS_PER_BATCH.get(kind, TOKENS_PER_GPU_BATCH)
        left = batches_by_length(lengths, self.tokens.get(kind, usual), pad_length)[::-1]
        while left:
            rows = left[-1]
            found = _attempt(predict, rows)
            if not isinstance(found, str):
                left.pop()
                yield rows, found
                continue
            release_memory()
            longest = int(pad_length or lengths[rows[0]])
            if len(rows) == 1:
                raise OutOfMemoryError(
                    f"Out of memory on {kind} in predicting a single text of {longest} tokens ({found}). What would "
                    f"help: a shorter model.max_length, a smaller model (model=distilbert, model=minilm), or more "
                    f"memory; a classifier that is trained already also predicts on a machine without a GPU.",
                    kind,
                )
            self.tokens[kind] = max(1, len(rows) // 2 * longest)
            log.warning(
                "out of memory in predicting %d texts at a time: from here on %s tokens at a time, in place of %s",
                len(rows),
                f"{self.tokens[kind]:,}",
                f"{len(rows) * longest:,}",
            )
            rest = np.concatenate(left[::-1])
            left = [rest[own] for own in batches_by_length(lengths[rest], self.tokens[kind], pad_length)][::-1]


@dataclass
class TransformerClassifier(Classifier):
    """An encoder with a classification head, its tokenizer, and where and how it computes."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    lengths: Lengths = field(default_factory=Lengths)
    """The longest input, and what becomes of longer texts."""
    padding: Padding = Padding.dynamic
    autocast: torch.dtype | None = None
    """Arithmetic of the forward pass; none for that of the weights (float32)."""
    attention: Attention = Attention.auto
    """The implementation of attention that was asked for."""
    adapters: Any = field(default=None, repr=False, compare=False)
    """What merges adapters that are in training (peft's `LoraModel`); none where there are none."""
    reads_one_token: bool = field(init=False)
    """Whether the last layer is computed for the one token alone that the head reads."""
    fitting: FittingBatches = field(default_factory=FittingBatches, init=False, repr=False, compare=False)
    """The sizes of prediction batches that fit in memory."""
    _in_training: str | None = field(default=None, init=False, repr=False)
    _in_prediction: str = field(init=False, repr=False)
    _in_bf16: PreTrainedModel | None = field(default=None, init=False, repr=False)
    """The model as of the last change between training and prediction."""

    def __post_init__(self) -> None:
        self._in_prediction = self.model.config._attn_implementation or "eager"
        follow_autocast(self.model)
        keep_attention(self.model)
        self.reads_one_token = read_one_token(self.model)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def move_to(self, device: torch.device) -> PreTrainedModel:
        """Move the weights to a device, and return the model."""
        nn.Module.to(self.model, device)
        self._in_bf16 = None
        return self.model

    @property
    def pad_length(self) -> int | None:
        """Tokens that every text is padded to; none where the batch decides."""
        return self.lengths.max_length if self.padding is Padding.max_length else None

    def arithmetic(self) -> contextlib.AbstractContextManager[object]:
        """Return the context in which a forward pass belongs."""
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast)

    @contextlib.contextmanager
    def attending(self, implementation: str) -> Iterator[None]:
        """Train with another implementation of attention inside the context; predictions are made with their own."""
        self._in_training, before = implementation, self._in_training
        try:
            yield
        finally:
            self._in_training = before
            self.set_training(False)

    def set_training(self, training: bool) -> None:
        """Go over to training, or to prediction."""
        self.model.train(training)
        self._in_bf16 = None
        wanted = self._in_training if training and self._in_training else self._in_prediction
        if self.model.config._attn_implementation != wanted:
            self.model.set_attn_implementation(wanted)

    def for_prediction(self) -> tuple[PreTrainedModel, contextlib.AbstractContextManager[object]]:
        """Return the model to predict with, and the context of its forward pass.

        They are those of training but on CPUs: one with units for bfloat16 has the weights in it, if it was trained so,
        and one without computes in float32.
        """
        if self.device.type != "cpu":
            return self.model, self.arithmetic()
        if self.autocast is not torch.bfloat16 or not cpu_is_fast_at_bf16():
            return self.model, contextlib.nullcontext()
        if self._in_bf16 is None:
            self._in_bf16 = in_bf16(self.model)
        return self._in_bf16, contextlib.nullcontext()

    @property
    def prediction_arithmetic(self) -> str:
        """The arithmetic of predictions on this machine: float32 on a CPU without units for bfloat16."""
        if self.device.type == "cpu" and not (self.autocast is torch.bfloat16 and cpu_is_fast_at_bf16()):
            return "fp32"
        return next(name for name, dtype in AUTOCAST.items() if dtype is self.autocast)

    def settle(self) -> bool:
        """End training: merge adapters into the weights, of which none is frozen any more.

        Returns:
            Whether weights changed by it, so that predictions are others by rounding.
        """
        merged = self.adapters is not None
        if merged:
            self.adapters.merge_and_unload()
        self.adapters, self._in_bf16 = None, None
        self.model.requires_grad_(True)
        return merged

    def tokenize(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> TokenizedTexts:
        """Return the token ids of cleaned texts, or pairs of texts."""
        return tokenize(self.tokenizer, texts, text_pairs, self.lengths)

    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's probability for each cleaned text: float32 (n, num_labels)."""
        activation = torch.sigmoid if self.has_sets else partial(torch.softmax, dim=-1)
        return self._forward(texts, text_pairs, activation)

    def logits(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's logit for each cleaned text: float32 (n, num_labels)."""
        return self._forward(texts, text_pairs, lambda logits: logits)

    def _forward(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None,
        activation: Callable[[torch.Tensor], torch.Tensor],
    ) -> NDArray[np.float32]:
        """Return what becomes of the logits of each cleaned text, those of similar length read together."""
        out = np.zeros((len(texts), len(self.label_names)), dtype=np.float32)
        if self.model.training:  # asked first, since going over visits every module
            self.set_training(False)
        model, arithmetic = self.for_prediction()
        for start in range(0, len(texts), WINDOW):
            part = slice(start, start + WINDOW)
            pairs = None if text_pairs is None else text_pairs[part]
            tokens = self.tokenize(texts[part], pairs)

            def probabilities(rows: NDArray[np.int64], tokens: TokenizedTexts = tokens) -> NDArray[np.float32]:
                batch = {k: v.to(self.device) for k, v in pad(self.tokenizer, tokens, rows, self.pad_length).items()}
                counts = batch.pop(WINDOWS, None)
                with torch.inference_mode(), arithmetic:
                    logits = pool_windows(model(**batch).logits, counts)  # (batch, num_labels)
                return activation(logits.float()).cpu().numpy()

            for rows, found in self.fitting.in_batches(probabilities, tokens.lengths, self.pad_length, self.device):
                out[start + rows] = found
        return out

    def save(self, directory: Path) -> None:
        """Write weights (safetensors), tokenizer and description."""
        of_tokenizer = self.save_weights(directory)
        write_description(directory, FAMILY, self, self.described())
        list_files(directory, of_tokenizer)

    def save_weights(self, directory: Path) -> list[str]:
        """Write weights and tokenizer, and return the names of the tokenizer's files."""
        self.model.save_pretrained(directory)
        return [Path(name).name for name in self.tokenizer.save_pretrained(directory)]

    def described(self) -> dict[str, Any]:
        """Return what is to be known to read them again."""
        return {
            "max_length": self.lengths.max_length,
            "truncation": self.lengths.truncation.value,
            "long_text": self.lengths.long_text.value,
            "window_overlap": self.lengths.window_overlap,
            "max_windows": self.lengths.max_windows,
            "padding": self.padding.value,
            "precision": next(name for name, dtype in AUTOCAST.items() if dtype is self.autocast),
        }


def load_transformer(directory: Path, description: Description | None = None) -> TransformerClassifier:
    """Read what `TransformerClassifier.save` wrote.

    Args:
        directory: The folder of the classifier.
        description: What describes it, where it is a part of another classifier; none for its own.

    Raises:
        ArtifactError: If a file is missing or damaged.
    """
    directory = Path(directory)
    description = description or read_description(directory, FAMILY)
    given = Fields(description.options, directory / DESCRIPTION)
    lengths = read_lengths(given)
    padding, precision = given.choice("padding", Padding), given.text("precision")
    if precision not in AUTOCAST:
        raise ArtifactError(f"{given.path} is damaged: precision must be one of {listed(AUTOCAST)}, got {precision!r}.")
    check_folder(directory)
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        check_config(config, str(directory))
        check_size(config)
        longest = longest_input(skeleton(config, directory))
        model, found = AutoModelForSequenceClassification.from_pretrained(
            directory,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except (TextclfError, MemoryError):
        raise
    except Exception as error:  # the loaders raise many kinds, for damaged files their parsers' own
        raise ArtifactError(f"{directory} does not hold a usable transformer: {first_line(error)}") from error
    _check_weights(config, found, description, directory)
    check_tokenizer_files(tokenizer, directory)
    if longest is not None and lengths.max_length > longest:
        raise ArtifactError(
            f"{given.path} is damaged: max_length is {lengths.max_length:,} tokens and the model takes {longest:,} at "
            f"most. Copy it again from where it was saved."
        )
    try:  # it is run once, to see which tokens it reads
        return TransformerClassifier(
            **description.common,
            model=model,
            tokenizer=tokenizer,
            lengths=lengths,
            padding=padding,
            autocast=AUTOCAST[precision],
        )
    except (TypeError, ValueError, RuntimeError, LookupError, ArithmeticError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        raise ArtifactError(f"{directory} does not hold a usable transformer: {first_line(error)}") from error


def _check_weights(config: PretrainedConfig, found: dict[str, Any], description: Description, directory: Path) -> None:
    """Refuse weights that are not those of the configuration, or of the classes of the description.

    Raises:
        ArtifactError: If some are missing or left over, the classes are others, or only one of the two files says that
            texts have sets of labels.
    """
    for said, names in (("lack", found["missing_keys"]), ("also hold", found["unexpected_keys"])):
        if names:
            raise ArtifactError(
                f"The weights in {directory} {said} {listed(sorted(map(str, names)), 3)}: they are not those of the "
                f"config.json beside them. Copy the whole folder again from where it was saved."
            )
    names = label_names_of(config)
    other = sorted(names) == sorted(description.label_names) and names != description.label_names
    if config.num_labels != len(description.label_names) or other:
        raise ArtifactError(
            f"config.json and {DESCRIPTION} in {directory} do not belong together: {listed(names, 5)} against "
            f"{listed(description.label_names, 5)}. Copy the whole folder again from where it was saved."
        )
    if (config.problem_type == MANY_LABELS) != (description.thresholds is not None):
        has, lacks = ("config.json", DESCRIPTION) if description.thresholds is None else (DESCRIPTION, "config.json")
        raise ArtifactError(
            f"config.json and {DESCRIPTION} in {directory} do not belong together: {has} describes sets of labels and "
            f"{lacks} one class a text. Copy the whole folder again from where it was saved."
        )


def _attempt(predict: Predict, rows: NDArray[np.int64]) -> NDArray[np.float32] | str:
    """Return what is predicted, or what was said where memory ran out; the error itself would keep memory alive."""
    try:
        return predict(rows)
    except Exception as error:
        if isinstance(error, TextclfError) or not is_out_of_memory(error):
            raise
        return brief(error)
