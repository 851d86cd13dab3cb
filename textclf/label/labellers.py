"""Classifiers that suggest labels: those of runs, and models that need no training but the labels in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset
from omegaconf import DictConfig

from textclf.data.arrow_tables import dataset_of
from textclf.data.dataset import TextData
from textclf.data.label_descriptions import check_descriptions
from textclf.data.text_columns import TextColumns
from textclf.errors import ConfigError, DataError, listed
from textclf.experiment.arguments import choices_of
from textclf.experiment.cli import composed
from textclf.experiment.config import build
from textclf.label.options import LabelOptions
from textclf.label.worklist import Labelled
from textclf.models.base import Classifier
from textclf.models.llm.options import LlmModel
from textclf.models.options import LabelEmbeddingsModel, ModelOptions, ZeroShotModel
from textclf.predict.texts import found_run
from textclf.tracking.find_runs import RunReference
from textclf.training.fit import check, fit
from textclf.training.options import TrainerOptions
from textclf.training.result import RunContext

UNTRAINED = (LlmModel, LabelEmbeddingsModel, ZeroShotModel)
"""Models that are made from what labels mean in words."""
NEEDS_LABELS = (
    "needs the labels to choose from, for nothing was trained on them: give each as --label NAME, or --label "
    "'NAME=what it means in a few words'; or --labels FILE.yaml, a mapping of names to words."
)


@dataclass(frozen=True)
class Chosen:
    """What suggests the labels: a run, or a model without training."""

    said: str
    """What the person typed."""
    run: RunReference | None = None
    model: ModelOptions | None = None
    trainer: TrainerOptions | None = None
    seed: int = 1
    currency: str = "USD"


def choose(said: str, overrides: Sequence[str]) -> Chosen:
    """Return what a person means by `--with`, checked as far as can be without the texts.

    Args:
        said: A run, or a choice of `conf/model` that needs no training, such as `llm`.
        overrides: Options of that model, such as `model.checkpoint=NAME`.

    Raises:
        TextclfError: If there is no such run, the model has to be trained first, or it lacks its key or library.
    """
    if said not in choices_of("model"):
        if overrides:
            raise ConfigError(
                f"{' '.join(overrides)}: options are for models that need no training, such as --with llm; "
                f"{said} has its own."
            )
        return Chosen(said, found_run(said))
    cfg: DictConfig = composed([f"model={said}", *overrides])
    model, trainer = build(cfg, "model"), build(cfg, "trainer")
    if not isinstance(model, UNTRAINED):
        raise ConfigError(
            f"--with {said}: this model has to be trained on some labels first: python -m textclf.run model={said} "
            f"dataset=files dataset.train=LABELLED, and then --with latest. Without any labels, --with llm asks a "
            f"language model, and --with minilm_zero_shot compares texts with the labels in words."
        )
    check(model, trainer)
    return Chosen(said, None, model, trainer, cfg.seed, cfg.currency)


def prepared(
    chosen: Chosen,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    labelled: Sequence[Labelled],
    options: LabelOptions,
) -> Classifier:
    """Return a classifier of a model without training.

    Args:
        chosen: The model.
        texts: The texts that labels will be suggested for.
        pairs: Their second texts.
        labelled: Texts that people have labelled, from which a prompt takes its examples (`model.shots`).
        options: The labels to choose from; where none is given, those of `labelled`.

    Raises:
        TextclfError: If there are too few labels, or the model cannot be had, or would cost more than its budget.
    """
    names = tuple(options.labels) or tuple(sorted({label for one in labelled for label in one.labels}))
    if not names:
        raise ConfigError(f"--with {chosen.said} {NEEDS_LABELS}")
    if len(names) == 1 and not options.several:
        raise ConfigError(
            f"There is one label, {names[0]!r}, and so nothing to choose. Give another with --label, or say --several "
            f"where a text may have it or not."
        )
    descriptions = {name: words for name, words in options.labels.items() if words}
    check_descriptions(descriptions, names, some_left_out=False, where="--label")
    shots = isinstance(chosen.model, LlmModel) and chosen.model.shots > 0
    known = [one for one in labelled if set(one.labels) <= set(names) and (one.text_pair is None) == (pairs is None)]
    if shots and not known:
        raise DataError(
            "model.shots shows examples, and no text has a label yet. Name a file that has some with --labelled FILE, "
            "or leave model.shots out."
        )
    pool = _split(texts, pairs, [()] * len(texts), names, options.several)
    train = pool
    if shots:
        second = None if pairs is None else [one.text_pair or "" for one in known]
        train = _split([one.text for one in known], second, [one.labels for one in known], names, options.several)
    data = TextData(
        name="texts to label",
        train=train,
        validation=pool.select([]),
        test=pool,
        label_names=names,
        source="the command line",
        columns=TextColumns("text", None if pairs is None else "text_pair"),
        label_descriptions=descriptions,
    )
    context = RunContext(seed=chosen.seed, currency=chosen.currency)
    if isinstance(chosen.model, LlmModel):
        from textclf.training.prompting import fit_llm

        return fit_llm(chosen.model, data, context, "fewer texts with --sample N")[0]
    assert chosen.model is not None
    assert chosen.trainer is not None
    return fit(chosen.model, data, chosen.trainer, context)[0]


def _split(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    labels: Sequence[tuple[str, ...]],
    names: Sequence[str],
    several: bool,
) -> Dataset:
    """Return texts as a split; one without a label has the first, which nobody reads."""
    number = {name: place for place, name in enumerate(names)}
    coded = [[number[name] for name in own] for own in labels]
    answers = pa.array(coded, pa.list_(pa.int64())) if several else pa.array([own[0] if own else 0 for own in coded])
    columns = {"text": pa.array(texts, pa.string())}
    if pairs is not None:
        columns["text_pair"] = pa.array(pairs, pa.string())
    return dataset_of(pa.table(columns | {"label": answers, "example": pa.array(np.arange(len(texts)))}))


def labels_of_words(given: Sequence[str], file: str | None) -> dict[str, str]:
    """Return the labels that a command line names, each with what it means in words, which may be empty.

    Args:
        given: Each a name, or a name and words as `praise=something that the writer likes`.
        file: A YAML file of names and words, or of names alone.

    Raises:
        ConfigError: If the file is not there or holds no labels, or a name is empty or given twice.
    """
    from textclf.data.label_descriptions import read_descriptions

    found: dict[str, str] = {}
    if file is not None:
        if not Path(file).is_file():
            raise ConfigError(f"--labels {file}: there is no such file (looked at {Path(file).absolute()}).")
        found |= read_descriptions(file)
    twice = []
    for one in given:
        name, _, words = one.partition("=")
        name = name.strip()
        if not name:
            raise ConfigError(
                f"--label {one!r}: write a name, or a name and what it means, as in 'praise=a kind word'."
            )
        twice += [name] if name in found else []
        found[name] = " ".join(words.split())
    if twice:
        raise ConfigError(f"--label: {listed(twice)} is given twice.")
    return found
