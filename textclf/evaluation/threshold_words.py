"""Thresholds in sentences: what was wanted, what validation gave, and what test reached."""

from __future__ import annotations

from textclf.documents.document import Block, Bullets, Cell, Column, Paragraph, Table
from textclf.evaluation.analysis import Analysis
from textclf.evaluation.proportions import Share, percent
from textclf.evaluation.thresholds import AnswerThreshold, DecisionThreshold, Wanted


def threshold_blocks(analysis: Analysis) -> list[Block]:
    """Return what thresholds of the probability reach, in sentences and, of two classes, a table."""
    blocks: list[Block] = []
    if analysis.answers:
        blocks += [
            Paragraph("Answer only where the top probability is high enough; the threshold is chosen on validation:"),
            Bullets(tuple(answer_words(one, analysis.num_validation) for one in analysis.answers)),
        ]
    if analysis.decisions:
        blocks.append(_decisions_table(analysis))
        blocks += [Paragraph(text) for one in analysis.decisions if (text := _decision_caution(one))]
    return blocks or [Paragraph("None were asked for.")]


def answer_words(one: AnswerThreshold, num_validation: int) -> str:
    """Return what a threshold of the top probability was chosen for, and what it reaches on test.

    Args:
        one: The threshold.
        num_validation: Examples of the validation split.
    """
    share = percent(one.share)
    purpose = {
        Wanted.precision: f"{share} of the answers right",
        Wanted.promised_precision: f"{share} of the answers right, and the low end of the interval too",
        Wanted.coverage: f"{share} of the texts answered",
    }[one.wanted]
    if one.threshold is None or one.test is None or one.validation is None:
        if one.wanted is Wanted.promised_precision:
            return f"{purpose}: validation, with {num_validation:,} examples, is too small to promise that."
        return f"{purpose}: no threshold reaches that on validation."
    said = (
        f"{purpose}: from {one.threshold:.3f}. On validation {_short(one.validation.answered)} are answered and "
        f"{_short(one.validation.right)} of these right; on test {_short(one.test.answered)} are answered and "
        f"{one.test.right} of these right"
    )
    got = one.test.answered.value if one.wanted is Wanted.coverage else one.test.right.value
    if got is None:
        return f"{said}."
    return f"{said}: {'reached' if got >= one.share else 'missed'}."


def _decisions_table(analysis: Analysis) -> Table:
    """Return the thresholds of the second class with precision, recall and F1 on both splits."""
    columns = (
        Column("threshold chosen for"),
        Column("from", numeric=True, hint="probability of the class from which it is said"),
        Column("validation precision", numeric=True),
        Column("validation recall", numeric=True),
        Column("test precision", numeric=True, hint="with Wilson's 95 % interval"),
        Column("test recall", numeric=True, hint="with Wilson's 95 % interval"),
        Column("test F1", numeric=True),
    )
    rows: list[tuple[str | Cell, ...]] = []
    for one in analysis.decisions:
        name = {"default": "one half (the default)", "best F1": "the best F1"}.get(one.purpose)
        name = name or f"{percent(one.share or 0.0)} precision"
        if one.threshold is None or one.validation is None or one.test is None:
            rows.append((name, *["–"] * 6))
            continue
        f1 = one.test.f1
        rows.append(
            (
                name,
                f"{one.threshold:.3f}",
                _share(one.validation.precision, whole=False),
                _share(one.validation.recall, whole=False),
                _share(one.test.precision),
                _share(one.test.recall),
                "–" if f1 is None else f"{f1:.3f}",
            )
        )
    name = analysis.label_names[analysis.decisions[0].label]
    return Table(columns, tuple(rows), f"When to say {name}: thresholds chosen on validation")


def _decision_caution(one: DecisionThreshold) -> str:
    """Return what keeps a threshold from being relied on; empty if nothing does."""
    if one.purpose != "precision" or one.share is None:
        return ""
    if one.validation is None:
        return f"No threshold reaches {percent(one.share)} precision on validation."
    if one.is_sure:
        return ""
    precision = one.validation.precision
    return (
        f"Do not count on {percent(one.share)} precision: it is {_short(precision)} of {precision.total:,} on "
        f"validation, and as little as {percent(precision.interval[0])} would fit that too."
    )


def _share(share: Share, whole: bool = True) -> Cell:
    return Cell(str(share) if whole else _short(share), share.value)


def _short(share: Share) -> str:
    return "–" if share.value is None else percent(share.value)
