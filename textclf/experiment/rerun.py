"""A run done again from its record alone: `python -m textclf.run --from-run RUN`."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from textclf.errors import ArtifactError, ConfigError, listed
from textclf.experiment.config import PLAIN, SCHEMAS
from textclf.experiment.options import RunOptions
from textclf.system.environment import environment
from textclf.system.places import TRUST, AtHand, places_in
from textclf.system.redact import MASK
from textclf.tracking.options import MlflowTracker
from textclf.tracking.record import RunRecord
from textclf.tracking.run_start import code_digest, differences

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Names of options."""
SAYABLE_KEY = re.compile(r"[A-Za-z0-9_\-./\\(){}\[\]:=, +$%*@?|]+")
"""Keys that Hydra's grammar can be told, some of the signs behind a backslash; mappings with others go by `PLAIN`."""
WORDS = "dataset.label_descriptions."
"""Options of a record that are words about labels, each by its label, and lead to no place."""


def overrides_of(record: RunRecord, given: Sequence[str] = ()) -> list[str]:
    """Return the overrides that compose the config of a record, whatever the config files say by now.

    A record is data: the options of a group are those of one of textclf's own kinds, or it is refused.

    Args:
        record: The record.
        given: The overrides beside it; a group that is chosen there, as in `tracker=none`, takes nothing of the record.

    Raises:
        ArtifactError: If the record names options that there are not.
    """
    said, chosen = [], _own(given)
    for group in dict.fromkeys(group for group, _ in SCHEMAS):
        if group not in record.config or group in chosen:
            continue
        options = _options_in(record, group)
        target = options.pop("_target_", None)
        named = [
            name
            for (owner, name), kind in SCHEMAS.items()
            if owner == group and f"{kind.__module__}.{kind.__name__}" == target
        ]
        if not named:
            raise ArtifactError(
                f"The record of {record.name} was made with {group} options of {target!r}, which this textclf does "
                f"not have, so it cannot be run again from it."
            )
        said.append(f"{group}={named[0]}")
        said += [f"++{group}.{key}={value_said(value)}" for key, value in options.items() if MASK not in str(value)]
    return said + [
        f"{key}={value_said(record.config[key])}"
        for option in fields(RunOptions)
        if (key := option.name) in record.config
    ]


def _options_in(record: RunRecord, group: str) -> dict[str, Any]:
    """Return the options of a group in a record, whose names say one option each."""
    options = record.config[group]
    if not isinstance(options, Mapping):
        raise ArtifactError(f"The record of {record.name} has no options of {group}, but {type(options).__name__}.")
    if odd := [name for name in options if not NAME.fullmatch(name)]:
        raise ArtifactError(f"The record of {record.name} names {group} options that there are not: {listed(odd)}.")
    return dict(options)


def _own(given: Sequence[str]) -> set[str]:
    """Return the groups and options that a person gives beside a record."""
    return {re.sub(r"^[+~]+", "", override).partition("=")[0] for override in given}


def value_said(value: Any) -> str:
    """Return a plain value in the words of Hydra's overrides."""
    if isinstance(value, Mapping):
        if not all(SAYABLE_KEY.fullmatch(str(key)) for key in value):
            return f"${{{PLAIN}:{quote(json.dumps(value), safe='').replace('~', '%7E')}}}"
        return "{" + ",".join(f"{_key_said(key)}:{value_said(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(value_said, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    value = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # a record is data: nothing in it is looked up
    quoted = value.replace("\\'", "\\\\'").replace("'", "\\'")
    return "'" + quoted + ("\\" if quoted.endswith("\\") else "") + "'"


def _key_said(key: Any) -> str:
    """Return a key of a mapping in the words of Hydra's overrides, which know no quotes for keys."""
    return re.sub(r"([\\(){}\[\]:=, ])", r"\\\1", str(key))


def check_places(record: RunRecord, folder: Path, given: Sequence[str], trusted: Sequence[str]) -> None:
    """Refuse a record that names files or addresses by itself which are not at hand.

    Args:
        record: The record.
        folder: Its folder, whose files are at hand, as are those of the working folder.
        given: The overrides beside it; an option given there is the person's own.
        trusted: Addresses and paths that the person names.

    Raises:
        ConfigError: With each such place.
    """
    own = _own(given)
    server = os.environ.get("MLFLOW_TRACKING_URI")
    at_hand = AtHand((Path.cwd(), folder), (*trusted, *([server] if server else [])))
    far = [
        (name, place)
        for name, place in places_in(record.config)
        if name not in own
        and name.partition(".")[0] not in own
        and not name.startswith(WORDS)
        and not _is_at_hand(name, place, at_hand)
    ]
    if far:
        named = " ".join(f"{TRUST} {shlex.quote(place)}" for place in dict.fromkeys(place for _, place in far))
        raise ConfigError(
            f"The record of {record.name} names {listed(f'{name}={place}' for name, place in far)}. A record alone "
            f"leads to files below its own folder and the working folder, and to no address; nothing was read or sent. "
            f"If you know these and want them, add {named}; else give others, such as {far[0][0]}=…."
        )


def _is_at_hand(name: str, place: str, at_hand: AtHand) -> bool:
    """Return whether a record may lead to the value of an option."""
    if name == "tracker.tracking_uri":
        return at_hand.holds_store(place)
    if name == "tracker.directory":
        is_default = place == MlflowTracker.directory
        return (
            is_default or place in at_hand.named or at_hand.holds_store(f"sqlite:///{Path(place).absolute()}/mlflow.db")
        )
    return at_hand.holds(place)


def changes_since(record: RunRecord) -> list[str]:
    """Return what of code, versions and machine differs from those of a record."""
    now = environment() | {"code": code_digest()}
    return differences(now | record.environment, now)  # older records do not know all of it


def compare_with(record: RunRecord, again: RunRecord) -> str:
    """Return in a sentence whether a run came out as its record says."""
    before, now = record.data.get("fingerprint"), again.data.get("fingerprint")
    if before != now:
        return f"the data are others than those of the record (fingerprint {before}, now {now})"
    other = [
        f"{key} {record.metrics.get(key)}, now {again.metrics.get(key)}"
        for key in sorted({*record.metrics, *again.metrics})
        if record.metrics.get(key) != again.metrics.get(key)
    ]
    if not other:
        return f"all {len(again.metrics)} metrics are those of the record, to the digit"
    more = f", and {len(other) - 3} more" if len(other) > 3 else ""
    return f"{len(other)} of {len(again.metrics)} metrics differ from the record: {'; '.join(other[:3])}{more}"
