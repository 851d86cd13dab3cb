"""Head of a fine-tuned checkpoint: kept where its classes are the data's by name, in any order, else made new."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.initialization import guard_torch_init_functions

log = logging.getLogger(__name__)

ONE_LABEL, MANY_LABELS = "single_label_classification", "multi_label_classification"
"""What `config.json` calls a head of one class a text, and one of sets of labels (`problem_type`)."""


def label_names_of(config: PretrainedConfig) -> tuple[str, ...]:
    """Return the names of a checkpoint's own classes, in its order."""
    names = {int(label): str(name) for label, name in (config.id2label or {}).items()}
    return tuple(names[label] for label in sorted(names))


def order_of(names: Sequence[str], label_names: Sequence[str]) -> list[int] | None:
    """Return where each of the data's classes stands among a checkpoint's; none where they are not the same classes.

    Case and surrounding space make no difference, unless classes differ by nothing else.

    Args:
        names: The checkpoint's classes.
        label_names: The data's classes, in label order.
    """
    for spelt in (str, lambda name: str(name).strip().casefold()):
        own, wanted = [spelt(name) for name in names], [spelt(name) for name in label_names]
        if len(set(own)) == len(own) and len(set(wanted)) == len(wanted) and set(own) == set(wanted):
            return [own.index(name) for name in wanted]
    return None


def match_head(
    model: PreTrainedModel,
    weights: Sequence[str],
    not_loaded: Collection[str],
    names: Sequence[str],
    label_names: Sequence[str],
    seed: int,
    fits: bool = True,
) -> None:
    """Put the rows of a checkpoint's head into the order of the data's classes, or give it new ones.

    Args:
        model: A classifier of `label_names`, as it was loaded; changed in place.
        weights: Names of the weights that have a row for each class.
        not_loaded: Names of the weights that the checkpoint lacks, or has in another shape.
        names: The classes of the checkpoint, in its order.
        label_names: The data's classes, in label order.
        seed: Seed of new weights.
        fits: Whether the head was trained for the same kind of task.
    """
    if not weights or set(weights) & set(not_loaded):
        log.info(
            "the checkpoint has no classification head for these %d classes, so a new one is trained", len(label_names)
        )
        return
    own = dict(model.named_parameters())
    order = order_of(names, label_names)
    if order is not None and not fits:
        _renew(model, weights, seed)
        log.info("the checkpoint's head tells one class a text, so a new one is trained for sets of labels")
        return
    if order is None:
        _renew(model, weights, seed)
        log.info(
            "the checkpoint's head is for the classes %s, so a new one is trained for %s",
            ", ".join(names),
            ", ".join(label_names),
        )
        return
    with torch.no_grad():
        for name in weights:
            own[name].copy_(own[name][order])  # (num_labels, …)
    changed = "" if order == sorted(order) else f", its rows put into the order {', '.join(label_names)}"
    log.info("the checkpoint's head is kept%s", changed)


def _renew(model: PreTrainedModel, weights: Sequence[str], seed: int) -> None:
    """Give these weights new values, as the architecture begins with."""
    torch.manual_seed(seed)
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        vars(value)["_is_hf_initialized"] = name not in weights  # what is marked so keeps its values
    owners = dict.fromkeys(name.rpartition(".")[0] for name in weights)
    with guard_torch_init_functions():
        for path in owners:  # some architectures begin the weights of a module, others those of modules inside it
            for depth in range(path.count(".") + 1, -1, -1):
                model._init_weights(model.get_submodule(".".join(path.split(".")[:depth])))
