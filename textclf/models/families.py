"""Read a saved classifier of any family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textclf.errors import ArtifactError, listed
from textclf.models.saved import DESCRIPTION, read_description
from textclf.system.imports import importing

if TYPE_CHECKING:
    from textclf.models.base import Classifier  # with numpy, which the command line can do without


def load_classifier(directory: Path | str) -> Classifier:
    """Read a saved classifier of any family.

    Args:
        directory: A folder with a `classifier.json`, or a run folder with such a `classifier/` in it.

    Raises:
        ArtifactError: If it holds no classifier, or one that is damaged or of an unknown family.
    """
    directory = Path(directory)
    if not (directory / DESCRIPTION).exists() and (directory / "classifier" / DESCRIPTION).exists():
        directory = directory / "classifier"
    family = read_description(directory).family
    if family == "transformer":
        with importing():
            from textclf.models.transformer.classifier import load_transformer

        return load_transformer(directory)
    if family == "classical":
        with importing():
            from textclf.models.classical.pipeline import load_classical

        return load_classical(directory)
    if family == "onnx":
        with importing():
            from textclf.models.onnx_folder import load_onnx

        return load_onnx(directory)
    raise ArtifactError(
        f"{directory} holds a classifier of family {family!r}; known: {listed(['transformer', 'classical', 'onnx'])}."
    )
