"""Identity of a training run, by which its checkpoint is found, and the environment that its digits depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from textclf.data.dataset import TextData
from textclf.models.options import Balance
from textclf.system.environment import NOT_INSTALLED, machine, version_of
from textclf.system.files import plain
from textclf.training.batches import TrainingBatches
from textclf.training.optim import describe_device
from textclf.training.options import TrainerOptions
from textclf.training.result import RunContext

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "accelerate")
"""Those whose version decides about digits."""
LOOKED_AT = 64
"""Values of each weight that go into its digest; all of them would take seconds."""


def identity_of(
    options: TrainerOptions, data: TextData, batches: TrainingBatches, context: RunContext, balance: Balance
) -> dict[str, str]:
    """Return what makes a training run the one that it is, by name; before its first step.

    Args:
        options: How it is trained.
        data: What it is trained and validated on.
        batches: The training split as tokens.
        context: Its seed and objective.
        balance: How examples and classes are weighed.
    """
    own = plain(asdict(options))
    del own["checkpoint_every"]
    model = batches.dataset.classifier.model
    tokens = batches.tokens
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    frozen = len(list(model.parameters())) - len(trained)
    arrays = (tokens.ids, tokens.type_ids, tokens.offsets, tokens.first_rows, batches.dataset.labels.numpy())
    return {
        "trainer": type(options).__name__,
        **{f"trainer.{name}": str(value) for name, value in own.items()},
        **{name: str(value) for name, value in plain(asdict(balance)).items()},
        "seed": str(context.seed),
        "objective": context.objective,
        "data": data.fingerprint,
        "tokens": _digest(*arrays),
        "pretrained weights": _digest(
            *(weight.detach().flatten()[:LOOKED_AT].float().cpu().numpy() for weight in model.parameters()),
        ),
        **({"trained weights": _digest(np.array(trained))} if frozen else {}),
    }


def environment_of(device: torch.device, precision: str, speedups: tuple[str, ...], processes: int) -> dict[str, str]:
    """Return what the digits of a step depend on beside the run itself, by name.

    Args:
        device: Where it is computed.
        precision: Arithmetic of the steps.
        speedups: What makes them cheaper.
        processes: How many share each batch.
    """
    return {
        "device": device.type if device.type == "cpu" else describe_device(device),
        "precision": precision,
        "threads": str(torch.get_num_threads()),
        "speed-ups": ", ".join(speedups) or "none",
        "processes": str(processes),
        "machine": machine(),
        **{library: version_of(library) or NOT_INSTALLED for library in LIBRARIES},
    }


def differences(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what is no longer as it was, as `threads was 2, is 4`."""
    names = dict.fromkeys([*was, *now])
    return [
        f"{name} was {was.get(name, 'unknown')}, is {now.get(name, 'unknown')}"
        for name in names
        if was.get(name) != now.get(name)
    ]


def _digest(*arrays: NDArray[Any] | None) -> str:
    """Return a digest of arrays in order: 16 hexadecimal digits."""
    found = hashlib.blake2b(digest_size=8)
    for array in arrays:
        found.update(b"none" if array is None else f"{array.dtype}{array.shape}".encode())
        if array is not None:
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
