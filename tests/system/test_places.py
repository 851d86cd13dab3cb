import pytest

from textclf.system.places import AtHand, path_of, places_in
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
    ["a.csv", "sub/a.csv", "bert-base-uncased", "owner/name", "bundled:reviews/train.jsonl", "links", "[0, 1]",
     "sqlite:///s.db", "sqlite:///mlruns/s.db?timeout=3", "{here}/a.csv", "sub/../a.csv", "", "text"],
)  # fmt: skip
def test_what_lies_below_the_folder_is_at_hand(place, here):
    assert AtHand((here,)).holds(place.replace("{here}", str(here)))


@pytest.mark.parametrize(
    "place",
    ["../secret.csv", "/etc/passwd", "~/x.csv", "link/secret.csv", "links/a.csv", "links/*.csv", "../*.csv", "http://host/x",
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


def test_stores_have_paths():
    assert path_of("sqlite:////a/b.db") == "/a/b.db"
    assert path_of("http://host") is None
