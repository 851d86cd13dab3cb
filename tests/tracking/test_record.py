import json
import os
from dataclasses import replace

import pytest

from textclf.errors import ArtifactError
from textclf.system.files import write_manifest
from textclf.tracking import record as records
from textclf.tracking.record import RunRecord, predict_command

RECORD = RunRecord(
    name="d/m/seed1", experiment="e", dataset="d", model="m", trainer="none", seed=1, objective="validation/accuracy",
    metrics={"test/accuracy": 0.5}, costs={"train_seconds": 1.0}, data={}, fit={}, config={"seed": 1},
    config_fingerprint="0" * 12, command="", environment={}, started="2026-01-01T00:00:00+00:00", seconds=1.0,
)  # fmt: skip


def test_written_and_read_is_the_same(tmp_path):
    records.write_record(tmp_path, RECORD)
    assert records.read_record(tmp_path) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_record_of_before_there_were_phases_is_read(tmp_path):
    records.write_record(tmp_path, replace(RECORD, phases={"fit": 1.0}))
    path = tmp_path / "run.json"
    content = json.loads(path.read_text())
    assert content.pop("phases") == {"fit": 1.0}
    path.write_text(json.dumps(content))
    assert records.read_record(tmp_path) == RECORD


def test_all_below_a_folder_are_found_in_order(tmp_path):
    for name in ("b", "a", ".damaged", "artifacts"):
        (tmp_path / "x" / name).mkdir(parents=True)
        records.write_record(tmp_path / "x" / name, replace(RECORD, name=name))
    assert [record.name for record in records.find_records(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no finished run"),
        ("{", "is damaged"),
        ('{"format": 1}', "is damaged"),
        ('{"format": 9}', "format 9"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(ArtifactError, match=message):
        records.read_record(tmp_path)


def test_a_record_that_was_edited_is_refused(tmp_path):
    records.write_record(tmp_path, RECORD)
    write_manifest(tmp_path)
    assert records.read_record(tmp_path) == RECORD
    records.write_record(tmp_path, replace(RECORD, model="the cheaper one"))
    with pytest.raises(ArtifactError, match=rf"{tmp_path} is not as it was left: run.json.*resume=true hydra.run.dir="):
        records.read_record(tmp_path)


def test_a_run_without_its_manifest_is_not_finished_where_it_has_its_start(tmp_path):
    records.write_record(tmp_path, RECORD)
    assert records.read_record(tmp_path) == RECORD  # a copy, such as in MLflow's store
    (tmp_path / "started.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"is not finished: it has a record but no manifest.json.*resume=true"):
        records.read_record(tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"format": 1, "name": []}', "[]", "3"])
def test_a_record_of_another_shape_is_damaged(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ArtifactError, match="is damaged"):
        records.read_record(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes that have names")
@pytest.mark.parametrize("name", ["run.json", "manifest.json"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    records.write_record(tmp_path, RECORD)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ArtifactError, match="is no file"):
        records.read_record(tmp_path)


def test_fingerprint_follows_the_options_in_any_order():
    config = {"dataset": {"a": 1}, "seed": 1}
    assert records.config_fingerprint(config) == records.config_fingerprint({"seed": 1, "dataset": {"a": 1}})
    assert records.config_fingerprint(config) != records.config_fingerprint(config | {"seed": 2})


def test_options_become_flat():
    assert records.flat({"a": {"b": {"c": 1}}, "d": [1]}) == {"a.b.c": 1, "d": [1]}


def test_a_command_can_be_pasted():
    said = records.command_line(["model=bert", "model.vectorizer.ngram_range=[1,2]"])
    assert said == "python -m textclf.run model=bert 'model.vectorizer.ngram_range=[1,2]'"


def test_the_command_to_predict_gives_pairs_two_texts():
    assert predict_command("runs/a b", pairs=False) == "python -m textclf.predict 'runs/a b' \"a text\""
    assert predict_command("run", pairs=True) == 'python -m textclf.predict run "a text" "another text"'
