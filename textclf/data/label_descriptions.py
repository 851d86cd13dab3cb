"""Descriptions of labels in words: read with the options, and held against the labels of the data.

A model that knows language reads them in place of the names, which may be `1` or `feature_request`. They change neither
texts nor labels, and so not the data's fingerprint.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from textclf.errors import ConfigError, DataError, cut, did_you_mean, first_line, listed

log = logging.getLogger(__name__)

SHAPE = "give each label a short description, as in {1: a complaint about delivery}"


def read_descriptions(given: Any) -> dict[str, str]:
    """Return the descriptions of `dataset.label_descriptions`, strings by the names of labels.

    Args:
        given: A mapping, or the path of a YAML file that holds one.

    Raises:
        ConfigError: If there is no such file, or it is no mapping of labels to words that differ.
    """
    where = "label_descriptions"
    if isinstance(given, str):
        where += f"={given}"
        given = _read_yaml(given, where)
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} must {SHAPE}, or name a YAML file that does, got {cut(repr(given))}.")
    if odd := [
        str(name)
        for name, words in given.items()
        if isinstance(words, bool) or not isinstance(words, (str, int, float))
    ]:
        raise ConfigError(f"{where} must {SHAPE}; that of {listed(odd)} is no text.")
    found = {str(name).strip(): " ".join(str(words).split()) for name, words in given.items()}
    if empty := [name for name, words in found.items() if not words]:
        raise ConfigError(f"{where}: the description of {listed(empty)} is empty; leave it out where the name will do.")
    _refuse_alike(found, where, ConfigError)
    return found


def check_descriptions(
    descriptions: Mapping[str, str],
    label_names: Sequence[str],
    some_left_out: bool,
    where: str = "dataset.label_descriptions",
) -> None:
    """Refuse descriptions of labels that the data do not have, and labels that would read the same.

    Args:
        descriptions: Those that were given; a label without one stands for itself.
        label_names: The labels of the data.
        some_left_out: Whether labels were left out of the data, so that their descriptions have no use.
        where: What they were given with.

    Raises:
        DataError: With what does not fit.
    """
    unknown = [name for name in descriptions if name not in label_names]
    if unknown and not some_left_out:
        quoted = " YAML reads yes, no, on and off as true and false; put such names in quotes." if (
            {"True", "False"} & set(unknown)
        ) else ""  # fmt: skip
        raise DataError(
            f"{where} describes {listed(map(repr, unknown))}, and the labels of the data are {listed(label_names)}."
            f"{did_you_mean(unknown[0], label_names)}{quoted} Correct the name, or leave the description out "
            f"({where}=null leaves out all)."
        )
    if unknown:
        log.info("%s: there is no label %s any more, so its description has no use", where, listed(unknown))
    if undescribed := [name for name in label_names if name not in descriptions]:
        log.info("%s: without a description, and read by their names: %s", where, listed(undescribed))
    _refuse_alike(dict(zip(label_names, in_words(label_names, descriptions), strict=True)), where, DataError)


def in_words(label_names: Sequence[str], descriptions: Mapping[str, str]) -> tuple[str, ...]:
    """Return what each label means in words: its description, or its name with spaces for underscores."""
    return tuple(descriptions.get(name) or " ".join(name.replace("_", " ").split()) or name for name in label_names)


def _refuse_alike(words: Mapping[str, str], where: str, error: type[ConfigError | DataError]) -> None:
    """Refuse labels that are described in the same words."""
    said = Counter(words.values())
    if alike := [name for name, own in words.items() if said[own] > 1]:
        raise error(
            f"{where}: {listed(alike)} read the same ({cut(words[alike[0]])!r}), so nothing could tell them apart by "
            f"it. Describe each in words of its own."
        )


def _read_yaml(path: str, where: str) -> Any:
    """Return the content of a YAML file."""
    file = Path(path).expanduser()
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"{where}: there is no such file (looked at {file.absolute()}).") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where} cannot be read: {first_line(error)} It must be YAML in UTF-8.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is no YAML: {first_line(error)} It must {SHAPE}.") from error
