"""Options of a large language model that is asked for the class of each text, and the prompt that it is given."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from omegaconf import MISSING

from textclf.errors import refuse_unless
from textclf.models.options import Imbalance, ModelOptions

TEXT, TEXT_PAIR, LABELS = "{text}", "{text_pair}", "{labels}"
"""What stands in a prompt for a text, the second text of a pair, and the list of labels."""
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
OF_ASKING = (
    "key_variable", "concurrency", "timeout", "retries", "longest_wait", "price_input", "price_output", "price_cached",
    "max_cost",
)  # fmt: skip
"""Options that change no answer: how often and how fast is asked, and what it may cost."""
MOST_LETTERS = 26
"""Labels that can be answered by a letter."""


class AnswerForm(Enum):
    """How answers are held to the labels."""

    auto = "auto"
    schema = "schema"
    text = "text"


class ProbabilitySource(Enum):
    """Where the probability of each class comes from."""

    auto = "auto"
    logprobs = "logprobs"
    none = "none"


class AnswerWith(Enum):
    """What a label is called in the prompt and in answers."""

    names = "names"
    letters = "letters"


@dataclass(frozen=True)
class Prompt:
    """The words that a model is given; `{labels}`, `{text}` and `{text_pair}` stand for those of the data."""

    task: str = "Decide which one of these classes the text belongs to:\n{labels}"
    """What is asked where each text has one class; `{labels}` is a line for each label, with its description."""
    task_of_sets: str = "Decide which of these labels the text has; it may have several, or none:\n{labels}"
    """What is asked where each text has a set of labels."""
    text: str = "{text}"
    """A text as it is sent."""
    pair: str = "First text: {text}\nSecond text: {text_pair}"
    """A pair of texts as it is sent."""
    answer_by_name: str = "Answer with one of these alone, without any other word: {labels}."
    """What follows the task where an answer is the label as it is; `{labels}` is their list."""
    answer_in_json: str = "Answer in JSON alone, of this form: {labels}."
    """What follows the task where an answer is JSON; `{labels}` is an example of it."""
    several: str = "There are several texts, each behind its number. Judge each by itself."
    """What follows the task where one request holds several texts."""

    def __post_init__(self) -> None:
        """Refuse a prompt without a place for what it is about."""
        needs = {
            "task": LABELS, "task_of_sets": LABELS, "text": TEXT, "answer_by_name": LABELS, "answer_in_json": LABELS,
        }  # fmt: skip
        refuse_unless(
            *(
                (
                    place in getattr(self, name),
                    f"prompt.{name} must hold {place}, in whose place that of the data goes.",
                )
                for name, place in needs.items()
            ),
            (TEXT in self.pair and TEXT_PAIR in self.pair, f"prompt.pair must hold {TEXT} and {TEXT_PAIR}."),
        )


@dataclass(frozen=True)
class LlmModel(ModelOptions):
    """A large language model behind a server that speaks OpenAI's protocol, asked for the class of each text.

    Nothing is trained and the trainer has no part in it. Each answer is kept on disk by its content, so that none is
    paid for twice. Needs the extra llm.
    """

    checkpoint: str = MISSING
    """The model, as the server calls it."""
    base_url: str = "http://127.0.0.1:8000/v1"
    """Address of the server, mostly with /v1 at its end. The texts are sent there."""
    key_variable: str | None = "OPENAI_API_KEY"
    """The environment variable that holds the key; none sends no key. The key itself is nowhere recorded."""
    shots: int = 0
    """Examples of each class from train that the prompt shows, drawn by the seed; 0 is zero-shot."""
    prompt: Prompt = field(default_factory=Prompt)
    """The words that the model is given."""
    answer: AnswerForm = AnswerForm.auto
    """schema lets the server hold answers to the labels (JSON schema); text takes what is said and reads it strictly;
    auto takes schema where the server knows it, else text. An answer that is no class counts as wrong."""
    probabilities: ProbabilitySource = ProbabilitySource.auto
    """logprobs reads the probability of each class from the log-probabilities of the answer's tokens; none takes the
    named class alone; auto takes logprobs where the server gives them, for one class a text and one text a request."""
    answer_with: AnswerWith = AnswerWith.names
    """names answers with the labels themselves; letters gives each a letter, at most 26. Letters are tokens of their
    own, which log-probabilities tell apart whatever the labels are called."""
    texts_per_request: int = 1
    """Texts in one request; more make the prompt cheaper and the answers less reliable."""
    max_characters: int | None = None
    """Characters of a text that are sent; of longer ones the head. None sends all."""
    max_answer_tokens: int | None = None
    """Most tokens of an answer; none takes what the longest answer needs. Models that think first need some
    thousands."""
    temperature: float | None = 0.0
    """Temperature of sampling; none leaves it to the server, as models that think first want it."""
    extra_body: dict[str, Any] = field(default_factory=dict)
    """Further fields of each request, as {reasoning_effort: low}."""
    concurrency: int = 8
    """Requests under way at the same time."""
    timeout: float = 60.0
    """Seconds that an answer may take."""
    retries: int = 6
    """Times that a request is sent again after a time-out, a lost connection, 429 or 5xx, waiting longer each time; or
    as long as the server asks for (Retry-After)."""
    longest_wait: float = 300.0
    """Seconds that it waits at most between two of them; a server that asks for more stops the run."""
    price_input: float | None = None
    """Price of a million tokens of input; none takes that of the table of prices, where the model is in it."""
    price_output: float | None = None
    """Price of a million tokens of output; given together with price_input."""
    price_cached: float | None = None
    """Price of a million tokens of input that the server had cached; none takes price_input."""
    max_cost: float | None = None
    """Most that a run, or a prediction with its classifier, may pay; it stops before that is passed. Answers that are
    kept from before cost nothing. None sets no limit."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        super().__post_init__()
        parts = urlsplit(self.base_url)
        numbers = {
            "shots": (self.shots, 0),
            "texts_per_request": (self.texts_per_request, 1),
            "concurrency": (self.concurrency, 1),
            "retries": (self.retries, 0),
            "max_characters": (self.max_characters, 1),
            "max_answer_tokens": (self.max_answer_tokens, 1),
        }
        amounts = {
            "timeout": self.timeout, "longest_wait": self.longest_wait, "price_input": self.price_input,
            "price_output": self.price_output, "price_cached": self.price_cached, "max_cost": self.max_cost,
            "temperature": self.temperature,
        }  # fmt: skip
        refuse_unless(
            (
                parts.scheme in ("http", "https") and bool(parts.hostname),
                f"base_url must be an address as http://127.0.0.1:8000/v1, got {self.base_url.rpartition('@')[2]!r}.",
            ),
            (
                "@" not in parts.netloc and not parts.query,
                "base_url must hold no login and no query: the key goes into the environment variable of "
                "model.key_variable.",
            ),
            (
                self.key_variable is None or VARIABLE.fullmatch(self.key_variable) is not None,
                "key_variable must be the name of an environment variable, such as OPENAI_API_KEY, and never the key.",
            ),
            *(
                (value is None or value >= least, f"{name} must be at least {least}, got {value}.")
                for name, (value, least) in numbers.items()
            ),
            *(
                (value is None or value >= 0, f"{name} must be 0 or more, got {value}.")
                for name, value in amounts.items()
            ),
            (
                (self.price_input is None) == (self.price_output is None),
                "price_input and price_output must be given together, per million tokens.",
            ),
            (
                self.price_cached is None or self.price_input is not None,
                "price_cached is given beside price_input and price_output.",
            ),
            (
                self.probabilities is not ProbabilitySource.logprobs or self.texts_per_request == 1,
                f"probabilities=logprobs contradicts texts_per_request={self.texts_per_request}: they are read of the "
                f"answer to one text.",
            ),
            (
                self.imbalance is Imbalance.none,
                f"imbalance={self.imbalance.value} is for models that are trained, and nothing is trained here.",
            ),
        )
