"""Table `inference`: a fine-tuned MiniLM predicting a test set, and single texts in a warm process."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from experiments.benchmarks.arithmetic import Probe
from experiments.benchmarks.page import Result, Settings, draw_bars, plain_timings, progress, table, turns_note
from experiments.benchmarks.peers import BATCH, Texts, pipeline_labels, stock_loop
from experiments.benchmarks.rounds import Timings, Way, alternate, rates, times_as_fast
from experiments.benchmarks.texts import TITLES, checkpoint_folder, real_data
from experiments.benchmarks.training import textclf_trains
from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.documents.document import Paragraph
from textclf.models.base import Classifier
from textclf.models.families import load_classifier

OURS = "textclf, predict_proba"
OURS_ONNX = "textclf, exported to onnx"
OURS_INT8 = "textclf, exported to onnx-int8"
STOCK = f"stock loop, fp32, batches of {BATCH}"
PIPELINE = "transformers.pipeline"
PIPELINE_BATCHED = f"transformers.pipeline, batch_size={BATCH}"
TRAINED_ON = 512
SINGLES = 30
"""Texts that are predicted one by one in each round."""
SINGLES_LONG = 200

Labels = Callable[[Texts], Sequence[Any] | NDArray[Any]]
"""Predicts the label of each text, as a number or a name."""


def predictors(classifier: Any, folder: Path) -> dict[str, Labels]:
    """Return the ways to predict with one classifier, by name, ours first.

    Args:
        classifier: A fine-tuned transformer of textclf's, in float32 for the peers.
        folder: An empty folder, for what is saved and exported.
    """
    classifier.save(folder / "classifier")
    exported = {name: load_classifier(path) for name, path in _exported(folder).items()}
    loaded = load_classifier(folder / "classifier")  # as a user gets it
    source = str(folder / "classifier")
    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)

    def ours(classifier: Classifier) -> Labels:
        return lambda texts: classifier.predict_proba(*texts).argmax(axis=1)

    return {
        OURS: ours(loaded),
        **{name: ours(one) for name, one in exported.items()},
        STOCK: lambda texts: stock_loop(model, tokenizer, texts).argmax(axis=1),
        PIPELINE: pipeline_labels(model, tokenizer, 1),
        PIPELINE_BATCHED: pipeline_labels(model, tokenizer, BATCH),
    }


def _exported(folder: Path) -> dict[str, Path]:
    """Export the classifier in a folder, where what that needs is installed."""
    if not (importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime")):
        return {}
    from textclf.export.export_run import ExportOptions, export
    from textclf.tracking.find_runs import resolve_run

    found = {}
    for name, target in ((OURS_ONNX, "onnx"), (OURS_INT8, "onnx-int8")):
        with contextlib.redirect_stdout(io.StringIO()):  # the agreement of all ways is in the table
            found[name] = export(resolve_run(folder / "classifier"), ExportOptions(target, folder / target, force=True))
    return found


def measure(settings: Settings) -> Result:
    """Fine-tune, then predict in turns."""
    trained = min(TRAINED_ON, 2 * settings.rows)
    data, said = real_data(settings.dataset, trained, settings.rows)
    order = np.random.default_rng(0).permutation(len(data.test))
    texts, labels = taken(*texts_of(data.test), order), labels_of(data.test)[order]
    progress(f"training on {len(data.train)} examples")
    classifier, _ = textclf_trains(checkpoint_folder(), data, "torch", settings.seeds[0])
    singles = min(SINGLES_LONG if settings.long else SINGLES, len(labels))
    with tempfile.TemporaryDirectory(prefix="textclf-benchmark-") as folder:
        ways = predictors(classifier, Path(folder))
        timings, latencies = in_turns(ways, texts, labels, data, singles, settings.round_seeds)
    return page(settings, timings, latencies, len(labels), said)


def taken(texts: Sequence[str], pairs: Sequence[str] | None, rows: Iterable[int]) -> Texts:
    """Return some of the texts, in the order of the rows."""
    chosen = [int(row) for row in rows]
    return [texts[row] for row in chosen], None if pairs is None else [pairs[row] for row in chosen]


def in_turns(
    ways: Mapping[str, Labels],
    texts: Texts,
    labels: NDArray[np.int64],
    data: TextData,
    singles: int,
    seeds: Sequence[int],
) -> tuple[Timings, dict[str, list[float]]]:
    """Time the ways over a test set and over single texts.

    Returns:
        The timings of the test set, whose facts are the accuracy and the share of labels that are ours; and the
        seconds of each single text, by name.
    """
    for predict in ways.values():
        predict(taken(*texts, range(min(BATCH, len(labels)))))
    numbers = {name: number for number, name in enumerate(data.label_names)}
    base = np.asarray(ways[OURS](texts))

    def judge(found: Sequence[Any]) -> dict[str, float]:
        chosen = np.array([numbers[one] if isinstance(one, str) else int(one) for one in found])
        return {"accuracy": float((chosen == labels).mean()), "agreement": float((chosen == base).mean())}

    every = [Way(name, lambda _, predict=predict: predict(texts), judge=judge) for name, predict in ways.items()]
    timings = alternate(every, seeds, Probe(), progress)
    latencies: dict[str, list[float]] = {name: [] for name in ways if name not in (STOCK, PIPELINE_BATCHED)}
    for seed in seeds:
        for row in np.random.default_rng(seed).permutation(len(labels))[:singles]:
            one = taken(*texts, [row])
            for name, seconds in latencies.items():  # a text is predicted by every way in turn
                start = time.perf_counter()
                ways[name](one)
                seconds.append(time.perf_counter() - start)
    return timings, latencies


def page(
    settings: Settings, timings: Timings, latencies: Mapping[str, Sequence[float]], examples: int, said: str
) -> Result:
    """Return the table of what was measured."""
    clock = settings.processor_time
    rows, bars = [], {}
    for name, own in timings.items():
        rate = rates(timings, name, examples, clock)
        rows.append(
            [
                name,
                f"{rate.median:,.0f}",
                times_as_fast(timings, name, STOCK, clock).text(),
                times_as_fast(timings, name, PIPELINE, clock).text(),
                f"{own[0].facts['accuracy']:.4f}",
                f"{100 * own[0].facts['agreement']:.1f} %",
            ]
        )
        bars[name] = (rate.median, rate.low, rate.high)
    milliseconds = {name: 1000 * np.percentile(own, [50, 95]) for name, own in latencies.items()}
    base = milliseconds[PIPELINE][0]
    blocks = [
        table(("test set", "texts/s", "× stock loop", "× pipeline", "accuracy", "labels as ours"), rows),
        table(
            ("single text, warm process", "median, ms", "95th percentile, ms", "× pipeline"),
            [
                [name, f"{median:.1f}", f"{high:.1f}", f"{base / median:.2f}"]
                for name, (median, high) in milliseconds.items()
            ],
        ),
        Paragraph("The times of single texts are on the clock, whichever the ratios of the test set are taken from."),
    ]
    content = {
        "timings": plain_timings(timings),
        "examples": examples,
        "single_text_milliseconds": {
            name: {"median": median, "p95": high, "texts": len(latencies[name])}
            for name, (median, high) in milliseconds.items()
        },
    }
    return Result(
        "inference",
        f"Prediction: MiniLM on {TITLES[settings.dataset]}",
        blocks,
        content,
        lambda path: draw_bars(path, f"texts a second, by {settings.clock}", bars),
        "Bars: how many texts a second each way predicts",
        [
            f"{said} One MiniLM, fine-tuned by textclf on these, predicts all the test texts in every way: from texts "
            f"to labels, tokenising included, at most 128 tokens, in random order. The stock loop pads each batch of "
            f"{BATCH} to its longest text; the pipeline is transformers', as it is and with batch_size={BATCH}.",
            turns_note(timings, settings),
            f"Single texts: {len(latencies[OURS]):,} calls of each way in the same process, a text by every way in "
            f"turn. Exported folders are read by textclf.load_classifier and run by onnxruntime.",
        ],
    )
