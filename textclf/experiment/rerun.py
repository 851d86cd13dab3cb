"""A run done again from its record alone: `python -m textclf.run --from-run RUN`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from textclf.errors import ArtifactError
from textclf.experiment.config import SCHEMAS
from textclf.experiment.options import RunOptions
from textclf.system.environment import environment
from textclf.system.redact import MASK
from textclf.tracking.record import RunRecord
from textclf.tracking.run_start import code_digest, differences


def overrides_of(record: RunRecord) -> list[str]:
    """Return the overrides that compose the config of a record, whatever the config files say by now.

    A record is data: the options of a group are those of one of textclf's own kinds, or it is refused.

    Raises:
        ArtifactError: If the record names options that there are not.
    """
    said = []
    for group in dict.fromkeys(group for group, _ in SCHEMAS):
        if group not in record.config:
            continue
        options = dict(record.config[group])
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


def value_said(value: Any) -> str:
    """Return a plain value in the words of Hydra's overrides."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{value_said(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(value_said, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    value = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # a record is data: nothing in it is looked up
    quoted = value.replace("\\'", "\\\\'").replace("'", "\\'")
    return "'" + quoted + ("\\" if quoted.endswith("\\") else "") + "'"


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
