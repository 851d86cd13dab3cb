"""Requests to a server that speaks OpenAI's protocol: sent again where that may help, and refused in words where not.

Rate limits are honoured: a server that says when to come again (Retry-After) holds back every request until then.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from textclf.errors import ArtifactError, ConfigError, TextclfError, cut
from textclf.models.llm.answer_cache import Reply
from textclf.models.llm.token_probabilities import Token
from textclf.system.redact import hide, redacted

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI  # an extra

log = logging.getLogger(__name__)

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""What is sent in place of a key where there is none; the client wants something."""
FIRST_WAIT, MOST_OWN_WAIT = 0.5, 30.0
"""Seconds until a request is sent again, where the server does not say: doubled each time, up to the last."""
AGAIN = (408, 409, 425, 429)
"""Statuses below 500 that may be others when asked again."""
UNKNOWN_FIELDS = (400, 404, 415, 422, 501)
"""Statuses with which servers answer to fields that they do not know."""


class UnknownFieldError(TextclfError):
    """The server refuses a request as it is, perhaps because of one of its fields."""


class _AbandonedError(Exception):
    """The other requests have failed, so this one is not sent again."""


@dataclass
class Endpoint:
    """A server and a model on it, asked by several threads at once."""

    base_url: str
    checkpoint: str
    key_variable: str | None
    timeout: float = 60.0
    retries: int = 6
    longest_wait: float = 300.0
    concurrency: int = 8
    _client: OpenAI | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _closed_until: float = field(default=0.0, repr=False)
    _abandoned: threading.Event = field(default_factory=threading.Event, repr=False)

    def ask(self, body: Mapping[str, Any], first: bool = False) -> Reply:
        """Send a request until it is answered, and return the reply.

        Args:
            body: The fields of the request.
            first: Whether nothing is known of the server yet: one that cannot be reached is not tried again.

        Raises:
            TextclfError: If it cannot be answered; `UnknownFieldError` where it might be without some field.
        """
        import openai

        client = self._opened()
        last: Exception | None = None
        for attempt in range(self.retries + 1):
            self._wait_until_open()
            begun = time.perf_counter()
            try:
                answer = client.chat.completions.create(model=self.checkpoint, **body)
                return _reply(answer, time.perf_counter() - begun)
            except openai.APITimeoutError as error:
                last = error
            except openai.APIConnectionError as error:
                if first:
                    raise self._unreachable(error) from error
                last = error
            except openai.APIStatusError as error:
                if error.status_code not in AGAIN and error.status_code < 500:
                    raise self._refused(error) from error
                if error.status_code == 501:
                    raise UnknownFieldError(_said(error)) from error
                last = error
            except (openai.APIError, ValueError, TypeError, AttributeError, LookupError) as error:
                last = error  # an answer that is none
            if attempt < self.retries:
                self._hold_back(self._pause(last, attempt), last)
        raise self._given_up(last) from last

    def abandon(self) -> None:
        """Let requests that wait for another try end at once."""
        self._abandoned.set()

    def resume(self) -> None:
        """Let requests be tried again."""
        self._abandoned.clear()

    def _opened(self) -> OpenAI:
        """Return the client, made with the key.

        Raises:
            ConfigError: If the library or the key is not there.
        """
        with self._lock:
            if self._client is None:
                check_library()
                from openai import DefaultHttpxClient, OpenAI

                for name in ("openai", "httpx2", "httpcore2", "httpx", "httpcore"):
                    logging.getLogger(name).setLevel(logging.WARNING)  # a line for each request otherwise
                self._client = OpenAI(
                    api_key=key_for(self.base_url, self.key_variable) or NO_KEY,
                    base_url=self.base_url,
                    timeout=self.timeout,
                    max_retries=0,
                    # a key goes where it was meant to, and nowhere else
                    http_client=DefaultHttpxClient(timeout=self.timeout, follow_redirects=False),
                )
            return self._client

    def _wait_until_open(self) -> None:
        """Wait while the server wants no requests."""
        while (left := self._closed_until - time.monotonic()) > 0:
            if self._abandoned.wait(left):
                break
        if self._abandoned.is_set():
            raise _AbandonedError

    def _pause(self, error: Exception | None, attempt: int) -> float:
        """Return the seconds until the next try.

        Raises:
            ArtifactError: If the server wants more than are allowed.
        """
        asked = _retry_after(error)
        if asked is not None and asked > self.longest_wait:
            raise ArtifactError(
                f"{self.base_url} wants no request for {asked:,.0f} s ({_said(error)}), which is more than "
                f"model.longest_wait={self.longest_wait:g}. What is answered so far is kept: give the same command "
                f"again later, or a higher model.longest_wait; a lower model.concurrency keeps below limits."
            ) from error
        if asked is not None:
            return asked
        return min(FIRST_WAIT * 2**attempt, MOST_OWN_WAIT, self.longest_wait) * random.uniform(0.75, 1.0)

    def _hold_back(self, seconds: float, error: Exception | None) -> None:
        """Wait before the next try; where the limit is one of rates, let all others wait too."""
        if getattr(error, "status_code", None) in (429, 503):
            with self._lock:
                self._closed_until = max(self._closed_until, time.monotonic() + seconds)
            log.info("%s is asked again in %.1f s: %s", self.base_url, seconds, _said(error))
        elif self._abandoned.wait(seconds):
            raise _AbandonedError

    def _unreachable(self, error: Exception) -> ArtifactError:
        cause = error.__cause__ or error
        return ArtifactError(
            f"No server answers at {self.base_url} ({cut(redacted(str(cause)))}). Start one there, such as "
            f"`transformers serve` or `vllm serve {self.checkpoint}`, or name another with model.base_url; that of "
            f"OpenAI is {OPENAI}."
        )

    def _refused(self, error: APIStatusError) -> TextclfError:
        """Return the error of a request that is refused for good."""
        said = _said(error)
        if error.status_code in (401, 403):
            there = self.key_variable is not None and bool(os.environ.get(self.key_variable))
            key = f"the key in the environment variable {self.key_variable}" if there else "a request without a key"
            return ConfigError(
                f"{self.base_url} does not accept {key} ({said}). Put a key that is valid there into "
                f"{self.key_variable or 'a variable and name that with model.key_variable'}, and look whether it may "
                f"use {self.checkpoint}."
            )
        if error.status_code == 404 and not _is_about_fields(said):
            return ArtifactError(
                f"{self.base_url} has no model {self.checkpoint!r}, or nothing is at that address ({said}). Name the "
                f"model as the server calls it with model.checkpoint (GET {self.base_url}/models lists them), and the "
                f"address with its /v1."
            )
        if error.status_code in UNKNOWN_FIELDS:
            return UnknownFieldError(said)
        return ArtifactError(f"{self.base_url} refused a request: {said}.")

    def _given_up(self, error: Exception | None) -> ArtifactError:
        """Return the error of a request that was sent as often as it may be."""
        import openai

        tries = f"{self.retries + 1} tries" if self.retries else "one try"
        kept = "What is answered so far is kept, and the same command goes on from there"
        if isinstance(error, openai.APITimeoutError):
            return ArtifactError(
                f"{self.base_url} did not answer within model.timeout={self.timeout:g} s in {tries}. Give it more time "
                f"(model.timeout), or fewer requests at once (model.concurrency={self.concurrency}). {kept}."
            )
        if getattr(error, "status_code", None) == 429:
            return ArtifactError(
                f"{self.base_url} still limits the rate after {tries} ({_said(error)}). Ask for less at once "
                f"(model.concurrency={self.concurrency}), try more often (model.retries={self.retries}), or come again "
                f"later; an account without credit is refused so, too. {kept}."
            )
        if isinstance(error, openai.APIStatusError):
            return ArtifactError(
                f"{self.base_url} failed in {tries} ({_said(error)}). That is the server's own trouble: look at its "
                f"log, or come again later. {kept}."
            )
        if isinstance(error, openai.APIConnectionError):
            cause = cut(redacted(str(error.__cause__ or error)))
            return ArtifactError(f"The connection to {self.base_url} was lost in {tries} ({cause}). {kept}.")
        return ArtifactError(
            f"{self.base_url} answered {tries} with what is no answer of OpenAI's protocol "
            f"({cut(redacted(str(error)))}). Look whether model.base_url is the address of its API, mostly with /v1 at "
            f"the end. {kept}."
        )


def check_library() -> None:
    """Raise where the client library is not installed.

    Raises:
        ConfigError: With what installs it.
    """
    from importlib.util import find_spec

    if find_spec("openai") is None:
        raise ConfigError('model=llm needs openai, which is not installed: pip install "textclf[llm]".')


def key_for(base_url: str, variable: str | None) -> str | None:
    """Return the key for a server, which is hidden from all that is written from now on; none where none is sent.

    Raises:
        ConfigError: If the server is not on this machine and there is no key for it.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        if is_this_machine(base_url):
            return None
        raise ConfigError(
            f"There is no key for {base_url}: the environment variable {variable} is not set. Export it "
            f"with the key in it, name another variable with model.key_variable, or say model.key_variable=null where "
            f"the server wants none."
        )
    if any(not " " < char < "\x7f" for char in key):
        raise ConfigError(
            f"The key in the environment variable {variable} holds white space or signs beyond ASCII, which no key "
            f"has. Copy it there again."
        )
    hide(key)
    if urlsplit(base_url).scheme == "http" and not is_this_machine(base_url):
        log.warning("%s has no encryption (http), so the key and the texts can be read on the way", base_url)
    return key


def is_this_machine(base_url: str) -> bool:
    """Say whether an address leads to this machine."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _said(error: Exception | None) -> str:
    """Return what a server said, in a line and without secrets."""
    status = getattr(error, "status_code", None)
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else body
    said = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
    words = cut(" ".join(redacted(str(said or error)).split()))
    return f"{status}: {words}" if status else words


def _is_about_fields(said: str) -> bool:
    """Say whether a refusal is about the form of the answer, whatever its status."""
    return any(word in said.lower() for word in ("response_format", "json_schema", "logprobs"))


def _retry_after(error: Exception | None) -> float | None:
    """Return the seconds that a server asks to be left alone for; none where it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            pass
    try:
        then = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(0.0, (then - datetime.now(then.tzinfo or UTC)).total_seconds()) if then.tzinfo else None


def _reply(answer: Any, seconds: float) -> Reply:
    """Return a reply from the client's answer, or raise where that is none of the protocol."""
    choice = answer.choices[0]
    usage = answer.usage
    details = getattr(usage, "prompt_tokens_details", None)
    refusal = getattr(choice.message, "refusal", None)
    said = choice.message.content or ""
    if not isinstance(said, str):
        raise TypeError("the content of the message is no text")
    tokens = None
    listed = getattr(getattr(choice, "logprobs", None), "content", None)
    if listed:
        tokens = tuple(
            Token(
                one.token,
                float(one.logprob),
                tuple((other.token, float(other.logprob)) for other in one.top_logprobs or ()),
            )
            for one in listed
        )
    return Reply(
        said=said,
        finish="refusal" if refusal and not said else str(choice.finish_reason or "stop"),
        seconds=seconds,
        tokens_in=getattr(usage, "prompt_tokens", None),
        tokens_out=getattr(usage, "completion_tokens", None),
        cached=int(getattr(details, "cached_tokens", None) or 0),
        tokens=tokens,
    )
