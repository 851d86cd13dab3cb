"""The description of a saved classifier: `classifier.json`, written beside its weights and read from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textclf.data.text_columns import UNNAMED, TextColumns
from textclf.errors import ArtifactError
from textclf.models.options import Cleaning
from textclf.system.environment import NOT_INSTALLED, version_of

if TYPE_CHECKING:
    from textclf.models.base import Classifier  # with numpy, which the command line can do without

DESCRIPTION = "classifier.json"
FORMAT = 1
"""Raised when a folder written before can no longer be read."""
VERSIONED = ("textclf", "torch", "transformers", "scikit-learn")


@dataclass(frozen=True)
class Description:
    """The contents of `classifier.json`."""

    family: str
    label_names: tuple[str, ...]
    cleaning: tuple[Cleaning, ...]
    temperature: float
    options: dict[str, Any]
    """What the family itself wrote."""
    has_pairs: bool | None = None
    """Whether it was fitted on pairs of texts; none in folders that do not say."""
    columns: TextColumns = UNNAMED
    """The columns of the data that it was fitted to; empty in folders that do not say."""

    @property
    def common(self) -> dict[str, Any]:
        """The fields that classifiers of every family have, by name."""
        return {
            "label_names": self.label_names,
            "cleaning": self.cleaning,
            "temperature": self.temperature,
            "has_pairs": self.has_pairs,
            "columns": self.columns,
        }


def write_description(directory: Path, family: str, classifier: Classifier, options: Mapping[str, Any]) -> None:
    """Write `classifier.json`, which says how the files beside it are read.

    Args:
        directory: The folder of the classifier; made where it is not there.
        family: How the classifier is read again.
        classifier: What is saved.
        options: What its family needs to read it.
    """
    libraries = {name: version_of(name) or NOT_INSTALLED for name in VERSIONED}
    content = {
        "format": FORMAT,
        "family": family,
        "label_names": list(classifier.label_names),
        "text_cleaning": [step.value for step in classifier.cleaning],
        "temperature": classifier.temperature,
        "pairs": classifier.has_pairs,
        "columns": asdict(classifier.columns),
        "options": dict(options),
        "versions": libraries,
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / DESCRIPTION).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")


def read_description(directory: Path, family: str | None = None) -> Description:
    """Read `classifier.json`.

    Args:
        directory: The folder of the classifier.
        family: The family that is expected; none for any.

    Raises:
        ArtifactError: If the file is missing, damaged, of a later format or of another family.
    """
    path = Path(directory) / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        description = Description(
            family=content["family"],
            label_names=tuple(content["label_names"]),
            cleaning=tuple(Cleaning(step) for step in content.get("text_cleaning", [])),
            temperature=float(content.get("temperature", 1.0)),
            options=content["options"],
            has_pairs=content.get("pairs"),
            columns=TextColumns(**content.get("columns", {})),
        )
    except FileNotFoundError as error:
        raise ArtifactError(f"{directory} holds no classifier: there is no {DESCRIPTION} in it.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error
    if content.get("format") != FORMAT:
        raise ArtifactError(
            f"{path} is of format {content.get('format')!r} and this textclf reads {FORMAT}; use the version of "
            f"textclf that wrote it ({content.get('versions', {}).get('textclf', 'unknown')})."
        )
    if family is not None and description.family != family:
        raise ArtifactError(f"{path} describes a {description.family} classifier, not a {family} one.")
    return description
