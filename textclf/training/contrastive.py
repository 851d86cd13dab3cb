"""Fine-tune a sentence encoder on pairs of few examples (SetFit), by the trainer of sentence-transformers."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.modules.input_module import InputModule
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
from transformers import PrinterCallback

from textclf.data.arrow_tables import dataset_of
from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.errors import ConfigError, DataError
from textclf.models.cleaning import cleaned
from textclf.models.embeddings.embeddings_classifier import EmbeddingsClassifier
from textclf.models.embeddings.sentence_encoder import SentenceEncoder, load_encoder
from textclf.models.options import SetfitModel
from textclf.models.transformer.tokenizer import pad
from textclf.system.unfinished import temporary_folder
from textclf.training.embedding_head import fit_head
from textclf.training.optim import choose_device, choose_precision, describe_device
from textclf.training.options import TrainerOptions
from textclf.training.result import FitResult, RunContext

log = logging.getLogger(__name__)

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
LOSSES = 50
"""Losses of single steps that are kept, about evenly spread."""


def fit_setfit(
    options: SetfitModel, data: TextData, trainer: TrainerOptions, context: RunContext
) -> tuple[EmbeddingsClassifier, FitResult]:
    """Fine-tune an encoder on pairs of training texts, then fit a head to its embeddings.

    Args:
        options: The encoder, its pairs and its head.
        data: The data.
        trainer: Its device and precision are those of the encoder.
        context: The run that this is part of.

    Raises:
        ConfigError: If the data are pairs of texts, or have sets of labels.
        DataError: If a class has fewer than two examples.
    """
    if data.has_sets:
        raise ConfigError(
            f"model={options.name} learns from pairs of texts that are of one class or of two, and the texts of "
            f"{data.name} have sets of labels, of which two may share a part. Use model=minilm_embeddings, or a "
            f"fine-tuned transformer such as model=minilm; both take sets."
        )
    labels = labels_of(data.train)
    counts = np.bincount(labels, minlength=data.num_labels)
    texts, pairs = texts_of(data.train)
    if pairs is not None:
        raise ConfigError(
            f"model={options.name} learns from pairs that it makes of single texts, and {data.name} holds pairs of "
            f"texts. Use model=minilm_embeddings or a fine-tuned transformer for it."
        )
    if counts.min() < 2:
        raise DataError(
            f"class {data.label_names[int(counts.argmin())]!r} has {counts.min()} training example, and {options.name} "
            f"needs 2 of each class, to put them together. Add examples, or use model=minilm_embeddings."
        )
    device = choose_device(trainer)
    encoder = load_encoder(options, device, choose_precision(trainer, device).value)
    texts = cleaned(texts, options.text_cleaning) if options.text_cleaning else texts
    chosen = pairs_of(labels, options.pairs_per_example, options.max_pairs, context.seed)
    start = time.perf_counter()
    losses = _train(encoder, list(texts), chosen, options, context.seed)
    trained = time.perf_counter() - start
    log.info("%s trained on %d pairs in %.1f s", options.name, len(chosen.labels), trained)
    classifier, result = fit_head(encoder, options, data, context)
    return classifier, replace(
        result,
        num_parameters=(result.num_parameters or 0) + encoder.num_parameters,
        num_trainable=(result.num_trainable or 0) + encoder.num_parameters,
        train_seconds=result.train_seconds + trained,
        device=describe_device(device),
        precision=encoder.arithmetic,
        step_losses=losses,
        draws_seed=True,
    )


@dataclass(frozen=True)
class Pairs:
    """Pairs of examples, by their numbers, and whether they are of one class."""

    first: NDArray[np.int64]
    """int64 (n,)."""
    second: NDArray[np.int64]
    """int64 (n,)."""
    labels: NDArray[np.float32]
    """float32 (n,): 1 for pairs of one class, 0 for others."""


def pairs_of(labels: NDArray[np.int64], per_example: int, most: int, seed: int) -> Pairs:
    """Draw pairs of examples, about half of them of one class.

    Args:
        labels: int64 (n,), at least two of each class that occurs, and at least two classes.
        per_example: Pairs that each example is the first of.
        most: Most pairs in all.
        seed: Seed of the draw.
    """
    chance = np.random.default_rng(seed)
    numbers = np.arange(len(labels))
    first, second, same = [], [], []
    for label in np.unique(labels):
        own, others = numbers[labels == label], numbers[labels != label]
        half = per_example // 2
        shifts = chance.integers(1, len(own), (len(own), half))  # never an example with itself
        first += [np.repeat(own, half), np.repeat(own, per_example - half)]
        second += [own[(np.arange(len(own))[:, None] + shifts) % len(own)].ravel()]
        second += [chance.choice(others, len(own) * (per_example - half))]
        same += [np.ones(len(own) * half), np.zeros(len(own) * (per_example - half))]
    order = chance.permutation(sum(map(len, first)))[:most]
    return Pairs(
        np.concatenate(first)[order], np.concatenate(second)[order], np.concatenate(same).astype(np.float32)[order]
    )


class _Encoder(InputModule):
    """An encoder of ours as sentence-transformers takes it."""

    def __init__(self, encoder: SentenceEncoder):
        super().__init__()
        self.module = encoder.module
        self.encoder = encoder

    def preprocess(self, inputs: Any, prompt: str | None = None, **kwargs: Any) -> dict[str, torch.Tensor]:
        tokens = self.encoder.tokenize(inputs)
        return pad(self.encoder.tokenizer, tokens, range(len(tokens)))

    def forward(self, features: dict[str, torch.Tensor], **kwargs: Any) -> dict[str, torch.Tensor]:
        given = {name: features[name] for name in self.encoder.tokenizer.model_input_names if name in features}
        return {**features, "sentence_embedding": self.module(**given)}

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("what is trained is saved as a classifier")


class _Trainer(SentenceTransformerTrainer):
    """The trainer without the card that it writes of a model."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        pass


def _train(
    encoder: SentenceEncoder, texts: list[str], pairs: Pairs, options: SetfitModel, seed: int
) -> tuple[tuple[int, float], ...]:
    """Train an encoder in place, and return the losses of single steps, as (step, loss)."""
    rows = dataset_of(
        pa.table(
            {
                "text": [texts[number] for number in pairs.first],
                "other": [texts[number] for number in pairs.second],
                "label": pairs.labels,
            }
        )
    )
    steps = -(-len(rows) // options.batch_size)
    with temporary_folder("textclf-setfit-") as folder, encoder.in_training():
        model = SentenceTransformer(modules=[_Encoder(encoder)], device=str(encoder.device))
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(folder),
            num_train_epochs=1,
            per_device_train_batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            warmup_steps=int(WARM_UP * steps),
            seed=seed,
            bf16=encoder.arithmetic == "bf16",
            fp16=encoder.arithmetic == "fp16",
            use_cpu=encoder.device.type == "cpu",
            logging_steps=max(1, steps // LOSSES),
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        training = _Trainer(model=model, args=arguments, train_dataset=rows, loss=CosineSimilarityLoss(model))
        training.remove_callback(PrinterCallback)
        training.train()
    history = training.state.log_history
    return tuple((int(entry["step"]), float(entry["loss"])) for entry in history if "loss" in entry)
