"""Ask a model many questions at once: those that were answered before from disk, the others within a budget.

Requests under way are a window that moves over the questions. What ends it early (a refusal, the budget, a signal) lets
those that were sent come in, and keeps their answers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from textclf.documents.wording import duration
from textclf.errors import ArtifactError, TextclfError
from textclf.models.llm.answer_cache import AnswerCache, Reply, key_of
from textclf.models.llm.endpoint import Endpoint, UnknownFieldError
from textclf.models.llm.money import Budget
from textclf.system import signals

log = logging.getLogger(__name__)
screen = logging.getLogger("textclf.said")

TELL_SECONDS = 30.0
"""Between two lines on how far it has come."""
LOOK_SECONDS = 0.5
"""How soon a signal is noticed."""

Body = Mapping[str, Any]


@dataclass
class Asker:
    """A server with the answers that are kept of it, and the budget."""

    endpoint: Endpoint
    budget: Budget
    _cache: AnswerCache | None = field(default=None, repr=False)

    @property
    def cache(self) -> AnswerCache:
        """The file of replies, opened when it is first wanted."""
        if self._cache is None:
            self._cache = AnswerCache()
        return self._cache

    def key(self, body: Body) -> str:
        """Return the digest of a request."""
        return key_of(self.endpoint.base_url, {"model": self.endpoint.checkpoint, **body})

    def kept(self, bodies: Sequence[Body]) -> list[Reply | None]:
        """Return the replies to some requests that are kept; none for one that is not."""
        keys = [self.key(body) for body in bodies]
        found = self.cache.read(keys)
        return [found.get(key) for key in keys]

    def first(self, body: Body) -> Reply:
        """Return the reply to a request to a server of which nothing is known yet.

        Raises:
            TextclfError: If there is none; `UnknownFieldError` where there might be one without some field.
        """
        self.endpoint.resume()
        held = self.budget.hold(body["messages"], _most_out(body))
        if held is None:
            raise self.budget.exhausted(0, 1)
        return self._answered(self.key(body), body, held, first=True)

    def replies(self, bodies: Sequence[Body]) -> list[Reply]:
        """Return the reply to each request, in order; the same request is sent once.

        Raises:
            TextclfError: If one cannot be answered, or the budget is used up; answers that came are kept.
            Stopped: If the process was asked to stop; likewise.
        """
        keys = [self.key(body) for body in bodies]
        found = self.cache.read(keys)
        missing = {key: body for key, body in zip(keys, bodies, strict=True) if key not in found}
        if missing:
            found |= self._asked(missing, len(set(keys)))
        return [found[key] for key in keys]

    def _asked(self, missing: Mapping[str, Body], total: int) -> dict[str, Reply]:
        """Return the replies to requests that are not kept, by key."""
        self.endpoint.resume()
        found: dict[str, Reply] = {}
        waiting = iter(missing.items())
        running: dict[Future[Reply], str] = {}
        failed: BaseException | None = None
        begun = told = time.monotonic()
        before = total - len(missing)
        with ThreadPoolExecutor(min(self.endpoint.concurrency, len(missing)), thread_name_prefix="llm") as pool:
            try:
                while True:
                    while failed is None and len(running) < self.endpoint.concurrency:
                        if (following := next(waiting, None)) is None:
                            break
                        key, body = following
                        held = self.budget.hold(body["messages"], _most_out(body))
                        if held is None:
                            failed = self.budget.exhausted(before + len(found), total)
                            break
                        running[pool.submit(self._answered, key, body, held)] = key
                    if not running:
                        break
                    done, _ = wait(running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        key = running.pop(future)
                        error = future.exception()
                        if error is None:
                            found[key] = future.result()
                        elif failed is None and isinstance(error, TextclfError):
                            failed = error
                            self.endpoint.abandon()
                        elif failed is None:
                            failed = error
                    if failed is None and signals.requested():
                        failed = signals.stopped()
                        self.endpoint.abandon()
                    if time.monotonic() - told > TELL_SECONDS:
                        told = time.monotonic()
                        self._tell(before + len(found), total, len(found), len(missing), told - begun)
            except BaseException:
                self.endpoint.abandon()
                raise
        if isinstance(failed, UnknownFieldError):
            raise ArtifactError(
                f"{self.endpoint.base_url} refused a request: {failed}. Nothing else was sent."
            ) from failed
        if failed is not None:
            raise failed
        return found

    def _answered(self, key: str, body: Body, held: float, first: bool = False) -> Reply:
        """Send a request, and keep and count its reply."""
        cost = 0.0
        try:
            reply = self.endpoint.ask(body, first)
            if self.budget.prices is not None and reply.tokens_in is not None and reply.tokens_out is not None:
                cost = self.budget.prices.of(reply.tokens_in, reply.tokens_out, reply.cached)
            elif self.budget.prices is not None:
                cost = held  # of a server that does not count, the most it can be
            self.cache.write(key, self.endpoint.checkpoint, reply)
            return reply
        finally:
            self.budget.settle(held, cost)

    def _tell(self, done: int, total: int, asked: int, missing: int, seconds: float) -> None:
        """Say how far it has come."""
        left = f", about {duration(seconds / asked * (missing - asked))} left" if asked else ""
        paid = f", {self.budget.paid:.4g} {self.budget.prices.currency} paid" if self.budget.prices else ""
        screen.info("%s of %s requests answered%s%s", f"{done:,}", f"{total:,}", paid, left)


def _most_out(body: Body) -> int:
    """Return the most tokens that the answer to a request may have."""
    return int(body.get("max_tokens") or body.get("max_completion_tokens") or 0)
