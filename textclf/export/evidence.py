"""Gather what a model card is written from: the public record of a run, its scores by class, its error analysis."""

from __future__ import annotations

import json
import logging
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from textclf.documents.wording import percent
from textclf.evaluation.analysis import Analysis
from textclf.evaluation.label_sets.set_analysis import SetAnalysis
from textclf.evaluation.proportions import Proportion
from textclf.export.contents import is_on_hub, public_record, scrubbed
from textclf.models.options import PACKAGED_VECTORS
from textclf.models.saved import Description, read_description
from textclf.system.environment import other_hub
from textclf.tracking.find_runs import RunReference
from textclf.tracking.record import ANALYSIS_FILE, METRICS_FILE, RunRecord, refuse_changed

log = logging.getLogger(__name__)

EXPORT_FILE = "export.json"
NOT_PUBLISHED = ("mistakes", "attributions")
"""Parts of an analysis that hold texts of the data."""


@dataclass(frozen=True)
class Origin:
    """The run that an exported folder came from, and how the export was checked."""

    target: str
    """Such as `onnx-int8`."""
    model: str
    dataset: str
    check: str
    """How it does on test examples beside the original, in a sentence; empty where it was not checked."""


@dataclass(frozen=True)
class Evidence:
    """Everything that a card is written from; nothing in it names the machine, or quotes a text of the data."""

    description: Description
    """The description in the classifier's own folder."""
    record: RunRecord | None
    """The run, without secrets and paths; none of a classifier without its run."""
    per_class: Mapping[str, Mapping[str, float | None]]
    """Precision, recall, F1 and support of each class on the test split; empty where it is not known."""
    analysis: Analysis | None
    """The error analysis without its texts; none where it is not known, and of sets of labels."""
    base_model: str | None = None
    """The checkpoint on huggingface.co that was fine-tuned; none of others, and of those from elsewhere."""
    hub_dataset: str | None = None
    """The dataset on huggingface.co that it learned from; none of others, and of those from elsewhere."""
    other_hub: str | None = None
    """The Hub in place of huggingface.co that checkpoint and dataset may have come from."""
    origin: Origin | None = None
    """Where it came from, of a classifier that was exported before."""
    sets: SetAnalysis | None = None
    """The error analysis of sets of labels without its texts; none of single classes, and where it is not known."""
    local: frozenset[str] = frozenset()
    """Which of `checkpoint` and `dataset` came from a folder or files."""


def gather(located: RunReference) -> Evidence:
    """Read what the run folder holds beside the classifier; what is missing or damaged is left out, with a warning.

    Raises:
        ArtifactError: If a file is not as the run left it, by its manifest.
    """
    description = read_description(located.classifier)
    if located.record is None or located.folder is None:
        return Evidence(description, None, {}, None, origin=read_origin(located.classifier / EXPORT_FILE))
    if description.has_pairs is None:
        description = replace(description, has_pairs=located.record.data.get("pairs"))
    refuse_changed(located.folder, METRICS_FILE, ANALYSIS_FILE)
    metrics = _json(located.folder / METRICS_FILE)
    per_class = metrics.get("per_class", {}) if metrics else {}
    known = list(per_class) == list(description.label_names)
    config, hub = located.record.config, located.record.environment.get("hub") or other_hub()
    checkpoint, dataset = config.get("model", {}).get("checkpoint"), config.get("dataset", {}).get("path")
    named = {"checkpoint": checkpoint, "dataset": dataset}
    analysis = read_analysis(located.folder / ANALYSIS_FILE)
    on_hub = {what: name for what, name in named.items() if name and is_on_hub(name)}
    return Evidence(
        description,
        public_record(located.record),
        per_class if known else {},
        analysis if isinstance(analysis, Analysis) else None,
        base_model=None if hub or checkpoint in PACKAGED_VECTORS else on_hub.get("checkpoint"),
        hub_dataset=None if hub else on_hub.get("dataset"),
        other_hub=hub,
        sets=analysis if isinstance(analysis, SetAnalysis) else None,
        local=frozenset(named) - frozenset(on_hub),
    )


def read_analysis(path: Path) -> Analysis | SetAnalysis | None:
    """Read the error analysis of a run, of single classes or of sets of labels, but its texts.

    Returns:
        The analysis; none where the file is missing, damaged or of another version of textclf.
    """
    content = _json(path)
    if content is None:
        return None
    try:
        kind = SetAnalysis if "exact" in content else Analysis
        return _restored(kind, content | dict.fromkeys(NOT_PUBLISHED, ()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        log.warning("%s is left out: %s: %s", path, type(error).__name__, error)
        return None


def read_origin(path: Path) -> Origin | None:
    """Read what an export says of itself; none where it does not, or not of which run."""
    content = _json(path)
    if content is None or not isinstance(content.get("source"), dict):
        return None
    try:
        source, check, result = content["source"], content.get("check"), ""
        if check is not None:
            figures, sets = check["exported"], bool(check.get("sets"))
            result = (
                f"Of {check['of']:,} {'training' if check.get('trained_on') else 'test'} examples of "
                f"{source['dataset']} it was checked on {check['examples']:,}: "
                f"{'subset ' if sets else ''}accuracy {figures['accuracy']:.4f}, macro F1 {figures['macro_f1']:.4f}, "
                f"and the {'labels' if sets else 'label'} of the "
                f"original on {percent(check['agreement'])}."
            )
        return Origin(*(str(scrubbed(one)) for one in (content["to"], source["model"], source["dataset"], result)))
    except (KeyError, TypeError, ValueError) as error:
        log.warning("%s is left out: %s: %s", path, type(error).__name__, error)
        return None


def _json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; none where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s is left out: %s", path, error)
        return None
    return content if isinstance(content, dict) else None


def _restored(kind: Any, value: Any) -> Any:
    """Return plain values as what they were written from."""
    if value is None:
        return None
    if typing.get_origin(kind) is tuple:
        return tuple(_restored(typing.get_args(kind)[0], inner) for inner in value)
    if isinstance(kind, types.UnionType):
        return _restored(next(one for one in typing.get_args(kind) if one is not type(None)), value)
    if kind is Proportion:
        return Proportion(value["count"], value["total"])
    if isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: _restored(hints[field.name], value[field.name]) for field in fields(kind)})
    return kind(value) if isinstance(kind, type) and issubclass(kind, Enum) else value
