"""No group is on both sides of a slice."""

import numpy as np
import pytest

from tests.conftest import write_jsonl
from textclf.data.load import load
from textclf.data.options import FilesDataset
from textclf.data.splits import group_slice
from textclf.errors import DataError


def rows(count, groups, start=0):
    return [
        {"text": f"text {i}", "label": "ab"[i * 7 // 3 % 2], "author": f"author {i % groups}"}
        for i in range(start, start + count)
    ]


def authors(split):
    return {int(text.split()[1]) % 40 for text in split["text"]}


def test_slices_hold_whole_groups(tmp_path):
    path = str(write_jsonl(tmp_path / "mine.jsonl", rows(800, 40)))
    data = load(FilesDataset(train=path, group_column="author"))
    assert not authors(data.train) & authors(data.test)
    assert not authors(data.train) & authors(data.validation)
    assert not authors(data.validation) & authors(data.test)
    sizes = [len(split) for split in (data.train, data.validation, data.test)]
    assert sum(sizes) == 800
    np.testing.assert_allclose(sizes, [560, 80, 160], atol=25)
    again = load(FilesDataset(train=path, group_column="author"))
    assert again.fingerprint == data.fingerprint
    assert load(FilesDataset(train=path, group_column="author", split_seed=1)).fingerprint != data.fingerprint


def test_groups_that_files_share_are_counted(tmp_path, caplog):
    train = str(write_jsonl(tmp_path / "train.jsonl", rows(80, 40)))
    test = str(write_jsonl(tmp_path / "test.jsonl", rows(10, 40)))
    load(FilesDataset(train=train, test=test, group_column="author"))
    assert "10 groups of test are also in train (such as 'author 0')" in caplog.text


def test_a_row_without_a_group_is_rejected(tmp_path):
    content = [*rows(200, 40), {"text": "x", "label": "a", "author": None}]
    data = load(FilesDataset(train=str(write_jsonl(tmp_path / "mine.jsonl", content)), group_column="author"))
    assert data.rejected == {"train": {"no group": 1}}


@pytest.mark.parametrize("groups", [np.zeros(20), np.repeat([0, 1], 10)])
def test_too_few_groups_are_refused(groups):
    labels = np.repeat([0, 1], 10)
    with pytest.raises(DataError, match=r"its [12] groups .*too few to set a slice for test aside"):
        group_slice(labels, groups.astype(object), 0.2, 0, ("a", "b"), "test")
