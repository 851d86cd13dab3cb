"""The report of an audit: findings by severity first, then tables and pictures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textclf.audit.audit import Audit
from textclf.audit.finding import Finding, Severity, excerpt
from textclf.audit.label_errors import LabelErrors
from textclf.audit.sets import SetFacts
from textclf.data.dataset import SPLITS
from textclf.documents.document import (
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    Details,
    Heading,
    Paragraph,
    Picture,
    Quote,
    Table,
)
from textclf.documents.drawing import tell, tell_along, tell_names
from textclf.documents.plotting import figure, legend_below, short
from textclf.documents.wording import rounded_percent

TITLES = {Severity.problem: "Problems", Severity.warning: "Warnings", Severity.note: "Notes"}
MOST_CLASSES = 40
"""Classes in the table; of more, the smallest are left to audit.json."""
MOST_LABEL_ERRORS = 25
MOST_PAIRS = 25
"""Pairs of labels in the table."""
CHARACTERS = 300
MOST_DRAWN = 30
"""Classes that are drawn; of more, the largest and the smallest half each."""
BINS = 60
"""Most bars of a histogram."""
STEPS = [factor * 10**power for power in range(12) for factor in (1, 2, 5)]
"""Widths of a histogram's bars."""
TAIL = 99.5
"""Percentile at which the axis of lengths ends."""
ROOM = 1.6
"""How far right of the tail the cut may lie to be drawn."""


def audit_blocks(audit: Audit, pictures: Mapping[str, Picture], command: str = "") -> list[Block]:
    """Return what a report says of a dataset."""
    data = audit.data
    blocks: list[Block] = [Heading(1, f"Audit of {data.name}"), Paragraph(f"{data.source}.")]
    blocks += [Code(command)] if command else []
    blocks += [Quote(verdict(audit)), *([_overview(audit)] if audit.findings else [])]
    for severity, title in TITLES.items():
        if found := audit.of(severity):
            blocks.append(Heading(2, title))
            for finding in found:
                blocks += _finding_blocks(finding)
    if audit.sets is None:
        blocks += [Heading(2, "Classes"), pictures["classes"], _classes_table(audit)]
    else:
        blocks += [Heading(2, "Sets of labels"), _cardinality_table(audit.sets)]
        blocks += [pictures["classes"], _classes_table(audit), *_pairs_blocks(audit, audit.sets)]
    blocks += [Heading(2, "Lengths"), _lengths_table(audit)]
    blocks += [pictures[name] for name in ("tokens", "words") if name in pictures]
    blocks += [Heading(2, "Languages"), *_language_blocks(audit)]
    blocks += [Heading(2, "Labels" if audit.sets is None else "Wrong labels"), *_label_blocks(audit)]
    return [*blocks, Heading(2, "How it was done"), Bullets(_method(audit))]


def verdict(audit: Audit) -> str:
    """Return how many findings of each severity there are, in a sentence."""
    counts = {severity: len(audit.of(severity)) for severity in Severity}
    if not audit.findings:
        return "Nothing was found to be wrong with this dataset."
    said = [f"{count} {severity.value}{'s' * (count != 1)}" for severity, count in counts.items() if count]
    worst = next(severity for severity in Severity if counts[severity])
    close = {
        Severity.problem: "Settle the problems before comparing models on this dataset.",
        Severity.warning: "Nothing forbids training on it; look at the warnings first.",
        Severity.note: "Nothing stands in the way of training on it.",
    }[worst]
    return f"{', '.join(said)}. {close}"


def _overview(audit: Audit) -> Table:
    """Return the table of all findings."""
    rows = [
        (
            Cell(finding.severity.value, strong=finding.severity is Severity.problem),
            finding.title,
            Cell(f"{finding.count:,}", float(finding.count)),
            Cell(rounded_percent(finding.share), finding.share),
        )
        for finding in audit.findings
    ]
    return Table((Column("severity"), Column("finding"), Column("count", True), Column("share", True)), tuple(rows))


def _finding_blocks(finding: Finding) -> list[Block]:
    """Return what is said of one finding."""
    blocks: list[Block] = [Heading(3, finding.title)]
    where = ", ".join(f"{count:,} {name}" for name, count in finding.by_split.items() if count)
    blocks.append(Paragraph(f"{finding.amount}{f': {where}' if where else ''}. {finding.meaning}"))
    blocks.append(Paragraph(f"What to do: {finding.remedy}"))
    if finding.examples:
        has_remarks = any(example.remark for example in finding.examples)
        columns = (Column("split"), Column("row", True), Column("label"), Column("text"))
        rows = [
            (example.split, str(example.example), example.label, example.text)
            + ((example.remark,) if has_remarks else ())
            for example in finding.examples
        ]
        table = Table((*columns, Column("remark")) if has_remarks else columns, tuple(rows))
        blocks.append(Details("1 example" if len(rows) == 1 else f"{len(rows)} examples", (table,)))
    return blocks


def _classes_table(audit: Audit) -> Table:
    """Return the examples of each class by split."""
    counts = audit.class_counts
    shares = counts / np.maximum(audit.corpus.sizes, 1)
    order = np.argsort(-counts[:, 0], kind="stable")[:MOST_CLASSES]
    rows = [
        (
            audit.data.label_names[label],
            *(
                Cell(f"{counts[label, i]:,} ({rounded_percent(shares[label, i])})", float(counts[label, i]))
                for i in range(len(SPLITS))
            ),
        )
        for label in order
    ]
    left = len(counts) - len(rows)
    kind, several = ("class", "classes") if audit.sets is None else ("label", "labels")
    caption = f"The {MOST_CLASSES} largest {several}; {left} more are in audit.json" if left else ""
    return Table((Column(kind), *(Column(name, True) for name in SPLITS)), tuple(rows), caption)


def _cardinality_table(facts: SetFacts) -> Table:
    """Return how many labels the texts of each split have."""
    rows = [
        (
            one.split,
            Cell(f"{one.mean:.2f}", one.mean),
            f"{one.least} to {one.most}",
            Cell(rounded_percent(one.none), one.none),
            Cell(f"{one.sets:,}", float(one.sets)),
        )
        for one in facts.cardinality
    ]
    columns = (
        Column("split"),
        Column("labels a text", True, "the mean, which is called label cardinality"),
        Column("range", True),
        Column("without a label", True),
        Column("different sets", True),
    )
    return Table(columns, tuple(rows))


def _pairs_blocks(audit: Audit, facts: SetFacts) -> list[Block]:
    """Return which labels go together."""
    names, telling = audit.data.label_names, facts.telling
    blocks: list[Block] = [Heading(2, "Labels together")]
    if not telling:
        return [*blocks, Paragraph("Chance explains how often any two labels occur together in train.")]
    rows = [
        (
            f"{names[pair.first]} and {names[pair.second]}",
            Cell(f"{pair.count:,}", float(pair.count)),
            Cell(f"{pair.expected:,.1f}", pair.expected),
            pair.verdict,
        )
        for pair in telling[:MOST_PAIRS]
    ]
    columns = (
        Column("labels"),
        Column("texts with both", True),
        Column("expected", True, "texts with both if one label said nothing of the other"),
        Column("verdict"),
    )
    caption = (
        f"The first {len(rows)} of {len(telling)}; the others are in audit.json" if len(rows) < len(telling) else ""
    )
    said = (
        f"Pairs of labels that occur together in train more or less often than chance explains: {len(telling):,} of "
        f"{len(facts.pairs):,} (hypergeometric test, at one in a thousand for all pairs together)."
    )
    return [*blocks, Paragraph(said), Table(columns, tuple(rows), caption)]


def _lengths_table(audit: Audit) -> Table:
    """Return percentiles of the lengths."""
    points = (5, 50, 95, 100)
    lengths: list[tuple[str, NDArray[np.int64]]] = [
        ("characters", audit.lengths.characters),
        ("words", audit.lengths.words),
    ]
    if audit.lengths.tokens is not None:
        lengths.append(("tokens", audit.lengths.tokens.lengths))
    rows = [
        (
            name,
            Cell(f"{values.mean():,.0f}", float(values.mean())),
            *(Cell(f"{value:,.0f}", float(value)) for value in np.percentile(values, points)),
        )
        for name, values in lengths
    ]
    heads = ("5 % up to", "median", "95 % up to", "longest")
    return Table((Column("length in"), Column("mean", True), *(Column(head, True) for head in heads)), tuple(rows))


def _language_blocks(audit: Audit) -> list[Block]:
    """Return the table of languages."""
    found = audit.languages
    how = "as the data names them" if found.from_data else "as told by py3langid, of texts long enough to be told"
    blocks: list[Block] = [Paragraph(f"Of a sample of {found.sampled:,} texts, {how}: {found.told:,}.")]
    if found.rows:
        rows = []
        for row in found.rows:
            fertility = "" if row.fertility is None else f"{row.fertility:.2f} per {row.per}"
            rows.append(
                (
                    row.language,
                    Cell(f"{row.examples:,}", float(row.examples)),
                    Cell(rounded_percent(row.share), row.share),
                    Cell(fertility, row.fertility),
                )
            )
        hint = "pieces that the model's tokenizer makes of a word; of a character in scripts without spaces"
        columns = (Column("language"), Column("texts", True), Column("share", True), Column("tokens", True, hint))
        blocks.append(Table(columns, tuple(rows)))
    return blocks


def _label_blocks(audit: Audit) -> list[Block]:
    """Return how labels were judged, and the head of the list."""
    errors = audit.label_errors
    if errors is None:
        return [Paragraph("Labels were not judged.")]
    said = _judge(errors)
    if not errors.trusted:
        said += " It knows too little of the task for its opinion on a label to count, so no label is called wrong."
        return [Paragraph(said)]
    corpus = audit.corpus
    rows = []
    for row, label, score in list(zip(errors.rows, errors.suggested, errors.scores, strict=True))[:MOST_LABEL_ERRORS]:
        example = corpus.example(int(row))
        text = excerpt(corpus.whole(int(row)), width=CHARACTERS)
        given, other = example.label, corpus.name_of(label)
        rows.append((example.split, str(example.example), given, other, Cell(f"{score:.3f}", float(score)), text))
    columns = (
        Column("split"),
        Column("row", True),
        Column("label"),
        Column("suggested"),
        Column("score", True, "probability that what is given is right, 0 to 1; the lower the more suspect"),
        Column("text"),
    )
    blocks: list[Block] = [Paragraph(said)]
    if rows:
        blocks.append(Table(columns, tuple(rows), f"The first {len(rows)} of {len(errors.rows):,} in label_errors.csv"))
    return blocks


def _judge(errors: LabelErrors) -> str:
    """Return how well the model knows the labels, in a sentence."""
    how = "A logistic regression of words and pairs of words, fitted on the other four fifths each time,"
    if errors.labels is None:
        return (
            f"{how} predicts {rounded_percent(errors.accuracy)} of {len(errors.judged):,} labels; always answering the "
            f"most frequent one is right in {rounded_percent(errors.majority)}."
        )
    return (
        f"{how[:-1]} for each label, decides for {len(errors.judged):,} texts whether they have it. It is right in "
        f"{rounded_percent(errors.accuracy)} of cases; always giving the more frequent answer is in "
        f"{rounded_percent(errors.majority)}."
    )


def _method(audit: Audit) -> tuple[str, ...]:
    """Return how the audit was made, a sentence each."""
    leakage = audit.leakage
    near = (
        "Near duplicates across splits were proposed by MinHash (64 permutations in 16 bands) and decided by the exact "
        "share of common pieces: groups of three words, or of five characters where one of two texts has fewer than "
        "20 words."
    )
    said = ["Texts are the same when they differ in case and spaces at most; of pairs both texts have to be.", near]
    if leakage.remark:
        said.append(f"{leakage.remark[:1].upper()}{leakage.remark[1:]}.")
    tokens = audit.lengths.tokens
    if tokens is not None and tokens.sampled:
        said.append(f"Tokens were counted in a random sample of {len(tokens.rows):,} texts.")
    if audit.label_errors is not None and audit.label_errors.remark:
        said.append(f"Labels: {audit.label_errors.remark}.")
    said.append("Seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in audit.seconds.items()) + ".")
    return tuple(said)


def draw(audit: Audit, folder: Path) -> dict[str, Picture]:
    """Draw all pictures of an audit into a folder, and return them by what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"classes": _draw_classes(audit, folder / "classes.png")}
    tokens = audit.lengths.tokens
    if tokens is not None:
        pictures["tokens"] = _draw_lengths(
            audit, tokens.lengths, audit.corpus.split_of[tokens.rows], "tokens", audit.lengths.max_length, folder
        )
    pictures["words"] = _draw_lengths(audit, audit.lengths.words, audit.corpus.split_of, "words", None, folder)
    return pictures


def _draw_classes(audit: Audit, path: Path) -> Picture:
    """Draw each class's, or label's, share of each split."""
    kind, several = ("class", "classes") if audit.sets is None else ("label", "labels")
    counts, names = audit.class_counts, audit.data.label_names
    order = np.arange(len(names))
    said = ""
    if len(names) > MOST_DRAWN:
        by_size = np.argsort(-counts[:, 0], kind="stable")
        half = MOST_DRAWN // 2
        order = np.concatenate([by_size[:half], by_size[-half:]])
        said = f" The {half} largest and the {half} smallest of {len(names)} {several} are shown."
    elif len(names) > 6:
        order = np.argsort(-counts[:, 0], kind="stable")
    sizes = audit.corpus.sizes
    shares = counts / np.maximum(sizes, 1)
    height = 0.26
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font has not
        with figure(path, 7.0, 1.5 + max(0.34 * len(order), 0.55 * min(len(order), 6))) as axes:
            places = np.arange(len(order))
            for i, split in enumerate(SPLITS):
                size = int(sizes[i])
                bars = axes.barh(places + (i - 1) * height, shares[order, i], height, label=f"{split} ({size:,})")
                for bar, label in zip(bars, order, strict=True):
                    count = f"{counts[label, i]:,} of {size:,} texts of {split}"
                    tell(bar, f"{names[label]}: {count} ({shares[label, i]:.1%})", split)
            axes.set_yticks(places, [f"{short(names[label], 30)}" for label in order])
            tell_names(axes.get_yticklabels(), [names[label] for label in order])
            axes.set_ylim(len(order) - 0.5, -0.5)
            axes.grid(axis="y", visible=False)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value * 100:g} %")
            title = f"{several.capitalize()} of {short(audit.data.name, 50)}"
            axes.set(title=title, xlabel="share of the split")
            drawing = axes.get_figure(root=True)
            assert drawing is not None
            drawing.legend(loc="outside lower center", ncols=3)
    caption = f"Share of each {kind} in each split.{said}"
    return Picture(path, caption, f"{several.capitalize()} of {audit.data.name} by split")


def _draw_lengths(
    audit: Audit, lengths: NDArray[np.int64], split_of: NDArray[np.int64], unit: str, limit: int | None, folder: Path
) -> Picture:
    """Draw a histogram of lengths, one line a split, with the place where texts are cut."""
    path = folder / f"{unit}.png"
    end = max(float(np.percentile(lengths, TAIL)), 5.0)
    shown = limit is not None and limit <= ROOM * end
    right = max(end, 1.08 * limit) if shown and limit is not None else end
    beyond = float((lengths > right).mean())
    step = next(step for step in STEPS if step * BINS >= right)
    edges = np.arange(0, right + step, step) - 0.5
    with figure(path, 7.0, 3.9) as axes:
        for i, split in enumerate(SPLITS):
            own = lengths[split_of == i]
            heights = np.histogram(own, edges)[0] / max(len(own), 1)
            line = axes.stairs(heights, edges, linewidth=1.6, label=split, fill=False)
            tell(line, split, split)
            said = [
                f"{split}: {height:.1%} have {edge + 0.5:,.0f}"
                + (f" to {edge + step - 0.5:,.0f} {unit}" if step > 1 else f" {unit}")
                for edge, height in zip(edges, heights, strict=False)
            ]
            tell_along(axes, (edges[:-1] + edges[1:]) / 2, heights, said, split)
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:g} %")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        long = float((lengths > limit).mean()) if limit is not None else 0.0
        if shown and limit is not None:
            axes.axvline(limit, color="black", linewidth=1.2, linestyle="--", label=f"cut at {limit:,} tokens")
            axes.axvspan(limit, edges[-1], color="#000000", alpha=0.06, linewidth=0)
        width = f" (bars of {step:,})" if step > 1 else ""
        axes.set(title=f"Length of the texts in {unit}", xlabel=f"{unit} of a text{width}", ylabel="share of the split")
        legend_below(axes, 4)
    caption = f"Texts by length in {unit}."
    if limit is not None:
        caption += f" {rounded_percent(long)} are longer than the {limit:,} tokens that the model reads."
    if beyond:
        caption += f" The longest {rounded_percent(beyond)} lie beyond the right edge (up to {int(lengths.max()):,})."
    return Picture(path, caption, f"Histogram of lengths in {unit}")
