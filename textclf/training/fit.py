"""Fit a model: by an engine (transformers), scikit-learn (pipelines, heads on embeddings), or words (zero-shot).

A language model is not fitted, but given its prompt.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from textclf.data.dataset import TextData
from textclf.models.llm.options import LlmModel
from textclf.models.options import (
    UNWEIGHED,
    Balance,
    CalibrationMethod,
    ClassicalModel,
    EmbeddingsModel,
    Imbalance,
    LabelEmbeddingsModel,
    ModelOptions,
    SentenceEncoderModel,
    SetfitModel,
    StaticEmbeddingsModel,
    TransformerModel,
    ZeroShotModel,
)
from textclf.system.disk import check_disk
from textclf.system.imports import importing
from textclf.system.memory import OutOfMemoryError, release_memory
from textclf.training.options import NEVER, Device, HFTrainer, Precision, TorchTrainer, TrainerOptions
from textclf.training.result import FitResult, RunContext

if TYPE_CHECKING:
    from textclf.models.base import Classifier
    from textclf.models.transformer.classifier import TransformerClassifier

log = logging.getLogger(__name__)


def check(model: ModelOptions, trainer: TrainerOptions) -> None:
    """Raise before any data is loaded where a model cannot be fitted.

    Raises:
        ArtifactError: If there is no such checkpoint, or it cannot be reached.
        ConfigError: If a class of scikit-learn is not allowed or not there, or refuses its arguments; or if the device
            asked for is not there, or cannot compute in the precision.
    """
    with importing():
        match model:
            case TransformerModel():
                from textclf.models.transformer.loading import open_checkpoint
                from textclf.models.transformer.parts import check_layer_decay
                from textclf.training.optim import choose_device, choose_precision

                checkpoint = open_checkpoint(model)
                if trainer.layer_decay is not None:
                    check_layer_decay(checkpoint.config.model_type, checkpoint.num_layers)
                choose_precision(trainer, choose_device(trainer))
            case ZeroShotModel():
                from textclf.models.transformer.entailment import check_is_nli
                from textclf.models.transformer.loading import open_checkpoint
                from textclf.training.optim import choose_device, choose_precision

                check_is_nli(open_checkpoint(model.transformer).config, model.checkpoint)
                choose_precision(trainer, choose_device(trainer))
            case SentenceEncoderModel():
                from textclf.models.embeddings.sentence_encoder import open_encoder
                from textclf.training.optim import choose_device, choose_precision

                open_encoder(model)
                choose_precision(trainer, choose_device(trainer))
            case StaticEmbeddingsModel(distil=True):
                from textclf.models.embeddings.distillation import check_distillation
                from textclf.training.optim import choose_device

                check_distillation(model)
                choose_device(trainer)
            case StaticEmbeddingsModel():
                from textclf.models.embeddings.word_vectors import check_vectors

                check_vectors(model)
            case ClassicalModel():
                from textclf.models.classical.pipeline import make_one_vs_rest, make_parts
                from textclf.training.balanced_fit import check_balance

                check_balance(make_parts(model)[1], model.balance)
                make_one_vs_rest(model)
            case LlmModel():
                from textclf.training.prompting import check_llm

                check_llm(model)
            case _:
                raise TypeError(f"{type(model).__name__} is no model that textclf can fit")


def labels_per_class(model: ModelOptions, has_sets: bool) -> int | None:
    """Return how many labels of train a fit takes of each class, however many there are; none where it takes all.

    A prompt takes as many as it shows. Label embeddings of sets of labels read all texts, and a temperature is fitted
    on validation, whose size may follow that of train: with these nothing is the same for all sizes.

    Args:
        model: The model.
        has_sets: Whether texts have sets of labels.
    """
    if model.calibration is not CalibrationMethod.none:
        return None
    match model:
        case LlmModel():
            return model.shots
        case ZeroShotModel():
            return 0
        case LabelEmbeddingsModel():
            return None if has_sets else 0
        case _:
            return None


def draws_seed(model: ModelOptions) -> bool:
    """Whether a fit of the model draws anything from the run's seed; if not, other seeds give the same classifier."""
    match model:
        case ClassicalModel():
            from textclf.training.classical import draws_from_seed

            return draws_from_seed(model)
        case EmbeddingsModel() | StaticEmbeddingsModel() if not isinstance(model, SetfitModel):
            return model.imbalance is Imbalance.oversample
        case LlmModel():
            return model.shots > 0
        case ZeroShotModel() | LabelEmbeddingsModel():
            return False
        case _:
            return True


def fit(
    model: ModelOptions, data: TextData, trainer: TrainerOptions, context: RunContext
) -> tuple[Classifier, FitResult]:
    """Fit to `data.train`, select on `data.validation`, and leave `data.test` alone.

    Args:
        model: A transformer is fine-tuned by the trainer; a classical model is fitted without it, and a zero-shot one
            is not fitted to any label.
        data: The data.
        trainer: How a transformer is trained.
        context: The run that this is part of.

    Raises:
        TextclfError: If the options do not fit the data or the machine, or memory runs out.
        Stopped: If the process was asked to stop, after a checkpoint.
    """
    match model:
        case TransformerModel():
            return _fine_tune(model, data, trainer, context)
        case ClassicalModel():
            with importing():
                from textclf.training.classical import fit_classical

            return fit_classical(model, data, context)
        case SetfitModel():
            with importing():
                from textclf.training.contrastive import fit_setfit

            return fit_setfit(model, data, trainer, context)
        case EmbeddingsModel():
            with importing():
                from textclf.training.embedding_head import fit_embeddings

            return fit_embeddings(model, data, trainer, context)
        case LabelEmbeddingsModel():
            with importing():
                from textclf.training.zero_shot import fit_label_embeddings

            return fit_label_embeddings(model, data, trainer, context)
        case ZeroShotModel():
            with importing():
                from textclf.training.zero_shot import fit_zero_shot

            return fit_zero_shot(model, data, trainer, context)
        case StaticEmbeddingsModel():
            with importing():
                from textclf.training.embedding_head import fit_static

            return fit_static(model, data, trainer, context)
        case LlmModel():
            with importing():
                from textclf.training.prompting import fit_llm

            return fit_llm(model, data, context)
        case _:
            raise TypeError(f"{type(model).__name__} is no model that textclf can fit")


def train(
    trainer: TrainerOptions,
    classifier: TransformerClassifier,
    data: TextData,
    context: RunContext,
    balance: Balance = UNWEIGHED,
) -> FitResult:
    """Train `classifier`, an encoder with a fresh head, in place, and leave it with the best epoch's weights.

    Adapters are merged into them in the end.
    """
    match trainer:
        case TorchTrainer():
            from textclf.training.torch_engine import fit_with_torch

            result = fit_with_torch(trainer, classifier, data, context, balance)
        case HFTrainer():
            from textclf.training.hf_engine import fit_with_transformers

            result = fit_with_transformers(trainer, classifier, data, context, balance)
        case _:
            raise TypeError(f"{type(trainer).__name__} is no trainer that textclf has")
    return replace(result, validation_probabilities=None) if classifier.settle() else result


def _fine_tune(
    model: TransformerModel, data: TextData, trainer: TrainerOptions, context: RunContext
) -> tuple[TransformerClassifier, FitResult]:
    """Load the checkpoint and train it; where that is allowed, on the CPU if a GPU's memory is too small."""
    with importing():
        from textclf.models.transformer.loading import load_checkpoint
        from textclf.training.loss import check_loss

    def load() -> TransformerClassifier:
        classifier = load_checkpoint(model, data.label_names, seed=context.seed, sets=data.has_sets)
        classifier.has_pairs, classifier.columns = data.has_pairs, data.columns
        return classifier

    check_loss(model.balance, data.has_sets)
    classifier = load()
    if context.checkpoints is not None and context.is_main:
        weights = list(classifier.model.parameters())
        size, trained = (sum(w.nbytes for w in part) for part in (weights, [w for w in weights if w.requires_grad]))
        check_disk(context.checkpoints, size, trained, keeps_checkpoints=trainer.checkpoint_every != NEVER)
    try:
        return classifier, train(trainer, classifier, data, context, model.balance)
    except OutOfMemoryError as error:
        if not trainer.cpu_fallback or error.device == "cpu":
            raise
        log.warning("%s Training starts again on the CPU.", error)
    del classifier
    release_memory()
    context = replace(context, checkpoints=None if context.checkpoints is None else context.checkpoints / "cpu")
    precision = Precision.auto if trainer.precision is Precision.fp16 else trainer.precision  # no fp16 on CPUs
    classifier = load()
    result = train(replace(trainer, device=Device.cpu, precision=precision), classifier, data, context, model.balance)
    warning = "trained on the CPU, since one example at a time did not fit in the memory of the GPU."
    return classifier, replace(result, warnings=(*result.warnings, warning))
