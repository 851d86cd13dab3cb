"""`report.md` and `report.html`: all about a run, its verdict first, then what it gets wrong, then what it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textclf.data.label_descriptions import in_words
from textclf.documents.document import (
    Block,
    Bullets,
    Cell,
    Code,
    Column,
    ConfusionTable,
    Details,
    Heading,
    Paragraph,
    Picture,
    Quote,
    Table,
    Tile,
    Tiles,
    count_cell,
)
from textclf.documents.wording import decimals, percent
from textclf.errors import listed
from textclf.evaluation.analysis import Analysis
from textclf.evaluation.report import (
    attribution_blocks,
    calibration_blocks,
    confusion_blocks,
    explorer_blocks,
    slice_blocks,
    trust_sentence,
    weakness_sentence,
)
from textclf.evaluation.thresholds import Wanted
from textclf.experiment.decisions import decisions_table
from textclf.experiment.run_costs import cost_rows
from textclf.tracking.record import CONFIG_FILE, METRICS_FILE, PREDICTIONS_FILE, RunRecord, flat

SERVER = "a server"
"""The device of a model that is asked and not trained."""
MOST_ROWS = 12
"""Rows of a table of classes that are not folded away."""
PICTURES = {
    "loss_curve": ("Training", "Loss of training and validation, and which epoch was kept"),
    "confusion_matrix": ("Confusions", "How often each true class was confused with each other, on the test split"),
    "class_scores": ("Scores of each class", "Precision, recall and F1 of each class on the test split"),
    "roc_curve": ("ROC curve", "True against false positives as the threshold falls"),
    "precision_recall_curve": ("Precision and recall", "Precision over recall as the threshold falls"),
    "reliability": ("Calibration", "Share that is right over the top probability; on the dotted line they are equal"),
    "coverage": ("Coverage and accuracy", "Accuracy of the surest predictions by the share of texts that is answered"),
    "slices": ("Slices", "Accuracy on parts of the test split, with 95 % intervals"),
}
"""Pictures by the name of their file: what they are called, and what they show."""
FEW = 30
"""Examples of a class below which its scores say little."""


@dataclass(frozen=True)
class ReportedRun:
    """What a report is made from."""

    record: RunRecord
    per_class: Mapping[str, Mapping[str, float | None]]
    """Precision, recall, F1 and support of each class on the test split."""
    class_counts: Mapping[str, Mapping[str, int]]
    """Examples of each class, by split."""
    analysis: Analysis
    figures: Path
    """The folder of the pictures."""
    confusions: tuple[tuple[int, ...], ...] = ()
    """How often each class (rows) was predicted as each; empty shows the picture alone."""
    explored: Mapping[str, Any] | None = None
    """All mistakes, as `explored_mistakes` gives them; none leaves the explorer out."""


def report_blocks(run: ReportedRun) -> list[Block]:
    """Return the report of a run."""
    record = run.record
    pictures = {
        path.stem: Picture(path, PICTURES.get(path.stem, ("", ""))[1], path.stem.replace("_", " "))
        for path in sorted(run.figures.glob("*.png"))
    }

    def drawn(*names: str) -> list[Block]:
        return [pictures[name] for name in names if name in pictures]

    analysis = run.analysis
    blocks: list[Block] = [
        Heading(1, record.name),
        Quote(verdict(run)),
        _tiles(run),
        *warning_blocks(record),
        Heading(2, "Confusions"),
        *confusion_blocks(analysis, pictures, run.confusions),
        Heading(2, "Mistakes"),
        *explorer_blocks(analysis, run.explored),
        Heading(3, "Words that mattered"),
        *attribution_blocks(analysis),
        Heading(2, "Weak spots"),
        *slice_blocks(analysis, pictures),
        *class_blocks(run.per_class),
        *drawn("class_scores"),
        Heading(2, "Calibration"),
        *calibration_blocks(analysis, pictures),
        *common_blocks(
            record,
            run.class_counts,
            drawn("loss_curve"),
            drawn("roc_curve", "precision_recall_curve"),
            tuple(caveats_of(record, run.class_counts, run.analysis)),
        ),
    ]
    placed = {block.path for block in blocks if isinstance(block, Picture)}
    placed |= {block.picture.path for block in blocks if isinstance(block, ConfusionTable) and block.picture}
    return [*blocks, *(picture for picture in pictures.values() if picture.path not in placed)]


def common_blocks(
    record: RunRecord,
    counts: Mapping[str, Mapping[str, int]],
    curves: Sequence[Block],
    ranked: Sequence[Block] = (),
    caveats: tuple[str, ...] = (),
) -> list[Block]:
    """Return what the report of any run ends with: scores, costs, training, data, options, and how to run it again.

    Args:
        record: The run.
        counts: Examples of each class or label, by split.
        curves: Pictures of the training.
        ranked: Pictures that belong to the scores.
        caveats: What keeps the figures from saying more.
    """
    return [
        Heading(2, "All scores"),
        *score_blocks(record, {}),
        *ranked,
        Heading(3, "Costs"),
        _facts(cost_rows(record)),
        Heading(2, "Training"),
        Paragraph(course_words(record)),
        *_prompt_blocks(record),
        *curves,
        Heading(2, "Data"),
        *_data(record, counts),
        Heading(2, "Options"),
        Paragraph(_chosen(record)),
        *_option_blocks(record),
        *([Heading(2, "Caveats"), Bullets(caveats)] if caveats else []),
        Heading(2, "Reproduce"),
        *_again(record),
    ]


def verdict(run: ReportedRun) -> str:
    """Return the answer in a few sentences: how good, its worst weakness, and whether to believe its probabilities."""
    learned = run.analysis.accuracy.interval[0] > (run.analysis.majority.value or 0.0)
    weakness = weakness_sentence(run.analysis) if learned else ""
    return " ".join(part for part in (_answer(run), weakness, trust_sentence(run.analysis)) if part)


def _tiles(run: ReportedRun) -> Tiles:
    """Return the figures to read at a glance."""
    record, analysis = run.record, run.analysis
    accuracy, own = analysis.accuracy, analysis.calibration
    low, high = accuracy.interval
    tiles = [Tile("Accuracy", percent(accuracy.value or 0.0), f"95 % interval {percent(low)[:-2]} to {percent(high)}")]
    if (macro_f1 := record.metrics.get("test/macro_f1")) is not None:
        tiles.append(Tile("Macro F1", decimals(macro_f1), "each class counts the same"))
    tiles += [
        Tile("Most frequent class alone", percent(analysis.majority.value or 0.0), "accuracy of always saying it"),
        Tile(
            "Mistakes", f"{analysis.num_mistakes:,}", f"of {accuracy.total:,} {'' if record.folds else 'test '}examples"
        ),
        *(
            [
                Tile(
                    "Calibration error",
                    decimals(own.ece),
                    f"up to {own.by_chance:.3f} is chance" + ("" if own.is_shown_wrong else ": not shown to be off"),
                )
            ]
            if own is not None
            else []
        ),
        Tile("Speed", f"{record.costs['test_examples_per_second']:,.0f}", f"texts a second, on {record.fit['device']}"),
    ]
    return Tiles(tuple(tiles))


def summary_sentence(run: ReportedRun) -> str:
    """Return what a run reaches and how surely that is known, beside what the most frequent class alone would."""
    low, high = run.analysis.accuracy.interval
    said = _answer(run, f" (95 % interval {percent(low)} to {percent(high)})")
    macro_f1 = run.record.metrics.get("test/macro_f1")
    return said if macro_f1 is None else f"{said} Macro F1 {macro_f1:.3f}."


def _answer(run: ReportedRun, precision: str = "") -> str:
    """Return what a run reaches, beside what the most frequent class alone would."""
    accuracy, majority = run.analysis.accuracy, run.analysis.majority
    what, how = (
        ("examples", ", each predicted by a fit to the other folds") if run.record.folds else ("test examples", "")
    )
    said = (
        f"{run.record.model} is right on {percent(accuracy.value or 0.0)} of {accuracy.total:,} {what} of "
        f"{run.record.dataset}{how}{precision}; always saying the most frequent class would be right on "
        f"{percent(majority.value or 0.0)}"
    )
    return said + (", and no more than that is shown." if accuracy.interval[0] <= (majority.value or 0.0) else ".")


def warning_blocks(record: RunRecord) -> list[Block]:
    """Return what went wrong or was changed on the way, which is to be known before a figure is quoted."""
    said = tuple(str(warning) for warning in record.fit.get("warnings", ()))
    return [Paragraph("Before you quote these figures:"), Bullets(said)] if said else []


def _chosen(record: RunRecord) -> str:
    """Return which model was trained on what, in a sentence."""
    checkpoint = record.config.get("model", {}).get("checkpoint")
    trained = "fitted by scikit-learn" if record.trainer == "none" else f"trained by the engine {record.trainer}"
    if record.fit.get("device") == SERVER:
        shots = record.config.get("model", {}).get("shots")
        trained = f"asked with {shots} examples of each class" if shots else "asked without any example"
    elif not record.fit.get("reads_labels", True):
        trained = "zero-shot, from what the labels mean in words, and tested"
    model = f"{record.model} ({checkpoint})" if checkpoint else record.model
    return f"{model}, {trained} on {record.dataset}. Choices are made by {record.objective}."


def _data(record: RunRecord, counts: Mapping[str, Mapping[str, int]]) -> list[Block]:
    """Return what is known of the data: the splits, the classes, and what was refused or found in it."""
    data = record.data
    blocks: list[Block] = [
        Paragraph(f"{data.get('source', '')}, fingerprint {data.get('fingerprint', 'unknown')}."),
        _counts_table(record, counts),
    ]
    if len(counts) > MOST_ROWS:
        table = blocks.pop()
        totals = ", ".join(f"{split} {count:,}" for split, count in data["examples"].items())
        blocks += [Paragraph(f"Examples: {totals}."), Details(f"The {len(counts)} classes", (table,))]
    if not record.fit.get("reads_labels", True):
        words = in_words(data["label_names"], data.get("label_descriptions", {}))
        rows = tuple(zip(data["label_names"], words, strict=True))
        blocks.append(Table((Column("label"), Column("in words")), rows, "What the classifier was told of the labels"))
    if rejected := data.get("rejected"):
        rows = tuple(
            (split, cause, count_cell(count)) for split, causes in rejected.items() for cause, count in causes.items()
        )
        columns = (Column("split"), Column("why"), Column("rows", numeric=True))
        blocks.append(Table(columns, rows, "Rows that were left out"))
    if audit := data.get("audit"):
        found = tuple(f"{line[:1].upper()}{line[1:]}." for line in audit["lines"])
        nothing = "No duplicates, contradicting labels, empty texts or texts on both sides of a split were found."
        blocks.append(Bullets(found) if found else Paragraph(nothing))
        if dropped := audit.get("dropped"):
            parts = " and ".join(f"{count:,} of {split}" for split, count in dropped.items() if count)
            blocks.append(Paragraph(f"Taken out because they recur (dataset.on_leakage=drop): {parts}."))
    return blocks


def _counts_table(record: RunRecord, class_counts: Mapping[str, Mapping[str, int]]) -> Table:
    """Return the examples of each class in each split, and of all."""
    splits = list(record.data["examples"])
    rows: list[tuple[str | Cell, ...]] = [
        (name, *(count_cell(counts.get(split, 0)) for split in splits)) for name, counts in class_counts.items()
    ]
    rows.append(("all", *(count_cell(record.data["examples"][split]) for split in splits)))
    return Table((Column("class"), *(Column(split, numeric=True) for split in splits)), tuple(rows), "Examples")


def course_words(record: RunRecord) -> str:
    """Return how training went, in sentences."""
    fit, costs = record.fit, record.costs
    if fit["device"] == SERVER:
        return "Nothing was trained: a model was asked for the class of each text, with this prompt."
    if not fit.get("reads_labels", True):
        return _zero_shot_words(record)
    said = f"{costs['train_seconds']:.1f} s on {fit['device']} in {fit['precision']}."
    if fit["epochs"]:
        epochs = len(fit["epochs"])
        kept = f"epoch {fit['best_epoch']} was kept by {record.objective}"
        if record.folds:
            kept = "it ended with the epoch that the folds kept (their median)"
        said += f" {epochs} epoch{'s' * (epochs > 1)}; {kept}."
    else:
        said += " It is not trained in epochs, so there is no curve."
    return said


def _zero_shot_words(record: RunRecord) -> str:
    """Return which labels a classifier without training has seen, in sentences."""
    model, count = record.config["model"], record.data["examples"]["validation"]
    chosen = [
        what
        for what, is_chosen in (
            ("the temperature", model["calibration"] != "none"),
            ("the thresholds", record.data.get("sets", False) and model["label_thresholds"] != "half"),
        )
        if is_chosen
    ]
    said = (
        f"Nothing was trained: 0 labelled examples used. On {record.fit['device']} in {record.fit['precision']}, each "
        f"text is held against what the labels mean in words."
    )
    if chosen:
        return f"{said} Only {' and '.join(chosen)} were chosen by the labels of the {count:,} validation examples."
    return f"{said} The labels of the {count:,} validation examples served to score it alone."


def _prompt_blocks(record: RunRecord) -> list[Block]:
    """Return the prompt of a language model, folded away; nothing of other models."""
    prompt = record.config.get("model", {}).get("prompt")
    if record.fit.get("device") != SERVER or not isinstance(prompt, Mapping):
        return []
    return [Details("The prompt", (Code("\n\n".join(f"{name}:\n{words}" for name, words in prompt.items())),))]


def _option_blocks(record: RunRecord) -> list[Block]:
    """Return the options: those that differ from textclf's defaults in sight, the others folded away."""
    table = decisions_table(record)
    changed, kept = [
        tuple(row for row in table.rows if (isinstance(row[1], Cell) and row[1].strong) == wanted)
        for wanted in (True, False)
    ]
    blocks: list[Block] = []
    if changed:
        blocks.append(Table(table.columns, changed, "Options that differ from textclf's defaults"))
    if kept:
        inner = Table(table.columns, kept, "Options that matter")
        blocks.append(Details(f"The {len(kept)} that are at their defaults", (inner,)))
    return blocks


def score_blocks(record: RunRecord, per_class: Mapping[str, Mapping[str, float | None]]) -> list[Block]:
    """Return the scores on validation and test, and those of each class.

    Args:
        record: The run.
        per_class: Precision, recall, F1 and support of each class on the test split; empty leaves them out.
    """
    splits = ("validation", "test")
    names = [key.partition("/")[2] for key in record.metrics if key.startswith("test/")]
    numbers = (Column("metric"), *(Column(split, numeric=True) for split in splits))
    scores = tuple((name, *(decimals(record.metrics.get(f"{split}/{name}"), 4) for split in splits)) for name in names)
    blocks: list[Block] = [
        Table(numbers, scores),
        Paragraph(f"{_tested(record)} A metric without a figure is undefined here."),
        *_fold_blocks(record),
    ]
    return blocks + class_blocks(per_class)


def class_blocks(per_class: Mapping[str, Mapping[str, float | None]]) -> list[Block]:
    """Return the scores of each class on the test split; nothing without classes."""
    columns = (Column("class"), *(Column(name, numeric=True) for name in ("precision", "recall", "F1", "examples")))
    classes = tuple(
        (
            name,
            *(decimals(values[key], 4) for key in ("precision", "recall", "f1")),
            count_cell(int(values["support"] or 0)),
        )
        for name, values in per_class.items()
    )
    table: Block = Table(columns, classes)
    if len(classes) > MOST_ROWS:
        table = Details(f"All {len(classes)} classes", (table,))
    return [Heading(3, "Each class, on the test split"), table] if classes else []


def _tested(record: RunRecord) -> str:
    """Return which examples the scores are of, in a sentence or two."""
    count = record.data["examples"]["test"]
    if not (folds := record.folds):
        return f"The test split has {count:,} examples and was looked at once, after the best epoch was chosen."
    times = "once" if folds["repeats"] == 1 else f"{folds['repeats']} times"
    return (
        f"Each of the {count:,} examples was tested {times}, by a fit to the other folds ({folds['folds']} folds) that "
        f"had made its choices on a slice of these. The classifier that is kept was fitted to all of them, and these "
        f"scores estimate its own, a little too low if anything."
    )


def _fold_blocks(record: RunRecord) -> list[Block]:
    """Return the scores fold by fold, and those on the source's own test split; nothing without folds."""
    if not record.folds:
        return []
    shown = ("accuracy", "subset_accuracy", "micro_f1", "macro_f1", "log_loss")
    names = [name for name in shown if f"test/{name}" in record.metrics]
    columns = (
        Column("repeat", numeric=True),
        Column("fold", numeric=True),
        Column("trained on", numeric=True),
        Column("tested on", numeric=True),
        *(Column(name, numeric=True) for name in names),
    )
    rows = tuple(
        (
            str(fold["repeat"]),
            str(fold["fold"]),
            count_cell(fold["train"]),
            count_cell(fold["test"]),
            *(decimals(fold["metrics"].get(f"test/{name}"), 4) for name in names),
        )
        for fold in record.folds["scores"]
    )
    blocks: list[Block] = [Details("Fold by fold", (Table(columns, rows),))]
    if "fixed_test" in record.folds:
        scores = [(name, decimals(record.metrics.get(f"fixed_test/{name}"), 4)) for name in names]
        count = record.folds["fixed_test"]
        blocks += [
            Paragraph(f"The classifier that is kept, on the {count:,} examples of the source's own test split:"),
            Table((Column("metric"), Column("score", numeric=True)), tuple(scores)),
        ]
    return blocks


def _again(record: RunRecord) -> list[Block]:
    """Return how to run it again, and with what it was run."""
    environment = record.environment
    versions = ("textclf", "python", "torch", "transformers", "scikit-learn", "datasets")
    said: list[Block] = [Code(record.command)] if record.command else []
    return [
        *said,
        _facts(
            [
                ("seed", str(record.seed)),
                ("started", record.started),
                ("versions", ", ".join(f"{key} {environment[key]}" for key in versions if key in environment)),
                ("commit", environment.get("git_commit", "unknown")),
                ("machine", environment.get("machine", "unknown")),
            ]
        ),
        Paragraph(
            f"Every option is in {CONFIG_FILE}, every figure in {METRICS_FILE} and analysis.json, every test "
            f"prediction in {PREDICTIONS_FILE}."
        ),
    ]


def _facts(rows: Sequence[tuple[str, str]]) -> Table:
    return Table((Column("what"), Column("value")), tuple(rows))


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _one_choice(record: RunRecord) -> str:
    """Return which choice, of many that could have been made, the figures of a run stand on."""
    if not record.fit.get("reads_labels", True):
        return "One wording: other words for the labels (dataset.label_descriptions) give other figures."
    return (
        "One seed: another order of the examples, or other initial weights, give other figures; seed=1,2,3 with -m "
        "shows how far apart."
    )


def caveats_of(record: RunRecord, class_counts: Mapping[str, Mapping[str, int]], analysis: Analysis) -> list[str]:
    """Return what keeps the figures of a run from saying more, a sentence or two each.

    Args:
        record: The run.
        class_counts: Examples of each class, by split; nothing is said of a split that is not counted.
        analysis: Its error analysis.
    """
    low, high = analysis.accuracy.interval
    said = [
        f"Precision: on {analysis.accuracy.total:,} test examples the accuracy is known to within "
        f"{100 * (high - low) / 2:.1f} points either way. textclf.compare tells runs apart, such intervals do not.",
        _one_choice(record),
        "The test split was read for mistakes, slices and thresholds. What is changed because of them needs other test "
        "examples to be measured.",
    ]
    for split, why in [("test", "so their scores are rough"), ("train", "so there is little to learn them from")]:
        scarce = [f"{name} ({counts[split]})" for name, counts in class_counts.items() if counts.get(split, FEW) < FEW]
        if scarce:
            said.append(f"Classes with fewer than {FEW} {split} examples, {why}: {listed(scarce, 10)}.")
    if cut := record.fit.get("truncated_share"):
        said.append(f"{percent(cut)} of the training texts are longer than what the model reads, and were cut.")
    rejected = record.data.get("rejected")
    if isinstance(rejected, Mapping):
        count = sum(
            value for value in flat(rejected).values() if isinstance(value, int) and not isinstance(value, bool)
        )
        if count:
            said.append(f"{count:,} rows of the source were left out, so the figures are not about texts like those.")
    if any(one.wanted is Wanted.promised_precision and one.threshold is None for one in analysis.answers):
        said.append(
            f"Thresholds come from {analysis.num_validation:,} validation examples, and none there promises the "
            f"precision that was asked for."
        )
    return said
