"""The ways to use classical models: textclf, plain scikit-learn by hand, and fastText as its tutorial says.

It imports nothing heavy itself, so that the memory of a process that uses one way is of that way alone.
"""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.benchmarks.memory import processor_seconds
from textclf.data.load import load
from textclf.experiment.cli import compose_experiment
from textclf.training.fit import fit

MODELS = ("tfidf_logreg", "nb_svm")
STREAMED = "hashed_logreg"
"""The model for more rows than memory holds."""
FASTTEXT_WAY = "fastText"
SMALL = "small"
"""Folder with a few texts beside the files of a dataset, on which a process warms up."""
FASTTEXT = {"lr": 0.5, "epoch": 5, "wordNgrams": 2}
"""fastText's options: its tutorial's pairs of words and learning rate for them, and its own number of epochs."""
PUNCTUATION = re.compile(r"([.!?,'/()])")


@dataclass(frozen=True)
class Files:
    """A dataset as each way reads it."""

    folder: Path

    @property
    def train(self) -> Path:
        """Parquet with columns text and label (names)."""
        return self.folder / "train.parquet"

    @property
    def validation(self) -> Path:
        """The same, a few rows."""
        return self.folder / "validation.parquet"

    @property
    def test(self) -> Path:
        """The same, to be scored on."""
        return self.folder / "test.parquet"

    @property
    def fasttext_train(self) -> Path:
        """A line an example, as fastText wants it."""
        return self.folder / "train.txt"

    @property
    def fasttext_test(self) -> Path:
        """The same of the test split."""
        return self.folder / "test.txt"


def fasttext_lines(texts: Iterable[str], labels: Iterable[str]) -> Iterable[str]:
    """Yield lines as fastText's tutorial prepares them: lower case, punctuation set apart from the words."""
    for text, label in zip(texts, labels, strict=True):
        words = " ".join(PUNCTUATION.sub(r" \1 ", text).lower().split())
        yield f"__label__{label.replace(' ', '_')} {words}\n"


def ours_name(model: str) -> str:
    """Return the name of our way to use a model."""
    return f"textclf, {model}"


def peer_name(model: str) -> str:
    """Return the name of scikit-learn's way to use a model."""
    return f"scikit-learn, {model}"


def textclf_fits(model: str, files: Files) -> NDArray[np.bool_]:
    """Read, fit and score as a run does: checked data, probabilities of every class; return what is right."""
    from textclf.data.dataset import labels_of, texts_of
    from textclf.training.result import RunContext

    experiment = compose_experiment(
        f"model={model}",
        "dataset=files",
        f"dataset.train={files.train}",
        f"dataset.validation={files.validation}",
        f"dataset.test={files.test}",
    )
    data = load(experiment.dataset)
    classifier, _ = fit(experiment.model, data, experiment.trainer, RunContext(1))
    found = classifier.predict_proba(texts_of(data.test)[0]).argmax(axis=1)
    return found == labels_of(data.test)


def options_of(model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments that a model's config gives its vectorizer and its classifier."""
    options: Any = compose_experiment(f"model={model}").model
    vectorizer, classifier = (
        {name: tuple(value) if isinstance(value, list) else value for name, value in part.items() if name != "_target_"}
        for part in (options.vectorizer, options.classifier)
    )
    return vectorizer, classifier


def tfidf_logreg(files: Files) -> NDArray[np.bool_]:
    """Read, fit and score TF-IDF of words and pairs of words with logistic regression; return what is right."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, test = pd.read_parquet(files.train), pd.read_parquet(files.test)
    vectorizer, classifier = options_of("tfidf_logreg")
    model = make_pipeline(TfidfVectorizer(**vectorizer), LogisticRegression(**classifier))
    model.fit(train["text"], train["label"])
    return np.asarray(model.predict(test["text"]) == test["label"])


def nb_svm(files: Files) -> NDArray[np.bool_]:
    """Read, fit and score an NB-SVM on words and pairs of words, of two classes, without probabilities."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    train, test = pd.read_parquet(files.train), pd.read_parquet(files.test)
    options, classifier = options_of("nb_svm")
    vectorizer = CountVectorizer(**options)
    counts = vectorizer.fit_transform(train["text"])
    positive = (train["label"] == train["label"].max()).to_numpy()
    inside, outside = (1.0 + np.asarray(counts[of].sum(axis=0)).ravel() for of in (positive, ~positive))
    ratio = np.log(inside / inside.sum()) - np.log(outside / outside.sum())
    solver = {name: classifier[name] for name in ("C", "tol") if name in classifier}
    svm = LinearSVC(**solver).fit(counts.multiply(ratio).tocsr(), positive)
    found = svm.predict(vectorizer.transform(test["text"]).multiply(ratio).tocsr())
    return np.asarray(found == (test["label"] == train["label"].max()))


def fasttext(files: Files, threads: int) -> NDArray[np.bool_]:
    """Read, fit and score fastText, whose files are prepared already; return what is right."""
    import fasttext as library  # pyright: ignore[reportMissingImports]  (the extra bench, which the lock leaves out)

    model = library.train_supervised(str(files.fasttext_train), thread=threads, verbose=0, **FASTTEXT)
    lines = files.fasttext_test.read_text(encoding="utf-8").splitlines()
    labels, texts = zip(*(line.partition(" ")[::2] for line in lines), strict=True)
    found, _ = model.predict(list(texts))
    return np.array([one[0] == label for one, label in zip(found, labels, strict=True)])


SCIKIT_LEARN = {"tfidf_logreg": tfidf_logreg, "nb_svm": nb_svm}


def works(threads: int) -> dict[str, Callable[[Files], NDArray[np.bool_]]]:
    """Return the ways to read, fit and score, by name."""
    found: dict[str, Callable[[Files], NDArray[np.bool_]]] = {}
    for model in MODELS:
        found[ours_name(model)] = partial(textclf_fits, model)
        found[peer_name(model)] = SCIKIT_LEARN[model]
    found[ours_name(STREAMED)] = partial(textclf_fits, STREAMED)
    if importlib.util.find_spec("fasttext"):
        found[FASTTEXT_WAY] = partial(fasttext, threads=threads)
    return found


def fit_in_folder(name: str, folder: str, threads: int) -> dict[str, float]:
    """Read, fit and score the files in a folder; what is imported for that is imported before.

    Returns:
        The accuracy, and the seconds on the clock and of the processor.
    """
    work = works(threads)[name]
    work(Files(Path(folder) / SMALL))
    clock, processor = time.perf_counter(), processor_seconds()
    accuracy = float(work(Files(Path(folder))).mean())
    taken, used = time.perf_counter() - clock, processor_seconds() - processor
    return {"accuracy": accuracy, "seconds": taken, "processor_seconds": used}


def write_split(files: Files, split: str, chunks: Iterable[tuple[Sequence[str], Sequence[str]]]) -> int:
    """Write the files of a split, a chunk of texts and names of labels at a time; return the examples."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, rows = pa.schema({"text": pa.string(), "label": pa.string()}), 0
    lines = files.folder / f"{split}.txt"
    with pq.ParquetWriter(files.folder / f"{split}.parquet", schema) as parquet, lines.open("w") as plain:
        for texts, labels in chunks:
            parquet.write_table(pa.table({"text": list(texts), "label": list(labels)}, schema))
            plain.writelines(fasttext_lines(texts, labels))
            rows += len(texts)
    return rows
