"""The description of a saved classifier: `classifier.json`, written beside its weights and read from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from textclf.data.text_columns import UNNAMED, TextColumns
from textclf.errors import ArtifactError, cut, listed
from textclf.models.options import Cleaning
from textclf.system.environment import NOT_INSTALLED, version_of
from textclf.system.paths import MOST_OF_A_DESCRIPTION, is_plain_name, refuse_larger

if TYPE_CHECKING:
    from textclf.models.base import Classifier  # with numpy, which the command line can do without

DESCRIPTION = "classifier.json"
FORMAT = 1
"""Raised when a folder written before can no longer be read."""
TEMPERATURES = (1e-4, 1e4)
"""Bounds of a temperature; one that is fitted lies well within."""
ASKED = "llm"
"""The family of language models behind a server."""
Choice = TypeVar("Choice", bound=Enum)
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
    thresholds: tuple[float, ...] | None = None
    """The probability of each label from which on it is given; none where each text has one class."""
    columns: TextColumns = UNNAMED
    """The columns of the data that it was fitted to; empty in folders that do not say."""
    files: Mapping[str, str] | None = None
    """The digests of the files that it is read from, by name; none in folders of before they were listed."""

    @property
    def common(self) -> dict[str, Any]:
        """The fields that classifiers of every family have, by name."""
        return {
            "label_names": self.label_names,
            "cleaning": self.cleaning,
            "temperature": self.temperature,
            "has_pairs": self.has_pairs,
            "thresholds": self.thresholds,
            "columns": self.columns,
        }


def refuse_asked(directory: Path, what: str) -> None:
    """Refuse to carry a language model elsewhere, of which there is no more than the way to a server.

    Raises:
        ArtifactError: With what to do.
    """
    if read_description(directory).family == ASKED:
        raise ArtifactError(
            f"{what} carries a classifier elsewhere, and {directory} is a language model behind a server: there is "
            f"nothing to carry but its prompt, and whoever asks it needs a key of their own. Predict here with "
            f"textclf.predict; to have a model that can be carried, label texts with it and train a small one on them."
        )


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
        **({"thresholds": list(classifier.thresholds)} if classifier.thresholds is not None else {}),
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
    refuse_larger(path, MOST_OF_A_DESCRIPTION)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{directory} holds no classifier: there is no {DESCRIPTION} in it.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} is damaged: it holds no JSON object.")
    if content.get("format") != FORMAT:
        versions = content.get("versions")
        wrote = versions.get("textclf", "unknown") if isinstance(versions, dict) else "unknown"
        raise ArtifactError(
            f"{path} is of format {cut(repr(content.get('format')))} and this textclf reads {FORMAT}; use the version "
            f"of textclf that wrote it ({cut(str(wrote))})."
        )
    given = Fields(content, path)
    description = Description(
        family=given.text("family"),
        label_names=given.label_names(),
        cleaning=given.cleaning(),
        temperature=given.number("temperature", *TEMPERATURES, default=1.0),
        options=given.mapping("options"),
        has_pairs=None if content.get("pairs") is None else given.flag("pairs"),
        thresholds=given.thresholds(),
        columns=given.columns(),
        files=None if content.get("files") is None else given.files(),
    )
    if family is not None and description.family != family:
        raise ArtifactError(f"{path} describes a {description.family} classifier, not a {family} one.")
    return description


class Fields:
    """The fields of a JSON object that says how a classifier is read, each checked as it is taken."""

    def __init__(self, content: Mapping[str, Any], path: Path):
        """Take the fields of an object, and the file that they stand in."""
        self.content = content
        self.path = path

    def _refused(self, name: str, wanted: str) -> ArtifactError:
        """Return the refusal of a field."""
        found = cut(repr(self.content[name])) if name in self.content else "nothing"
        return ArtifactError(
            f"{self.path} is damaged: {name} must be {wanted}, got {found}. Copy it again from where it was saved."
        )

    def text(self, name: str) -> str:
        """Return a string that is not empty."""
        value = self.content.get(name)
        if not isinstance(value, str) or not value:
            raise self._refused(name, "a string")
        return value

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.content.get(name)
        if not isinstance(value, bool):
            raise self._refused(name, "true or false")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object."""
        value = self.content.get(name)
        if not isinstance(value, dict):
            raise self._refused(name, "an object")
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """Return a number between bounds."""
        value = self.content.get(name, default)
        if not _is_number(value) or not low <= value <= high:  # which NaN is not either
            raise self._refused(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def count(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """Return a whole number between bounds."""
        value = self.content.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._refused(name, f"a whole number from {low:,} to {high:,}")
        return value

    def choice(self, name: str, kind: type[Choice], default: Choice | None = None) -> Choice:
        """Return a member of an enumeration by its value."""
        if default is not None and name not in self.content:
            return default
        value = self.content.get(name)
        found = [member for member in kind if type(value) is type(member.value) and value == member.value]
        if not found:
            raise self._refused(name, f"one of {listed(member.value for member in kind)}")
        return found[0]

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        value = self.content.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self._refused(name, "a list of strings")
        return tuple(value)

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the classes: at least one, each another, none empty."""
        names = self.texts("label_names")
        if not names or len(set(names)) != len(names) or not all(map(_is_readable, names)):
            raise self._refused("label_names", "names of classes, each another and none empty")
        return names

    def cleaning(self) -> tuple[Cleaning, ...]:
        """Return the steps of cleaning, each once."""
        steps = self.content.get("text_cleaning", [])
        known = {step.value: step for step in Cleaning}
        if not isinstance(steps, list) or not all(isinstance(step, str) and step in known for step in steps):
            raise self._refused("text_cleaning", f"a list of {listed(known)}")
        if len(set(steps)) != len(steps):
            raise self._refused("text_cleaning", "a list that names each step once")
        return tuple(known[step] for step in steps)

    def thresholds(self) -> tuple[float, ...] | None:
        """Return the probability of each label from which on it is given; none where there are none."""
        if "thresholds" not in self.content:
            return None
        values = self.content["thresholds"]
        count = len(self.label_names())
        if (
            not isinstance(values, list)
            or len(values) != count
            or not all(_is_number(v) and 0 <= v <= 1 for v in values)
        ):
            raise self._refused("thresholds", f"a number from 0 to 1 for each of the {count:,} labels")
        return tuple(map(float, values))

    def columns(self) -> TextColumns:
        """Return the columns of the texts by name."""
        columns = self.content.get("columns", {})
        known = {field.name for field in fields(TextColumns)}
        if not isinstance(columns, dict) or not set(columns) <= known:
            raise self._refused("columns", f"an object of {listed(sorted(known))}")
        if not all(value is None or (isinstance(value, str) and value) for value in columns.values()):
            raise self._refused("columns", "an object of names")
        return TextColumns(**columns)

    def files(self) -> dict[str, str]:
        """Return the digests of files by name."""
        files = self.mapping("files")
        for name, digest in files.items():
            if not is_plain_name(name) or not isinstance(digest, str):
                raise self._refused("files", "an object of digests by the names of files beside it")
        return files


def _is_number(value: Any) -> bool:
    """Whether a value is a number and not a truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_readable(name: str) -> bool:
    """Whether a name can be written, and is more than white space."""
    return bool(name.strip()) and not any("\ud800" <= char <= "\udfff" for char in name)
