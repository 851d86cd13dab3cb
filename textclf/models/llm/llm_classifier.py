"""A language model behind a server, as a classifier: what a text costs, and the answers that are no class, are counted.

Saved, it is its prompt, examples and settings in `classifier.json`, and no key.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textclf.errors import ArtifactError, ConfigError
from textclf.models.base import Classifier
from textclf.models.belonging import list_files
from textclf.models.llm.answer_cache import Reply
from textclf.models.llm.asking import Asker
from textclf.models.llm.endpoint import OPENAI, Endpoint, is_this_machine
from textclf.models.llm.money import Account, Budget, Prices, Purse
from textclf.models.llm.options import VARIABLE, AnswerWith, Prompt
from textclf.models.llm.questions import Example, Questions
from textclf.models.llm.token_probabilities import Divided, divided
from textclf.models.saved import ASKED, DESCRIPTION, Fields, read_description, write_description

log = logging.getLogger(__name__)

FAMILY = ASKED
TRUSTED = "OPENAI_BASE_URL"
"""The environment variable that names the server to which a saved classifier may speak."""
MOST_LISTED = 20
"""Tokens whose log-probabilities are asked for at each place: the most that servers commonly allow."""
MOST = 1e12
"""Bound of numbers in a saved classifier."""


@dataclass(frozen=True)
class Settings:
    """Settings of requests, as they were agreed with the server."""

    checkpoint: str
    base_url: str
    key_variable: str | None
    schema: bool
    """Whether the server holds answers to a JSON schema."""
    logprobs: bool
    """Whether the server is asked for the log-probabilities of an answer's tokens."""
    max_answer_tokens: int
    temperature: float | None = 0.0
    limit_field: str = "max_tokens"
    """What the server calls the most tokens of an answer."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    max_characters: int | None = None
    reads: bool = True
    """Whether log-probabilities are read; not once they did not tell labels apart."""
    must_read: bool = False
    """Whether it is an error where they cannot be read; if not, the named class is taken."""
    concurrency: int = 8
    timeout: float = 60.0
    retries: int = 6
    longest_wait: float = 300.0
    max_cost: float | None = None


@dataclass
class LlmClassifier(Classifier):
    """A language model that is asked for the class, or the set of labels, of each text."""

    questions: Questions
    settings: Settings
    prices: Prices | None = None
    purse: Purse = field(default_factory=Purse)
    """What was paid, beside its budget; that of the run where it was made by one."""
    _account: Account | None = field(default=None, repr=False)
    _asker: Asker | None = field(default=None, repr=False)

    @property
    def gives_probabilities(self) -> bool:
        """Whether the probabilities are the model's own; if not, they are 1 for what it named and 0 for the others."""
        return self.settings.logprobs and self.settings.reads

    @property
    def billed(self) -> Account:
        """What the answers took to the texts that were asked about since it was cleared."""
        if self._account is None:
            self._account = Account(self.prices, self.settings.concurrency)
        self._account.paid = self.purse.paid
        return self._account

    @property
    def asker(self) -> Asker:
        """What asks the server, within the budget."""
        if self._asker is None:
            given = self.settings
            endpoint = Endpoint(
                given.base_url, given.checkpoint, given.key_variable, given.timeout, given.retries, given.longest_wait,
                given.concurrency,
            )  # fmt: skip
            self._asker = Asker(endpoint, Budget(self.prices, given.max_cost, self.purse))
        return self._asker

    def uncalibrated_proba(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """Return each class's probability for each cleaned text: float32 (n, num_labels).

        Where `gives_probabilities` is false they are 1 for the labels that were named and 0 for the others. A text to
        which there was no answer has NaN in place of each.
        """
        out = np.full((len(texts), len(self.label_names)), np.nan, dtype=np.float32)
        if not len(texts):
            return out
        bodies, size = self.bodies(texts, text_pairs), self.questions.texts_per_request
        for start, reply in zip(range(0, len(texts), size), self.asker.replies(bodies), strict=True):
            out[start : start + size] = self._rows(reply, min(size, len(texts) - start))
        if not self.gives_probabilities and not self.has_sets:  # it may have turned out on the way
            named = np.flatnonzero(~np.isnan(out[:, 0]))
            best = out[named].argmax(axis=1)
            out[named] = 0.0
            out[named, best] = 1.0
        return out

    def bodies(self, texts: Sequence[str], text_pairs: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return the requests on some texts, each on as many as go into one, in order."""
        size, cut = self.questions.texts_per_request, self.settings.max_characters
        pairs: Sequence[str | None] = [None] * len(texts) if text_pairs is None else text_pairs
        found = []
        for start in range(0, len(texts), size):
            own = [text[:cut] for text in texts[start : start + size]]
            others = [None if text is None else text[:cut] for text in pairs[start : start + size]]
            found.append(self._body(self.questions.messages(own, others)))
        return found

    def _body(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        """Return the fields of a request but for the model."""
        given = self.settings
        body: dict[str, Any] = {"messages": messages, given.limit_field: given.max_answer_tokens}
        if given.temperature is not None:
            body["temperature"] = given.temperature
        if given.schema:
            schema = {"name": "answer", "strict": True, "schema": self.questions.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if given.logprobs:
            body |= {"logprobs": True, "top_logprobs": MOST_LISTED}
        if given.extra_body:
            body["extra_body"] = dict(given.extra_body)
        return body

    def _rows(self, reply: Reply, count: int) -> NDArray[np.float32]:
        """Return the probabilities of the texts of a request, float32 (count, num_labels), and count what it took."""
        self.billed.add(reply, count)
        rows = np.full((count, len(self.label_names)), np.nan, dtype=np.float32)
        for row, reading in zip(rows, self.questions.read(reply.said, reply.finish, count), strict=True):
            if reading.labels is None:
                self.billed.unread[reading.said] = self.billed.unread.get(reading.said, 0) + 1
                continue
            row[:] = 0.0
            row[list(reading.labels)] = 1.0
            if self.gives_probabilities:
                row[:] = self._divided(reply, reading.labels[0])
        return rows

    def _divided(self, reply: Reply, named: int) -> Sequence[float]:
        """Return the probability of each class; of the named one 1 where that cannot be read."""
        alone = [float(label == named) for label in range(len(self.label_names))]
        found: Divided | None = None
        if reply.tokens is not None and any(token.others for token in reply.tokens):
            found = divided(reply.tokens, self.questions.answers, self.questions.in_json)
        if found is not None and not found.alike:
            return found.probabilities
        if found is None:
            why = f"the server gave no log-probabilities of {reply.said.strip()!r:.60}"
        else:
            labels = " and ".join(repr(self.label_names[label]) for label in found.alike)
            why = f"the tokens of {self.settings.checkpoint} do not tell {labels} apart: they begin alike"
        if self.settings.must_read:
            raise ConfigError(
                f"model.probabilities=logprobs: {why}. Let labels be answered by letters (model.answer_with=letters), "
                f"or take the named class alone (model.probabilities=none)."
            )
        log.warning(
            "from here on there are no probabilities, but the named class alone: %s. model.answer_with=letters gives "
            "each label a token of its own",
            why,
        )
        self.settings = replace(self.settings, reads=False)
        return alone

    def save(self, directory: Path) -> None:
        """Write prompt, examples, settings and prices; there are no weights, and no key is written."""
        questions = self.questions
        options = {
            "settings": asdict(self.settings),
            "prompt": asdict(questions.prompt),
            "descriptions": dict(questions.descriptions),
            "in_json": questions.in_json,
            "answer_with": questions.answer_with.value,
            "texts_per_request": questions.texts_per_request,
            "examples": [asdict(one) for one in questions.examples],
            "prices": None if self.prices is None else asdict(self.prices),
        }
        directory.mkdir(parents=True, exist_ok=True)
        write_description(directory, FAMILY, self, options)
        list_files(directory)


def load_llm(directory: Path) -> LlmClassifier:
    """Read what `LlmClassifier.save` wrote; nothing is asked.

    A saved classifier is data of whoever wrote it: it alone leads to no server but one on this machine and OpenAI's
    own. Any other must be named in the environment variable OPENAI_BASE_URL too.

    Raises:
        ArtifactError: If a field is missing or damaged, or it names a server that is not trusted.
    """
    directory = Path(directory)
    description = read_description(directory, FAMILY)
    path = directory / DESCRIPTION
    given = Fields(description.options, path)
    settings = _settings(Fields(given.mapping("settings"), path))
    if not is_trusted(settings.base_url):
        raise ArtifactError(
            f"{directory} sends texts to {settings.base_url}. A saved classifier alone leads to no server but one on "
            f"this machine and {OPENAI}. If you know it and want that, say so: export {TRUSTED}={settings.base_url}"
        )
    try:
        questions = Questions(
            label_names=description.label_names,
            descriptions={str(name): str(words) for name, words in given.mapping("descriptions").items()},
            prompt=Prompt(**{str(name): str(words) for name, words in given.mapping("prompt").items()}),
            sets=description.thresholds is not None,
            in_json=given.flag("in_json"),
            answer_with=given.choice("answer_with", AnswerWith),
            texts_per_request=given.count("texts_per_request", 1, 10_000),
            examples=tuple(_example(one, len(description.label_names)) for one in description.options["examples"]),
        )
        prices = description.options["prices"]
        prices = None if prices is None else _prices(Fields(prices, path))
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise ArtifactError(f"{path} is damaged: {error}. Copy it again from where it was saved.") from error
    return LlmClassifier(**description.common, questions=questions, settings=settings, prices=prices)


def is_trusted(base_url: str) -> bool:
    """Say whether a saved classifier may send texts to an address."""
    known = (OPENAI, os.environ.get(TRUSTED, ""))
    return is_this_machine(base_url) or base_url.rstrip("/") in [address.rstrip("/") for address in known]


def _settings(given: Fields) -> Settings:
    """Return checked settings."""
    content = given.content
    variable = content.get("key_variable")
    if variable is not None and not VARIABLE.fullmatch(str(variable)):
        raise ArtifactError(f"{given.path} is damaged: key_variable is no name of an environment variable.")
    limit = given.text("limit_field")
    if limit not in ("max_tokens", "max_completion_tokens"):
        raise ArtifactError(f"{given.path} is damaged: limit_field is {limit!r}.")
    return Settings(
        checkpoint=given.text("checkpoint"),
        base_url=given.text("base_url"),
        key_variable=variable,
        schema=given.flag("schema"),
        logprobs=given.flag("logprobs"),
        reads=given.flag("reads"),
        must_read=given.flag("must_read"),
        max_answer_tokens=given.count("max_answer_tokens", 1, 1 << 30),
        temperature=None if content.get("temperature") is None else given.number("temperature", 0, 100),
        limit_field=limit,
        extra_body=given.mapping("extra_body"),
        max_characters=None if content.get("max_characters") is None else given.count("max_characters", 1, 1 << 40),
        concurrency=given.count("concurrency", 1, 10_000),
        timeout=given.number("timeout", 0, MOST),
        retries=given.count("retries", 0, 10_000),
        longest_wait=given.number("longest_wait", 0, MOST),
        max_cost=None if content.get("max_cost") is None else given.number("max_cost", 0, MOST),
    )


def _prices(given: Fields) -> Prices:
    """Return checked prices."""
    tokens_in, tokens_out, cached = (given.number(name, 0, MOST) for name in ("input", "output", "cached"))
    return Prices(tokens_in, tokens_out, cached, given.text("currency"), str(given.content.get("source", "")))


def _example(plain: Mapping[str, Any], num_labels: int) -> Example:
    """Return an example, or raise ValueError where it is none."""
    labels = tuple(int(label) for label in plain["labels"])
    if any(not 0 <= label < num_labels for label in labels):
        raise ValueError("an example has a label that there is not")
    other = plain["text_pair"]
    return Example(str(plain["text"]), None if other is None else str(other), labels)
