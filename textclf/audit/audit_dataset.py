"""Audits the dataset of a config and writes all that came of it to a folder."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from textclf.audit.audit import Audit, audit
from textclf.audit.gate import counts_of_leakage
from textclf.audit.options import AuditOptions
from textclf.audit.report import audit_blocks, draw
from textclf.data.dataset import SPLITS
from textclf.data.load import load
from textclf.data.options import DatasetOptions
from textclf.documents.document import to_html, to_markdown
from textclf.documents.escape import csv_table
from textclf.errors import ArtifactError
from textclf.models.options import LongText, ModelOptions, TransformerModel
from textclf.system.files import filled, plain, write_json, write_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REPORT = "audit.md"
PAGE = "audit.html"
FACTS = "audit.json"
LABEL_ERRORS = "label_errors.csv"
FIGURES = "figures"
POINTS = (5, 25, 50, 75, 95, 99, 100)


def audit_dataset(
    dataset: DatasetOptions, model: ModelOptions, output: Path, options: AuditOptions | None = None, command: str = ""
) -> Audit:
    """Load a dataset, audit it with a model's tokenizer, and write the report.

    Args:
        dataset: What to audit.
        model: Whose tokens to count; classical models have none.
        output: The folder to write to; it must not hold an audit already.
        options: What to look at; none takes the defaults.
        command: What a person types to make the audit again.

    Raises:
        TextclfError: If the data or the checkpoint cannot be had, or the folder holds an audit.
    """
    refuse_written(output)
    options = options or AuditOptions()
    tokenizer = tokenizer_of(model)
    if tokenizer is not None and isinstance(model, TransformerModel):
        options = replace(options, max_length=_tokens_read(model, tokenizer, dataset.text_pair_column is not None))
    whole = replace(dataset, folds=None, fold_repeats=1, fold_test=False)  # the splits as they are
    found = audit(load(whole), options, tokenizer)
    write_audit(found, output, command)
    return found


def _tokens_read(model: TransformerModel, tokenizer: PreTrainedTokenizerBase, pair: bool) -> int:
    """Return how many tokens of a text a model reads, in all its windows."""
    if model.long_text is not LongText.sliding_window:
        return model.max_length
    room = model.max_length - tokenizer.num_special_tokens_to_add(pair=pair)
    return model.max_length + (model.max_windows - 1) * max(room - model.window_overlap, 1)


def refuse_written(output: Path) -> None:
    """Refuse a folder that holds an audit.

    Raises:
        ArtifactError: If it does.
    """
    if (output / REPORT).exists():
        raise ArtifactError(f"{output} holds an audit, which is never overwritten; name another with --output.")


def tokenizer_of(model: ModelOptions) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer of a model's checkpoint; none of models that have no tokens.

    Raises:
        ArtifactError: If the checkpoint cannot be had.
    """
    if not isinstance(model, TransformerModel):
        return None
    from transformers import AutoTokenizer

    from textclf.errors import first_line
    from textclf.models.transformer.loading import open_checkpoint

    checkpoint = open_checkpoint(model)
    try:
        return AutoTokenizer.from_pretrained(checkpoint.source, revision=checkpoint.revision, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise ArtifactError(f"Checkpoint {model.checkpoint!r} has no usable tokenizer: {first_line(error)}") from error


def write_audit(found: Audit, output: Path, command: str = "") -> None:
    """Write the report as Markdown and HTML, the facts as JSON, the pictures, and the list of suspected labels.

    Raises:
        ArtifactError: If the folder holds an audit already, or is being given one.
    """
    with filled(output, REPORT, partial(refuse_written, output)) as made:
        blocks = audit_blocks(found, draw(found, made / FIGURES), command)
        write_text(made / PAGE, to_html(f"Audit of {found.data.name}", blocks))
        csv_table(label_errors_frame(found)).to_csv(made / LABEL_ERRORS, index=False)
        write_json(made / FACTS, facts(found))
        write_text(made / REPORT, to_markdown(blocks, made))


def label_errors_frame(found: Audit) -> pd.DataFrame:
    """Return the labels suspected of being wrong, the worst first: split, example, label, suggested, score, text."""
    errors, corpus = found.label_errors, found.corpus
    rows = errors.rows if errors is not None and errors.trusted else np.zeros(0, dtype=np.int64)
    suggested = errors.suggested if errors is not None else rows
    scores = errors.scores if errors is not None else rows
    return pd.DataFrame(
        {
            "split": [SPLITS[corpus.split_of[row]] for row in rows],
            "example": [int(corpus.numbers[row]) for row in rows],
            "label": [corpus.label(int(row)) for row in rows],
            "suggested": [corpus.name_of(label) for label in suggested[: len(rows)]],
            "score": [round(float(score), 5) for score in scores[: len(rows)]],
            "text": [corpus.whole(int(row)) for row in rows],
        }
    )


def facts(found: Audit) -> dict[str, Any]:
    """Return all figures of an audit as plain values, for JSON."""
    data, errors, tokens = found.data, found.label_errors, found.lengths.tokens
    lengths = {"characters": found.lengths.characters, "words": found.lengths.words}
    if tokens is not None:
        lengths["tokens"] = tokens.lengths
    return {
        "dataset": data.name,
        "source": data.source,
        "fingerprint": data.fingerprint,
        "examples": {name: int(size) for name, size in zip(SPLITS, found.corpus.sizes, strict=True)},
        "classes": {
            name: {split: int(count) for split, count in zip(SPLITS, row, strict=True)}
            for name, row in zip(data.label_names, found.class_counts, strict=True)
        },
        **({} if found.sets is None else {"sets": found.sets.to_dict(data.label_names)}),
        "lengths": {
            name: {
                "mean": round(float(values.mean()), 2),
                **{
                    f"p{point}": float(value)
                    for point, value in zip(POINTS, np.percentile(values, POINTS), strict=True)
                },
            }
            for name, values in lengths.items()
        },
        "max_length": found.lengths.max_length,
        "leakage": counts_of_leakage(found.leakage),
        "languages": asdict(found.languages),
        "labels": None
        if errors is None
        else {
            "judged": len(errors.judged),
            "suspected": len(errors.rows),
            "trusted": errors.trusted,
            "accuracy": round(errors.accuracy, 4),
            "majority": round(errors.majority, 4),
            "remark": errors.remark,
        },
        "findings": [{**plain(asdict(finding)), "share": round(finding.share, 6)} for finding in found.findings],
        "seconds": found.seconds,
    }
