"""Text-classification experiments: baselines and transformers under one config and one tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from textclf.models.base import Classifier

__all__ = ["load_classifier"]
__version__ = "0.1.0"


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
