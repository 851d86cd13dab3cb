"""Replies of language models, kept on disk by what was asked, so that none is paid for twice.

A SQLite file below `HF_HOME`, or in the folder that TEXTCLF_ANSWER_CACHE names. Each reply is written as it comes, so a
killed process loses none; several processes may share the file. What was asked is kept as its digest alone, never the
texts, and no key. To empty it, delete the file.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from textclf.errors import ArtifactError, first_line
from textclf.models.llm.token_probabilities import Token

VARIABLE = "TEXTCLF_ANSWER_CACHE"
FILE = "answers.sqlite"
LOCK_SECONDS = 60.0
"""How long a writer waits for the others."""
AT_ONCE = 500
"""Keys that are looked up together."""


@dataclass(frozen=True)
class Reply:
    """What a server answered, and what it took."""

    said: str
    finish: str
    """Why the answer ended: `stop`, `length`, or what the server calls it."""
    seconds: float
    """Duration of the request that was answered."""
    tokens_in: int | None = None
    """Tokens of the input; none where the server does not say."""
    tokens_out: int | None = None
    cached: int = 0
    """Tokens of the input that the server had cached."""
    tokens: tuple[Token, ...] | None = None
    """The answer token by token; none where the server gives no log-probabilities."""

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        tokens = None if self.tokens is None else [[t.text, t.log_probability, t.others] for t in self.tokens]
        return {**vars(self), "tokens": tokens}


def reply_from(plain: Mapping[str, Any]) -> Reply:
    """Return a reply from plain values, or raise KeyError, TypeError or ValueError where they are none."""
    tokens = plain["tokens"]
    if tokens is not None:
        tokens = tuple(Token(t, float(p), tuple((o, float(v)) for o, v in others)) for t, p, others in tokens)
    return Reply(**{**plain, "tokens": tokens})


def key_of(address: str, body: Mapping[str, Any]) -> str:
    """Return the digest of a request: of the server, the model, the messages and all settings."""
    said = json.dumps([address.rstrip("/"), body], sort_keys=True, ensure_ascii=False)
    return sha256(said.encode("utf-8", errors="surrogatepass")).hexdigest()


def cache_folder() -> Path:
    """Return the folder of the file of replies."""
    from huggingface_hub import constants

    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else Path(constants.HF_HOME) / "textclf" / "answers"


class AnswerCache:
    """The file of replies, open for reading and writing by the threads of this process."""

    def __init__(self, folder: Path | None = None):
        """Open the file, made where it is not there.

        Raises:
            ArtifactError: If it cannot be opened, or is damaged.
        """
        self.path = (folder or cache_folder()) / FILE
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=LOCK_SECONDS, check_same_thread=False, isolation_level=None)
            self.path.chmod(0o600)
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS answers (asked TEXT PRIMARY KEY, model TEXT, made REAL, reply TEXT)"
            )
        except (sqlite3.Error, OSError) as error:
            raise self._refused(error) from error

    def read(self, keys: Iterable[str]) -> dict[str, Reply]:
        """Return the replies that are kept, by key.

        Raises:
            ArtifactError: If the file cannot be read.
        """
        wanted, found = list(dict.fromkeys(keys)), {}
        try:
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                places = ",".join("?" * len(some))
                with self._lock:
                    rows = self._file.execute(
                        f"SELECT asked, reply FROM answers WHERE asked IN ({places})", some
                    ).fetchall()
                found |= {key: reply_from(json.loads(reply)) for key, reply in rows}
        except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
            raise self._refused(error) from error
        return found

    def knows(self, model: str) -> bool:
        """Say whether any reply of a model is kept."""
        with self._lock:
            return bool(self._file.execute("SELECT 1 FROM answers WHERE model = ? LIMIT 1", (model,)).fetchone())

    def write(self, key: str, model: str, reply: Reply) -> None:
        """Keep a reply; when this returns, the disk has it.

        Raises:
            ArtifactError: If it cannot be written.
        """
        said = json.dumps(reply.plain(), ensure_ascii=False).encode("utf-8", errors="replace").decode()
        try:
            with self._lock:
                self._file.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", (key, model, time.time(), said))
        except sqlite3.Error as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _refused(self, error: Exception) -> ArtifactError:
        return ArtifactError(
            f"{self.path}, which keeps the answers of language models, cannot be used: {first_line(error)} Delete it "
            f"if it is damaged (what it holds will be asked and paid for again), or name another folder with "
            f"{VARIABLE}."
        )
