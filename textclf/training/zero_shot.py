"""Zero-shot classifiers: made from what labels mean in words, without a look at a label of train."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from textclf.data.dataset import TextData, texts_of
from textclf.errors import ConfigError, cut, listed
from textclf.models.embeddings.embeddings_classifier import EmbeddingsClassifier
from textclf.models.embeddings.linear_head import LinearHead
from textclf.models.embeddings.sentence_encoder import load_encoder
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.options import LabelEmbeddingsModel, ZeroShotModel
from textclf.models.transformer.entailment import ZeroShotClassifier, check_is_nli
from textclf.models.transformer.loading import load_checkpoint
from textclf.models.transformer.precision import AUTOCAST
from textclf.training.embedding_head import without_head
from textclf.training.optim import choose_device, choose_precision, describe_device
from textclf.training.options import TrainerOptions
from textclf.training.result import FitResult, RunContext

log = logging.getLogger(__name__)

SHOWN = 4
"""Labels whose words are on the screen; all are in the log."""
MOST_COMPARED = 1000
"""Texts of train, without their labels, that show how similar to a label texts usually are."""


def fit_label_embeddings(
    options: LabelEmbeddingsModel, data: TextData, trainer: TrainerOptions, context: RunContext
) -> tuple[EmbeddingsClassifier, FitResult]:
    """Encode what labels mean in words: each becomes a row of a linear head, which gives cosines over a temperature.

    Of sets of labels, a label's probability is a half where the cosine is one standard deviation above the mean of the
    texts of train, whose labels are not read.

    Args:
        options: The encoder, and the sentence that labels stand in.
        data: The data, of which no label is read.
        trainer: Its device and precision are those of the encoder.
        context: The run that this is part of.

    Raises:
        TextclfError: If the encoder cannot be had.
    """
    device = choose_device(trainer)
    encoder = load_encoder(options, device, choose_precision(trainer, device).value)
    classifier = without_head(options, data, encoder)
    begun, saved = time.perf_counter(), VECTORS.seconds_saved
    sentences = sentences_of(data.labels_in_words, options.template)
    vectors = encoder.encode(classifier.clean(sentences)) / np.float32(options.temperature)  # (num_labels, size)
    weight = vectors if not data.has_pairs else np.hstack([vectors / 2, vectors / 2, 0 * vectors, 0 * vectors])
    classifier.head = LinearHead(weight.astype(np.float32), np.zeros(data.num_labels, np.float32))
    if data.has_sets:
        logits = classifier.head.logits(_features(classifier, data.train)).astype(np.float64)
        usual = logits.mean(axis=0) + logits.std(axis=0)
        classifier.head = LinearHead(classifier.head.weight, -usual.astype(np.float32))
    seconds = time.perf_counter() - begun + VECTORS.seconds_saved - saved
    _tell(context, sentences)
    return classifier, FitResult(
        num_parameters=encoder.num_parameters,
        num_trainable=0,
        train_seconds=seconds,
        train_examples=0,
        device=describe_device(device),
        precision=encoder.arithmetic,
        draws_seed=False,
        reads_labels=False,
    )


def _features(classifier: EmbeddingsClassifier, rows: Dataset) -> NDArray[np.float32]:
    """Return what the head reads of some texts, evenly spread over a split: float32 (n, num_features)."""
    if len(rows) > MOST_COMPARED:
        rows = rows.select(np.linspace(0, len(rows) - 1, MOST_COMPARED).astype(int))
    texts, pairs = texts_of(rows)
    return classifier.features(classifier.clean(texts), None if pairs is None else classifier.clean(pairs))


def fit_zero_shot(
    options: ZeroShotModel, data: TextData, trainer: TrainerOptions, context: RunContext
) -> tuple[ZeroShotClassifier, FitResult]:
    """Load a checkpoint of natural language inference, and put the labels into hypotheses.

    Args:
        options: The checkpoint, and the hypothesis that labels stand in.
        data: The data, of which no label is read.
        trainer: Its device and precision are those of the classifier.
        context: The run that this is part of.

    Raises:
        TextclfError: If the checkpoint cannot be had, or a hypothesis leaves a text no room.
    """
    device = choose_device(trainer)
    precision = choose_precision(trainer, device)
    nli = load_checkpoint(options.transformer, None, seed=context.seed)
    check_is_nli(nli.model.config, options.checkpoint)
    nli.autocast, nli.has_pairs = AUTOCAST[precision.value], True
    nli.move_to(device)
    begun = time.perf_counter()
    hypotheses = tuple(sentences_of(data.labels_in_words, options.hypothesis))
    _check_room(hypotheses, nli.tokenize(hypotheses, None).lengths, nli.lengths.max_length)
    classifier = ZeroShotClassifier(
        label_names=data.label_names,
        cleaning=tuple(options.text_cleaning),
        has_pairs=data.has_pairs,
        columns=data.columns,
        thresholds=(0.5,) * data.num_labels if data.has_sets else None,
        nli=nli,
        hypotheses=hypotheses,
    )
    _tell(context, hypotheses)
    examples = len(data.validation) + len(data.test)
    context.screen.info(
        "each text is read once with each of the %d labels: %s texts of validation and test are %s passes",
        data.num_labels, f"{examples:,}", f"{examples * data.num_labels:,}",
    )  # fmt: skip
    return classifier, FitResult(
        num_parameters=nli.model.num_parameters(),
        num_trainable=0,
        train_seconds=time.perf_counter() - begun,
        train_examples=0,
        device=describe_device(device),
        precision=nli.prediction_arithmetic,
        draws_seed=False,
        reads_labels=False,
    )


def sentences_of(words: Sequence[str], template: str) -> list[str]:
    """Return the words of each label in their sentence."""
    return [template.replace("{}", own) for own in words]


def _tell(context: RunContext, sentences: Sequence[str]) -> None:
    """Say what stands for the labels, and that no label of train is read; on the screen of many labels for some."""
    log.info("what stands for the labels: %s", listed(map(repr, sentences), len(sentences)))
    context.screen.info("zero-shot: no label of train is read; the labels are %s", listed(map(repr, sentences), SHOWN))


def _check_room(hypotheses: Sequence[str], lengths: NDArray[np.int64], max_length: int) -> None:
    """Refuse a hypothesis that takes more than half of the input, so that it, or most of a text, would be cut."""
    longest = int(lengths.argmax())
    if lengths[longest] > max_length // 2:
        raise ConfigError(
            f"model.hypothesis with {cut(repr(hypotheses[longest]), 80)} has {lengths[longest]} tokens or more, which "
            f"is over half of model.max_length={max_length} and leaves texts too little room. Shorten the description "
            f"of the label (dataset.label_descriptions), or raise model.max_length."
        )
