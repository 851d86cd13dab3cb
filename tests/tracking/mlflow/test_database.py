"""SQLite stores: made whole or not at all, by one of several at once; a half-made one is set aside."""

import argparse
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.store.db.utils import _get_latest_schema_revision
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import create_engine

from textclf.errors import ArtifactError
from textclf.tracking.mlflow import database, store
from textclf.tracking.mlflow.database import prepare_database, sqlite_file
from textclf.tracking.mlflow.store import open_store, run_folders_of
from textclf.tracking.options import MlflowTracker
from textclf.ui import command

MAKE = database._make
"""What makes a store, before the tests have it copied."""


def half_made(path: Path) -> Path:
    """Plant what is left of a store whose making was killed in the middle of its steps."""
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("CREATE TABLE _alembic_tmp_experiments (experiment_id INTEGER)")
        opened.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        opened.execute("INSERT INTO alembic_version VALUES ('451aebb31d03')")
    return path


@pytest.fixture(autouse=True)
def still(monkeypatch):
    monkeypatch.setattr(database, "QUIET_SECONDS", 0.1)


@pytest.fixture(autouse=True)
def made(monkeypatch):
    """Stores are made as they are outside of the tests."""
    monkeypatch.setattr(database, "_make", MAKE)


@pytest.mark.slow
def test_a_half_made_store_is_set_aside_and_made_anew(tmp_path, caplog):
    path = half_made(tmp_path / "new.db")
    client, _, _ = open_store(MlflowTracker(tracking_uri=f"sqlite:///{path}"))
    assert [found.name for found in client.search_experiments()] == ["Default"]
    assert sorted(found.name for found in tmp_path.glob("[!.]*")) == ["new.db", "new.db.unfinished-1"]
    assert "new.db was cut off while it was made, and holds no run; it is kept as new.db.unfinished-1" in caplog.text
    before = path.read_bytes()
    prepare_database(f"sqlite:///{path}", make=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize("named", [None, "sqlite:////named/s.db"])
def test_every_door_to_a_store_sees_to_it_first(named, tmp_path, monkeypatch):
    class AskedError(Exception):
        pass

    def prepare(uri, make=True):
        assert uri == (named or f"sqlite:///{tmp_path}/mlruns/mlflow.db")
        raise AskedError(make)

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(store, "prepare_database", prepare)
    doors = {
        lambda: open_store(MlflowTracker(tracking_uri=named)): True,
        lambda: command(argparse.Namespace(tracking_uri=named, port=5000)): True,
        lambda: run_folders_of("mine", named): False,
        lambda: store.run_folder("0" * 32, named): False,
        lambda: store.model_folder("models:/reviews@champion", named): False,
    }
    for door, makes in doors.items():
        with pytest.raises(AskedError, match=str(makes)):
            door()


def test_nobody_who_reads_makes_a_store(tmp_path):
    with pytest.raises(ArtifactError, match="There is no MLflow store at .*no.db"):
        run_folders_of("mine", f"sqlite:///{tmp_path}/no.db")
    assert not list(tmp_path.iterdir())


def test_a_store_with_something_in_it_is_left_alone(tmp_path):
    path = half_made(tmp_path / "old.db")
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("INSERT INTO runs (run_uuid, name) VALUES ('a', 'b')")
    before = path.read_bytes()
    prepare_database(f"sqlite:///{path}")
    assert path.read_bytes() == before
    own = tmp_path / "own.db"
    with closing(sqlite3.connect(own)) as opened, opened:
        opened.execute("CREATE TABLE customers (name TEXT)")
    prepare_database(f"sqlite:///{own}")
    assert {found.name for found in tmp_path.iterdir()} == {"old.db", "own.db"}


def test_a_store_whose_making_breaks_off_is_not_there(tmp_path, monkeypatch):
    class Broken:
        def __init__(self, uri, registry):
            half_made(Path(uri.removeprefix("sqlite:///")))

        def search_experiments(self, max_results):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(database, "MlflowClient", Broken)
        prepare_database(f"sqlite:///{tmp_path}/new.db")
    assert not [*tmp_path.glob("*.db"), *tmp_path.glob(".*.db")]


def test_several_at_once_make_one_store(tmp_path, monkeypatch):
    uri, made, problems = f"sqlite:///{tmp_path}/below/new.db", [], []

    def make(path):
        made.append(path)
        time.sleep(0.2)
        with closing(sqlite3.connect(path)) as opened, opened:
            opened.execute("CREATE TABLE experiments (experiment_id INTEGER)")
            opened.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
            opened.execute("INSERT INTO alembic_version VALUES (?)", [_get_latest_schema_revision()])

    monkeypatch.setattr(database, "_make", make)

    def prepare():
        try:
            prepare_database(uri)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert len(made) == 1


def test_files_are_told_from_other_stores(tmp_path):
    assert sqlite_file("sqlite:////tmp/a b.db") == Path("/tmp/a b.db")
    assert sqlite_file("sqlite:///a.db") == Path("a.db").absolute()
    for other in ("sqlite://", "sqlite:///:memory:", "http://127.0.0.1:5000", "postgresql://u@h/d", "databricks", "/x"):
        assert sqlite_file(other) is None
