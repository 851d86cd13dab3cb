"""Read a saved classifier of any family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textclf.errors import ArtifactError, TextclfError, cut, first_line, listed
from textclf.models.belonging import checked_files
from textclf.models.saved import DESCRIPTION, read_description
from textclf.system.imports import importing

if TYPE_CHECKING:
    from textclf.models.base import Classifier  # with numpy, which the command line can do without

FAMILIES = ("transformer", "classical", "embeddings", "zero_shot", "onnx", "llm")
TRIED = ("a text", "a text that is longer than the other, which is padded to its length")
"""What a classifier is asked about when it was read."""
ROUNDING = 1e-2
"""Most that the sum of probabilities may differ from 1, in any arithmetic."""


def load_classifier(directory: Path | str) -> Classifier:
    """Read a saved classifier of any family.

    Args:
        directory: A folder with a `classifier.json`, or a run folder with such a `classifier/` in it.

    Raises:
        ArtifactError: If it holds no classifier, or one that is damaged, incomplete or of an unknown family.
    """
    directory = Path(directory)
    if not (directory / DESCRIPTION).exists() and (directory / "classifier" / DESCRIPTION).exists():
        directory = directory / "classifier"
    description = read_description(directory)
    with checked_files(directory, description):
        classifier = _of_family(description.family, directory)
        if classifier.billed is None:  # others are asked for nothing without need
            _check_answer(classifier, directory)
    return classifier


def _of_family(family: str, directory: Path) -> Classifier:
    """Read a classifier by what reads its family."""
    if family == "transformer":
        with importing():
            from textclf.models.transformer.classifier import load_transformer

        return load_transformer(directory)
    if family == "classical":
        with importing():
            from textclf.models.classical.pipeline import load_classical

        return load_classical(directory)
    if family == "embeddings":
        with importing():
            from textclf.models.embeddings.embeddings_classifier import load_embeddings

        return load_embeddings(directory)
    if family == "zero_shot":
        with importing():
            from textclf.models.transformer.entailment import load_zero_shot

        return load_zero_shot(directory)
    if family == "onnx":
        with importing():
            from textclf.models.onnx_folder import load_onnx

        return load_onnx(directory)
    if family == "llm":
        with importing():
            from textclf.models.llm.llm_classifier import load_llm

        return load_llm(directory)
    raise ArtifactError(f"{directory} holds a classifier of family {family!r}; known: {listed(FAMILIES)}.")


def _check_answer(classifier: Classifier, directory: Path) -> None:
    """Refuse a classifier whose parts do not belong together, by two texts that it is asked about.

    Raises:
        ArtifactError: If it has no answer, or one that is not a probability for each of its classes.
    """
    import numpy as np

    try:
        found = classifier.probabilities(TRIED, TRIED if classifier.has_pairs else None)
    except (TextclfError, MemoryError):
        raise
    except Exception as error:  # whatever does not fit fails in its own way
        if classifier.has_pairs is None:
            classifier.has_pairs = True
            try:
                return _check_answer(classifier, directory)
            finally:
                classifier.has_pairs = None
        raise ArtifactError(
            f"{directory} is damaged: its classifier cannot predict ({type(error).__name__}: {first_line(error)})"
        ) from error
    right = found.shape == (len(TRIED), len(classifier.label_names)) and bool(np.isfinite(found).all())
    whole = classifier.has_sets or float(abs(found.sum(axis=1) - 1).max(initial=0.0)) <= ROUNDING
    if not right or found.min() < 0 or found.max() > 1 + ROUNDING or not whole:
        raise ArtifactError(
            f"{directory} is damaged: for two texts it gives {cut(str(found.tolist()))}, which are no probabilities of "
            f"its {len(classifier.label_names):,} {'labels' if classifier.has_sets else 'classes'}."
        )
