"""The brief audit that every run begins with, and its verdict on leakage; remembered for data that was seen before."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import constants

from textclf.audit.leakage import Leakage, contradicting, find_leakage, keys_by_split, without_leakage
from textclf.audit.near_duplicates import THRESHOLD
from textclf.data.dataset import SPLITS, TextData, counts_of
from textclf.data.options import OnLeakage
from textclf.documents.wording import percent
from textclf.errors import DataError
from textclf.system.files import write_json

log = logging.getLogger(__name__)
FORMAT = 2
"""Raised when the same data would be judged otherwise."""
MOST_NEAR_TEXTS = 100_000
"""Different texts above which near duplicates are left to the full audit."""
FEWEST_EXAMPLES = 10
"""Training examples below which a class is called small."""


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
    if data.folds is not None:
        return _pass_folds(data, on_leakage, tell)
    found, kind = brief_audit(data), "label" if data.has_sets else "class"
    if tell:
        for line in found.lines(kind):
            log.warning("%s", line)
    said = found.to_dict() | {"lines": list(found.lines(kind)), "on_leakage": on_leakage.value}
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


def _pass_folds(data: TextData, on_leakage: OnLeakage, tell: bool) -> tuple[TextData, dict[str, Any]]:
    """Judge what folds share with the source's own test split or, where there is none, the first fold with the others.

    Copies of a text are tested together, so what a fold shares with the others are near duplicates alone.
    """
    folds = data.folds
    assert folds is not None
    if folds.fixed_test is None:
        _, said = pass_gate(replace(data, folds=None), on_leakage, tell)  # drop is done again for each fold
        return data, said
    nobody = folds.pool.select([])
    outer = replace(data, train=folds.pool, validation=nobody, test=folds.fixed_test, folds=None)
    kept, said = pass_gate(outer, on_leakage, tell)
    if len(kept.train) == len(folds.pool):
        return data, said
    left = folds.keeping(np.setdiff1d(np.arange(len(folds.pool)), brief_audit(outer).leakage.train_rows))
    return replace(data, folds=left, **left.splits_of(left.parts[0])), said


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


@dataclass(frozen=True)
class BriefAudit:
    """What is wrong with a dataset at first sight."""

    examples: dict[str, int]
    """Examples of each split."""
    duplicates: dict[str, int]
    """Examples of each split whose text an earlier one of the split has."""
    contradictions: dict[str, int]
    """Examples of each split whose text bears another label elsewhere."""
    empty: dict[str, int]
    """Examples of each split with a blank text."""
    smallest_class: str
    """Name of the class with the fewest training examples."""
    smallest_class_examples: int
    leakage: Leakage

    def lines(self, kind: str = "class") -> tuple[str, ...]:
        """Return a line for each thing that is wrong, with its share and what to do; none where nothing is.

        Args:
            kind: What a text is given: a `class`, or a `label` of a set.
        """
        said = [*self._leakage_lines()]
        for what, counts, remedy in (
            ("bear a label that the same text contradicts elsewhere", self.contradictions, "correct or remove them"),
            ("repeat an earlier one", self.duplicates, "they count twice; remove the copies"),
            ("are empty", self.empty, "they teach nothing; remove them"),
        ):
            if parts := [_share(counts[name], self.examples[name], name) for name in SPLITS if counts[name]]:
                said.append(f"{', '.join(parts)} texts {what}: {remedy}")
        if self.smallest_class_examples < FEWEST_EXAMPLES:
            said.append(
                f"{kind} {self.smallest_class!r} has {self.smallest_class_examples} training examples: too few to "
                f"learn from; add some, or merge it with another"
            )
        if said:
            said.append("python -m textclf.audit, with the same dataset options, shows which")
        if self.leakage.remark:
            said.append(self.leakage.remark)
        return tuple(said)

    def _leakage_lines(self) -> list[str]:
        """Return a line for each two splits that share texts."""
        said = []
        for leak in self.leakage.leaks:
            exact, near = len(leak.exact_target_rows), len(leak.near_target_rows)
            if exact or near:
                total = self.examples[leak.target]
                same = f"{exact:,} word for word" if exact else ""
                alike = f"{near:,} nearly" if near else ""
                parts = " and ".join(part for part in (same, alike) if part)
                said.append(
                    f"{_share(exact + near, total, leak.target)} texts are in {leak.source} too ({parts}): "
                    f"dataset.on_leakage=drop takes them out of {leak.source}"
                )
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain values, for the record of a run; without the rows."""
        return _counts(self) | {"leakage": counts_of_leakage(self.leakage)}


def counts_of_leakage(leakage: Leakage) -> dict[str, Any]:
    """Return how many examples of each split recur in which other, as plain values."""
    shared: dict[str, Any] = {
        f"{leak.source}_{leak.target}": {
            f"{leak.target}_exact": len(leak.exact_target_rows),
            f"{leak.target}_near": len(leak.near_target_rows),
            f"{leak.source}_exact": len(leak.exact_rows),
            f"{leak.source}_near": len(leak.near_rows),
        }
        for leak in leakage.leaks
    }
    return shared | {"near": leakage.near, "remark": leakage.remark}


def brief_audit(data: TextData, cache: bool = True) -> BriefAudit:
    """Look for duplicates, contradicting labels, leakage, empty texts and small classes.

    Args:
        data: The three splits.
        cache: Read what was found before in the same texts and labels, and keep what is found now. It lies in
            `textclf/audits` below `HF_HOME`.
    """
    path = cache_path(data)
    found = _read(path) if cache else None
    if found is None:
        found = _look(data)
        if cache:
            _write(path, found)
    return found


def cache_path(data: TextData) -> Path:
    """Return the file in which the audit of these texts and labels is kept."""
    return Path(constants.HF_HOME) / "textclf" / "audits" / f"{data.fingerprint}.json"


def _look(data: TextData) -> BriefAudit:
    """Audit the data itself."""
    keys = keys_by_split(data)
    counts = counts_of(data.train, data.num_labels).tolist()
    smallest = min(range(data.num_labels), key=counts.__getitem__)
    return BriefAudit(
        examples={name: len(part) for name, part in keys.items()},
        duplicates={name: int(part.repeated.sum()) for name, part in keys.items()},
        contradictions={name: int(found.sum()) for name, found in contradicting(keys).items()},
        empty={name: int(part.empty.sum()) for name, part in keys.items()},
        smallest_class=data.label_names[smallest],
        smallest_class_examples=counts[smallest],
        leakage=find_leakage(data, most_texts=MOST_NEAR_TEXTS, keys=keys),
    )


def _read(path: Path) -> BriefAudit | None:
    """Read a kept audit; none where there is none, or none that can be used."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["made_by"] != _made_by():
            return None
        counts = {
            name: _count_by_split(content[name]) for name in ("examples", "duplicates", "contradictions", "empty")
        }
        return BriefAudit(
            **counts,
            smallest_class=str(content["smallest_class"]),
            smallest_class_examples=int(content["smallest_class_examples"]),
            leakage=Leakage.from_dict(content["leakage"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.debug("%s is damaged and is rebuilt: %s", path, error)
        return None


def _write(path: Path, found: BriefAudit) -> None:
    """Keep an audit; where that cannot be done, the next run makes it again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"made_by": _made_by(), **_counts(found), "leakage": found.leakage.to_dict()})
    except OSError as error:
        log.debug("the audit is not kept: %s", error)


def _made_by() -> list[float]:
    """Return what the outcome depends on beside the data."""
    return [FORMAT, MOST_NEAR_TEXTS, THRESHOLD]


def _counts(found: BriefAudit) -> dict[str, Any]:
    """Return all but the leakage."""
    return {name: value for name, value in vars(found).items() if name != "leakage"}


def _count_by_split(content: Any) -> dict[str, int]:
    return {name: int(content[name]) for name in SPLITS}


def _share(count: int, total: int, split: str) -> str:
    """Return such as `123 of 25,000 test (0.5 %)`."""
    return f"{count:,} of {total:,} {split} ({percent(count / total)})"
