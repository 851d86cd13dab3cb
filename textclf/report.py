"""`report.md`: a run on one page."""

from __future__ import annotations

from collections.abc import Mapping

from tabulate import tabulate

from textclf.records import CONFIG_FILE, METRICS_FILE, PREDICTIONS_FILE, RunRecord


def run_report(record: RunRecord, per_class: Mapping[str, Mapping[str, float | None]], figures: list[str]) -> str:
    """Return the report of a run as Markdown.

    Args:
        record: The run.
        per_class: Precision, recall, F1 and support of each class on the test split.
        figures: Names of the pictures in `figures/`.
    """
    splits = ("validation", "test")
    names = [key.partition("/")[2] for key in record.metrics if key.startswith("test/")]
    scores = [[name, *(_number(record.metrics.get(f"{split}/{name}")) for split in splits)] for name in names]
    classes = [
        [
            _cell(name),
            *(_number(values[key]) for key in ("precision", "recall", "f1")),
            int(values["support"] or 0),
        ]
        for name, values in per_class.items()
    ]
    examples = record.data["examples"]
    fit = record.fit
    course = (
        f", {len(fit['epochs'])} epochs, epoch {fit['best_epoch']} kept by {record.objective}" if fit["epochs"] else ""
    )
    facts = [
        ["data", f"{record.data['source']}, fingerprint {record.data['fingerprint']}"],
        ["examples", ", ".join(f"{split} {count:,}" for split, count in examples.items())],
        ["classes", str(len(record.data["label_names"]))],
        [
            "trained",
            f"{record.costs['train_seconds']:.1f} s on {fit['device']} in {fit['precision']}{course}",
        ],
        ["parameters", f"{record.costs['num_parameters']:,.0f}"],
        ["size of the saved classifier", _bytes(record.costs.get("size_bytes"))],
        ["peak memory of training and testing", _bytes(record.costs.get("peak_memory_bytes"))],
        [
            "predicting",
            f"{record.costs['test_examples_per_second']:,.0f} examples/s over the test split; a single example in "
            f"{_milliseconds(record.costs.get('latency_median_seconds'))} (median), "
            f"{_milliseconds(record.costs.get('latency_p95_seconds'))} (95 % within)",
        ],
        ["seed", str(record.seed)],
        ["started", record.started],
        [
            "versions",
            ", ".join(f"{key} {record.environment[key]}" for key in ("textclf", "torch", "transformers")),
        ],
        ["commit", record.environment.get("git_commit", "unknown")],
    ]
    return (
        "\n\n".join(
            [
                f"# {_cell(record.name)}",
                tabulate(
                    scores,
                    ["metric", *splits],
                    tablefmt="github",
                    disable_numparse=True,
                    colalign=("left", "right", "right"),
                ),
                f"The test split has {examples['test']:,} examples and was looked at once, after the best epoch was "
                f"chosen. A metric without a figure is undefined here.",
                "## Each class, on the test split",
                tabulate(
                    classes,
                    ["class", "precision", "recall", "F1", "examples"],
                    tablefmt="github",
                    disable_numparse=True,
                    colalign=("left", "right", "right", "right", "right"),
                ),
                "## What was run",
                tabulate(
                    [[key, _cell(value)] for key, value in facts],
                    ["", ""],
                    tablefmt="github",
                    disable_numparse=True,
                ),
                f"Again: `{record.command}`" if record.command else "",
                f"Every option is in `{CONFIG_FILE}`, every figure in `{METRICS_FILE}`, every test prediction in "
                f"`{PREDICTIONS_FILE}`.",
                *(f"![{name.removesuffix('.png').replace('_', ' ')}](figures/{name})" for name in figures),
            ]
        ).replace("\n\n\n\n", "\n\n")
        + "\n"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _bytes(value: float | None) -> str:
    return "–" if value is None else f"{value / 1e6:,.1f} MB"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value * 1000:,.1f} ms"


def _cell(text: str) -> str:
    """Return a text that cannot break out of a Markdown table or be read as markup."""
    for character in "\\|`*_[]<>#":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
