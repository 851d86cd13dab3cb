"""Sections of a report on the errors of a run: mistakes, slices, calibration, thresholds, attributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textclf.documents.document import (
    Block,
    Bullets,
    Cell,
    Column,
    ConfusionTable,
    Details,
    Explorer,
    Heading,
    Link,
    Paragraph,
    Picture,
    Table,
    count_cell,
)
from textclf.documents.wording import decimals, excerpt, p_value, percent, signed
from textclf.evaluation.analysis import Analysis
from textclf.evaluation.calibration import trust_words
from textclf.evaluation.label_sets.set_analysis import SetAnalysis
from textclf.evaluation.mistakes import ConfusedPair, Mistake
from textclf.evaluation.proportions import Proportion
from textclf.evaluation.thresholds import AnswerThreshold, DecisionThreshold, Wanted
from textclf.evaluation.words import UNMOVED

MOST_CHARACTERS = 400
FIRST_PAIRS = 6
"""Confused pairs of classes that are not folded away where their picture alone shows them."""
FIRST_MISTAKES = 5
"""Mistakes that are not folded away."""
MOST_IN_TABLE = 20
"""Classes up to which confusions are a table, whose cells can be asked; more are a picture."""
FEWEST_CONFUSED = 3
"""Examples that make a confusion worth a sentence."""
ATTRIBUTIONS_PAGE = "attributions.html"


def confusion_blocks(
    analysis: Analysis, pictures: Mapping[str, Picture], counts: tuple[tuple[int, ...], ...] = ()
) -> list[Block]:
    """Return which classes are taken for which.

    Args:
        analysis: What was found.
        pictures: The run's pictures by name, such as `reliability`.
        counts: How often each class (rows) was predicted as each; empty leaves the picture alone.
    """
    pairs = pair_blocks(analysis.pairs, max(1, analysis.options.mistakes))
    picture = pictures.get("confusion_matrix")
    shown = _drawn(pictures, "confusion_matrix")
    if 0 < len(counts) <= MOST_IN_TABLE:
        shown = [ConfusionTable(analysis.label_names, counts, picture)]
    if analysis.unnamed:
        are = "answer named no class and is" if analysis.unnamed == 1 else "answers named no class and are"
        said = f"{analysis.unnamed:,} {are} in none of these columns; each counts as wrong."
        shown = [*shown, Paragraph(said)]
    if analysis.pairs and (len(analysis.pairs) > FIRST_PAIRS or counts):
        pairs = [Details("The most confused pairs of classes", tuple(pairs))]
    return [*shown, *pairs]


def explorer_blocks(analysis: Analysis, explored: Mapping[str, Any] | None) -> list[Block]:
    """Return the mistakes: on the page all of them, to be searched; without its script the surest.

    Args:
        analysis: What was found.
        explored: What `explored_mistakes` gives; none leaves the surest alone.
    """
    surest = mistake_blocks(analysis.mistakes, analysis.num_mistakes, analysis.accuracy.total)
    return [Explorer(explored, tuple(surest))] if explored is not None and explored["rows"] else surest


def calibration_blocks(analysis: Analysis, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return how far probabilities can be trusted, and what a threshold of them reaches."""
    if analysis.calibration is None:
        return [Paragraph(describe_calibration(analysis))]
    return [
        Paragraph(describe_calibration(analysis)),
        *_drawn(pictures, "reliability"),
        Heading(3, "Thresholds"),
        *threshold_blocks(analysis),
        *_drawn(pictures, "coverage"),
    ]


def _drawn(pictures: Mapping[str, Picture], name: str) -> list[Block]:
    return [pictures[name]] if name in pictures else []


def weakness_sentence(analysis: Analysis) -> str:
    """Return the worst weakness in a sentence: the worst slice beyond chance, else the most frequent confusion."""
    if (worst := analysis.worst_slice) is not None:
        where = {"words": f"on texts of {worst.value} words", "class": f"on the class {worst.value}"}
        said = where.get(worst.by, f"where {worst.by} is {worst.value}")
        return (
            f"Weakest {said}: right on {percent(worst.right.value or 0.0)} of {worst.right.total:,}, elsewhere on "
            f"{percent(worst.rest.value or 0.0)}."
        )
    pair = next(iter(analysis.pairs), None)
    if pair is None or pair.count < FEWEST_CONFUSED:
        return ""
    return (
        f"Most frequent mistake: {pair.count:,} of {round(pair.count / pair.share):,} {pair.label} are taken for "
        f"{pair.prediction}."
    )


def trust_sentence(analysis: Analysis) -> str:
    """Return that the probabilities are not to be taken at their word; empty unless that is beyond chance."""
    effect = analysis.temperature
    if effect is None or analysis.calibration is None:
        return ""
    said = trust_words(analysis.calibration, None if effect.is_applied else effect.after)
    return f"Its {said}." if said else ""


def describe_calibration(analysis: Analysis) -> str:
    """Describe the calibration in sentences."""
    own, effect = analysis.calibration, analysis.temperature
    if own is None or effect is None:
        return (
            "Not every answer came with probabilities, so there is nothing to calibrate and no threshold to choose; "
            "metrics that need probabilities have no figure."
        )
    bins = len(own.bins)
    text = (
        f"Expected calibration error {own.ece:.3f} over {bins} bins of the top probability, Brier score "
        f"{own.brier:.3f}, log loss {own.log_loss:.3f}. On {analysis.accuracy.total:,} examples perfectly calibrated "
        f"probabilities would show up to {own.by_chance:.3f} by chance (19 times in 20)"
    )
    if own.ece <= own.by_chance:
        text += ", so no miscalibration is shown."
    else:
        text += f": these are too {'sure' if own.overconfident else 'cautious'}."
    before, after = effect.before, effect.after
    if effect.is_applied:
        text += (
            f" The logits are divided by {effect.temperature:.2f}, fitted on validation; without it the error was "
            f"{before.ece:.3f}, and the log loss {before.log_loss:.3f}."
        )
    elif after.log_loss < before.log_loss:
        text += (
            f" Dividing the logits by {effect.temperature:.2f}, fitted on validation, would give an error of "
            f"{after.ece:.3f} and a log loss of {after.log_loss:.3f}"
        )
        helps = own.ece > own.by_chance and after.ece < before.ece
        text += ": model.calibration=temperature does it." if helps else "."
    else:
        text += f" A temperature fitted on validation ({effect.temperature:.2f}) would not lower the log loss here."
    return text


def mistake_blocks(mistakes: Sequence[Mistake], count: int, total: int, what: str = "test examples") -> list[Block]:
    """Return the surest mistakes: a few in sight, the others folded away.

    Args:
        mistakes: The surest ones.
        count: How many there are.
        total: Examples that were predicted.
        what: What those are called.
    """
    if not count:
        return [Paragraph(f"There is no mistake on the {total:,} {what}.")]
    columns = (
        Column("row", numeric=True, hint="of the source's own split"),
        Column("text"),
        Column("true class"),
        Column("prediction"),
        Column("probability", numeric=True, hint="of the prediction"),
    )
    rows = tuple(
        (
            Cell(str(one.example), one.example),
            excerpt(one.text if one.text_pair is None else f"{one.text} ⇒ {one.text_pair}", MOST_CHARACTERS),
            one.label,
            one.prediction,
            decimals(one.probability),
        )
        for one in mistakes
    )
    text = f"{count:,} of {total:,} {what} are wrong"
    if not rows:
        return [Paragraph(text + ".")]
    blocks: list[Block] = [
        Paragraph(
            text + "; a mistake that the classifier is sure of is often a wrong label or a text without the words."
        ),
        Table(columns, rows[:FIRST_MISTAKES], "The surest mistakes"),
    ]
    if len(rows) > FIRST_MISTAKES:
        blocks.append(Details(f"The next {len(rows) - FIRST_MISTAKES}", (Table(columns, rows[FIRST_MISTAKES:]),)))
    return blocks


def pair_blocks(pairs: Sequence[ConfusedPair], most: int) -> list[Block]:
    """Return the table of classes that were confused with each other, so many pairs of them."""
    shown = pairs[:most]
    if not shown:
        return [Paragraph("No class was confused with another.")]
    columns = (
        Column("true class"),
        Column("confused with"),
        Column("examples", numeric=True),
        Column("of the true class", numeric=True),
    )
    rows = tuple(
        (one.label, one.prediction, count_cell(one.count), Cell(percent(one.share), one.share)) for one in shown
    )
    more = len(pairs) - len(shown)
    table = Table(columns, rows)
    return [table, Paragraph(f"{more:,} more pairs are in confused_pairs.csv.")] if more else [table]


def slice_blocks(
    analysis: Analysis | SetAnalysis, pictures: Mapping[str, Picture], score: str = "accuracy"
) -> list[Block]:
    """Return the table of slices, and which of them are worse than the rest by a score."""
    fewest = analysis.options.fewest_examples
    shown = analysis.shown_slices
    if not shown:
        return [Paragraph(f"No part of the test split has {fewest} examples or more.")]
    worse = [f"{one.by} {one.value}" for one in shown if one.is_worse]
    text = (
        f"Worse than the rest beyond chance: {', '.join(worse)}."
        if worse
        else "No slice is worse than the rest beyond chance; that is no proof that all are equal."
    )
    columns = (
        Column("slice"),
        Column("examples", numeric=True),
        Column(score, numeric=True, hint="with Wilson's 95 % interval"),
        Column("of the rest", numeric=True, hint=f"{score} on all other examples"),
        Column("p", numeric=True, hint="Fisher's exact test against the rest, corrected for all slices (Holm)"),
    )
    rows = tuple(
        (
            Cell(f"{one.by}: {one.value}" + (" (worse)" if one.is_worse else ""), strong=one.is_worse),
            count_cell(one.right.total),
            Cell(str(one.right), one.right.value),
            Cell(percent(one.rest.value or 0.0), one.rest.value),
            Cell(p_value(one.p), one.p),
        )
        for one in shown
    )
    left = len(analysis.slices) - len(shown)
    table = Table(columns, rows, f"Slices of {fewest} test examples or more")
    blocks: list[Block] = [Paragraph(text), *_drawn(pictures, "slices"), table]
    return [*blocks, Paragraph(f"{left:,} more slices are in slices.csv.")] if left else blocks


def attribution_blocks(analysis: Analysis) -> list[Block]:
    """Return the words of each example that matter most, and where all of them are."""
    if not analysis.attributions:
        return [Paragraph("None were weighed.")]
    columns = (
        Column("row", numeric=True, hint="of the source's own split"),
        Column("true class"),
        Column("prediction"),
        Column(
            "strongest words", hint="by how much the log-odds of the prediction fall without each; below 0, it rises"
        ),
    )
    rows = tuple(
        (
            Cell(str(one.example), one.example),
            one.label,
            Cell(one.prediction, strong=one.prediction != one.label),
            ", ".join(f"{excerpt(word, 40)} {signed(weight)}" for word, weight in one.strongest(6)) or UNMOVED,
        )
        for one in analysis.attributions
    )
    return [
        Paragraph(
            "Each word was left out in turn and the text predicted again. A word that matters here need not matter "
            "elsewhere, and words that say the same cover for each other."
        ),
        Table(columns, rows, "Wrong predictions stand out"),
        Link("The texts, with every word coloured by what it counts for", ATTRIBUTIONS_PAGE),
    ]


def threshold_blocks(analysis: Analysis) -> list[Block]:
    """Return what thresholds of the probability reach, in sentences and, of two classes, a table."""
    blocks: list[Block] = []
    if analysis.answers:
        blocks += [
            Paragraph("Answer only where the top probability is high enough; the threshold is chosen on validation:"),
            Bullets(tuple(describe_threshold(one, analysis.num_validation) for one in analysis.answers)),
        ]
    if analysis.decisions:
        blocks.append(_decisions_table(analysis))
        blocks += [Paragraph(text) for one in analysis.decisions if (text := _decision_caution(one))]
    return blocks or [Paragraph("None were asked for.")]


def describe_threshold(one: AnswerThreshold, num_validation: int) -> str:
    """Describe what a threshold of the top probability was chosen for, and what it reaches on test.

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
    text = (
        f"{purpose}: from {one.threshold:.3f}. On validation {_short(one.validation.answered)} are answered and "
        f"{_short(one.validation.right)} of these right; on test {_short(one.test.answered)} are answered and "
        f"{one.test.right} of these right"
    )
    got = one.test.answered.value if one.wanted is Wanted.coverage else one.test.right.value
    if got is None:
        return f"{text}."
    return f"{text}: {'reached' if got >= one.share else 'missed'}."


def _decisions_table(analysis: Analysis) -> Table:
    """Return the thresholds of the second class with precision, recall and F1 on both splits."""
    columns = (
        Column("threshold chosen for"),
        Column("from", numeric=True, hint="probability of the class from which it is predicted"),
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
        rows.append(
            (
                name,
                decimals(one.threshold),
                _proportion_cell(one.validation.precision, whole=False),
                _proportion_cell(one.validation.recall, whole=False),
                _proportion_cell(one.test.precision),
                _proportion_cell(one.test.recall),
                decimals(one.test.f1),
            )
        )
    name = analysis.label_names[analysis.decisions[0].label]
    return Table(columns, tuple(rows), f"When to predict {name}: thresholds chosen on validation")


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


def _proportion_cell(share: Proportion, whole: bool = True) -> Cell:
    return Cell(str(share) if whole else _short(share), share.value)


def _short(share: Proportion) -> str:
    return "–" if share.value is None else percent(share.value)
