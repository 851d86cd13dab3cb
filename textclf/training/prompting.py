"""Prepare a language model to be asked: draw the examples of its prompt, and agree with the server on how it answers.

Nothing is trained. The first text of validation is asked about to learn what the server can do; its answer is kept like
every other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from textclf.data.dataset import TextData, label_sets_of, labels_of, texts_of
from textclf.errors import ConfigError, DataError, ResourceError, TextclfError, listed
from textclf.models.cleaning import cleaned
from textclf.models.llm.answer_cache import AnswerCache, Reply
from textclf.models.llm.endpoint import UnknownFieldError, check_library, key_for
from textclf.models.llm.llm_classifier import LlmClassifier, Settings
from textclf.models.llm.money import Prices, estimated_tokens, prices_of, refuse_unpriced
from textclf.models.llm.options import MOST_LETTERS, AnswerForm, AnswerWith, LlmModel, ProbabilitySource
from textclf.models.llm.questions import Example, Questions
from textclf.models.options import CalibrationMethod
from textclf.training.result import FitResult, RunContext

log = logging.getLogger(__name__)
screen = logging.getLogger("textclf.said")

OTHER_LIMIT = "max_completion_tokens"
ROOM = 24
"""Tokens of an answer beside those of the labels: a fence, white space, the end."""
ESTIMATED_ROWS = 200
"""Texts of a split whose requests are measured to estimate what all of them cost."""
TYPICAL_ANSWER = 0.5
"""Tokens of an answer, about, as a share of the most that the longest one has."""


def check_llm(model: LlmModel) -> None:
    """Raise where a model cannot be asked; nothing is sent.

    Raises:
        ConfigError: If the client library or the key is missing.
    """
    check_library()
    try:
        key_for(model.base_url, model.key_variable)
    except ConfigError:
        if not AnswerCache().knows(model.checkpoint):  # else all answers may be at hand
            raise


FEWER = "fewer texts with dataset.max_eval_examples"


def fit_llm(
    model: LlmModel, data: TextData, context: RunContext, fewer: str = FEWER
) -> tuple[LlmClassifier, FitResult]:
    """Return a model with its prompt, and how the server answers.

    Args:
        model: The options.
        data: The data: train has the examples of the prompt, and texts of the others will be asked about.
        context: The run that this is part of.
        fewer: How a person has fewer texts asked about.

    Raises:
        ConfigError: If the options do not fit the data or the server, or there is no price to hold a budget by.
        DataError: If a class has too few examples for the prompt.
        ResourceError: If validation and test are estimated to cost more than the budget.
        ArtifactError: If the server or the model is not there.
    """
    begun = time.perf_counter()
    prices = prices_of(model, context.currency)
    refuse_unpriced(model, prices)
    _refuse_misfit(model, data)
    classifier = _prepared(model, data, context.seed, prices)
    classifier.purse = context.purse
    _refuse_dear(classifier, data, model, fewer)
    texts, pairs = _texts(model, data, "validation" if len(data.validation) else "test", 1)
    classifier = agreed(classifier, model, texts, pairs)
    if model.calibration is CalibrationMethod.temperature and not classifier.gives_probabilities:
        raise ConfigError(
            "model.calibration=temperature needs probabilities, and this model names classes alone. Leave it out."
        )
    form = "held to the labels by a JSON schema" if classifier.settings.schema else "read as text"
    seen = "probabilities from log-probabilities" if classifier.gives_probabilities else "no probabilities"
    log.info("%s answers are %s, with %s", model.checkpoint, form, seen)
    shown = len(classifier.questions.examples)
    result = FitResult(
        num_parameters=None,
        train_seconds=time.perf_counter() - begun,
        train_examples=shown,
        device="a server",
        precision="its own arithmetic",
        draws_seed=shown > 0,
        reads_labels=shown > 0,
    )
    return classifier, result


def _refuse_misfit(model: LlmModel, data: TextData) -> None:
    """Refuse options that these data have no use for."""
    if data.has_sets and model.probabilities is ProbabilitySource.logprobs:
        raise ConfigError(
            "model.probabilities=logprobs reads the probability of one class, and these texts have sets of labels. "
            "Take model.probabilities=none."
        )
    if data.has_sets and model.calibration is CalibrationMethod.temperature:
        raise ConfigError("model.calibration=temperature needs probabilities, and of sets of labels there are none.")
    if model.answer_with is AnswerWith.letters and data.num_labels > MOST_LETTERS:
        raise ConfigError(
            f"model.answer_with=letters has {MOST_LETTERS} letters, and there are {data.num_labels:,} labels. Take "
            f"model.answer_with=names."
        )


def _prepared(model: LlmModel, data: TextData, seed: int, prices: Prices | None) -> LlmClassifier:
    """Return the classifier as it would be asked at best: with a schema, and with log-probabilities."""
    single = not data.has_sets and model.texts_per_request == 1
    schema = model.answer is not AnswerForm.text
    questions = Questions(
        label_names=data.label_names,
        descriptions={name: words for name, words in data.label_descriptions.items() if name in data.label_names},
        prompt=model.prompt,
        sets=data.has_sets,
        in_json=schema or not single,
        answer_with=model.answer_with,
        texts_per_request=model.texts_per_request,
        examples=_examples(model, data, seed),
    )
    settings = Settings(
        checkpoint=model.checkpoint,
        base_url=model.base_url.rstrip("/"),
        key_variable=model.key_variable,
        schema=schema,
        logprobs=single and model.probabilities is not ProbabilitySource.none,
        must_read=model.probabilities is ProbabilitySource.logprobs,
        max_answer_tokens=model.max_answer_tokens or questions.longest_answer + ROOM,
        temperature=model.temperature,
        extra_body=dict(model.extra_body),
        max_characters=model.max_characters,
        concurrency=model.concurrency,
        timeout=model.timeout,
        retries=model.retries,
        longest_wait=model.longest_wait,
        max_cost=model.max_cost,
    )
    return LlmClassifier(
        label_names=data.label_names,
        cleaning=tuple(model.text_cleaning),
        has_pairs=data.has_pairs,
        columns=data.columns,
        thresholds=(0.5,) * data.num_labels if data.has_sets else None,
        questions=questions,
        settings=settings,
        prices=prices,
    )


def _examples(model: LlmModel, data: TextData, seed: int) -> tuple[Example, ...]:
    """Return the examples of the prompt: so many of each class, or with each label, drawn and mixed by the seed.

    Raises:
        DataError: If a class has fewer.
    """
    if not model.shots:
        return ()
    chance = np.random.default_rng(seed)
    if data.has_sets:
        has = label_sets_of(data.train, data.num_labels)
    else:
        has = labels_of(data.train)[:, None] == np.arange(data.num_labels)
    scarce = [f"{name} ({count})" for name, count in zip(data.label_names, has.sum(axis=0).tolist(), strict=True)
              if count < model.shots]  # fmt: skip
    if scarce:
        raise DataError(
            f"model.shots={model.shots} examples of each class are to be shown, and train has fewer of "
            f"{listed(scarce)}. Take fewer shots, or leave such classes out with "
            f"dataset.min_class_examples={model.shots}."
        )
    rows: dict[int, None] = {}  # an example of several labels counts for each
    for label in range(data.num_labels):
        left = model.shots - sum(bool(has[row, label]) for row in rows)
        own = [row for row in chance.permutation(np.flatnonzero(has[:, label])).tolist() if row not in rows]
        rows |= dict.fromkeys(own[: max(0, left)])
    mixed = chance.permutation(list(rows))
    some = data.train.select(mixed)
    texts, pairs = texts_of(some)
    texts, pairs = _clean(model, list(texts)), None if pairs is None else _clean(model, list(pairs))
    cut = model.max_characters
    return tuple(
        Example(text[:cut], None if pairs is None else pairs[number][:cut], tuple(np.flatnonzero(has[row]).tolist()))
        for number, (row, text) in enumerate(zip(mixed, texts, strict=True))
    )


def _clean(model: LlmModel, texts: Sequence[str]) -> list[str]:
    return list(cleaned(texts, model.text_cleaning)) if model.text_cleaning else list(texts)


def _texts(model: LlmModel, data: TextData, split: str, most: int) -> tuple[list[str], list[str] | None]:
    """Return some texts of a split as they are asked about: the first, or of many some that are spread over it."""
    rows = data.split(split)
    if len(rows) > most > 1:
        rows = rows.select(np.linspace(0, len(rows) - 1, most).astype(int))
    elif most == 1:
        rows = rows.select(range(min(len(rows), model.texts_per_request)))
    texts, pairs = texts_of(rows)
    return _clean(model, list(texts)), None if pairs is None else _clean(model, list(pairs))


@dataclass(frozen=True)
class _Estimate:
    """What a split will cost, about."""

    texts: int
    price: float


def _refuse_dear(classifier: LlmClassifier, data: TextData, model: LlmModel, fewer: str) -> None:
    """Say what validation and test will cost, and refuse them where that is more than the budget.

    Raises:
        ResourceError: With the estimate, before anything is sent.
    """
    if (prices := classifier.prices) is None:
        screen.info(
            "%s at %s: its price is not in textclf's table, so costs are counted in tokens alone; give "
            "model.price_input and model.price_output", model.checkpoint, model.base_url,
        )  # fmt: skip
        return
    estimates = {}
    for split in ("validation", "test"):
        total = len(data.split(split))
        texts, pairs = _texts(model, data, split, ESTIMATED_ROWS)
        if not texts:
            continue
        bodies = classifier.bodies(texts, pairs)
        kept = classifier.asker.kept(bodies)
        new = [body for body, reply in zip(bodies, kept, strict=True) if reply is None]
        tokens_out = TYPICAL_ANSWER * classifier.questions.longest_answer * len(new)
        price = prices.of(sum(estimated_tokens(body["messages"]) for body in new), tokens_out)
        estimates[split] = _Estimate(total, price * total / len(texts))
    whole = sum(one.price for one in estimates.values())
    of = {split: f" of {split}" if len(data.validation) else "" for split in estimates}
    told = " and ".join(f"{one.texts:,} texts{of[split]} {one.price:.2g}" for split, one in estimates.items())
    source = f" ({prices.source})" if prices.source else ""
    if whole > 0:
        screen.info("estimated to cost, in %s: %s%s", prices.currency, told, source)
    if model.max_cost is not None and whole > model.max_cost:
        raise ResourceError(
            f"model.max_cost={model.max_cost:g} {prices.currency} will not do: {told}, as estimated from their lengths "
            f"(answers that are kept from before not counted). Nothing was asked. Give a higher max_cost, or {fewer}."
        )


def agreed(
    classifier: LlmClassifier, model: LlmModel, texts: Sequence[str], pairs: Sequence[str] | None
) -> LlmClassifier:
    """Return the classifier with the best form of answers that the server knows, tried on some texts.

    Raises:
        ConfigError: If the server does not know the form that was asked for, or answers are cut off.
        ArtifactError: If the server or the model is not there.
    """
    refused: dict[str, str] = {}
    forms = list(_forms(classifier, model))
    for number, form in enumerate(forms):
        reply = _tried(forms[number:], form, texts, pairs, refused)
        if reply is None:
            continue
        if (fault := _fault(form, reply, len(texts))) is not None and number + 1 < len(forms):
            refused[_called(form)] = fault
            continue
        if fault is not None and (form.settings.schema or form.settings.must_read):
            refused[_called(form)] = fault
            break
        if refused and not form.settings.schema and forms[0].settings.schema:
            why = [said for name, said in refused.items() if name.startswith("schema (")]
            log.warning(
                "%s does not hold answers to a JSON schema (%s), so they are read as text; an answer that is no class "
                "counts as wrong", model.base_url, (why or list(refused.values()))[-1],
            )  # fmt: skip
        _refuse_cut(form, reply, model)
        form._asker = classifier._asker
        return form
    raise _nothing_known(model, refused)


def _forms(classifier: LlmClassifier, model: LlmModel) -> Iterator[LlmClassifier]:
    """Yield the forms of answers to try, the best first."""
    schemas = [True, False] if model.answer is AnswerForm.auto else [model.answer is AnswerForm.schema]
    given = classifier.settings
    readings = [given.logprobs]
    if given.logprobs and not given.must_read:
        readings.append(False)
    limits = ["max_tokens", OTHER_LIMIT]
    for schema in schemas:
        for logprobs in readings:
            for limit in limits:
                single = not classifier.has_sets and model.texts_per_request == 1
                questions = replace(classifier.questions, in_json=schema or not single)
                settings = replace(given, schema=schema, logprobs=logprobs, limit_field=limit)
                form = replace(classifier, questions=questions, settings=settings)
                form._asker = classifier.asker
                yield form


def _tried(
    left: Sequence[LlmClassifier],
    form: LlmClassifier,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    refused: dict[str, str],
) -> Reply | None:
    """Return the reply in a form: as it is kept, or asked for unless one in a later form is kept; none without one."""
    body = form.bodies(texts, pairs)[0]
    kept = [form.asker.kept([other.bodies(texts, pairs)[0]])[0] for other in left]
    if kept[0] is not None:
        return kept[0]
    if any(reply is not None for reply in kept):
        return None
    is_other = form.settings.limit_field == OTHER_LIMIT
    if is_other and OTHER_LIMIT not in " ".join(refused.values()):
        return None  # nothing asked for it
    try:
        return form.asker.first(body)
    except UnknownFieldError as error:
        refused[_called(form)] = str(error)
        return None


def _fault(form: LlmClassifier, reply: Reply, count: int) -> str | None:
    """Return why a reply is not of the form that was asked for; none where it is."""
    if form.settings.logprobs and not (reply.tokens and any(token.others for token in reply.tokens)):
        return "it gave no log-probabilities"
    readings = form.questions.read(reply.said, reply.finish, count)
    if form.settings.schema and reply.finish != "length" and any(reading.labels is None for reading in readings):
        return f"it answered {readings[0].said!r}"
    return None


def _called(form: LlmClassifier) -> str:
    """Return what a form of answers is called."""
    given = form.settings
    return f"{'schema' if given.schema else 'text'}{', logprobs' if given.logprobs else ''} ({given.limit_field})"


def _refuse_cut(form: LlmClassifier, reply: Reply, model: LlmModel) -> None:
    """Refuse answers that are cut off, before others are paid for."""
    if reply.finish == "length" and form.questions.read(reply.said, reply.finish, 1)[0].labels is None:
        raise ConfigError(
            f"The first answer of {model.checkpoint} was cut off after {form.settings.max_answer_tokens:,} tokens "
            f"({reply.said.strip()[:60]!r}…). Give model.max_answer_tokens more: some thousands for a model that "
            f"thinks first, or let it think less with model.extra_body. Nothing else was asked."
        )


def _nothing_known(model: LlmModel, refused: dict[str, str]) -> TextclfError:
    """Return the error of a server that answers in none of the forms."""
    said = "; ".join(dict.fromkeys(refused.values())) or "no reason"
    ways = []
    if model.answer is AnswerForm.schema:
        ways.append("model.answer=auto reads answers as text where the server knows no JSON schema")
    if model.probabilities is ProbabilitySource.logprobs:
        ways.append("model.probabilities=auto does without log-probabilities where the server gives none")
    if model.temperature is not None:
        ways.append("model.temperature=null leaves the temperature to a server that wants its own")
    if model.extra_body:
        ways.append("look at the fields of model.extra_body")
    words = "; ".join([*ways, "model.checkpoint must be what the server calls the model"])
    return ConfigError(
        f"{model.base_url} does not answer {model.checkpoint} as asked ({said}). What may help: {words}. "
        f"Nothing else was asked."
    )
