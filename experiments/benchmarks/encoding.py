"""Table `encoding`: texts as embeddings by a frozen MiniLM and by word vectors, and a head fitted to ten thousand."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from experiments.benchmarks.arithmetic import Probe
from experiments.benchmarks.page import Result, Settings, draw_bars, plain_timings, progress, table, turns_note
from experiments.benchmarks.rounds import Way, alternate, rates, times_as_fast
from experiments.benchmarks.texts import checkpoint_folder, real_data
from textclf.data.dataset import texts_of
from textclf.models.embeddings.distillation import distil
from textclf.models.embeddings.sentence_encoder import load_encoder
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.embeddings.word_vectors import load_vectors
from textclf.models.options import PACKAGED_VECTORS, UNWEIGHED, EmbeddingsModel, StaticEmbeddingsModel
from textclf.models.transformer.precision import cpu_is_fast_at_bf16
from textclf.training.embedding_head import Examples, choose_head

OURS = "textclf"
OURS_FP32 = "textclf, trainer.precision=fp32"
LIBRARY = "SentenceTransformer.encode"
LIBRARY_BF16 = "SentenceTransformer.encode, in bfloat16"
HEAD_TEXTS, HEAD_CLASSES = 10_000, 20
STATIC_TEXTS = 10_000
"""Texts that word vectors encode in a turn, which are the same ones again and again."""

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


def encoders() -> dict[str, Encode]:
    """Return the ways to encode texts, by name, ours first."""
    folder = str(checkpoint_folder())
    options = EmbeddingsModel(name="minilm", checkpoint=folder)
    cpu = torch.device("cpu")
    ways: dict[str, Encode] = {
        OURS: load_encoder(options, cpu, "bf16").encode,
        OURS_FP32: load_encoder(options, cpu, "fp32").encode,
    }
    library = SentenceTransformer(folder, device="cpu")
    ways[LIBRARY] = lambda texts: np.asarray(library.encode(list(texts)))
    if cpu_is_fast_at_bf16():
        half = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": torch.bfloat16})
        ways[LIBRARY_BF16] = lambda texts: half.encode(list(texts), convert_to_tensor=True).float().numpy()
    return ways


def static_encoders() -> dict[str, Encode]:
    """Return the word vectors that need no network, by name."""
    device, name = torch.device("cpu"), "static"
    with VECTORS.remembering():
        made = distil(StaticEmbeddingsModel(name=name, checkpoint=str(checkpoint_folder()), distil=True), device)
    return {
        "static_minilm": made.encode,
        **{
            f"{kind}_embeddings": load_vectors(StaticEmbeddingsModel(name=name, checkpoint=kind)).encode
            for kind in PACKAGED_VECTORS
        },
    }


def head_seconds() -> float:
    """Return the seconds that choosing and fitting a head to made-up embeddings of 20 classes takes."""
    chance = np.random.default_rng(0)
    centres = chance.normal(size=(HEAD_CLASSES, 384))

    def examples(count: int) -> Examples:
        labels = np.arange(count) % HEAD_CLASSES
        vectors = centres[labels] + 6 * chance.normal(size=(count, 384))
        return Examples((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels)

    train, validation = examples(HEAD_TEXTS), examples(HEAD_TEXTS // 10)
    start = time.perf_counter()
    choose_head(train, validation, None, UNWEIGHED, 0)
    return time.perf_counter() - start


def measure(settings: Settings) -> Result:
    """Encode in turns, then fit a head."""
    data, said = real_data("ag_news", 8, settings.rows)
    texts = list(texts_of(data.test)[0])
    texts = [texts[row] for row in np.random.default_rng(0).permutation(len(texts))]
    with warnings.catch_warnings(action="ignore"):
        ways = encoders()
    for encode in ways.values():
        encode(texts[:32])
    base = ways[LIBRARY](texts)

    def judge(found: NDArray[np.float32]) -> dict[str, float]:
        return {"cosine": float((found * base).sum(1).min())}

    every = [Way(name, lambda _, encode=encode: encode(texts), judge=judge) for name, encode in ways.items()]
    progress("distilling word vectors, the first time")
    many = [texts[row % len(texts)] for row in range(STATIC_TEXTS)]
    every += [Way(name, lambda _, encode=encode: encode(many)) for name, encode in static_encoders().items()]
    timings = alternate(every, settings.round_seeds, Probe(), progress)
    clock = settings.processor_time
    rows, bars, static_rows = [], {}, []
    frozen = rates(timings, OURS, len(texts), clock).median
    for name, own in timings.items():
        rate = rates(timings, name, len(texts) if name in ways else len(many), clock)
        if name not in ways:
            static_rows.append([name, f"{rate.median:,.0f}", f"{rate.median / frozen:,.0f}"])
            continue
        ratio = times_as_fast(timings, name, LIBRARY, clock).text()
        rows.append([name, f"{rate.median:,.0f}", ratio, f"{own[0].facts['cosine']:.4f}"])
        bars[name] = (rate.median, rate.low, rate.high)
    progress("fitting a head")
    head = head_seconds()
    blocks = [
        table(("texts to embeddings", "texts/s", f"× {LIBRARY}", "least cosine with it"), rows),
        table(("word vectors to embeddings", "texts/s", f"× {OURS} with MiniLM"), static_rows),
        table(
            ("linear head", "seconds"),
            [[f"{HEAD_TEXTS:,} embeddings, {HEAD_CLASSES} classes, strength chosen", f"{head:.1f}"]],
        ),
    ]
    return Result(
        "encoding",
        "Embeddings: a frozen MiniLM, and word vectors",
        blocks,
        {"timings": plain_timings(timings), "examples": len(texts), "head_seconds": head},
        lambda path: draw_bars(path, f"texts a second, by {settings.clock}", bars),
        "Bars: how many texts a second each way encodes",
        [
            f"{said} The test texts are encoded in every way, tokenising included, in random order. The library sorts "
            f"texts by length and takes 32 at a time, which is its default; textclf sorts too, takes as many as fill "
            f"2,048 tokens, and computes in bfloat16 where the CPU has units for it.",
            f"Word vectors encode {len(many):,} texts in a turn, the same ones again and again.",
            turns_note(timings, settings),
            "The head is fitted to made-up embeddings that overlap, as often as there are strengths to choose from.",
        ],
    )
