"""Folders and repositories of a stranger, whose descriptions and links lead elsewhere."""

import json
import os
import shutil
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from textclf.data.load import load
from textclf.data.options import FilesDataset, HubDataset
from textclf.errors import DataError
from textclf.predict.rows import Kind, read_batches
from textclf.system import hub as hub_module

ROWS = [{"text": f"a fine text {i}", "label": ["a", "b"][i % 2]} for i in range(40)]


def write(path: Path, word="fine"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row).replace("fine", word) + "\n" for row in ROWS))
    return path


def described(folder: Path, test: str):
    """Write a dataset of a train file whose description names a test file."""
    write(folder / "train.jsonl")
    split = {"train": "train.jsonl", "test": test}
    files = "".join(f"  - split: {name}\n    path: {json.dumps(path)}\n" for name, path in split.items())
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n")
    return folder


def read(folder):
    return load(HubDataset(name="x", path=str(folder)))


@pytest.fixture
def secret(tmp_path):
    return write(tmp_path / "secret.jsonl", "secret")


@pytest.fixture
def asked():
    """Requests that a server on loopback got, and its address."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            body = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield requests, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


OUTSIDE = (
    "../secret.jsonl", "{root}/secret.jsonl", "file://{root}/secret.jsonl", "local://{root}/secret.jsonl",
    "*/../../secret.jsonl", "**/../../*.jsonl", "here/../../secret.jsonl", "file:secret.jsonl", "{home}/secret.jsonl",
    "zip://secret.jsonl::../secret.zip", "{url}/x.jsonl", "train.jsonl::{url}/x.jsonl", "simplecache::{url}/x.jsonl",
    "hf://datasets/tests/reviews/data/test.jsonl",
)  # fmt: skip


@pytest.mark.parametrize("named", OUTSIDE)
def test_a_local_folder_names_no_files_elsewhere(named, secret, tmp_path, asked, monkeypatch):
    requests, url = asked
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    described(tmp_path / "given", named.format(root=tmp_path, url=url, home="~"))
    with pytest.raises(DataError, match="lies outside of this folder|are not in its folder|could not be read"):
        read("./given")
    assert requests == []


def test_files_in_the_folder_are_found_by_whatever_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "given"
    write(folder / "deep" / "test.jsonl", "test")
    (tmp_path / "link").symlink_to("given")
    for named in (
        "deep/test.jsonl",
        "deep/*.jsonl",
        "**/test.jsonl",
        "./deep/../deep/test.jsonl",
        f"{folder}/deep/test.jsonl",
    ):
        described(folder, named)
        assert len(read("./given").test) == 40
    assert len(read("link/").test) == len(read(folder).test) == 40
    (folder / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_dir: deep\n---\n")
    write(folder / "deep" / "train.jsonl")
    assert len(read("./given").train) == 36


def test_a_second_configuration_and_a_folder_of_data_stay_inside_too(secret, tmp_path):
    folder = described(tmp_path / "given", "train.jsonl")
    (folder / ".huggingface.yaml").write_text("configs:\n- config_name: default\n  data_files: ../secret.jsonl\n")
    with pytest.raises(DataError, match="are not in its folder"):
        read(folder)
    (folder / ".huggingface.yaml").unlink()
    more = "- config_name: more\n  data_files: ../secret.jsonl\n- config_name: dir\n  data_dir: ..\n---\n"
    readme = (folder / "README.md").read_text()
    (folder / "README.md").write_text(readme.removesuffix("---\n") + more)
    for config in ("more", "dir"):
        with pytest.raises(DataError, match="are not in its folder"):
            load(HubDataset(name="x", path=str(folder), config=config))


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_links_lead_nowhere_else(linked, secret, tmp_path):
    folder = described(tmp_path / "given", "test.jsonl" if linked == "file" else "test/secret.jsonl")
    (folder / "test.jsonl" if linked == "file" else folder / "test").symlink_to(
        secret if linked == "file" else tmp_path
    )
    with pytest.raises(DataError, match=r"lies outside of this folder.*cp -rL"):
        read(folder)


def test_links_into_the_cache_of_the_hub_and_the_stores_of_projects_are_followed(tmp_path):
    snapshot = tmp_path / "datasets--a--b" / "snapshots" / "abc"
    project = tmp_path / "project" / "data"
    for folder, store in [
        (snapshot, snapshot.parent.parent / "blobs"),
        (project, project.parent / ".git" / "annex" / "objects" / "x"),
    ]:
        described(folder, "test.jsonl")
        write(store / "1234", "test")
        (folder / "test.jsonl").symlink_to(os.path.relpath(store / "1234", folder))
        assert len(read(folder).test) == 40


def test_a_dataset_on_the_hub_names_none_of_this_machine(hub, secret, tmp_path, asked):
    """Nor other addresses: its files are its own."""
    requests, url = asked
    for number, named in enumerate(
        [
            str(secret),
            f"file://{secret}",
            f"{url}/x.jsonl",
            "hf://datasets/tests/reviews/data/test.jsonl",
            "../reviews/data/test.jsonl",
        ]
    ):
        folder = hub / "datasets" / "tests" / f"reaching{number}"
        described(folder, named)
        try:
            with pytest.raises(DataError, match="are not in its repository"):
                load(HubDataset(name="x", path=f"tests/reaching{number}"))
        finally:
            shutil.rmtree(folder)
    assert requests == []


def test_a_dataset_on_the_hub_names_its_own(hub):
    folder = described(hub / "datasets" / "tests" / "own", "data/test.jsonl")
    write(folder / "data" / "test.jsonl", "test")
    assert len(load(HubDataset(name="x", path="tests/own")).test) == 40


def test_names_of_readers_do_not_read_the_working_folder(tmp_path, monkeypatch):
    write(tmp_path / "train.jsonl")
    write(tmp_path / "test.jsonl", "test")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="it would read what it finds in the working folder"):
        read("json")
    described(tmp_path / "json", "test.jsonl")
    write(tmp_path / "json" / "test.jsonl", "own")
    assert load(HubDataset(name="x", path="json")).test["text"][0] == "a own text 0"


def test_a_folder_of_a_repositorys_name_is_said_to_be_read(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    hub_module._say_that_it_is_local.cache_clear()
    write(described(tmp_path / "tests" / "reviews", "test.jsonl") / "test.jsonl", "own")
    assert len(load(HubDataset(name="x", path="tests/reviews")).test) == 40
    assert "dataset.path=tests/reviews: the folder" in caplog.text
    assert "not the repository of this name" in caplog.text
    caplog.clear()
    read("./tests/reviews")
    assert "not the repository" not in caplog.text


@pytest.mark.parametrize("change", ["state", "dict", "link"])
def test_a_saved_dataset_names_no_files_elsewhere(change, tmp_path):
    rows = Dataset.from_list(ROWS)
    (DatasetDict(train=rows, test=rows)).save_to_disk(tmp_path / "other")
    (DatasetDict(train=rows, test=rows)).save_to_disk(tmp_path / "given")
    state, splits = tmp_path / "given" / "test" / "state.json", tmp_path / "given" / "dataset_dict.json"
    match change:
        case "state":
            file = json.loads(state.read_text())["_data_files"][0]["filename"]
            state.write_text(state.read_text().replace(file, f"../../other/test/{file}"))
        case "dict":
            splits.write_text(json.dumps({"splits": ["train", str(tmp_path / "other" / "test")]}))
        case "link":
            shutil.rmtree(tmp_path / "given" / "test")
            (tmp_path / "given" / "test").symlink_to(tmp_path / "other" / "test")
    for options in (
        HubDataset(name="x", path=str(tmp_path / "given")),
        FilesDataset(name="x", train=str(tmp_path / "given")),
    ):
        with pytest.raises(DataError, match="no file or folder beside it|lies outside of this folder"):
            load(options)


@pytest.mark.parametrize("linked", ["file", "label"])
def test_folders_of_labels_have_no_links_that_lead_out(linked, tmp_path):
    for label in ("good", "bad"):
        for i in range(10):
            (tmp_path / "given" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "given" / label / f"{i}.txt").write_text(f"a {label} text {i}")
    (tmp_path / "given" / "good" / "10.txt").symlink_to("1.txt")
    assert len(load(FilesDataset(name="x", train=str(tmp_path / "given"))).train) > 10
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key.txt").write_text("a secret")
    where = tmp_path / "given" / ("good/key.txt" if linked == "file" else "secret")
    where.symlink_to(tmp_path / "private" / ("key.txt" if linked == "file" else ""))
    with pytest.raises(DataError, match="lies outside of this folder"):
        load(FilesDataset(name="x", train=str(tmp_path / "given")))


def test_a_pattern_says_which_links_it_follows(secret, tmp_path, caplog):
    write(tmp_path / "given" / "1.jsonl")
    (tmp_path / "given" / "2.jsonl").symlink_to("1.jsonl")
    options = FilesDataset(name="x", train=str(tmp_path / "given" / "*.jsonl"))
    load(options)
    assert "lies outside" not in caplog.text
    (tmp_path / "given" / "3.jsonl").symlink_to(secret)
    assert len(load(options).test) == 24
    assert f"3.jsonl is a link to {secret.resolve()}" in caplog.text


def test_values_of_a_saved_dataset_that_lie_outside_of_it_are_refused(tmp_path):
    rows = Dataset.from_dict({"text": ["fine", "good"] * 3, "label": [0, 1] * 3})
    DatasetDict(train=rows, test=rows).save_to_disk(tmp_path / "given")
    (file,) = (tmp_path / "given" / "train").glob("*.arrow")
    offsets = struct.pack("<7i", *range(0, 28, 4))
    data = file.read_bytes()
    assert data.count(offsets) == 1
    file.write_bytes(data.replace(offsets, struct.pack("<7i", 0, 4, 8, 12, 16, 20, 9_000_000)))
    with pytest.raises(DataError, match="column 'text' is damaged"):
        read(tmp_path / "given")
    with pytest.raises(DataError, match="the saved dataset is damaged"):
        list(read_batches(tmp_path / "given" / "train", Kind.folder))
