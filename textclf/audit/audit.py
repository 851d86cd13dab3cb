"""The whole audit of a dataset, step by step.

from textclf.data.load import load
from textclf.audit.audit import audit
found = audit(load(FilesDataset(name="mine", train="train.csv")))
print(found.summary())
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from textclf.audit.characters import check_characters
from textclf.audit.classes import check_classes, class_counts
from textclf.audit.corpus import Corpus
from textclf.audit.duplicates import check_duplicates, check_empty, check_leakage
from textclf.audit.finding import Finding, Severity
from textclf.audit.label_errors import LabelErrors, check_labels, find_label_errors
from textclf.audit.languages import Languages, languages_of
from textclf.audit.leakage import Leakage, find_leakage
from textclf.audit.lengths import Lengths, check_lengths, measure
from textclf.audit.options import AuditOptions
from textclf.audit.set_errors import find_set_errors
from textclf.audit.sets import SetFacts, check_sets, set_facts
from textclf.data.dataset import SPLITS, TextData
from textclf.documents.wording import rounded_percent

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Audit:
    """What is known of a dataset."""

    corpus: Corpus
    findings: tuple[Finding, ...]
    """Problems first, then warnings, then notes."""
    class_counts: NDArray[np.int64]
    """int64 (num_labels, 3): examples of each class, or with each label, in train, validation and test."""
    sets: SetFacts | None
    """What is known of sets of labels; none where each text has one class."""
    lengths: Lengths
    leakage: Leakage
    languages: Languages
    label_errors: LabelErrors | None
    """None where labels were not searched, or could not be."""
    seconds: dict[str, float]
    """Duration of each step."""

    @property
    def data(self) -> TextData:
        """The data that was audited."""
        return self.corpus.data

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of a severity."""
        return tuple(finding for finding in self.findings if finding.severity is severity)

    def finding(self, code: str) -> Finding | None:
        """Return the finding of that code; none where it was not found."""
        return next((finding for finding in self.findings if finding.code == code), None)

    def summary(self) -> str:
        """Return a line for each finding, for a person."""
        sizes = ", ".join(f"{name} {size:,}" for name, size in zip(SPLITS, self.corpus.sizes, strict=True))
        lines = [f"{self.data.name}: {sizes} examples, {self.data.num_labels} classes"]
        if self.sets is not None:
            train = self.sets.cardinality[0]
            lines = [
                f"{self.data.name}: {sizes} examples, {self.data.num_labels} labels; in train {train.least} to "
                f"{train.most} a text, {train.mean:.1f} on average, none in {rounded_percent(train.none)}"
            ]
        lines += [f"  {finding.severity.value:<8} {finding.title}: {finding.amount}" for finding in self.findings]
        return "\n".join(lines if self.findings else [*lines, "  nothing was found to be wrong"])


def audit(
    data: TextData, options: AuditOptions | None = None, tokenizer: PreTrainedTokenizerBase | None = None
) -> Audit:
    """Audit a dataset. All its texts are held in memory.

    Args:
        data: The three splits.
        options: What to look at; none takes the defaults.
        tokenizer: The model's; without one nothing is said of tokens.
    """
    options = options or AuditOptions()
    seconds: dict[str, float] = {}

    def step(name: str, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        done = work()
        seconds[name] = round(time.perf_counter() - started, 2)
        log.info("%s: %.1f s", name, seconds[name])
        return done

    corpus = step("reading", lambda: Corpus.of(data))
    leakage = step(
        "leakage",
        lambda: find_leakage(
            data, threshold=options.near_threshold, most_texts=options.most_near_texts, keys=corpus.keys
        ),
    )
    found = step(
        "duplicates",
        lambda: [
            *check_leakage(corpus, leakage, options.near_threshold),
            *check_duplicates(corpus),
            *check_empty(corpus),
        ],
    )
    facts = step("sets", lambda: set_facts(corpus)) if corpus.sets is not None else None
    found += step("classes", lambda: [*check_classes(corpus), *check_sets(corpus, facts)])
    lengths = step("lengths", lambda: measure(corpus, options, tokenizer))
    found += check_lengths(corpus, lengths)
    found += step("characters", lambda: check_characters(corpus))
    languages, said = step("languages", lambda: languages_of(corpus, options, lengths.tokens))
    found += said
    find = find_label_errors if corpus.sets is None else find_set_errors
    errors = step("labels", lambda: find(corpus, options)) if options.label_errors else None
    found += check_labels(corpus, errors)
    return Audit(
        corpus, _by_severity(found), class_counts(corpus), facts, lengths, leakage, languages, errors, seconds=seconds
    )


def _by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings with the worst first."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))
