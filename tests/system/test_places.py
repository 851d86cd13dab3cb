import sqlite3
from contextlib import closing

import pytest

from textclf.system.places import AtHand, paths_of, places_in
from textclf.system.redact import MASK


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    (tmp_path / "secret.csv").touch()
    monkeypatch.chdir(folder)
    (folder / "link").symlink_to(tmp_path)
    (folder / "links").mkdir()
    (folder / "links" / "a.csv").symlink_to(tmp_path / "secret.csv")
    return folder


@pytest.mark.parametrize(
    "place",
    ["a.csv", "sub/a.csv", "bert-base-uncased", "owner/name", "bundled:reviews/train.jsonl", "[0, 1]",
     "sqlite:///s.db", "sqlite:///mlruns/s.db?timeout=3", "{here}/a.csv", "sub/../a.csv", "", "text"],
)  # fmt: skip
def test_what_lies_below_the_folder_is_at_hand(place, here):
    assert AtHand((here,)).holds(place.replace("{here}", str(here)))


@pytest.mark.parametrize(
    "place",
    ["../secret.csv", "/etc/passwd", "~/x.csv", "link/secret.csv", "link", "links", "links/a.csv", "links/*.csv", "**/*.csv",
     "sqlite:///%2e%2e/s.db", "sqlite:///%2Ftmp/s.db", "sqlite:///file%3A/tmp/s.db?uri=true", "../*.csv", "http://host/x",
     "hf://datasets/x", "sqlite:////tmp/s.db", "sqlite:///file:/tmp/s.db?uri=true", "sqlite:///../s.db", "postgresql://host/db",
     "databricks://x", "sub/../../secret.csv", "file:///etc/passwd", "zip://a.csv::/tmp/x.zip"],
)  # fmt: skip
def test_what_lies_elsewhere_or_is_an_address_is_not(place, here):
    assert not AtHand((here,)).holds(place)
    assert AtHand((here,), (place,)).holds(place)


def test_a_folder_that_was_named_holds_what_is_below_it(here):
    trusted = AtHand((here,), ("/data", "http://host"))
    assert trusted.holds("/data/x/y.csv")
    assert trusted.holds("sqlite:////data/s.db")
    assert not trusted.holds("/database/x.csv")
    assert not trusted.holds("http://host/x")
    assert not trusted.holds("http://host.evil")


def test_a_record_folder_is_at_hand_too(here, tmp_path):
    assert AtHand((here, tmp_path / "other")).holds("../other/x.csv")


def test_every_text_of_a_config_may_be_a_place():
    config = {"a": {"b": "x", "c": ["y", 1], "d": {"e": "z"}}, "f": 2, "g": None, "h": f"http://me:{MASK}@host"}
    assert list(places_in(config)) == [("a.b", "x"), ("a.c", "y"), ("a.d.e", "z")]


def test_lists_in_lists_hold_places_too():
    config = {"a": [["b", {"c": "/etc/passwd"}], {"d": "http://host"}]}
    assert dict(places_in(config)) == {"a": "b", "a.c": "/etc/passwd", "a.d": "http://host"}


def test_stores_have_paths():
    assert paths_of("sqlite:////a/b.db") == ("/a/b.db",)
    assert paths_of("sqlite:///a%2Fb.db?timeout=3") == ("a%2Fb.db", "a/b.db")
    assert paths_of("http://host") is None


@pytest.mark.parametrize("place", ["a\0b", "\ud800", "x" * 9000 + "/.."])
def test_what_can_be_no_path_is_decided_without_an_error(place, here):
    AtHand((here,)).holds(place)


@pytest.mark.parametrize(
    "address", ["databricks", "databricks-uc", "uc", "file:/tmp/x", "mlruns", "http://host", "http:host"]
)
def test_an_address_without_slashes_is_one_too(address, here):
    assert not AtHand((here,)).holds_store(address)
    assert AtHand((here,), (address,)).holds_store(address)


@pytest.fixture
def store(here):
    """Makes a store that has some places, and some statements more."""

    def make(*statements, artifacts="file:///nowhere"):
        (here / "s.db").unlink(missing_ok=True)
        with closing(sqlite3.connect(here / "s.db")) as opened:
            opened.execute("CREATE TABLE experiments (name TEXT, artifact_location TEXT)")
            opened.execute("CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT)")
            opened.execute("INSERT INTO experiments VALUES ('e', ?)", [artifacts])
            for statement in statements:
                opened.execute(statement)
            opened.commit()
        return AtHand((here,)).holds_store("sqlite:///s.db")

    return make


@pytest.mark.parametrize(
    ("place", "is_held"),
    [("file://{here}/a", True), ("{here}/a", True), ("a/b", True), ("mlflow-artifacts:/0", True), (None, True),
     ("http://host/a", False), ("mlflow-artifacts://host/a", False), ("s3://bucket", False), ("dbfs:/a", False),
     ("file:///tmp/a", False), ("/tmp/a", False), ("file://{here}/%2e%2e/a", False), ("%2e%2e/a", False),
     ("file://host/tmp/a", False), ("links", False), ("http:host", False), ("a\0b", False), ("file://[/x", False)],
)  # fmt: skip
def test_a_store_leads_to_no_place_that_is_not_at_hand(place, is_held, here, store):
    assert store(artifacts=place and place.replace("{here}", str(here))) is is_held
    named = AtHand((here,), ("sqlite:///s.db",))
    assert named.holds_store("sqlite:///s.db")  # where the person's own store keeps files is the person's choice


def test_a_store_that_computes_its_places_is_not_at_hand(store):
    assert store(
        "CREATE TRIGGER t BEFORE UPDATE ON runs FOR EACH ROW WHEN OLD.run_uuid != NEW.run_uuid\n"
        "BEGIN\n    SELECT RAISE(ABORT, 'it stays (as it is)');\nEND",
        artifacts="a",
    )
    for statement in (
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN UPDATE runs SET artifact_uri = 'http://evil'; END",
        "CREATE TRIGGER t AFTER INSERT ON runs BEGIN UPDATE runs SET artifact_uri = 'x'; SELECT RAISE(ABORT, 'x'); END",
        "CREATE VIEW v AS SELECT 'http://evil' AS artifact_uri",
        "CREATE VIRTUAL TABLE v USING fts5(artifact_uri)",
    ):
        assert not store(statement, artifacts="a"), statement


def test_what_is_no_store_is_not_at_hand(here):
    (here / "s.db").write_text("no database at all, but a text of some length")
    assert not AtHand((here,)).holds_store("sqlite:///s.db")
    assert AtHand((here,)).holds_store("sqlite:///new.db")
