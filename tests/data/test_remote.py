"""Files at addresses: in fsspec's memory, on a loopback http server, and on the loopback Hub."""

import logging
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
from huggingface_hub import constants

from textclf.data import remote
from textclf.data.load import load
from textclf.data.options import FilesDataset
from textclf.data.remote import fetch, is_address
from textclf.errors import ConfigError, DataError

CSV = b"text,label\ngood,1\nbad,0\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    return tmp_path / "textclf" / "remote"


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    files.pipe("/box/train.csv", CSV)
    yield files
    files.store.clear()


class Server:
    def __init__(self):
        self.content, self.headers, self.status, self.gets, self.port = CSV, {"ETag": '"1"'}, 200, 0, 0


@contextmanager
def http():
    """A server whose answer a test changes, and its address."""
    said = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(said.content)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            said.gets += 1
            self.wfile.write(said.content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said.port = server.server_port
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("text", ["hf://datasets/a/b/c.csv", "https://a.org/c.csv?x=1", "s3://b/c.parquet", "gs://b/c"])
def test_addresses_are_told_from_paths(text):
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["data/c.csv", "/c.csv", "bundled:reviews/train.jsonl", "file:///c.csv", "C:\\c.csv", "s3://"]
)
def test_paths_are_no_addresses(text):
    assert not is_address(text)


def test_a_file_is_fetched_and_keeps_its_name(memory, cache):
    copy = fetch("memory://box/train.csv", "dataset.train")
    assert (copy.name, copy.read_bytes()) == ("train.csv", CSV)
    assert copy.is_relative_to(cache)
    assert not list(copy.parent.glob(".*"))


def test_a_file_that_changed_is_fetched_beside_its_old_copy():
    with http() as server:
        address = f"http://127.0.0.1:{server.port}/box/train.csv?token=1"
        first = fetch(address, "dataset.train")
        gets = server.gets
        assert fetch(address, "dataset.train") == first
        assert server.gets == gets, "what has not changed is not fetched again"
        server.content, server.headers = b"text,label\nnew,1\n", {"ETag": '"2"'}
        second = fetch(address, "dataset.train")
        assert (first.read_bytes(), second.read_bytes()) == (CSV, server.content)
        assert first.name == second.name == "train.csv"


def test_without_a_state_a_file_is_fetched_each_time():
    with http() as server:
        server.headers = {}
        address = f"http://127.0.0.1:{server.port}/train.csv"
        fetch(address, "dataset.train")
        server.content = CSV.replace(b"1", b"2")  # of the same size
        assert fetch(address, "dataset.train").read_bytes() == server.content


def test_the_last_copy_serves_while_its_store_is_away(caplog):
    with http() as server:
        address = f"http://127.0.0.1:{server.port}/train.csv"
        copy = fetch(address, "dataset.train")
        server.status = 500
        assert fetch(address, "dataset.train") == copy
        server.status = 404
        with pytest.raises(DataError, match="there is no such file"):
            fetch(address, "dataset.train")
    assert fetch(address, "dataset.train") == copy
    assert caplog.text.count("the last copy is used") == 2


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, "no such file. Check the address"), (403, "may not be read from here"), (500, "could not be fetched.*500")],
)
def test_each_refusal_gets_its_own_advice(status, message):
    with http() as server:
        server.status = status
        with pytest.raises(DataError, match=f"dataset.train=http://.*{message}.*dataset.train=/path"):
            fetch(f"http://127.0.0.1:{server.port}/train.csv", "dataset.train")


def test_a_dead_network_is_told_at_once():
    with pytest.raises(DataError, match="could not be fetched.*Check the address and the network"):
        fetch("http://127.0.0.1:9/train.csv", "dataset.train")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(remote.known_implementations, "far", {"class": "farfs.core.FarFileSystem", "err": "no farfs"})
    with pytest.raises(ConfigError, match=r"far:// is read with the package farfs.*pip install farfs"):
        fetch("far://bucket/train.csv", "dataset.train")


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("s4://bucket/train.csv", ConfigError, "no file system is known for s4://.*Did you mean 's3'"),
        ("memory://box/absent.csv", DataError, "there is no such file"),
        ("memory://box/*.csv", DataError, "Name a file, not a folder or a pattern"),
        ("memory://box/", DataError, "Name a file, not a folder"),
        ("memory://box", DataError, "is a folder"),
    ],
)
def test_what_cannot_be_fetched_is_named(memory, address, kind, message):
    with pytest.raises(kind, match=message):
        fetch(address, "dataset.test")


def test_a_file_of_the_hub_is_fetched(hub, caplog):
    caplog.set_level(logging.INFO)
    (file,) = sorted((hub / "datasets" / "tests" / "reviews").rglob("*test*"))[:1]
    inner = file.relative_to(hub / "datasets" / "tests" / "reviews").as_posix()
    copy = fetch(f"hf://datasets/tests/reviews/{inner}", "dataset.test")
    assert copy.read_bytes() == file.read_bytes()
    assert fetch(f"hf://datasets/tests/reviews/{inner}", "dataset.test") == copy
    assert "was fetched before" in caplog.text


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("refused/gated", "is gated.*Accept its terms"),
        ("refused/missing", "is not on the Hub, or is private.*spelling of dataset.train"),
        ("refused/often", "asked too often.*dataset.train=/path"),
        ("tests/reviews@nosuch", "has no revision 'nosuch'. Set what follows @ in dataset.train"),
        ("tests/reviews/absent", "there is no such file"),
    ],
)
def test_refusals_of_the_hub_get_their_advice(hub, monkeypatch, place, message):
    monkeypatch.setattr("textclf.system.hub.PAUSES", ())
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(DataError, match=message):
        fetch(f"hf://datasets/{place}/train.csv", "dataset.train")


def test_a_run_trains_on_a_file_at_an_address(memory):
    rows = "".join(f"{'good' if i % 2 else 'bad'} lamp {i},{i % 2}\n" for i in range(60))
    memory.pipe("/box/mine.csv", b"text,label\n" + rows.encode())
    data = load(FilesDataset(train="memory://box/mine.csv"))
    assert (data.name, len(data.train) + len(data.validation) + len(data.test)) == ("mine", 60)
