import logging
from dataclasses import replace

import pytest

from tests.conftest import make_data
from textclf.audit.gate import pass_gate
from textclf.data.options import OnLeakage
from textclf.errors import DataError

WORDS = [f"{a}{b}" for a in ("ba", "de", "fi", "go", "ku", "la", "mo", "ne") for b in ("ra", "so", "ti", "vu", "xo")]


def own_words(data):
    """Return the data with texts that have nothing in common."""
    number = iter(range(10_000))

    def text(row):
        n = next(number)
        return {"text": " ".join(WORDS[(n * k + k * k) % len(WORDS)] + str(n) for k in range(1, 9))}

    return replace(
        data,
        **{split: data.split(split).map(text, load_from_cache_file=False) for split in ("train", "validation", "test")},
    )


@pytest.fixture
def leaking():
    """Data in which the first three test texts are training texts too."""
    data = own_words(make_data())
    stolen = list(data.train["text"])[:3]
    texts = stolen + list(data.test["text"])[3:]
    return replace(data, test=data.test.remove_columns("text").add_column("text", texts))


def test_clean_data_passes_without_a_word(caplog):
    data = own_words(make_data())
    for choice in OnLeakage:
        kept, said = pass_gate(data, choice)
        assert kept is data
        assert "dropped" not in said
    assert not caplog.records


def test_warn_tells_and_keeps(leaking, caplog):
    kept, said = pass_gate(leaking, OnLeakage.warn)
    assert kept is leaking
    assert "3 of 24 test (12.5 %) texts are in train too" in caplog.text
    assert said["leakage"]["train_test"]["test_exact"] == 3
    assert said["on_leakage"] == "warn"


def test_drop_takes_them_out_of_train_alone(leaking, caplog):
    caplog.set_level(logging.INFO)
    kept, said = pass_gate(leaking, OnLeakage.drop)
    assert len(kept.train) == len(leaking.train) - 3
    assert list(kept.test["text"]) == list(leaking.test["text"])
    assert not set(kept.train["text"]) & set(kept.test["text"])
    assert said["dropped"] == {"train": 3, "validation": 0}
    assert "3 examples of train taken out" in caplog.text
    assert kept.test_fingerprint == leaking.test_fingerprint
    assert kept.fingerprint != leaking.fingerprint


def test_fail_stops_with_the_ways_on(leaking):
    with pytest.raises(DataError, match=r"3 texts of test are in train too \(3 word for word\).*on_leakage=drop"):
        pass_gate(leaking, OnLeakage.fail)


def test_followers_are_silent(leaking, caplog):
    caplog.set_level(logging.INFO)
    kept, _ = pass_gate(leaking, OnLeakage.drop, tell=False)
    assert len(kept.train) == len(leaking.train) - 3
    assert not caplog.records
