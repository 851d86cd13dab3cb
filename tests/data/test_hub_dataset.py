import os
import subprocess
import sys
import time

import pytest
from huggingface_hub import constants

from textclf.data.dataset import labels_of
from textclf.data.load import load
from textclf.data.options import HubDataset
from textclf.errors import DataError
from textclf.system import hub


def test_splits_come_as_the_hub_has_them():
    data = load(HubDataset(name="reviews", path="tests/reviews"))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [80, 20, 40]
    assert data.label_names == ("negative", "positive")


def test_hidden_test_labels_are_refused_and_validation_can_stand_in():
    columns = {"text_column": "first", "text_pair_column": "second", "label_names": ["no", "yes"]}
    with pytest.raises(DataError, match=r"labels are hidden.*dataset.test_split=validation"):
        load(HubDataset(name="pairs", path="tests/pairs", **columns))
    data = load(HubDataset(name="pairs", path="tests/pairs", test_split="validation", **columns))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [54, 6, 20]
    assert labels_of(data.validation).tolist().count(0) == 3


def test_a_local_folder_is_read_like_the_hub(hub):
    data = load(HubDataset(name="local", path=str(hub / "datasets" / "tests" / "reviews")))
    assert len(data.test) == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "tests/absent"}, "'tests/absent' is not on the Hub"),
        ({"path": "tests/reviews", "test_split": "tset"}, r"no split 'tset' \(dataset.test_split\); it has .*'test'"),
        ({"path": "/no/such/folder"}, "there is no such folder"),
        ({"path": "tests/reviews", "config": "x"}, "could not be loaded: BuilderConfig 'x' not found"),
    ],
)
def test_what_is_not_there_is_named(options, message):
    with pytest.raises(DataError, match=message):
        load(HubDataset(name="x", **options))


def test_without_network_the_cache_serves_and_the_rest_is_told_within_seconds(tmp_path):
    """In a process of its own, since the client libraries read the address once."""
    load(HubDataset(name="reviews", path="tests/reviews"))  # fills the cache
    code = (
        "from textclf.data.load import load\n"
        "from textclf.data.options import HubDataset\n"
        "from textclf.errors import DataError\n"
        "print(len(load(HubDataset(name='r', path='tests/reviews')).test))\n"
        "try: load(HubDataset(name='p', path='tests/pairs2'))\n"
        "except DataError as error: print(error)\n"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert time.monotonic() - start < 40, "the client's own retries take longer"
    size, paragraph = done.stdout.strip().split("\n")
    assert size == "40"
    for way in ("HF_HUB_OFFLINE=1", "dataset.path=", "dataset=reviews"):
        assert way in paragraph


def test_the_probe_is_asked_once_a_minute(monkeypatch, caplog):
    asked = []
    monkeypatch.setattr(hub, "_last_probe", None)
    monkeypatch.setattr(hub, "_ask", lambda: asked.append(1) or False)
    assert not hub.hub_is_reachable()
    assert not hub.hub_is_reachable()
    assert len(asked) == 1
    assert caplog.text.count("does not answer; looking in the local cache") == 1
    with hub.hub_or_cache() as access:
        assert not access.online
        assert constants.is_offline_mode()
    assert not constants.is_offline_mode()
