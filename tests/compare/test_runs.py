"""What can be compared is read; what cannot is named with its path."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.compare.factory import guess, labels_of, write_run
from textclf.compare.runs import find_runs, read_run
from textclf.errors import ArtifactError
from textclf.system.files import write_manifest

LABELS = labels_of(60)


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "sweep" / "job0", "a", 1, LABELS, guess(LABELS, 0.8, 1))


def test_a_run_is_read(run):
    found = read_run(run)
    assert np.array_equal(found.labels, LABELS)
    assert np.array_equal(found.predicted, guess(LABELS, 0.8, 1))
    assert found.log_losses == pytest.approx(-np.log(np.where(found.right, 0.8, 0.2)), rel=1e-5)
    assert found.label_names == ("negative", "positive")


def test_a_run_is_found_once_however_it_is_named(run):
    assert len(find_runs([run.parent, run, run.parent.parent]).runs) == 1


def test_copies_in_the_trackers_store_are_no_runs(run, tmp_path):
    copy = tmp_path / "mlruns" / "artifacts" / "1234" / "artifacts"
    write_run(copy, "a", 1, LABELS, guess(LABELS, 0.8, 1))
    assert [found.folder for found in find_runs([tmp_path]).runs] == [run]
    assert len(find_runs([copy]).runs) == 1  # named itself, it is one


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"no finished run to compare.*\n.*run.json"):
        find_runs([tmp_path])
    with pytest.raises(ArtifactError, match="there is no such folder"):
        find_runs([tmp_path / "nowhere"])


def damage(run, what):
    record = json.loads((run / "run.json").read_text())
    table = pd.read_parquet(run / "predictions.parquet")
    if what == "no predictions":
        (run / "predictions.parquet").unlink()
    elif what == "corrupt predictions":
        (run / "predictions.parquet").write_bytes(b"PAR1 and nothing more")
    elif what == "corrupt record":
        (run / "run.json").write_text("{")
    elif what == "later format":
        (run / "run.json").write_text(json.dumps(record | {"format": 99}))
    elif what == "lost rows":
        table.iloc[:-1].to_parquet(run / "predictions.parquet")
    elif what == "foreign class":
        table.assign(prediction="other").to_parquet(run / "predictions.parquet")
    elif what == "changed predictions":
        table.assign(prediction=table["label"]).to_parquet(run / "predictions.parquet")
    elif what == "lacks a column":
        table.drop(columns="probability_negative").to_parquet(run / "predictions.parquet")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no predictions", "has a record but no predictions.parquet"),
        ("corrupt predictions", "is damaged"),
        ("corrupt record", "is damaged"),
        ("later format", "format 99"),
        ("lost rows", "59 rows where 60 were tested"),
        ("foreign class", "classes that the record does not name"),
        ("changed predictions", "was changed after the run"),
        ("lacks a column", "does not fit its record: it has no column probability_negative."),
    ],
)
def test_what_is_damaged_is_named_and_the_rest_compared(run, what, said):
    other = write_run(run.parent / "job1", "b", 1, LABELS, guess(LABELS, 0.6, 2))
    damage(run, what)
    found = find_runs([run.parent])
    assert [good.folder for good in found.runs] == [other]
    (problem,) = found.problems
    assert said in problem
    assert str(run) in problem


def swap_within_a_class(run):
    """Give two texts of a class each other's predictions: every score stays what it was."""
    table = pd.read_parquet(run / "predictions.parquet")
    mixed = table[table["label"] == "positive"].sort_values("prediction").index
    swapped = table.copy()
    swapped.loc[mixed[[0, -1]], table.columns[3:]] = table.loc[mixed[[-1, 0]], table.columns[3:]].to_numpy()
    assert not swapped.equals(table)
    swapped.to_parquet(run / "predictions.parquet")


def edit_the_record(run):
    record = json.loads((run / "run.json").read_text())
    metrics = record["metrics"] | {"test/macro_f1": 0.99}
    edited = record | {"model": "the cheaper one", "costs": {"num_parameters": 3}, "metrics": metrics}
    (run / "run.json").write_text(json.dumps(edited))


@pytest.mark.parametrize(
    ("harm", "file"), [(swap_within_a_class, "predictions.parquet"), (edit_the_record, "run.json")]
)
def test_what_was_edited_is_named_and_the_rest_compared(run, harm, file):
    other = write_run(run.parent / "job1", "b", 1, LABELS, guess(LABELS, 0.6, 2))
    for folder in (run, other):
        write_manifest(folder)
    assert len(find_runs([run.parent]).runs) == 2
    harm(run)
    found = find_runs([run.parent])
    assert [good.folder for good in found.runs] == [other]
    (problem,) = found.problems
    assert f"{run} is not as it was left: {file} is not what was written" in problem
    assert "resume=true" in problem
    with pytest.raises(ArtifactError, match="not what was written"):
        find_runs([run])


def test_runs_without_a_manifest_are_compared_and_told_of_once(run, caplog):
    other = write_run(run.parent / "job1", "b", 1, LABELS, guess(LABELS, 0.6, 2))
    assert len(find_runs([run.parent]).runs) == 2
    assert caplog.text.count("2 of 2 runs have no manifest.json") == 1
    caplog.clear()
    for folder in (run, other):
        write_manifest(folder)
    find_runs([run.parent])
    assert caplog.text == ""


def test_runs_that_never_finished_are_named(run):
    for name, status in (("job1", {"failed": True, "error": "no such checkpoint"}), ("job2", None)):
        (run.parent / name).mkdir()
        (run.parent / name / "run.log").write_text("began")
        if status:
            (run.parent / name / "status.json").write_text(json.dumps(status))
    first, second = find_runs([run.parent]).failed
    assert str(first).endswith("job1: it failed: no such checkpoint")
    assert str(second).endswith("job2: it never finished")


def test_a_record_without_a_test_fingerprint_gets_it_from_its_predictions(run):
    """Such as an earlier version wrote."""
    record = json.loads((run / "run.json").read_text())
    del record["data"]["test_fingerprint"]
    (run / "run.json").write_text(json.dumps(record))
    old = read_run(run).test_set
    assert len(old) == 16

    table = pd.read_parquet(run / "predictions.parquet")
    table.loc[0, "text"] = "another text"
    table.to_parquet(run / "predictions.parquet")
    assert read_run(run).test_set != old
