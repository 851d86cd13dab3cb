"""Write the model card of an exported classifier: its kind, data, scores, failures and caveats.

It holds counts and scores alone; no text of the data, no folder of the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from textclf.documents.document import (
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    Heading,
    Paragraph,
    Picture,
    Quote,
    Table,
    count_cell,
    to_markdown,
)
from textclf.documents.wording import MISSING, decimals, p_value, percent
from textclf.errors import listed
from textclf.evaluation.analysis import Analysis
from textclf.evaluation.report import describe_calibration
from textclf.evaluation.slices import Slice
from textclf.experiment.decisions import decisions_table
from textclf.experiment.report import ReportedRun, caveats_of, course_words, score_blocks, summary_sentence
from textclf.experiment.run_costs import cost_rows
from textclf.export.evidence import Evidence
from textclf.export.set_card import (
    describe_sets,
    set_caveats,
    set_failure_blocks,
    set_result_blocks,
    set_verdict,
    threshold_blocks,
    use_with_transformers,
)
from textclf.models.options import PACKAGED_VECTORS
from textclf.models.saved import Description
from textclf.tracking.record import RunRecord

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
    "micro_f1": ("f1", "Micro F1"),
    "micro_precision": ("precision", "Micro precision"),
    "micro_recall": ("recall", "Micro recall"),
    "samples_f1": ("f1", "Samples F1"),
    "subset_accuracy": ("accuracy", "Subset accuracy"),
    "hamming_loss": ("hamming_loss", "Hamming loss"),
    "ranking_precision": ("label_ranking_average_precision", "Label ranking average precision"),
    "micro_roc_auc": ("roc_auc", "Micro ROC AUC"),
    "average_precision": ("average_precision", "Macro average precision"),
    "micro_average_precision": ("average_precision", "Micro average precision"),
}
"""The Hub's names of metrics, and what they are called there."""
LANGUAGE = re.compile(r"[a-z]{2,3}")
"""A code of ISO 639, which is what the Hub takes."""
EXAMPLE = "The parcel arrived on Tuesday morning."
EXAMPLE_PAIR = "The parcel came before noon."
MOST_PAIRS = 10
SHOWN_SLICES = ("words", "class", "language")
"""Slices whose values are no data: of other columns (authors, products, patients) the values are kept back."""
HOW_MADE = {"sentence": "reads the embeddings of", "static": "averages word vectors of", "zero_shot": "infers by"}
VERSIONS = ("textclf", "python", "torch", "transformers", "scikit-learn", "datasets", "numpy")


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
    library = {"classical": ["scikit-learn", "skops"], "onnx": ["onnx"], "embeddings": ["sentence-embeddings"]}.get(
        description.family, []
    )
    of_run: dict[str, Any] = {}
    if record is not None:
        results = eval_results(evidence)
        of_run = {
            "model_name": model_name(evidence),
            "eval_results": results or None,
            "metrics": list(dict.fromkeys(result.metric_type for result in results)) or None,
            "language": languages(evidence) or None,
            "datasets": [evidence.hub_dataset] if evidence.hub_dataset else None,
            "base_model": evidence.base_model,
        }
        if evidence.base_model and is_transformer:
            of_run["base_model_relation"] = "finetune"
    return ModelCardData(
        library_name="transformers" if is_transformer else None,
        pipeline_tag=TASK,
        tags=[
            TASK,
            *(["multi-label-classification"] if description.thresholds is not None else []),
            *(["sentence-pair-classification"] if description.has_pairs else []),
            *library,
            "textclf",
        ],
        **of_run,
    )


def model_name(evidence: Evidence) -> str:
    """Return a name for a classifier, of its model and its data, that the Hub would take."""
    source = evidence.record or evidence.origin
    name = f"{source.model}-{source.dataset}" if source is not None else f"{evidence.description.family}-classifier"
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-._") or "classifier"


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
                task_name="Multi-label text classification" if record.data.get("sets") else "Text classification",
                dataset_name=record.dataset,
                dataset_type=evidence.hub_dataset
                or re.sub(r"[^\w.-]+", "-", record.dataset, flags=re.ASCII).strip("-"),
                dataset_config=dataset.get("config") if evidence.hub_dataset else None,
                dataset_split="cross-validation" if record.folds else str(dataset.get("test_split", "test")),
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
    if record.data.get("sets"):
        return set_verdict(record, evidence.sets)
    if analysis is not None:
        return summary_sentence(ReportedRun(record, evidence.per_class, {}, analysis, Path()))
    scores = [
        f"{METRICS[name][1].lower()} {decimals(record.metrics[f'test/{name}'])}"
        for name in ("accuracy", "macro_f1")
        if f"test/{name}" in record.metrics
    ]
    return f"On {record.data['examples']['test']:,} test examples of {record.dataset}: {', '.join(scores)}."


def _blocks(evidence: Evidence, pictures: dict[str, Picture], repo_id: str) -> list[Block]:
    """Return the text of the card."""
    blocks: list[Block] = [
        Heading(1, title_of(evidence)),
        Quote(verdict(evidence)),
        Paragraph(describe_classifier(evidence)),
        Heading(2, "How to use it"),
        *_use_blocks(evidence.description, repo_id),
    ]
    if evidence.record is not None:
        blocks += [
            Heading(2, "Data"),
            *_data_blocks(evidence, evidence.record),
            Heading(2, "Training"),
            *_training_blocks(evidence.record),
            Heading(2, "Results"),
            *_result_blocks(evidence, evidence.record, pictures),
        ]
    elif evidence.description.thresholds is not None:
        blocks += threshold_blocks(evidence.description)
    if evidence.analysis is not None:
        blocks += [Heading(2, "Where it fails"), *_failure_blocks(evidence.analysis, pictures)]
    if evidence.sets is not None:
        blocks += [Heading(2, "Where it fails"), *set_failure_blocks(evidence.sets)]
    blocks += [Heading(2, "Caveats"), *caveat_blocks(evidence)]
    if evidence.record is not None:
        blocks += [Heading(2, "Reproduce"), *_reproduce_blocks(evidence.record)]
    return blocks


def describe_classifier(evidence: Evidence) -> str:
    """Describe in sentences what kind of classifier it is, and what it was made from."""
    description, record = evidence.description, evidence.record
    reads = {True: "pairs of texts", False: "texts", None: "texts, or pairs of texts,"}[description.has_pairs]
    names = description.label_names
    text = f"It puts {reads} into {len(names)} classes: {listed(names)}."
    if description.thresholds is not None:
        text = describe_sets(description)
    if record is None:
        return f"{text} It is of the family {description.family}."
    model = record.config.get("model", {})
    if (checkpoint := model.get("checkpoint")) in PACKAGED_VECTORS:
        text += f" It averages the word vectors of the package {PACKAGED_VECTORS[checkpoint]}."
    elif checkpoint:
        revision = f"revision {model['revision']}" if model.get("revision") else "no revision pinned"
        where = ", a local folder" if "checkpoint" in evidence.local else ""
        made = HOW_MADE.get(description.options.get("kind", description.family), "was fine-tuned from")
        text += f" It {made} {checkpoint} ({revision}{where})."
        if evidence.other_hub and not where:
            text += (
                f" The run read its checkpoint from {evidence.other_hub}, not huggingface.co: the checkpoint of "
                f"that name there need not be the one on huggingface.co."
            )
    elif "vectorizer" in model:
        parts = [str(model[part].get("_target_", "")).rpartition(".")[2] for part in ("vectorizer", "classifier")]
        text += f" It is a pipeline of scikit-learn: {' and '.join(parts)}."
    if description.family == "onnx":
        text += " It was exported to ONNX, and runs without the library that trained it."
    if not record.fit.get("reads_labels", True):
        text += " It is zero-shot: made from what the labels mean in words, without training."
    return f"{text} It was made with textclf {record.environment.get('textclf', '')}."


def _use_blocks(description: Description, repo_id: str) -> list[Block]:
    """Return code that predicts with the classifier, and in what the two ways differ."""
    pair = description.has_pairs is True
    blocks: list[Block] = []
    given = f'{{"text": "{EXAMPLE}", "text_pair": "{EXAMPLE_PAIR}"}}' if pair else f'"{EXAMPLE}"'
    if description.family == "transformer" and description.thresholds is not None:
        blocks += use_with_transformers(description, repo_id, given)
    elif description.family == "transformer":
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
            + (
                f'(found,) = classifier.predict(["{EXAMPLE}"]{second})\nprint(found.labels, found.probabilities)'
                if description.thresholds is not None
                else f'print(classifier.predict(["{EXAMPLE}"]{second}))'
            )
        ),
    ]
    if description.family == "transformer":
        found = tuple(differences(description))
        blocks += [Paragraph("Where the two differ:"), Bullets(found)]
    elif description.family == "classical":
        blocks.append(
            Paragraph(
                "The pipeline itself is in pipeline.skops, which skops reads without running code from the file, its "
                "words in vocabularies.json, the weights of several classes in model.safetensors; classifier.json "
                "names the classes and what is done to a text first."
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
    if description.thresholds is not None:
        least = zip(description.label_names, description.thresholds, strict=True)
        yield (
            f"The pipeline gives the probability of each label; textclf gives the labels whose probability reaches a "
            f"threshold that was chosen on validation: {listed(f'{name} {value:.2f}' for name, value in least)}."
        )
    if description.temperature != 1.0:
        same = "Its labels are the same"
        if description.thresholds is not None:
            same = "The thresholds in the code allow for that"
        yield (
            f"textclf divides the logits by {description.temperature:.3f} (temperature scaling); the pipeline does "
            f"not. {same}, and its probabilities are not calibrated."
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


def _training_blocks(record: RunRecord) -> list[Block]:
    """Return how it was trained, with the options that matter."""
    return [Paragraph(course_words(record)), decisions_table(record)]


def _result_blocks(evidence: Evidence, record: RunRecord, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return the scores, those of each class, the calibration, and what was measured of the costs."""
    blocks = (
        score_blocks(record, evidence.per_class) if evidence.sets is None else set_result_blocks(record, evidence.sets)
    )
    if evidence.analysis is not None:
        share = evidence.analysis.accuracy
        blocks.insert(1, Paragraph(f"Accuracy on the test split with Wilson's 95 % interval: {share}."))
        blocks += [Heading(3, "Calibration"), Paragraph(describe_calibration(evidence.analysis))]
        blocks += [pictures["reliability"]] if "reliability" in pictures else []
    costs = tuple((name, value) for name, value in cost_rows(record) if not value.startswith(MISSING))
    return [*blocks, Heading(3, "Costs"), Table((Column("what"), Column("measured")), costs)]


def _failure_blocks(analysis: Analysis, pictures: Mapping[str, Picture]) -> list[Block]:
    """Return which classes it confuses, and on which parts of the test split it is worse."""
    total = analysis.accuracy.total
    blocks: list[Block] = [Paragraph(f"{analysis.num_mistakes:,} of {total:,} test examples are wrong.")]
    if analysis.pairs:
        columns = (Column("true class"), Column("confused with"), Column("examples", numeric=True),
                   Column("of the true class", numeric=True))  # fmt: skip
        rows = tuple((one.label, one.prediction, count_cell(one.count), percent(one.share)) for one in analysis.pairs)
        blocks.append(Table(columns, rows[:MOST_PAIRS], "Classes most often confused"))
    blocks += [pictures["confusion_matrix"]] if "confusion_matrix" in pictures else []
    slices = [one for one in analysis.slices if one.by in SHOWN_SLICES]
    if slices:
        columns = (Column("part of the test split"), Column("examples", numeric=True), Column("accuracy", numeric=True),
                   Column("of the rest", numeric=True), Column("p", numeric=True))  # fmt: skip
        blocks.append(Table(columns, tuple(_slice_row(one) for one in slices), "Parts of the test split"))
        blocks.append(
            Paragraph(
                "Accuracies with Wilson's 95 % intervals; p by Fisher's exact test against the rest, corrected for all "
                "parts (Holm). Parts marked as worse are worse beyond chance."
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
        p_value(one.p),
    )


def caveat_blocks(evidence: Evidence) -> list[Block]:
    """Return what limits the figures and the use of the files."""
    record, found = evidence.record, []
    if record is not None and evidence.analysis is not None:
        counts = {name: {"test": int(values["support"] or 0)} for name, values in evidence.per_class.items()}
        found += caveats_of(record, counts, evidence.analysis)
    if evidence.sets is not None:
        found += set_caveats(evidence.sets)
    found.append(
        "Nothing was measured on texts of another kind, source, time or language than those of the test split, nor "
        "whether mistakes fall on some people more than on others."
    )
    if evidence.description.family == "classical":
        found.append(
            "The vocabulary of the pipeline holds words and short sequences of words of the training texts: who can "
            "read the file can read them."
        )
    found.append(
        "No licence was chosen by textclf. Those of the checkpoint and of the data bind whoever publishes this."
    )
    return [Bullets(tuple(found))]


def _reproduce_blocks(record: RunRecord) -> list[Block]:
    """Return the command that reproduces it, and the versions it was made with."""
    environment = record.environment
    versions = ", ".join(f"{name} {environment[name]}" for name in VERSIONS if name in environment)
    rows = [("seed", str(record.seed)), ("started", record.started), ("versions", versions)]
    rows += [("commit of textclf", environment["git_commit"])] if "git_commit" in environment else []
    blocks: list[Block] = [Code(record.command)] if record.command else []
    if re.search(r"dataset\.(train|validation|test|extra_train|path)=", record.command):
        blocks.append(Paragraph("Files are given by name only; put in the paths of yours."))
    return [*blocks, Table((Column("what"), Column("value")), tuple(rows))]


def _data_blocks(evidence: Evidence, record: RunRecord) -> list[Block]:
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
        blocks.append(Paragraph(f"It was read from {evidence.other_hub}, not huggingface.co."))
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
        blocks.append(Paragraph(f"Removed before training because they recur: {parts}."))
    return blocks


def _leakage_table(leakage: Mapping[str, Any]) -> Table:
    """Return how many texts of each split occur in another one."""
    rows = []
    for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
        if counts := leakage.get(f"{one}_{other}"):
            exact, near = counts.get(f"{other}_exact", 0), counts.get(f"{other}_near", 0)
            rows.append((f"{other} in {one}", count_cell(exact), count_cell(near) if leakage.get("near") else MISSING))
    columns = (Column("texts of"), Column("word for word", numeric=True), Column("nearly", numeric=True))
    return Table(columns, tuple(rows), "Leakage")
