"""Table `training`: MiniLM fine-tuned by textclf and by transformers' Trainer, at equal accuracy."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.benchmarks.arithmetic import Probe, ceiling, shape_of, training_flops
from experiments.benchmarks.memory import Measured, in_own_process
from experiments.benchmarks.page import Result, Settings, progress
from experiments.benchmarks.peers import BATCH, LEARNING_RATE, LONGEST, HFSettings, fine_tune
from experiments.benchmarks.rounds import Way, alternate
from experiments.benchmarks.texts import checkpoint_folder, generated_data, random_checkpoint, real_data
from experiments.benchmarks.training_page import BEST, MEMORY_STEPS, OURS, OURS_HF, SCRIPT, Measurements, training_page
from textclf.data.dataset import TextData, labels_of, texts_of
from textclf.experiment.cli import compose_experiment
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.encoded import Lengths
from textclf.models.transformer.precision import cpu_is_fast_at_bf16
from textclf.training.fit import fit
from textclf.training.result import RunContext

LONG_ONLY = (OURS_HF, BEST + "eager")
"""Ways that the short form leaves out, since each is as fast as another one."""
TEST_ROWS = 300
TEST_ROWS_LONG = 7600


def textclf_trains(
    checkpoint: str, data: TextData, engine: str, seed: int, device: str = "auto"
) -> tuple[TransformerClassifier, float]:
    """Fine-tune a checkpoint with textclf's defaults but for what is set for all ways.

    Returns:
        The classifier, and the seconds of the training loop alone.
    """
    experiment = compose_experiment(
        "model=minilm",
        f"model.checkpoint={checkpoint}",
        f"model.max_length={LONGEST}",
        f"trainer={engine}",
        "trainer.epochs=1",
        f"trainer.batch_size={BATCH}",
        f"trainer.learning_rate={LEARNING_RATE}",
        f"trainer.device={device}",
    )
    classifier, result = fit(experiment.model, data, experiment.trainer, RunContext(seed))
    assert isinstance(classifier, TransformerClassifier)
    return classifier, result.train_seconds


def peer_trains(
    checkpoint: str, data: TextData, settings: HFSettings, seed: int
) -> tuple[TransformerClassifier, float]:
    """Fine-tune a checkpoint with transformers' Trainer, and return it in the shape that `textclf_trains` gives."""
    model, tokenizer, seconds = fine_tune(checkpoint, data, settings, seed)
    return TransformerClassifier(
        label_names=data.label_names, model=model, tokenizer=tokenizer, lengths=Lengths(LONGEST)
    ), seconds


def peer_settings(device: str) -> dict[str, HFSettings]:
    """Return the settings of the Trainer: those of its example script, and the best on this device."""
    bf16 = cpu_is_fast_at_bf16() if device == "cpu" else True
    best = HFSettings(padded=False, by_length=True, bf16=bf16, device=device)
    return {
        SCRIPT: HFSettings(device=device),
        **{BEST + attention: replace(best, attention=attention) for attention in ("eager", "sdpa")},
    }


def ways(checkpoint: str, data: TextData, device: str = "cpu") -> list[Way]:
    """Return the ways to fine-tune, ours first."""
    texts, pairs = texts_of(data.test)
    labels = labels_of(data.test)

    def judge(done: tuple[TransformerClassifier, float]) -> Mapping[str, Any]:
        classifier, seconds = done
        right = classifier.predict_proba(texts, pairs).argmax(axis=1) == labels
        return {"right": right, "accuracy": float(right.mean()), "loop_seconds": seconds}

    def ours(engine: str) -> Any:
        return lambda seed: textclf_trains(checkpoint, data, engine, seed, device)

    def theirs(settings: HFSettings) -> Any:
        return lambda seed: peer_trains(checkpoint, data, settings, seed)

    own = [Way(OURS, ours("torch"), judge=judge), Way(OURS_HF, ours("hf"), judge=judge)]
    return own + [Way(name, theirs(settings), judge=judge) for name, settings in peer_settings(device).items()]


def measure(settings: Settings) -> Result:
    """Train in turns and compare."""
    checkpoint = checkpoint_folder()
    tested = min(TEST_ROWS_LONG if settings.long else TEST_ROWS, max(16, 4 * settings.rows))
    data, said = real_data(settings.dataset, settings.rows, tested)
    probe = Probe()
    small = replace(data, train=data.train.select(range(min(BATCH, len(data.train)))))
    for way in ways(checkpoint, small):
        if way.name in LONG_ONLY and not settings.long:
            continue
        progress(f"warming up: {way.name}")
        way.work(0)
    chosen = [way for way in ways(checkpoint, data) if settings.long or way.name not in LONG_ONLY]
    timings = alternate(chosen, settings.round_seeds, probe, progress)
    watched = (OURS, OURS_HF, SCRIPT, BEST + "sdpa") if settings.long else (OURS, SCRIPT)
    memory = peak_memory(watched, MEMORY_STEPS * BATCH if settings.rows >= BATCH else settings.rows)
    classifier, _ = textclf_trains(checkpoint, small, "torch", 0)
    shape = shape_of(classifier.model.config)
    lengths = classifier.tokenize(*texts_of(data.train)).lengths
    measured = Measurements(
        timings=timings,
        memory=memory,
        ceilings={name: ceiling(shape, dtype, "cpu", training=True) for name, dtype in _dtypes().items()},
        examples=len(data.train),
        flops_per_example=training_flops(shape, lengths) / len(lengths),
        mean_length=float(lengths.mean()),
        shape=shape,
        texts=said,
        peers={name: one.text() for name, one in peer_settings("cpu").items()},
    )
    return training_page(settings, measured)


def _dtypes() -> dict[str, torch.dtype]:
    """Return the arithmetics in which the ceiling is measured: bf16 where this processor has units for it."""
    return {"fp32": torch.float32} | ({"bf16": torch.bfloat16} if cpu_is_fast_at_bf16() else {})


def peak_memory(names: Sequence[str], rows: int) -> dict[str, Measured]:
    """Return the peak of a model of DistilBERT's size in batches of 32 × 128 tokens, each way in its own process."""
    with tempfile.TemporaryDirectory(prefix="textclf-benchmark-") as folder:
        source = str(random_checkpoint(Path(folder) / "distilbert", "distilbert", layers=None if rows >= BATCH else 1))
        found = {}
        for name in names:
            progress(f"peak memory: {name}")
            found[name] = in_own_process("training", "train_long_texts", name, source, rows)
    return found


def train_long_texts(name: str, source: str, rows: int) -> float:
    """Fine-tune on generated texts longer than `LONGEST` tokens; return the seconds of the training loop."""
    data = generated_data(rows, 2, 2, words=300)
    if name in (OURS, OURS_HF):
        return textclf_trains(f"{source}", data, name.rpartition("=")[2], 1)[1]
    return peer_trains(source, data, peer_settings("cpu")[name], 1)[1]
