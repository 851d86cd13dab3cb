"""Money that a language model costs: prices of tokens, a budget, and what the answers to some texts took."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from textclf.errors import ConfigError, ResourceError
from textclf.models.llm.answer_cache import Reply
from textclf.models.llm.options import LlmModel

TABLE = Path(__file__).with_name("prices.yaml")
PER = 1_000_000
"""Tokens that a price is of."""
BYTES_PER_TOKEN = 3.5
"""Bytes of text that make a token, about, by which costs are estimated; English has some 4."""
FORM_TOKENS = 16
"""Tokens that a server puts around each message, about."""


@dataclass(frozen=True)
class Prices:
    """Prices of a million tokens of a model."""

    input: float
    output: float
    cached: float
    """Of input that the server had cached."""
    currency: str
    source: str = ""
    """Where they are from, with the date; empty where they were given."""

    def of(self, tokens_in: float, tokens_out: float, cached: float = 0.0) -> float:
        """Return the price of a request by its tokens; `cached` are some of those of the input."""
        cached = min(cached, tokens_in)
        return ((tokens_in - cached) * self.input + cached * self.cached + tokens_out * self.output) / PER


@cache
def price_table() -> Mapping[str, Any]:
    """Return the table of prices that comes with textclf."""
    return yaml.safe_load(TABLE.read_text(encoding="utf-8"))


def prices_of(model: LlmModel, currency: str) -> Prices | None:
    """Return the prices of a model; none where they were not given and the table does not have it.

    The table is asked for models of the services it names alone: a server of one's own may call its model anything.

    Args:
        model: The options, which may give prices.
        currency: That of the prices given. Those of the table are in its own, and not converted.
    """
    if model.price_input is not None and model.price_output is not None:
        cached = model.price_input if model.price_cached is None else model.price_cached
        return Prices(model.price_input, model.price_output, cached, currency)
    table = price_table()
    for service in table["services"]:
        known = service["models"].get(model.checkpoint)
        if known is not None and model.base_url.rstrip("/") == service["base_url"] and currency == table["currency"]:
            source = f"{service['source']}, {service['date']}"
            return Prices(known["input"], known["output"], known.get("cached", known["input"]), currency, source)
    return None


def refuse_unpriced(model: LlmModel, prices: Prices | None) -> None:
    """Refuse a budget where there is no price to hold it by.

    Raises:
        ConfigError: With what to give.
    """
    if model.max_cost is not None and prices is None:
        raise ConfigError(
            f"model.max_cost={model.max_cost:g} cannot be held: the price of {model.checkpoint} at {model.base_url} is "
            f"not in textclf's table of prices. Give model.price_input and model.price_output, per million tokens (0 "
            f"for a server of your own), or leave max_cost out."
        )


def estimated_tokens(messages: Sequence[Mapping[str, str]]) -> float:
    """Return about how many tokens the messages of a request are."""
    return sum(len(one["content"].encode()) / BYTES_PER_TOKEN + FORM_TOKENS for one in messages)


@dataclass
class Purse:
    """What a run has paid, and what its requests under way may cost at most; the fits to all folds share it."""

    paid: float = 0.0
    held: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


@dataclass
class Budget:
    """What may be paid, and what was; safe for several threads."""

    prices: Prices | None = None
    limit: float | None = None
    purse: Purse = field(default_factory=Purse)

    @property
    def paid(self) -> float:
        """What was paid so far."""
        return self.purse.paid

    def hold(self, messages: Sequence[Mapping[str, str]], most_out: int) -> float | None:
        """Set aside the most that a request can cost, and return it; none where the limit might be passed by it.

        A tokenizer makes no more tokens of a text than it has bytes.
        """
        if self.prices is None:
            return 0.0
        most_in = sum(len(one["content"].encode()) + 2 * FORM_TOKENS for one in messages)
        most = self.prices.of(most_in, most_out)
        with self.purse.lock:
            if self.limit is not None and self.purse.paid + self.purse.held + most > self.limit:
                return None
            self.purse.held += most
        return most

    def settle(self, held: float, cost: float) -> None:
        """Give back what was set aside for a request, and count what it cost."""
        with self.purse.lock:
            self.purse.held -= held
            self.purse.paid += cost

    def exhausted(self, done: int, total: int) -> ResourceError:
        """Return the error of a budget that the next request might pass."""
        currency = "" if self.prices is None else f" {self.prices.currency}"
        return ResourceError(
            f"Stopped before model.max_cost={self.limit:g}{currency} is passed: {self.paid:.4g}{currency} is paid, and "
            f"the next request might cost more than what is left. {done:,} of {total:,} requests are answered and "
            f"kept. Give a higher max_cost with the same command: it goes on from there and pays for none of them "
            "again."
        )


@dataclass
class Account:
    """What the answers to some texts took, as if each were asked now: tokens, money, and the time of their requests."""

    prices: Prices | None = None
    concurrency: int = 1
    """Requests that were under way at the same time."""
    texts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    """Tokens of the input that the server had cached."""
    is_counted: bool = True
    """Whether the server said of every answer how many tokens it took."""
    durations: list[float] = field(default_factory=list)
    """Of the request of each text, in seconds."""
    whole_seconds: float = 0.0
    """Of all requests, so many at the same time."""
    unread: dict[str, int] = field(default_factory=dict)
    """What was said where no label was named, and how often."""
    paid: float = 0.0
    """What this process paid so far for answers that were not kept; not cleared."""

    def clear(self) -> None:
        """Begin anew with other texts."""
        self.__init__(self.prices, self.concurrency, paid=self.paid)

    def add(self, reply: Reply, texts: int) -> None:
        """Count a reply to so many texts."""
        self.texts += texts
        self.durations += [reply.seconds] * texts
        self.whole_seconds += reply.seconds / self.concurrency
        self.cached += reply.cached
        if reply.tokens_in is None or reply.tokens_out is None:
            self.is_counted = False
        else:
            self.tokens_in += reply.tokens_in
            self.tokens_out += reply.tokens_out

    def costs(self) -> dict[str, float]:
        """Return the costs by the names that a record has for them; what is not known is absent."""
        import numpy as np  # the commands that only say what they do reach the options beside this

        if not self.texts:
            return {}
        median, high = np.percentile(self.durations, [50, 95])
        found = {"latency_median_seconds": float(median), "latency_p95_seconds": float(high)}
        if self.is_counted:
            found |= {
                "input_tokens": float(self.tokens_in),
                "output_tokens": float(self.tokens_out),
                "cached_input_tokens": float(self.cached),
            }
            if self.prices is not None:
                whole = self.prices.of(self.tokens_in, self.tokens_out, self.cached)
                found["price_per_1000_texts"] = 1000 * whole / self.texts
        return found
