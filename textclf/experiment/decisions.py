"""Decisions of a run, for its report: each option that matters, whether it is the default, and the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any

import omegaconf

from textclf.documents.document import Cell, Column, Table
from textclf.experiment.config import SCHEMAS, RunConfig
from textclf.experiment.options import GROUPS, Decides, Experiment, RunOptions
from textclf.system.files import plain
from textclf.tracking.record import RunRecord

TOLD_ELSEWHERE = re.compile(
    r"model\.(name|checkpoint)|dataset\.(name|path|config|revision|train|validation|test|label_names|label_descriptions|metrics|.*_split|.*_column)"
)
"""Options that say where the data are, or what something is called."""
NOT_TOLD = tuple(f.name for f in fields(Experiment) if f.metadata["decides"] is not Decides.metrics)
"""Groups and options that change nothing about the classifier."""
TOLD = tuple(f.name for f in fields(RunOptions) if f.name not in NOT_TOLD)
"""Options of the run as a whole that do."""
REASONS: dict[str, str] = {
    "dataset.max_train_examples": "All there is; fewer only to try things out.",
    "dataset.examples_per_class": "All there is; few of each to see what a model makes of few.",
    "dataset.draw_seed": "That of the splits; the run's own where other draws of examples belong to the question.",
    "dataset.validation_fraction": "A tenth of train is enough to choose an epoch by, and leaves most to learn from.",
    "dataset.split_seed": "Kept apart from the seed of the run: other seeds are tested on the same examples.",
    "dataset.train_languages": "Every language there is.",
    "model.max_length": "Holds most sentences and many reviews whole; time grows at least in proportion to it.",
    "model.truncation": "Texts mostly begin with what they are about; head_tail gained 0.2 points (Sun et al. 2019).",
    "model.long_text": "Windows cost as many passes as a text has windows.",
    "model.padding": "Padding to the longest text of a batch gives the same result for less work.",
    "model.dropout": "The checkpoint's own, with which it was pretrained.",
    "model.text_cleaning": "Tokenizers and vectorizers do their own; cleaning can take away what tells classes apart.",
    "model.imbalance": "Every remedy shifts the probabilities off the true shares; for where rare classes matter.",
    "model.calibration": "Labels do not change by it; worth it where probabilities are used.",
    "model.vectorizer": "What scikit-learn makes of words; the YAML of the model says what differs.",
    "model.classifier": "The one that was asked for; there is no default.",
    "trainer.epochs": "4, or more on little data; 2 to 4 suffice for BERT (Devlin et al. 2019, A.3). The best is kept.",
    "trainer.min_steps": "Measured on 64 examples: 52 steps gain 7 to 15 points over 16, and more of them nothing.",
    "trainer.max_steps": "Off: epochs see each example equally often.",
    "trainer.batch_size": "The smaller of the two sizes of Devlin et al. (2019, A.3).",
    "trainer.learning_rate": "The highest of the three of Devlin et al. (2019, A.3); small encoders take more.",
    "trainer.weight_decay": "As in the pretraining of BERT (Devlin et al. 2019, A.2).",
    "trainer.warmup_fraction": "As in the fine-tuning of RoBERTa (Liu et al. 2019, table 10).",
    "trainer.warmup_steps": "Off: a share fits any amount of data.",
    "trainer.schedule": "Linear decay, as in BERT's and RoBERTa's own fine-tuning.",
    "trainer.max_grad_norm": "Keeps a single batch from undoing what was learned.",
    "trainer.label_smoothing": "Off: it makes the probabilities less sure than the data are.",
    "trainer.patience": "Every epoch is run, since there are few; the best is kept either way.",
    "trainer.length_bucketing": "Less padding; the order of the batches stays random.",
    "trainer.precision": "bf16 where the hardware is fast at it, else what is exact.",
    "objective": "Macro F1 counts each class the same, however rare it is.",
    "seed": "One of many: other seeds give other figures.",
}
"""Reasons of defaults, by dotted name of the option."""


def decisions_table(record: RunRecord) -> Table:
    """Return the options that have a reason or are not the default, with both."""
    rows: list[tuple[str | Cell, ...]] = []
    for name, value in _told(record.config):
        if TOLD_ELSEWHERE.fullmatch(name) or (name.startswith("trainer.") and record.trainer == "none"):
            continue
        default = _default(name, record.config)
        is_argument = name.count(".") > 1
        changed = is_argument or (default is not MISSING and default != value)
        if not (changed or name in REASONS):
            continue
        reason = REASONS.get(name, "")
        if is_argument:
            reason = "An argument of scikit-learn's, set by the config."
        elif changed:
            reason = f"Set by the config; the default is {_said(default)}. {reason}".strip()
        rows.append((name, Cell(_said(value), strong=changed), reason))
    columns = (
        Column("option"),
        Column("value"),
        Column("why", hint="of an option that was set: why its default is so"),
    )
    return Table(columns, tuple(rows), "Options that matter; those that differ from textclf's defaults stand out")


def _told(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the options by dotted name; an object of scikit-learn's as its class, and then its arguments."""
    found: list[tuple[str, Any]] = []
    for group, options in config.items():
        if not isinstance(options, Mapping) or group in NOT_TOLD:
            continue
        for name, value in options.items():
            if name == "_target_":
                continue
            is_object = isinstance(value, Mapping) and "_target_" in value
            found.append((f"{group}.{name}", {"_target_": value["_target_"]} if is_object else value))
            if is_object:
                found += [(f"{group}.{name}.{key}", inner) for key, inner in value.items() if key != "_target_"]
    return found + [(name, config[name]) for name in TOLD if name in config]


def _default(name: str, config: Mapping[str, Any]) -> Any:
    """Return an option's default as a plain value; MISSING where it has none."""
    group, _, option = name.partition(".") if "." in name else ("", "", name)
    owners: list[type] = [RunConfig]
    if group:
        target = str(config[group].get("_target_", "")).rpartition(".")[2] if group in GROUPS else ""
        owners = [options for (owner, _), options in SCHEMAS.items() if owner == group and options.__name__ == target]
    for options in owners:
        for field in fields(options):
            if field.name == option:
                default = field.default_factory() if field.default_factory is not MISSING else field.default
                if is_dataclass(default) and not isinstance(default, type):
                    return plain(asdict(default))
                return MISSING if default == omegaconf.MISSING else plain(default)
    return MISSING


def _said(value: Any) -> str:
    """Return a value for a person; an object of scikit-learn's as its class."""
    if isinstance(value, Mapping) and "_target_" in value:
        return str(value["_target_"]).rpartition(".")[2]
    if value is None or value == [] or value == {}:
        return "none"
    return str(value) if isinstance(value, (str, int, float)) else json.dumps(value, ensure_ascii=False, default=str)
