"""What the benchmarks read: data of the Hub, else what is bundled; generated texts; checkpoints of random weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from textclf.data.dataset import TextData
from textclf.data.load import load
from textclf.errors import ArtifactError, DataError
from textclf.experiment.cli import compose_experiment

VALIDATED = 32
"""Examples of validation: textclf always scores some, its peers here do not."""
WORDS = 50_000
"""Words of the made-up language that generated texts are written in."""
TELLING = 40
"""Words that each class uses more often than the others."""
SYLLABLES = [a + b for a, b in itertools.product("bdfgklmnprstvz", "aeiou")]


BUNDLED = {"ag_news": "headlines", "imdb": "reviews", "glue/rte": "entailment"}
"""What takes the place of a dataset of the Hub where that cannot be had."""
TITLES = {"ag_news": "AG News", "imdb": "IMDb", "glue/rte": "RTE"}


def real_data(dataset: str, train: int, test: int) -> tuple[TextData, str]:
    """Return a dataset of the Hub, or bundled data where it cannot be had, with a few examples for validation.

    Args:
        dataset: A choice of `dataset=` that `BUNDLED` has.
        train: Most examples to train on.
        test: Most examples to test on.

    Returns:
        The data, and a sentence on where it is from.
    """
    try:
        data, said = _load(dataset, train), f"Texts: {dataset} from the Hub"
    except (ArtifactError, DataError):
        data, said = (
            _load(BUNDLED[dataset], train),
            f"Texts: the bundled {BUNDLED[dataset]}, since {dataset} could not be had from the Hub",
        )
    order = np.random.default_rng(0)
    kept = order.permutation(len(data.test))[:test]
    watched = order.permutation(len(data.validation))[:VALIDATED]
    data = replace(data, test=data.test.select(np.sort(kept)), validation=data.validation.select(np.sort(watched)))
    return data, f"{said}; {len(data.train):,} examples to train on and {len(data.test):,} to test on."


def _load(dataset: str, train: int) -> TextData:
    """Return the whole test and validation splits, and at most so many training examples of every class alike."""
    options = compose_experiment(f"dataset={dataset}").dataset
    whole = load(options)
    if train >= len(whole.train):
        return whole
    return load(replace(options, max_train_examples=train))


def generated_data(
    train: int, test: int, num_labels: int, words: float, seed: int = 0, exact: bool = False
) -> TextData:
    """Return made-up texts of several classes; see `generated_texts`."""
    from textclf.data.in_memory import InMemoryDataset

    names = [f"class{label:04d}" for label in range(num_labels)]
    splits = {}
    for number, (split, count) in enumerate({"train": train, "validation": VALIDATED, "test": test}.items()):
        labels = np.arange(count) % num_labels
        texts = generated_texts(labels, words, 10 * seed + number, exact)
        splits[split] = (texts, [names[label] for label in labels])
    return load(InMemoryDataset(name="generated", label_names=names, **splits))


def generated_texts(labels: NDArray[np.integer], words: float, seed: int, exact: bool = False) -> list[str]:
    """Return a text for each label.

    Words are made up and as unequally frequent as those of a language (Zipf's law). One word in ten is one of
    `TELLING` that its class prefers, so that there is something to learn.

    Args:
        labels: The class of each text, int (n,).
        words: Mean number of words; their numbers are spread as those of reviews are (log-normal, deviation 0.6).
        seed: Seed of the texts.
        exact: Whether every text has exactly `words` words.
    """
    random = np.random.default_rng(seed)
    count = np.full(len(labels), words) if exact else random.lognormal(np.log(words) - 0.18, 0.6, len(labels))
    counts = np.maximum(1, count.round()).astype(np.int64)
    chances = np.cumsum(1 / np.arange(3, WORDS + 3))
    drawn = np.searchsorted(chances / chances[-1], random.random(counts.sum()))
    telling = random.random(len(drawn)) < 0.1
    owner = np.repeat(np.asarray(labels), counts)
    drawn[telling] = 200 + (owner[telling] * TELLING + random.integers(0, TELLING, telling.sum())) % (WORDS - 200)
    lexicon = _lexicon()
    written = [lexicon[word] for word in drawn]
    ends = np.cumsum(counts)
    return [" ".join(written[end - count : end]) for end, count in zip(ends, counts, strict=True)]


@cache
def _lexicon() -> list[str]:
    """Return the made-up words, the short ones first."""
    parts = (itertools.product(SYLLABLES, repeat=length) for length in itertools.count(2))
    return list(itertools.islice(("".join(word) for word in itertools.chain.from_iterable(parts)), WORDS))


def generated_chunks(rows: int, words: float, seed: int, chunk: int = 20_000) -> Iterator[tuple[list[str], list[str]]]:
    """Yield texts of two classes and the names of their classes, a chunk at a time, for files of any size."""
    for number, start in enumerate(range(0, rows, chunk)):
        labels = np.random.default_rng([seed, number]).integers(0, 2, min(chunk, rows - start))
        texts = generated_texts(labels, words, seed=seed * 1_000_003 + number)
        yield texts, [("negative", "positive")[label] for label in labels]


def random_checkpoint(folder: Path, kind: str, layers: int | None = None) -> Path:
    """Write a checkpoint of random weights with MiniLM's tokenizer, for work whose result does not matter.

    Args:
        folder: Where to write.
        kind: `distilbert` or `bert`, in the size of their base models.
        layers: Layers, where not as many as the base model has.
    """
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel, DistilBertConfig, DistilBertModel

    torch.manual_seed(0)
    if kind == "distilbert":
        DistilBertModel(DistilBertConfig(n_layers=layers or 6)).save_pretrained(folder)
    else:
        BertModel(BertConfig(num_hidden_layers=layers or 12)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(checkpoint_folder()).save_pretrained(folder)
    return folder


def checkpoint_folder() -> str:
    """Return where MiniLM's checkpoint is: a folder, or its name on the Hub."""
    from textclf.models.options import TransformerModel
    from textclf.models.transformer.loading import open_checkpoint

    model = compose_experiment("model=minilm").model
    assert isinstance(model, TransformerModel)
    return open_checkpoint(model).source
