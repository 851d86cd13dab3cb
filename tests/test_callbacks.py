from dataclasses import replace

from tests.test_records import RECORD
from textclf.callbacks import sweep_table

COSTS = {"train_seconds": 1.25, "num_parameters": 1000.0, "test_examples_per_second": 50.0}


def test_table_shows_what_was_varied_and_what_failed():
    jobs = [
        {"job": 0, "failed": False, "overrides": ["model=bert", "trainer=torch", "trainer.epochs=1"]},
        {"job": 1, "failed": True, "overrides": ["model=bert", "trainer=hf", "trainer.epochs=1"], "error": "no"},
    ]
    record = replace(RECORD, metrics={"test/accuracy": 0.75}, costs=COSTS)
    header, _, done, failed = sweep_table(jobs, {0: record}).splitlines()
    assert "trainer " in header
    assert "trainer.epochs" not in header
    assert done.split() == ["d/m/seed1", "torch", "0.750", "–", "1.2", "1,000", "50"]
    assert failed.split() == ["model=bert", "hf", "FAILED"]
