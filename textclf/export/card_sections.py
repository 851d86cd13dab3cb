"""The sections of a model card, each from what is known of the classifier."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from textclf.documents.document import Block, Bullets, Cell, Code, Column, Heading, Paragraph, Picture, Table
from textclf.documents.wording import percent
from textclf.errors import listed
from textclf.evaluation.analysis import Analysis
from textclf.evaluation.report import describe_calibration
from textclf.evaluation.slices import Slice
from textclf.experiment.caveats import limits
from textclf.experiment.decisions import decisions_table
from textclf.experiment.report import cost_rows, course_words, score_blocks
from textclf.export.card_data import UNMEASURED, count_cell
from textclf.export.evidence import Evidence
from textclf.models.saved import Description
from textclf.tracking.record import RunRecord

EXAMPLE = "The parcel arrived on Tuesday morning."
EXAMPLE_PAIR = "The parcel came before noon."
MOST_PAIRS = 10
TOLD_SLICES = ("words", "class", "language")
"""Slices whose values are no data: of other columns (authors, products, patients) the values are kept back."""
VERSIONS = ("textclf", "python", "torch", "transformers", "scikit-learn", "datasets", "numpy")


def what_it_is(evidence: Evidence) -> str:
    """Return in sentences what kind of classifier it is, and of what it was made."""
    description, record = evidence.description, evidence.record
    reads = {True: "pairs of texts", False: "texts", None: "texts, or pairs of texts,"}[description.has_pairs]
    names = description.label_names
    said = f"It puts {reads} into {len(names)} classes: {listed(names)}."
    if record is None:
        return f"{said} It is of the family {description.family}."
    model = record.config.get("model", {})
    if checkpoint := model.get("checkpoint"):
        revision = f"revision {model['revision']}" if model.get("revision") else "no revision pinned"
        where = ", a local folder" if "checkpoint" in evidence.local else ""
        said += f" It was fine-tuned from {checkpoint} ({revision}{where})."
        if evidence.other_hub and not where:
            said += (
                f" The run read its checkpoint by way of {evidence.other_hub}, not huggingface.co: what bears that "
                f"name there need not be the checkpoint of that name on huggingface.co."
            )
    elif "vectorizer" in model:
        parts = [str(model[part].get("_target_", "")).rpartition(".")[2] for part in ("vectorizer", "classifier")]
        said += f" It is a pipeline of scikit-learn: {' and '.join(parts)}."
    if description.family == "onnx":
        said += " It was exported to ONNX, and runs without the library that trained it."
    return f"{said} It was trained with textclf {record.environment.get('textclf', '')}."


def use_blocks(description: Description, repo_id: str) -> list[Block]:
    """Return code that predicts with the classifier, and in what the two ways differ."""
    pair = description.has_pairs is True
    blocks: list[Block] = []
    if description.family == "transformer":
        given = f'{{"text": "{EXAMPLE}", "text_pair": "{EXAMPLE_PAIR}"}}' if pair else f'"{EXAMPLE}"'
        blocks += [
            Paragraph("With transformers:"),
            Code(
                "from transformers import pipeline\n\n"
                f'classifier = pipeline("text-classification", model="{repo_id}", top_k=None)\n'
                f"print(classifier({given}, truncation=True))"
            ),
        ]
    second = f', ["{EXAMPLE_PAIR}"]' if pair else ""
    blocks += [
        Paragraph("With textclf, which is installed from its source:"),
        Code(
            "from huggingface_hub import snapshot_download\nfrom textclf import load_classifier\n\n"
            f'classifier = load_classifier(snapshot_download("{repo_id}"))\n'
            f'print(classifier.predict(["{EXAMPLE}"]{second}))'
        ),
    ]
    if description.family == "transformer":
        found = tuple(differences(description))
        blocks += [Paragraph("Where the two differ:"), Bullets(found)]
    elif description.family == "classical":
        blocks.append(
            Paragraph(
                "The pipeline itself is in pipeline.skops, which skops reads without running code from the file, its "
                "words in vocabularies.json; classifier.json names the classes and what is done to a text first."
            )
        )
    return blocks


def differences(description: Description) -> Iterator[str]:
    """Yield in what transformers' own pipeline departs from what was measured, a sentence or two each."""
    options = description.options
    yield (
        f"Only with truncation=True does the pipeline cut texts longer than {options['max_length']} tokens; textclf "
        f"always does."
    )
    if description.temperature != 1.0:
        yield (
            f"textclf divides the logits by {description.temperature:.3f} (temperature scaling); the pipeline does "
            f"not. Its labels are the same, and its probabilities are not calibrated."
        )
    if description.cleaning:
        steps = listed(step.value for step in description.cleaning)
        yield f"textclf cleans each text first ({steps}); give the pipeline texts that are cleaned alike."
    if options.get("truncation") == "head_tail":
        yield "Of a longer text textclf reads the beginning and the end; the pipeline reads the beginning alone."
    if options.get("long_text") == "sliding_window":
        yield "A longer text textclf reads in windows, whose logits are averaged; the pipeline reads the first alone."
    if options.get("precision", "fp32") != "fp32":
        yield f"textclf computes in {options['precision']}, the pipeline in float32; probabilities differ slightly."


def training_blocks(record: RunRecord) -> list[Block]:
    """Return how it was trained, with the options that matter."""
    return [Paragraph(course_words(record)), decisions_table(record)]


def result_blocks(evidence: Evidence, record: RunRecord, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return the scores, those of each class, the calibration, and what was measured of the costs."""
    blocks = score_blocks(record, evidence.per_class)
    if evidence.analysis is not None:
        share = evidence.analysis.accuracy
        blocks.insert(1, Paragraph(f"Accuracy on the test split with Wilson's 95 % interval: {share}."))
        blocks += [Heading(3, "Calibration"), Paragraph(describe_calibration(evidence.analysis))]
        blocks += [pictures["reliability"]] if "reliability" in pictures else []
    costs = tuple((name, value) for name, value in cost_rows(record) if not value.startswith(UNMEASURED))
    return [*blocks, Heading(3, "Costs"), Table((Column("what"), Column("measured")), costs)]


def failure_blocks(analysis: Analysis, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return which classes are confused, and on which parts of the test split it is worse."""
    total = analysis.accuracy.total
    blocks: list[Block] = [Paragraph(f"{analysis.num_mistakes:,} of {total:,} test examples are wrong.")]
    if analysis.pairs:
        columns = (Column("true class"), Column("confused with"), Column("examples", numeric=True),
                   Column("of the true class", numeric=True))  # fmt: skip
        rows = tuple((one.label, one.prediction, count_cell(one.count), percent(one.share)) for one in analysis.pairs)
        blocks.append(Table(columns, rows[:MOST_PAIRS], "Classes most often confused"))
    blocks += [pictures["confusion_matrix"]] if "confusion_matrix" in pictures else []
    slices = [one for one in analysis.slices if one.by in TOLD_SLICES]
    if slices:
        columns = (Column("part of the test split"), Column("examples", numeric=True), Column("accuracy", numeric=True),
                   Column("of the rest", numeric=True), Column("p", numeric=True))  # fmt: skip
        blocks.append(Table(columns, tuple(_slice_row(one) for one in slices), "Parts of the test split"))
        blocks.append(
            Paragraph(
                "Accuracies with Wilson's 95 % intervals; p by Fisher's exact test against the rest, corrected for all "
                "parts (Holm). Parts marked as worse are so beyond chance."
            )
        )
    if left := len(analysis.slices) - len(slices):
        blocks.append(Paragraph(f"{left:,} parts by other columns of the data were scored and are kept back."))
    return blocks


def _slice_row(one: Slice) -> tuple[str | Cell, ...]:
    return (
        Cell(f"{one.by}: {one.value}" + (" (worse)" if one.is_worse else ""), strong=one.is_worse),
        count_cell(one.right.total),
        str(one.right),
        percent(one.rest.value or 0.0),
        "< 0.001" if one.p < 0.001 else f"{one.p:.3f}",
    )


def limit_blocks(evidence: Evidence) -> list[Block]:
    """Return what neither the figures nor the files show."""
    record, said = evidence.record, []
    if record is not None and evidence.analysis is not None:
        counts = {name: {"test": int(values["support"] or 0)} for name, values in evidence.per_class.items()}
        said += limits(record, counts, evidence.analysis)
    said.append(
        "Nothing was measured on texts of another kind, source, time or language than those of the test split, nor "
        "whether mistakes fall on some people more than on others."
    )
    if evidence.description.family == "classical":
        said.append(
            "The vocabulary of the pipeline holds words and short sequences of words of the training texts: who can "
            "read the file can read them."
        )
    said.append(
        "No licence was chosen by textclf. Those of the checkpoint and of the data bind whoever publishes this."
    )
    return [Bullets(tuple(said))]


def again_blocks(record: RunRecord) -> list[Block]:
    """Return the command that makes it again, and what it was made with."""
    environment = record.environment
    versions = ", ".join(f"{name} {environment[name]}" for name in VERSIONS if name in environment)
    rows = [("seed", str(record.seed)), ("started", record.started), ("versions", versions)]
    rows += [("commit of textclf", environment["git_commit"])] if "git_commit" in environment else []
    blocks: list[Block] = [Code(record.command)] if record.command else []
    if re.search(r"dataset\.(train|validation|test|extra_train|path)=", record.command):
        blocks.append(Paragraph("Files are given by their names alone; say where yours are."))
    return [*blocks, Table((Column("what"), Column("value")), tuple(rows))]
