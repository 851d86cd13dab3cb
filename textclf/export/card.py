"""The model card of an exported classifier: what it is, learned from, reaches, and where it fails.

It holds counts and scores alone; no text of the data, no folder of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from textclf.documents.document import Block, Heading, Paragraph, Picture, Quote, to_markdown
from textclf.experiment.report import ReportedRun, summary_sentence
from textclf.export.card_data import data_blocks
from textclf.export.card_sections import (
    again_blocks,
    failure_blocks,
    limit_blocks,
    result_blocks,
    training_blocks,
    use_blocks,
    what_it_is,
)
from textclf.export.evidence import Evidence

TASK = "text-classification"
PLACEHOLDER = "OWNER/NAME"
"""Stands for the repository where it is not known yet."""
LICENSE_LINE = "# license: to be chosen by whoever publishes this; the licences of the checkpoint and the data bind it"
METRICS = {
    "accuracy": ("accuracy", "Accuracy"),
    "macro_f1": ("f1", "Macro F1"),
    "weighted_f1": ("f1", "Weighted F1"),
    "macro_precision": ("precision", "Macro precision"),
    "weighted_precision": ("precision", "Weighted precision"),
    "macro_recall": ("recall", "Macro recall"),
    "weighted_recall": ("recall", "Weighted recall"),
    "mcc": ("matthews_correlation", "Matthews correlation coefficient"),
    "roc_auc": ("roc_auc", "ROC AUC"),
    "log_loss": ("log_loss", "Log loss"),
    "ece": ("ece", "Expected calibration error"),
}
"""The Hub's names of metrics, and what they are called there."""
LANGUAGE = re.compile(r"[a-z]{2,3}")
"""A code of ISO 639, which is what the Hub takes."""


def model_card(evidence: Evidence, pictures: Sequence[Picture] = (), repo_id: str | None = None) -> str:
    """Return the `README.md` of a classifier on the Hub.

    Args:
        evidence: What is known of it.
        pictures: Pictures in the folder of the card, their paths relative to it.
        repo_id: `owner/name` that the code in the card names; none leaves a placeholder.
    """
    blocks = _blocks(evidence, {picture.path.stem: picture for picture in pictures}, repo_id or PLACEHOLDER)
    return checked(with_front_matter(front_matter(evidence).to_yaml(), to_markdown(blocks, Path())))


def with_front_matter(yaml: str, body: str) -> str:
    """Return a card of front matter, with a word on the licence, and a text."""
    return f"---\n{LICENSE_LINE}\n{yaml}\n---\n\n{body}"


def checked(card: str) -> str:
    """Return a card that the Hub's own reader understands.

    Raises:
        ValueError: If it does not, which would be a mistake of ours.
    """
    ModelCard(card)
    return card


def front_matter(evidence: Evidence) -> ModelCardData:
    """Return what the Hub reads of a card, and finds models by."""
    description, record = evidence.description, evidence.record
    is_transformer = description.family == "transformer"
    library = {"classical": ["scikit-learn", "skops"], "onnx": ["onnx"]}.get(description.family, [])
    told: dict[str, Any] = {}
    if record is not None:
        results = eval_results(evidence)
        told = {
            "model_name": model_name(evidence),
            "eval_results": results or None,
            "metrics": list(dict.fromkeys(result.metric_type for result in results)) or None,
            "language": languages(evidence) or None,
            "datasets": [evidence.hub_dataset] if evidence.hub_dataset else None,
            "base_model": evidence.base_model,
        }
        if evidence.base_model and is_transformer:
            told["base_model_relation"] = "finetune"
    return ModelCardData(
        library_name="transformers" if is_transformer else None,
        pipeline_tag=TASK,
        tags=[TASK, *(["sentence-pair-classification"] if description.has_pairs else []), *library, "textclf"],
        **told,
    )


def model_name(evidence: Evidence) -> str:
    """Return a name for a classifier, of its model and its data, that the Hub would take."""
    source = evidence.record or evidence.origin
    said = f"{source.model}-{source.dataset}" if source is not None else f"{evidence.description.family}-classifier"
    return re.sub(r"[^\w.-]+", "-", said, flags=re.ASCII).strip("-._") or "classifier"


def eval_results(evidence: Evidence) -> list[EvalResult]:
    """Return the scores on the test split as the Hub shows them; scores of parts of it are left out."""
    record = evidence.record
    if record is None:
        return []
    dataset = record.config.get("dataset", {})
    found = []
    for key, value in record.metrics.items():
        split, _, name = key.partition("/")
        if split != "test" or "/" in name:
            continue
        kind, title = METRICS.get(name, (name, name))
        found.append(
            EvalResult(
                task_type=TASK,
                task_name="Text classification",
                dataset_name=record.dataset,
                dataset_type=evidence.hub_dataset or re.sub(r"[^\w.-]+", "-", record.dataset, flags=re.ASCII),
                dataset_config=dataset.get("config") if evidence.hub_dataset else None,
                dataset_split=str(dataset.get("test_split", "test")),
                dataset_revision=dataset.get("revision") if evidence.hub_dataset else None,
                metric_type=kind,
                metric_name=title,
                metric_value=round(float(value), 6),
            )
        )
    return found


def languages(evidence: Evidence) -> list[str]:
    """Return the languages that the data itself names, as codes; empty where it names none."""
    known = list(evidence.record.config.get("dataset", {}).get("train_languages", [])) if evidence.record else []
    known += [one.value for one in evidence.analysis.slices if one.by == "language"] if evidence.analysis else []
    return sorted({str(code) for code in known if LANGUAGE.fullmatch(str(code))})


def title_of(evidence: Evidence) -> str:
    """Return what a classifier is called for a person."""
    source = evidence.record or evidence.origin
    return f"{source.model} on {source.dataset}" if source is not None else "A text classifier"


def verdict(evidence: Evidence) -> str:
    """Return what it reaches, in a sentence."""
    record, analysis = evidence.record, evidence.analysis
    if record is None and evidence.origin is not None:
        origin = evidence.origin
        return f"It is {origin.model} on {origin.dataset}, exported to {origin.target}. {origin.check}".strip()
    if record is None:
        return "What it was trained on, and how good it is, is not known here: only its folder was exported."
    if analysis is not None:
        return summary_sentence(ReportedRun(record, evidence.per_class, {}, analysis, Path()))
    scores = [f"{METRICS[name][1].lower()} {record.metrics[f'test/{name}']:.3f}" for name in ("accuracy", "macro_f1")
              if f"test/{name}" in record.metrics]  # fmt: skip
    return f"On {record.data['examples']['test']:,} test examples of {record.dataset}: {', '.join(scores)}."


def _blocks(evidence: Evidence, pictures: dict[str, Picture], repo_id: str) -> list[Block]:
    """Return the text of the card."""
    blocks: list[Block] = [
        Heading(1, title_of(evidence)),
        Quote(verdict(evidence)),
        Paragraph(what_it_is(evidence)),
        Heading(2, "How to use it"),
        *use_blocks(evidence.description, repo_id),
    ]
    if evidence.record is not None:
        blocks += [
            Heading(2, "Data"),
            *data_blocks(evidence, evidence.record),
            Heading(2, "Training"),
            *training_blocks(evidence.record),
            Heading(2, "Results"),
            *result_blocks(evidence, evidence.record, pictures),
        ]
    if evidence.analysis is not None:
        blocks += [Heading(2, "Where it fails"), *failure_blocks(evidence.analysis, pictures)]
    blocks += [Heading(2, "Limits"), *limit_blocks(evidence)]
    if evidence.record is not None:
        blocks += [Heading(2, "Again"), *again_blocks(evidence.record)]
    return blocks
