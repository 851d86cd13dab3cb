"""Pooling of token vectors into the embedding of a text, as a checkpoint of sentence-transformers says it is done.

Their format is read here, and not by the library itself: that takes some seconds to import, makes the classes that a
checkpoint names, and would be needed wherever the classifier is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from textclf.errors import ArtifactError, ConfigError, cut, listed
from textclf.models.options import MOST_TOKENS, Pooling
from textclf.system.paths import MEGABYTE, is_plain_name, refuse_larger

MODULES = "modules.json"
"""The file that lists what a sentence encoder is made of."""
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_lasttoken": "lasttoken",
}
"""How older checkpoints name their poolings, in the order in which several are put side by side."""
NAMES = {"cls": Pooling.cls, "max": Pooling.max, "mean": Pooling.mean, "lasttoken": Pooling.last,
         "mean_sqrt_len_tokens": Pooling.mean_sqrt}  # fmt: skip
ACTIVATIONS = {"Identity": nn.Identity, "Tanh": nn.Tanh, "GELU": nn.GELU, "ReLU": nn.ReLU}
READ = ("Transformer", "Pooling", "Dense", "Normalize")
"""The modules that are understood, in the order in which they stand."""
Find = Callable[[str], Path | None]
"""Takes the name of a file within the checkpoint, and gives where it is on this machine; none where there is none."""


@dataclass(frozen=True)
class Projection:
    """A linear layer on the pooled vector, and its activation."""

    weight: torch.Tensor
    """(size, pooled size)."""
    bias: torch.Tensor | None
    activation: str


@dataclass(frozen=True)
class Recipe:
    """All that a checkpoint says of how texts become embeddings."""

    pooling: tuple[Pooling, ...]
    normalize: bool
    projections: tuple[Projection, ...] = ()
    max_length: int | None = None
    """Longest input in tokens; none where it is not said."""
    lowercase: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Texts that may be put before each text, by name."""
    usual_prompt: str | None = None
    """The name of the prompt that is used where none is chosen."""
    pools_prompt: bool = True
    """Whether the tokens of the prompt are pooled too."""


def read_recipe(find: Find, checkpoint: str, architecture: str) -> Recipe | None:
    """Return how a checkpoint makes embeddings; none where it does not say.

    Args:
        find: Finds its files.
        checkpoint: Its name, for the messages.
        architecture: Its architecture, such as `BertModel`, for the messages.

    Raises:
        ArtifactError: If a file is damaged, or it has a part that is not understood.
    """
    path = find(MODULES)
    if path is None:
        return None
    modules = _read(path, list)
    kinds = [str(module.get("type", "")).rpartition(".")[2] if isinstance(module, dict) else "" for module in modules]
    if strange := [kind for kind in kinds if kind not in READ]:
        raise ArtifactError(
            f"Checkpoint {checkpoint!r} makes its embeddings with {listed(map(cut, strange))}, and only "
            f"{listed(READ)} are understood. Choose another one, such as model=minilm_embeddings."
        )
    if kinds[:2] != ["Transformer", "Pooling"] or kinds != sorted(kinds, key=READ.index):
        raise ArtifactError(
            f"Checkpoint {checkpoint!r} is no encoder of texts: {MODULES} lists {listed(kinds)}, and embeddings are "
            f"made by {' > '.join(READ)}. Choose another one, such as model=minilm_embeddings."
        )
    for module in modules:
        if (place := module.get("path", "")) != "" and not is_plain_name(place):
            raise ArtifactError(
                f"Checkpoint {checkpoint!r} has a part in {cut(repr(place))}, outside of its folder; it was not loaded."
            )
    folders = {kind: str(module.get("path", "")) for kind, module in zip(kinds, modules, strict=True)}
    pooled = _read_if_there(find, f"{folders['Pooling']}/config.json")
    about = _read_if_there(find, "config_sentence_transformers.json")
    root = f"{folders['Transformer']}/" if folders["Transformer"] else ""
    lengths = _read_if_there(find, f"{root}sentence_bert_config.json")
    prompts = about.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ArtifactError(f"Checkpoint {checkpoint!r} has prompts that are no texts by name; it was not loaded.")
    return Recipe(
        pooling=_poolings(pooled, checkpoint),
        normalize="Normalize" in kinds,
        projections=tuple(
            _projection(find, str(module.get("path", "")), checkpoint)
            for kind, module in zip(kinds, modules, strict=True)
            if kind == "Dense"
        ),
        max_length=_max_length(
            lengths, _read_if_there(find, f"{folders['Transformer']}/tokenizer_config.json".lstrip("/"))
        ),
        lowercase=bool(lengths.get("do_lower_case")),
        prompts=prompts,
        usual_prompt=about.get("default_prompt_name"),
        pools_prompt=pooled.get("include_prompt", True) is not False,
    )


def settled(recipe: Recipe | None, pooling: Pooling | None, checkpoint: str, model_type: str) -> Recipe:
    """Return a checkpoint's recipe, or the one that the options ask for in its place.

    Args:
        recipe: What the checkpoint says; none where it says nothing.
        pooling: What the options say; none for what the checkpoint does.
        checkpoint: Its name, for the message.
        model_type: Its architecture, for the message.

    Raises:
        ConfigError: If neither says how its token vectors are pooled.
    """
    if pooling is not None:
        return replace(recipe or Recipe((), normalize=False), pooling=(pooling,), projections=())
    if recipe is None:
        raise ConfigError(
            f"model.checkpoint={checkpoint} is no encoder of texts: this {model_type} does not say how its token "
            f"vectors become the vector of a text ({MODULES} is missing), and was perhaps never trained to make any. "
            f"Choose one that was, such as model=minilm_embeddings or model=e5_embeddings; or set model.pooling to one "
            f"of {listed(kind.value for kind in Pooling)} to try it all the same."
        )
    return recipe


def _max_length(*places: Mapping[str, Any]) -> int | None:
    """Return the longest input that is said in one of the places, by the older name or the newer one."""
    for place in places:
        for name in ("max_seq_length", "model_max_length"):
            if isinstance(found := place.get(name), int) and 0 < found <= MOST_TOKENS:
                return found
    return None


def _poolings(pooled: Mapping[str, Any], checkpoint: str) -> tuple[Pooling, ...]:
    """Return the poolings that a configuration names."""
    given = pooled.get("pooling_mode")
    names = [given] if isinstance(given, str) else given
    if names is None:
        names = [name for flag, name in FLAGS.items() if pooled.get(flag)] or ["mean"]
        if pooled.get("pooling_mode_weightedmean_tokens"):
            names = ["weightedmean"]
    if not isinstance(names, list) or not names or any(name not in NAMES for name in names):
        raise ArtifactError(
            f"Checkpoint {checkpoint!r} pools its token vectors by {cut(repr(names))}, and only {listed(NAMES)} are "
            f"understood. Choose another one, or set model.pooling."
        )
    return tuple(NAMES[name] for name in names)


def _projection(find: Find, folder: str, checkpoint: str) -> Projection:
    """Read a linear layer."""
    about = _read_if_there(find, f"{folder}/config.json")
    activation = str(about.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    path = find(f"{folder}/model.safetensors")
    if activation not in ACTIVATIONS or path is None:
        raise ArtifactError(
            f"Checkpoint {checkpoint!r} has a layer on its embeddings ({folder}) "
            + (
                f"whose activation is {cut(activation)!r}, and only {listed(ACTIVATIONS)} are understood."
                if path is not None
                else "without a model.safetensors, and weights that are pickles are not read."
            )
        )
    try:
        weights = load_file(path)
        return Projection(weights["linear.weight"], weights.get("linear.bias"), activation)
    except (SafetensorError, OSError, KeyError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error


def _read(path: Path, kind: type) -> Any:
    """Read a JSON file that holds a list or an object."""
    refuse_larger(path, MEGABYTE)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error
    if not isinstance(content, kind):
        raise ArtifactError(f"{path} is damaged: it must hold a JSON {'list' if kind is list else 'object'}.")
    return content


def _read_if_there(find: Find, name: str) -> dict[str, Any]:
    """Read a JSON object; an empty one where there is no such file."""
    path = find(name)
    return {} if path is None else _read(path, dict)


class SentenceModule(nn.Module):
    """A transformer, the pooling of its token vectors, and what follows."""

    def __init__(self, model: PreTrainedModel, recipe: Recipe):
        """Put an encoder and the rest of its recipe together."""
        super().__init__()
        self.model = model
        self.pooling = recipe.pooling
        self.normalize = recipe.normalize
        self.layers = nn.ModuleList()
        self.activations = nn.ModuleList(ACTIVATIONS[projection.activation]() for projection in recipe.projections)
        self.size = len(recipe.pooling) * int(model.config.hidden_size)
        """Numbers in an embedding."""
        for projection in recipe.projections:
            self.size, into = projection.weight.shape
            layer = nn.Linear(into, self.size, bias=projection.bias is not None)
            with torch.no_grad():
                layer.weight.copy_(projection.weight)
                if projection.bias is not None:
                    layer.bias.copy_(projection.bias)
            self.layers.append(layer)

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the embeddings, float32 (texts, size), of a padded batch of token ids, int64 (texts, tokens)."""
        hidden = self.model(**batch).last_hidden_state.float()  # (texts, tokens, hidden)
        vectors = torch.cat([pool(hidden, batch["attention_mask"], kind) for kind in self.pooling], dim=-1)
        for layer, activation in zip(self.layers, self.activations, strict=True):
            vectors = activation(layer(vectors.to(next(layer.parameters()).dtype))).float()
        return nn.functional.normalize(vectors, dim=-1) if self.normalize else vectors


def pool(hidden: torch.Tensor, mask: torch.Tensor, kind: Pooling) -> torch.Tensor:
    """Return one vector for each text, float32 (texts, hidden).

    Args:
        hidden: Token vectors, float32 (texts, tokens, hidden).
        mask: 1 for tokens of the text and 0 for padding, on either side: int64 (texts, tokens).
        kind: How they are pooled.
    """
    if kind is Pooling.cls or kind is Pooling.last:
        columns = torch.arange(mask.shape[1], device=mask.device)
        at = torch.where(mask > 0, columns, mask.shape[1]).argmin(1)
        if kind is Pooling.last:
            at = torch.where(mask > 0, columns, -1).argmax(1)
        return hidden.gather(1, at[:, None, None].expand(-1, 1, hidden.shape[2])).squeeze(1)
    there = mask[:, :, None].to(hidden.dtype)
    if kind is Pooling.max:
        return hidden.masked_fill(there == 0, float("-inf")).amax(1)
    sums, counts = (hidden * there).sum(1), there.sum(1).clamp(min=1e-9)
    return sums / (counts.sqrt() if kind is Pooling.mean_sqrt else counts)
