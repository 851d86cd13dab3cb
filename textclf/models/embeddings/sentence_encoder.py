"""A sentence encoder: a pretrained transformer that stays as it is and gives texts as vectors."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import cached_file

from textclf.errors import ArtifactError, ConfigError, TextclfError, did_you_mean, first_line, listed
from textclf.models.embeddings.pooling import Projection, Recipe, SentenceModule, read_recipe, settled
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.options import LEAST_TOKENS, MOST_TOKENS, Pooling, SentenceEncoderModel
from textclf.models.saved import Fields
from textclf.models.transformer.classifier import WINDOW, FittingBatches
from textclf.models.transformer.containment import check_config, check_folder, check_tokenizer, check_tokenizer_files
from textclf.models.transformer.encoded import Lengths, TokenizedTexts
from textclf.models.transformer.locating import access_to, locate, read_config, refusal
from textclf.models.transformer.precision import AUTOCAST, cpu_is_fast_at_bf16, in_bf16
from textclf.models.transformer.skeleton import check_size, counts_from_padding, longest_input, skeleton
from textclf.models.transformer.special_tokens import settle_special_tokens
from textclf.models.transformer.tokenizer import pad, tokenize

log = logging.getLogger(__name__)

KIND = "sentence"
PROJECTIONS = "projections.safetensors"
"""The file of the layers on the pooled vector; there is none where an encoder has none."""
USUAL_LENGTH = 512
"""Longest input in tokens, where neither the options nor the checkpoint say another."""


@dataclass
class SentenceEncoder:
    """A transformer with a pooling of its token vectors, and where and how it computes."""

    module: SentenceModule
    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe
    lengths: Lengths
    prefix: str = ""
    """What is put before each text."""
    precision: str = "fp32"
    """Arithmetic of the encoder: a key of `AUTOCAST`."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    is_frozen: bool = True
    """Whether its weights are those of its checkpoint, so that others may have made the same embeddings."""
    fitting: FittingBatches = field(default_factory=FittingBatches, repr=False, compare=False)
    """The sizes of batches that fit in memory."""

    _in_bf16: SentenceModule | None = field(default=None, init=False, repr=False)
    kind = KIND

    def __post_init__(self) -> None:
        self.module.eval().requires_grad_(False).to(self.device)

    @property
    def size(self) -> int:
        """Numbers in a vector."""
        return self.module.size

    @property
    def num_parameters(self) -> int:
        """Weights of the encoder."""
        return sum(weight.numel() for weight in self.module.parameters())

    def _computing(self) -> tuple[nn.Module, contextlib.AbstractContextManager[object]]:
        """The module and the context of a forward pass: on a CPU that is fast at bf16, its weights are bf16 too."""
        kind = AUTOCAST[self.arithmetic]
        if kind is None:
            return self.module, contextlib.nullcontext()
        if self.device.type == "cpu":
            if self._in_bf16 is None:
                self._in_bf16 = in_bf16(self.module)
            return self._in_bf16, contextlib.nullcontext()
        return self.module, torch.autocast(self.device.type, dtype=kind)

    @property
    def arithmetic(self) -> str:
        """The arithmetic on this machine: float32 on a CPU without units for bfloat16."""
        return "fp32" if self.device.type == "cpu" and not cpu_is_fast_at_bf16() else self.precision

    @contextlib.contextmanager
    def in_training(self) -> Iterator[SentenceModule]:
        """Let the weights be trained inside the context."""
        self.is_frozen, self._in_bf16 = False, None
        self.module.train().requires_grad_(True)
        try:
            yield self.module
        finally:
            self.module.eval().requires_grad_(False)

    def given(self, texts: Sequence[str]) -> Sequence[str]:
        """Return texts as the tokenizer is to read them."""
        if not self.prefix and not self.recipe.lowercase:
            return texts
        texts = [self.prefix + text for text in texts]
        return [text.lower() for text in texts] if self.recipe.lowercase else texts

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        """Return the token ids of texts, with what is put before each."""
        return tokenize(self.tokenizer, self.given(texts), None, self.lengths)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of texts: float32 (n, size)."""
        if not self.is_frozen:
            return self._encode(texts)
        return VECTORS.remembered(self.identity, texts, lambda some, _: self._encode(some))

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, those of similar length together."""
        module, arithmetic = self._computing()
        parts = []
        for start in range(0, len(texts), WINDOW):
            tokens = self.tokenize(texts[start : start + WINDOW])

            def vectors(rows: NDArray[np.int64], tokens: TokenizedTexts = tokens) -> NDArray[np.float32]:
                batch = {name: ids.to(self.device) for name, ids in pad(self.tokenizer, tokens, rows).items()}
                with torch.inference_mode(), arithmetic:
                    return module(**batch).float().cpu().numpy()

            found = None
            for rows, some in self.fitting.in_batches(vectors, tokens.lengths, None, self.device):
                if found is None:
                    found = np.zeros((len(tokens), some.shape[1]), dtype=np.float32)
                found[rows] = some
            parts += [] if found is None else [found]
        return np.concatenate(parts) if parts else np.zeros((0, self.size), dtype=np.float32)

    def identity(self) -> list[str]:
        """Return all that an embedding depends on beside the text."""
        machine = self.device.type, self.arithmetic, torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
        return [self._digest, torch.__version__, self.prefix, repr(machine), repr((self.recipe.pooling, self.lengths))]

    @cached_property
    def _digest(self) -> str:
        """The digest of all weights and of the tokenizer."""
        digest = hashlib.blake2b(digest_size=20)
        for name, weight in self.module.state_dict().items():
            digest.update(name.encode())
            digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        digest.update((repr(self.tokenizer) if backend is None else backend.to_str()).encode())
        digest.update(repr((self.recipe.normalize, self.recipe.lowercase)).encode())
        return digest.hexdigest()

    def save(self, folder: Path) -> dict[str, Any]:
        """Write weights and tokenizer, and return what is to be known to read them again."""
        self.module.model.save_pretrained(folder)  # type: ignore[operator]
        self.tokenizer.save_pretrained(folder)
        layers = {}
        for number, layer in enumerate(self.module.layers):
            layers |= {f"{number}.{name}": value.contiguous() for name, value in layer.state_dict().items()}
        if layers:
            save_file(layers, folder / PROJECTIONS)
        return {
            "max_length": self.lengths.max_length,
            "pooling": [kind.value for kind in self.recipe.pooling],
            "normalize": self.recipe.normalize,
            "lowercase": self.recipe.lowercase,
            "activations": [projection.activation for projection in self.recipe.projections],
            "prefix": self.prefix,
            "precision": self.precision,
        }


@dataclass(frozen=True)
class _Opened:
    """A checkpoint that was found and looked at."""

    source: str
    config: PretrainedConfig
    recipe: Recipe
    lengths: Lengths
    prefix: str
    positions_from_padding: bool


def open_encoder(options: SentenceEncoderModel) -> _Opened:
    """Find a sentence encoder, read what is small of it, and hold the options against it.

    Raises:
        ArtifactError: If there is no such checkpoint, or it cannot be reached, trusted or understood.
        ConfigError: If it is no sentence encoder, has no such prompt, or takes no texts as long as that.
    """
    source = locate(options)
    config = read_config(source, options)
    checkpoint = options.checkpoint
    if getattr(config, "is_encoder_decoder", False) or type(config) not in AutoModel._model_mapping:
        raise ConfigError(
            f"model.checkpoint={checkpoint}: a {config.model_type} gives no vectors of texts. Choose an encoder, such "
            f"as model=minilm_embeddings or model=e5_embeddings."
        )
    with access_to(source, options):
        find = partial(_find, source, options.revision)
        recipe = settled(
            read_recipe(find, checkpoint, config.model_type), options.pooling, checkpoint, config.model_type
        )
    if options.normalize is not None:
        recipe = replace(recipe, normalize=options.normalize)
    prefix = _prefix(options, recipe)
    if prefix and not recipe.pools_prompt:
        raise ConfigError(
            f"model.checkpoint={checkpoint} leaves its prompt out of the pooling, which textclf cannot do. Set "
            f"model.prefix='' for embeddings without a prompt, or choose another one."
        )
    model = skeleton(config, Path(source) if Path(source).is_dir() else None, head=False)
    longest = longest_input(model)
    usual = recipe.max_length or USUAL_LENGTH
    length = options.max_length or min(usual, longest or usual)
    if longest is not None and length > longest:
        raise ConfigError(f"model.max_length must be at most {longest} tokens for {checkpoint}, got {length}.")
    return _Opened(source, config, recipe, Lengths(length), prefix, counts_from_padding(model))


def _prefix(options: SentenceEncoderModel, recipe: Recipe) -> str:
    """Return what is put before each text."""
    if options.prefix:
        return options.prefix
    name = options.prompt or recipe.usual_prompt
    if name is None:
        return ""
    if name not in recipe.prompts:
        known = f"it knows {listed(recipe.prompts)}" if recipe.prompts else "it has none"
        raise ConfigError(
            f"model.prompt={name}: {options.checkpoint} has no prompt of that name; {known}."
            f"{did_you_mean(name, recipe.prompts)} Write the text itself as model.prefix='…', or leave both out."
        )
    return recipe.prompts[name]


def _find(source: str, revision: str | None, name: str) -> Path | None:
    """Return where a file of a checkpoint is on this machine; none where it has no such file."""
    if Path(source).is_dir():
        path = Path(source) / name
        return path if path.is_file() else None
    folder, _, file = name.rpartition("/")
    found = cached_file(
        source, file, subfolder=folder, revision=revision, _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )  # fmt: skip
    return None if found is None else Path(found)


def load_encoder(options: SentenceEncoderModel, device: torch.device, precision: str) -> SentenceEncoder:
    """Load a sentence encoder.

    Args:
        options: Which checkpoint, and how it is used.
        device: Where it computes.
        precision: Its arithmetic, a key of `AUTOCAST`.

    Raises:
        ArtifactError: If the checkpoint cannot be had.
        ConfigError: If it is no sentence encoder, or has not what the options ask for.
    """
    opened = open_encoder(options)
    source = opened.source
    with access_to(source, options) as access:
        try:
            if not Path(source).is_dir():
                said = get_tokenizer_config(source, revision=options.revision)
                check_tokenizer(said, f"Checkpoint {options.checkpoint!r}")
            tokenizer = AutoTokenizer.from_pretrained(source, revision=options.revision, trust_remote_code=False)
            check_tokenizer_files(tokenizer, Path(source))
            settle_special_tokens(tokenizer, opened.config, opened.positions_from_padding, options.checkpoint)
            model, found = AutoModel.from_pretrained(
                source, revision=options.revision, config=opened.config, dtype=torch.float32, trust_remote_code=False,
                output_loading_info=True,
            )  # fmt: skip
        except (TextclfError, MemoryError):
            raise
        except Exception as error:  # the loaders raise many kinds, for damaged files their parsers' own
            raise ArtifactError(refusal(options, access, error)) from error
    if missing := [name for name in found["missing_keys"] if "pooler" not in name]:
        raise ArtifactError(
            f"Checkpoint {options.checkpoint!r} lacks weights of its encoder ({listed(sorted(missing), 3)}), so its "
            f"vectors would mean nothing. Choose another one."
        )
    module = SentenceModule(model, opened.recipe)
    return SentenceEncoder(module, tokenizer, opened.recipe, opened.lengths, opened.prefix, precision, device)


def read_encoder(directory: Path, given: Fields) -> SentenceEncoder:
    """Read what `SentenceEncoder.save` wrote.

    Args:
        directory: The folder of the classifier.
        given: What its description says of the encoder.

    Raises:
        ArtifactError: If a file is missing or damaged.
    """
    from safetensors.torch import load_file

    precision, names = given.text("precision"), given.texts("pooling")
    known = {kind.value: kind for kind in Pooling}
    activations = given.texts("activations")
    if precision not in AUTOCAST or not names or not set(names) <= set(known):
        raise ArtifactError(f"{given.path} is damaged: precision or pooling is none that there is.")
    prefix = given.content.get("prefix", "")
    if not isinstance(prefix, str):
        raise ArtifactError(f"{given.path} is damaged: prefix must be a string.")
    check_folder(directory)
    try:
        layers = load_file(directory / PROJECTIONS) if activations else {}
        recipe = Recipe(
            tuple(known[name] for name in names),
            given.flag("normalize"),
            tuple(
                Projection(layers[f"{number}.weight"], layers.get(f"{number}.bias"), activation)
                for number, activation in enumerate(activations)
            ),
            lowercase=given.flag("lowercase"),
        )
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        check_config(config, str(directory))
        check_size(config)
        longest = longest_input(skeleton(config, directory, head=False))
        model, found = AutoModel.from_pretrained(
            directory, config=config, local_files_only=True, trust_remote_code=False, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
        if found["missing_keys"]:
            raise ArtifactError(f"The weights in {directory} lack {listed(sorted(found['missing_keys']), 3)}.")
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        module = SentenceModule(model, recipe)
    except (TextclfError, MemoryError):
        raise
    except Exception as error:  # the loaders raise many kinds, for damaged files their parsers' own
        raise ArtifactError(f"{directory} does not hold a usable sentence encoder: {first_line(error)}") from error
    check_tokenizer_files(tokenizer, directory)
    length = given.count("max_length", LEAST_TOKENS, min(longest or MOST_TOKENS, MOST_TOKENS))
    return SentenceEncoder(module, tokenizer, recipe, Lengths(length), prefix, precision)
