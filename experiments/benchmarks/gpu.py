"""Table `gpu`: a model of BERT-base's shape in bf16 on a CUDA GPU, beside transformers' Trainer."""

from __future__ import annotations

import re
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from experiments.benchmarks.arithmetic import Probe, ceiling, shape_of, training_flops
from experiments.benchmarks.page import Result, Settings, draw_bars, plain_timings, progress, table, turns_note
from experiments.benchmarks.peers import BATCH, LONGEST, HFSettings
from experiments.benchmarks.rounds import Timings, Way, alternate, spread, times_as_fast
from experiments.benchmarks.texts import checkpoint_folder, generated_data, random_checkpoint, real_data
from experiments.benchmarks.training import peer_trains, textclf_trains
from textclf.data.dataset import TextData, texts_of
from textclf.documents.document import Block
from textclf.errors import ConfigError
from textclf.experiment.cli import compose_experiment
from textclf.models.options import UNWEIGHED
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.training.batches import training_batches

OURS = "textclf, trainer=torch"
OURS_HF = "textclf, trainer=hf"
PEER = "HF Trainer, bf16, its defaults"
PEER_BEST = "HF Trainer, bf16, group_by_length"
CEILING_TOKENS = 8192
AMAZON_ROWS = 3_600_000
SYNCHRONISES = re.compile(r"synchroniz", re.IGNORECASE)
"""What torch's warnings of a wait for the GPU hold."""


@dataclass(frozen=True)
class Facts:
    """What is measured beside the rounds."""

    ceiling: float
    """FLOP/s of bf16 matrix products at the model's shapes."""
    flops_per_example: float
    synchronisations_per_step: float
    pipeline_examples_per_second: float
    distilbert_examples_per_second: float
    texts: str
    mean_length: float


def measure(settings: Settings) -> Result:
    """Measure on the GPU.

    Raises:
        ConfigError: If there is none.
    """
    if not torch.cuda.is_available():
        raise ConfigError(
            f"The table gpu needs a CUDA GPU that torch can use, and torch {torch.__version__} finds none here. On a "
            f"machine with one, install a build of torch for it and give the same command again; every other table "
            f"is measured on the processor."
        )
    return measure_on("cuda", settings)


def measure_on(device: str, settings: Settings, layers: int | None = None) -> Result:
    """Measure on a device.

    Args:
        device: `cuda`, or `cpu` to try the table at a tiny size.
        settings: How much is measured.
        layers: Layers of the models, where not as many as those of the base sizes.
    """
    data, said = real_data("ag_news", settings.rows, 2)
    if len(data.train) < settings.rows:
        data, said = generated_data(settings.rows, 2, 4, words=38), "Texts: generated, about as long as headlines."
    with tempfile.TemporaryDirectory(prefix="textclf-benchmark-") as folder:
        bert = str(random_checkpoint(Path(folder) / "bert", "bert", layers))
        small = replace(data, train=data.train.select(range(min(len(data.train), 2 * BATCH))))
        for way in ways(bert, small, device):
            progress(f"warming up: {way.name}")
            way.work(0)
        timings = alternate(ways(bert, data, device), settings.round_seeds, Probe(device), progress)
        classifier = untrained(bert, data)
        shape = shape_of(classifier.model.config)
        lengths = classifier.tokenize(texts_of(data.train)[0], None).lengths
        distilbert = str(random_checkpoint(Path(folder) / "distilbert", "distilbert", layers))
        reviews = generated_data(settings.rows, 2, 2, words=78)
        facts = Facts(
            ceiling(shape, torch.bfloat16, device, training=True, tokens=CEILING_TOKENS if device == "cuda" else 64),
            training_flops(shape, lengths) / len(lengths),
            synchronisations_per_step(bert, data, device),
            pipeline_rate(classifier, data),
            len(reviews.train) / textclf_trains(distilbert, reviews, "torch", 1, device)[1],
            said,
            float(lengths.mean()),
        )
    return page(settings, timings, facts, len(data.train))


def ways(checkpoint: str, data: TextData, device: str) -> list[Way]:
    """Return the ways to fine-tune, ours first."""
    plain = HFSettings(bf16=True, device=device)
    settings = {PEER: plain, PEER_BEST: replace(plain, padded=False, by_length=True)}

    def judge(done: tuple[TransformerClassifier, float]) -> dict[str, float]:
        return {"loop_seconds": done[1]}

    def ours(engine: str) -> Callable[[int], object]:
        return lambda seed: textclf_trains(checkpoint, data, engine, seed, device)

    def theirs(one: HFSettings) -> Callable[[int], object]:
        return lambda seed: peer_trains(checkpoint, data, one, seed)

    own = [Way(OURS, ours("torch"), judge=judge), Way(OURS_HF, ours("hf"), judge=judge)]
    return own + [Way(name, theirs(one), judge=judge) for name, one in settings.items()]


def untrained(checkpoint: str, data: TextData) -> TransformerClassifier:
    """Return a classifier with a fresh head."""
    from textclf.models.options import TransformerModel
    from textclf.models.transformer.loading import load_checkpoint

    model = compose_experiment("model=minilm", f"model.checkpoint={checkpoint}", f"model.max_length={LONGEST}").model
    assert isinstance(model, TransformerModel)
    return load_checkpoint(model, data.label_names, seed=1)


def pipeline_rate(classifier: TransformerClassifier, data: TextData) -> float:
    """Return how many examples a second are tokenised, planned and padded, without the model."""
    trainer = compose_experiment(f"trainer.batch_size={BATCH}").trainer
    start = time.perf_counter()
    batches = training_batches(classifier, data, trainer, 1, UNWEIGHED)
    batches.plan.epoch = 1
    seen = sum(len(batch["labels"]) for batch in batches.loader())
    return seen / (time.perf_counter() - start)


def synchronisations_per_step(checkpoint: str, data: TextData, device: str) -> float:
    """Return how often a step waits for the GPU: twice the steps, and what more that costs, over the steps added."""
    steps = max(1, min(20, len(data.train) // BATCH // 2))
    counted = []
    for times in (1, 2):
        part = replace(data, train=data.train.select(range(min(len(data.train), times * steps * BATCH))))
        counted.append(synchronisations(lambda part=part: textclf_trains(checkpoint, part, "torch", 1, device), device))
    return (counted[1] - counted[0]) / steps


def synchronisations(work: Callable[[], object], device: str) -> int:
    """Return how often some work waits for the GPU, as torch itself warns of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            if device == "cuda":
                torch.cuda.set_sync_debug_mode("default")
    return sum(bool(SYNCHRONISES.search(str(one.message))) for one in caught)


def page(settings: Settings, timings: Timings, facts: Facts, examples: int) -> Result:
    """Return the table of what was measured."""
    rows, bars = [], {}
    loops = {name: [timing.facts["loop_seconds"] for timing in own] for name, own in timings.items()}
    by_loop = {name: [replace(one, seconds=one.facts["loop_seconds"]) for one in own] for name, own in timings.items()}
    for name, taken in loops.items():
        rate = spread([examples / seconds for seconds in taken])
        share = rate.median * facts.flops_per_example / facts.ceiling
        rows.append(
            [
                name,
                f"{rate.median:,.0f}",
                times_as_fast(by_loop, name, PEER).text(),
                times_as_fast(timings, name, PEER).text(),
                f"{100 * share:.0f} %",
            ]
        )
        bars[name] = (rate.median, rate.low, rate.high)
    hours = AMAZON_ROWS / facts.distilbert_examples_per_second / 3600
    more: Mapping[str, str] = {
        "waits for the GPU in a step": f"{facts.synchronisations_per_step:.2f}",
        "examples/s tokenised, planned and padded, without the model": f"{facts.pipeline_examples_per_second:,.0f}",
        "DistilBERT's shape on texts of 78 words, examples/s": f"{facts.distilbert_examples_per_second:,.0f}",
        f"the same over {AMAZON_ROWS:,} rows, extrapolated, hours": f"{hours:.2f}",
    }
    titles = ("way", "examples/s", "× the Trainer's defaults", "with loading and tokenising", "of the bf16 ceiling")
    blocks: list[Block] = [
        table(titles, rows),
        table(("textclf, trainer=torch", "measured"), [list(item) for item in more.items()]),
    ]
    return Result(
        "gpu",
        "Training on a GPU: BERT-base's shape",
        blocks,
        {"timings": plain_timings(timings), "examples": examples, **vars(facts), "amazon_hours": hours},
        lambda path: draw_bars(path, "examples per second", bars),
        "Bars: how many examples a second each way trains on",
        [
            f"{facts.texts} {examples:,} examples, {facts.mean_length:.0f} tokens in the mean, at most {LONGEST}, "
            f"batches of {BATCH}, one epoch; random weights with the tokenizer of {Path(checkpoint_folder()).name}. "
            f"Examples a second are of the training loop alone, as each engine tells it.",
            turns_note(timings, settings),
            f"The ceiling is torch.mm in bf16 at {CEILING_TOKENS:,} tokens and the shapes of the model's layers, "
            f"forward and backward: {facts.ceiling / 1e12:.1f} TFLOP/s. The work is counted from the real "
            f"lengths, without padding: {facts.flops_per_example / 1e9:.2f} GFLOP an example.",
            "Waits are what torch.cuda.set_sync_debug_mode warns of, in twice the steps less in once the steps.",
        ],
    )
