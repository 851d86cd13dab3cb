"""The section of a model card on the data: source, sizes, and what the audit found; no text of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textclf.documents.document import Block, Bullets, Cell, Column, Paragraph, Table
from textclf.export.evidence import Evidence
from textclf.tracking.record import RunRecord

UNMEASURED = "–"
"""Stands for a figure that nobody measured."""


def data_blocks(evidence: Evidence, record: RunRecord) -> list[Block]:
    """Return what it learned from: source, sizes, and what the audit found."""
    data, options = record.data, record.config.get("dataset", {})
    named = {"config": options.get("config"), "revision": options.get("revision")}
    more = "".join(f", {name} {value}" for name, value in named.items() if value)
    blocks: list[Block] = [
        Paragraph(
            f"{record.dataset}: {data.get('source') or 'unknown source'}{more}, fingerprint of its texts and labels "
            f"{data.get('fingerprint', 'unknown')}, of the test split {data.get('test_fingerprint', 'unknown')}."
        ),
        Table(
            (Column("split"), Column("examples", numeric=True)),
            tuple((split, count_cell(count)) for split, count in data.get("examples", {}).items()),
        ),
    ]
    if evidence.other_hub and "dataset" not in evidence.local:
        blocks.append(Paragraph(f"It was read by way of {evidence.other_hub}, not huggingface.co."))
    if extra := data.get("extra_train"):
        blocks.append(
            Paragraph(f"{extra['examples']:,} of the training examples come from a further file, {extra['file']}.")
        )
    if rejected := data.get("rejected"):
        rows = tuple(
            (split, cause, count_cell(count)) for split, found in rejected.items() for cause, count in found.items()
        )
        blocks.append(Table((Column("split"), Column("why"), Column("rows", numeric=True)), rows, "Rows left out"))
    audit = data.get("audit") or {}
    lines = [line for line in audit.get("lines", []) if not line.startswith("python -m")]
    if lines:
        blocks.append(Bullets(tuple(f"{line[:1].upper()}{line[1:]}." for line in lines)))
    elif audit:
        blocks.append(
            Paragraph("The audit found no copies, contradicting labels, empty texts or texts on both sides of a split.")
        )
    if isinstance(leakage := audit.get("leakage"), Mapping):
        blocks.append(_leakage_table(leakage))
    if dropped := {split: count for split, count in (audit.get("dropped") or {}).items() if count}:
        parts = " and ".join(f"{count:,} of {split}" for split, count in dropped.items())
        blocks.append(Paragraph(f"Taken out before training because they recur: {parts}."))
    return blocks


def _leakage_table(leakage: Mapping[str, Any]) -> Table:
    """Return how many texts of each split occur in another one."""
    rows = []
    for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
        if counts := leakage.get(f"{one}_{other}"):
            exact, near = counts.get(f"{other}_exact", 0), counts.get(f"{other}_near", 0)
            rows.append(
                (f"{other} in {one}", count_cell(exact), count_cell(near) if leakage.get("near") else UNMEASURED)
            )
    columns = (Column("texts of"), Column("word for word", numeric=True), Column("nearly", numeric=True))
    return Table(columns, tuple(rows), "Leakage")


def count_cell(value: int) -> Cell:
    """Return a cell with a count, which is sorted by number."""
    return Cell(f"{value:,}", value)
