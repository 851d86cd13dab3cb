"""SQLite stores of MLflow, made whole or not at all.

MLflow takes seconds over the tables of a new store, in steps. One that is killed meanwhile leaves half of them, which
it can neither finish nor use. So a store is made under another name and renamed, by one process at a time; and one that
was cut off while somebody else made it is set aside.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import time
from pathlib import Path

import mlflow.store.db.utils
from filelock import FileLock
from mlflow.tracking import MlflowClient
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from textclf.errors import ArtifactError
from textclf.system.files import new_file
from textclf.system.redact import redacted

log = logging.getLogger(__name__)

LOCK_SECONDS = 120
"""How long another process may take to make the store."""
QUIET_SECONDS = 2.0
"""How long a half-made store lies still before nobody is taken to be making it."""
ASIDE = "unfinished"
"""What the name of a half-made store that is set aside ends in, with a number."""
MADE_WITH = {"experiments": 1, "workspaces": 1, "alembic_version": 1}
"""Rows of a store that nobody has used, by table; the others have none."""


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite store; none of any other store, and of one in memory."""
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        return None
    name = url.database
    if url.get_backend_name() != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name).absolute()


def prepare_database(uri: str, make: bool = True) -> None:
    """See to it that a store can be opened: make a SQLite store where there is none, whole or not at all.

    One that was cut off while it was made, and holds nothing, is set aside under another name, which is said. Stores
    that are no SQLite file are left alone, and so is whatever MLflow may still refuse, such as a store of an older
    version with runs in it. Nothing is locked or written where the store is whole.

    Args:
        uri: The store's address.
        make: Make it where it is not there.

    Raises:
        ArtifactError: If it is not there and not to be made.
        filelock.Timeout: If another process does not come to an end with making it.
        OSError: If it cannot be made, as on a full disk.
    """
    path = sqlite_file(uri)
    if path is None or is_whole(path):
        return
    if not make and not path.exists():
        raise ArtifactError(
            f"There is no MLflow store at {path}. Name one with --tracking-uri sqlite:////path/to/mlflow.db, or name "
            f"run folders instead."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS):
        if is_whole(path) or _is_made_meanwhile(path):
            return
        if path.exists() and path.stat().st_size:
            aside = _set_aside(path)
            log.warning(
                "the MLflow store %s was cut off while it was made, and holds no run; it is kept as %s, and a new one "
                "is made",
                redacted(str(path)),
                aside.name,
            )
        _make(path)


def is_whole(path: Path) -> bool:
    """Return whether a SQLite store is all there; true also of a file that MLflow itself must judge.

    It is not where there is no such file or no table in it, and where its tables are not those of this MLflow although
    nothing has been put into them.
    """
    if not path.is_file() or not path.stat().st_size:
        return False
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=1)) as database:
            rows = _rows(database)
            if not rows or not any(name in rows for name in ("experiments", "_alembic_tmp_experiments")):
                return bool(rows)  # somebody's own database, to which MLflow adds its tables
            if any(count > MADE_WITH.get(name, 0) for name, count in rows.items()):
                return True
            version = rows.get("alembic_version") and database.execute("SELECT * FROM alembic_version").fetchone()
    except sqlite3.Error:  # busy, unreadable or none of SQLite's
        return True
    return bool(version) and version[0] == mlflow.store.db.utils._get_latest_schema_revision()


def _rows(database: sqlite3.Connection) -> dict[str, int]:
    """Return how many rows each table has, up to two."""
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    counts = 'SELECT count(*) FROM (SELECT 1 FROM "{}" LIMIT 2)'
    tables = [name.replace('"', '""') for (name,) in database.execute(named)]
    return {name: database.execute(counts.format(name)).fetchone()[0] for name in tables}


def _is_made_meanwhile(path: Path) -> bool:
    """Wait while a process that takes no lock, such as MLflow's own command, makes a store, and say whether it has."""
    until = time.monotonic() + LOCK_SECONDS
    last = None
    while path.exists() and path.stat().st_size and time.monotonic() < until:
        now = (path.stat().st_mtime_ns, path.stat().st_size)
        if now == last:
            break
        last = now
        for _ in range(10):
            time.sleep(QUIET_SECONDS / 10)
            if is_whole(path):
                return True
    return is_whole(path)


def _set_aside(path: Path) -> Path:
    """Give a half-made store, and what SQLite keeps beside it, another name, and return that."""
    number = 1
    while (aside := path.with_name(f"{path.name}.{ASIDE}-{number}")).exists():
        number += 1
    for beside in ("-journal", "-wal", "-shm", ""):  # first, since a new store must not be mended with them
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + beside).rename(aside.with_name(aside.name + beside))
    return aside


def _make(path: Path) -> None:
    """Make a store under another name, and give it its own when it is whole."""
    left_over = re.compile(rf"\.[0-9a-f]{{8}}\.{re.escape(path.name)}(-journal|-wal|-shm)?")
    for left in path.parent.iterdir():  # by a process that was killed
        if left_over.fullmatch(left.name):
            left.unlink()
    for name in ("alembic", "mlflow"):  # which tell of each step
        logging.getLogger(name).setLevel(logging.WARNING)
    with new_file(path) as temporary:
        uri = f"sqlite:///{temporary}"
        MlflowClient(uri, uri).search_experiments(max_results=1)
