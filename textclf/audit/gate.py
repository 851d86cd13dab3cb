"""What a run does with its data before it trains: a brief audit, and the leakage that it found."""

from __future__ import annotations

import logging
from typing import Any

from textclf.audit.brief import BriefAudit, brief_audit
from textclf.audit.leakage import without_leakage
from textclf.data.dataset import TextData
from textclf.data.options import OnLeakage
from textclf.errors import DataError

log = logging.getLogger(__name__)


def pass_gate(data: TextData, on_leakage: OnLeakage, tell: bool = True) -> tuple[TextData, dict[str, Any]]:
    """Return the data that a run may use, and what the audit says of it for the record.

    Args:
        data: The data as loaded.
        on_leakage: Whether texts that recur across splits are told of, taken out of train (and of validation where
            they are in test), or stop the run.
        tell: Say what is wrong with the data.

    Raises:
        DataError: If texts recur across splits and `on_leakage` is `fail`, or if nothing is left of a class.
    """
    found = brief_audit(data)
    if tell:
        for line in found.lines():
            log.warning("%s", line)
    said = found.to_dict() | {"lines": list(found.lines()), "on_leakage": on_leakage.value}
    if on_leakage is OnLeakage.warn or not any(len(leak.rows) for leak in found.leakage.leaks):
        return data, said
    if on_leakage is OnLeakage.fail:
        raise DataError(_refusal(data, found))
    kept = without_leakage(data, found.leakage)
    dropped = {split: len(data.split(split)) - len(kept.split(split)) for split in ("train", "validation")}
    if tell:
        parts = ", ".join(f"{count:,} examples of {split}" for split, count in dropped.items() if count)
        log.info("dataset.on_leakage=drop: %s taken out", parts)
    return kept, said | {"dropped": dropped}


def _refusal(data: TextData, found: BriefAudit) -> str:
    """Return the paragraph that stops a run."""
    parts = [
        f"{len(leak.exact_target_rows) + len(leak.near_target_rows):,} texts of {leak.target} are in {leak.source} too "
        f"({len(leak.exact_target_rows):,} word for word)"
        for leak in found.leakage.leaks
        if len(leak.target_rows)
    ]
    return (
        f"{data.name}: {'; '.join(parts)}, and dataset.on_leakage=fail allows none. Take them out of the data, or set "
        f"dataset.on_leakage=drop (takes them out of train) or warn; python -m textclf.audit shows which they are."
    )
