"""Text-classification experiments: baselines and transformers under one config and one tracker.

from textclf import InMemoryDataset, compare, compose_experiment, load_classifier, run_experiment

Each of these is imported when it is first asked for: `import textclf` alone loads nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from textclf.compare.compare_runs import compare
    from textclf.data.in_memory import InMemoryDataset
    from textclf.experiment.cli import compose_experiment
    from textclf.experiment.experiment import run_experiment
    from textclf.models.base import Classifier

__all__ = ["InMemoryDataset", "compare", "compose_experiment", "load_classifier", "run_experiment"]
__version__ = "0.1.0"

_WHERE = {
    "InMemoryDataset": "textclf.data.in_memory",
    "compose_experiment": "textclf.experiment.cli",
    "run_experiment": "textclf.experiment.experiment",
}


def __getattr__(name: str) -> Any:
    """Import what this package offers when it is first asked for."""
    if name == "compare":  # the room of that name, which can be called
        return importlib.import_module("textclf.compare")
    if name in _WHERE:
        found = globals()[name] = getattr(importlib.import_module(_WHERE[name]), name)
        return found
    raise AttributeError(f"module 'textclf' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names that this package offers, imported or not."""
    return sorted({*globals(), *__all__})


def load_classifier(run: str | Path) -> Classifier:
    """Read a saved classifier of any family.

    Args:
        run: A run folder, the folder of a saved or exported classifier, an MLflow run id, `models:/NAME@ALIAS`,
            `latest`, or `best:DATASET`.

    Raises:
        ArtifactError: If there is no such run, or it holds no classifier, or one that is damaged.
    """
    from textclf.tracking.find_runs import (
        load_classifier as load,  # every command passes here, and most need none of it
    )

    return load(run)
