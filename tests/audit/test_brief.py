import json
import logging

import pytest

from tests.audit.factory import as_data, clean
from textclf.audit import gate
from textclf.audit.gate import brief_audit, cache_path
from textclf.audit.leakage import find_leakage


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(gate.constants, "HF_HOME", str(tmp_path))


def spoiled():
    train, validation, test = clean()
    train[1] = list(train[3])  # a copy
    train[2] = [train[4][0], 1 - train[4][1]]  # a contradiction
    train[5], train[10] = ["", 1], [" ", 0]  # no contradiction, and no copy
    test[0] = list(train[6])
    test[1] = [train[8][0] + " indeed", train[8][1]]
    train = [row for row in train if row[1] == 0] + [row for row in train if row[1] == 1][:6]
    return as_data(train, validation, test)


def test_clean_data_says_nothing():
    found = brief_audit(as_data(*clean()))
    assert found.lines() == ()
    assert found.smallest_class_examples == 120


def test_every_fault_is_counted_and_said():
    found = brief_audit(spoiled())
    assert found.duplicates == {"train": 2, "validation": 0, "test": 0}
    assert found.contradictions == {"train": 2, "validation": 0, "test": 0}
    assert found.empty == {"train": 2, "validation": 0, "test": 0}
    assert (found.smallest_class, found.smallest_class_examples) == ("positive", 6)
    said = "\n".join(found.lines())
    assert "2 of 80 test (2.5 %) texts are in train too (1 word for word and 1 nearly)" in said
    assert "dataset.on_leakage=drop" in said
    assert "contradicts" in said
    assert "are empty" in said
    assert "'positive' has 6 training examples" in said
    assert "python -m textclf.audit" in said


def test_the_second_look_is_read_from_the_cache(monkeypatch):
    first = brief_audit(spoiled())
    monkeypatch.setattr(gate, "find_leakage", lambda *_, **__: pytest.fail("it was looked for again"))
    again = brief_audit(spoiled())
    assert again.lines() == first.lines()
    assert again.to_dict() == first.to_dict()
    assert again.leakage.train_rows.tolist() == first.leakage.train_rows.tolist() != []


def test_what_another_version_found_is_looked_for_again(monkeypatch):
    data = spoiled()
    before = brief_audit(data).leakage.train_rows.tolist()
    monkeypatch.setattr(gate, "THRESHOLD", 0.5)
    monkeypatch.setattr(gate, "find_leakage", lambda *_, **__: find_leakage(data, near=False))
    assert len(brief_audit(data).leakage.train_rows) < len(before)


def test_other_data_has_another_file():
    assert cache_path(spoiled()) != cache_path(as_data(*clean()))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"made_by": [1]}', "null"])
def test_a_damaged_file_is_made_anew(content):
    data = spoiled()
    first = brief_audit(data)
    cache_path(data).write_text(content)
    assert brief_audit(data).lines() == first.lines()
    assert json.loads(cache_path(data).read_text())["examples"] == first.examples


def test_a_file_that_lacks_its_leakage_is_made_anew():
    data = spoiled()
    first = brief_audit(data)
    content = json.loads(cache_path(data).read_text())
    content["leakage"]["leaks"][0].pop("near_rows")
    cache_path(data).write_text(json.dumps(content))
    assert brief_audit(data).to_dict() == first.to_dict()
    assert "near_rows" in json.loads(cache_path(data).read_text())["leakage"]["leaks"][0]


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch, tmp_path, caplog):
    (tmp_path / "textclf").write_text("a file in the way")
    with caplog.at_level(logging.DEBUG, "textclf.audit"):
        assert brief_audit(spoiled()).lines()
    assert "not kept" in caplog.text


def test_too_many_texts_are_said(monkeypatch):
    monkeypatch.setattr(gate, "MOST_NEAR_TEXTS", 50)
    found = brief_audit(spoiled())
    assert "near duplicates were not looked for" in found.lines()[-1]
    assert found.to_dict()["leakage"]["near"] is False


def test_the_record_is_plain():
    content = brief_audit(spoiled()).to_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["leakage"]["train_test"] == {"test_exact": 1, "test_near": 1, "train_exact": 1, "train_near": 1}
