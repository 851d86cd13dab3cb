"""A run is found by folder, as the latest, as the best on validation, and through MLflow."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import textclf
from tests.conftest import make_data
from tests.tracking.test_run_folder import STARTED, cut_off, finish
from textclf.data.in_memory import InMemoryDataset
from textclf.errors import ArtifactError
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.models.options import ClassicalModel
from textclf.system.files import write_manifest
from textclf.tracking.find_runs import find_previous_run, link_finished_run, resolve_run
from textclf.tracking.lease import take_lease
from textclf.tracking.options import MlflowTracker
from textclf.tracking.record import read_record, write_record
from textclf.tracking.run_folder import NOT_VOUCHED_FOR, is_finished


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One finished run, tracked."""
    root = tmp_path_factory.mktemp("locate")
    data = make_data()
    rows = {split: (data.split(split)["text"][:], data.split(split)["label"][:]) for split in ("train", "test")}
    experiment = Experiment(
        dataset=InMemoryDataset(name="tiny", **rows),
        model=ClassicalModel(
            name="logreg", classifier={"_target_": "sklearn.linear_model.LogisticRegression"}, vectorizer={
                "_target_": "sklearn.feature_extraction.text.TfidfVectorizer"
            },
        ),
        tracker=MlflowTracker(directory=str(root / "mlruns"), system_metrics=False),
    )  # fmt: skip
    run_experiment(experiment, root / "outputs" / "first")
    return root


def copy_of(finished, name, **changes):
    """Write another run folder with the same classifier and a changed record."""
    first = finished / "outputs" / "first"
    folder = first.parent / name
    folder.mkdir()
    (folder / "classifier").symlink_to(first / "classifier")
    write_record(folder, replace(read_record(first), **changes))
    return folder


def test_the_latest_and_the_best(finished):
    outputs = finished / "outputs"
    first = read_record(outputs / "first")
    assert resolve_run("latest", outputs).folder == outputs / "first"
    later = copy_of(
        finished, "later", started="2999-01-01T00:00:00+00:00", metrics=first.metrics | {"validation/macro_f1": 0.1}
    )
    lucky = copy_of(finished, "lucky", metrics=first.metrics | {"test/macro_f1": 1.0, "validation/macro_f1": 0.0})
    assert resolve_run("latest", outputs).folder == later
    assert resolve_run("best:tiny", outputs).folder == outputs / "first", "chosen by test, not by validation"
    for folder in (later, lucky):
        (folder / "classifier").unlink()
    assert resolve_run("latest", outputs).folder == outputs / "first", "a run without classifier was taken"


def test_the_folder_of_the_classifier_knows_its_run(finished):
    folder = finished / "outputs" / "first"
    for reference in (folder, folder / "classifier"):
        found = resolve_run(reference)
        assert (found.folder, found.classifier) == (folder, folder / "classifier")
        assert found.record.dataset == "tiny"


def test_a_run_of_mlflow_is_found_by_its_id(finished, monkeypatch):
    folder = finished / "outputs" / "first"
    run_id = read_record(folder).tracking["run_id"]
    store = f"sqlite:///{finished}/mlruns/mlflow.db"
    assert resolve_run(run_id, tracking_uri=store).folder == folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    prediction = textclf.load_classifier(run_id).predict(["it is a lovely film"])[0]
    assert prediction.label == "1"
    with pytest.raises(ArtifactError, match="has no run"):
        resolve_run("0" * 32)
    with pytest.raises(ArtifactError, match=r"has no models:/reviews@champion"):
        resolve_run("models:/reviews@champion")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("lates", "Did you mean 'latest'"),
        ("best:tinny", "There are runs on tiny. Did you mean 'tiny'"),
        (".", "holds no classifier"),
    ],
)
def test_what_is_not_there_is_explained(finished, monkeypatch, reference, message):
    monkeypatch.chdir(finished)
    with pytest.raises(ArtifactError, match=message):
        resolve_run(reference)


def test_a_run_without_its_classifier_says_so(finished, tmp_path):
    write_record(tmp_path, read_record(finished / "outputs" / "first"))
    with pytest.raises(ArtifactError, match="save_classifier=false"):
        resolve_run(Path(tmp_path))


ENVIRONMENT = STARTED.environment


def find(outputs, fingerprint=STARTED.fingerprint, environment=ENVIRONMENT, **options):
    return find_previous_run(fingerprint, environment, outputs, **options)


def test_a_finished_run_comes_before_later_ones_that_were_cut_off(tmp_path):
    assert find(tmp_path) is None
    cut_off(tmp_path / "b", replace(STARTED, started="2026-01-02T00:00:00+00:00"))
    cut_off(tmp_path / "a")
    assert find(tmp_path) == tmp_path / "b"
    finish(tmp_path / "deep" / "c")
    assert find(tmp_path) == tmp_path / "deep" / "c"
    assert find(tmp_path, fingerprint="0" * 16) is None


def test_what_others_work_on_is_left_to_them(tmp_path):
    lease = take_lease(cut_off(tmp_path / "a"))
    assert find(tmp_path) is None
    lease.give_back()
    assert find(tmp_path) == tmp_path / "a"


@pytest.mark.parametrize("harm", [lambda p: (p / "scores.txt").write_text("x"), lambda p: None])
def test_a_finished_run_of_other_code_or_with_damage_is_passed_over(harm, tmp_path, caplog):
    caplog.set_level("INFO")
    finish(tmp_path / "a")
    harm(tmp_path / "a")
    damaged = (tmp_path / "a" / "scores.txt").read_text() == "x"
    assert find(tmp_path, environment={"torch": "2", "code": "a"}) is None
    assert "is not used: torch 1, now 2" in caplog.text
    accepted = find(tmp_path, environment={"torch": "2", "code": "a"}, accept_changes=True)
    assert accepted == (None if damaged else tmp_path / "a")


def test_an_adopted_run_is_the_same_files(tmp_path):
    finish(tmp_path / "a")
    link_finished_run(tmp_path / "a", tmp_path / "b")
    assert is_finished(tmp_path / "b")
    assert (tmp_path / "a" / "figures" / "a.png").stat().st_ino == (tmp_path / "b" / "figures" / "a.png").stat().st_ino
    assert (tmp_path / "a" / "started.json").read_bytes() == (tmp_path / "b" / "started.json").read_bytes()


def test_a_run_that_is_being_adopted_is_none_until_all_of_it_is_there(tmp_path, monkeypatch):
    finish(tmp_path / "a")
    seen = []
    link = os.link
    monkeypatch.setattr(
        os, "link", lambda source, target: (link(source, target), seen.append((target.name, is_run(target))))
    )
    link_finished_run(tmp_path / "a", tmp_path / "b")
    assert [name for name, run in seen if run] == ["run.json"]
    assert {"manifest.json", "scores.txt"} <= {name for name, run in seen if not run}


def is_run(path):
    return (path.parent / "run.json").exists()


@pytest.mark.parametrize("metric", ["log_loss", "ece"])
def test_the_best_by_an_error_is_the_one_with_the_least(finished, tmp_path, metric):
    first = read_record(finished / "outputs" / "first")
    for name, value in (("much", 0.9), ("little", 0.1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "classifier").symlink_to(finished / "outputs" / "first" / "classifier")
        changes = {"objective": f"validation/{metric}", "metrics": {f"validation/{metric}": value}}
        write_record(tmp_path / name, replace(first, **changes))
    assert resolve_run("best:tiny", tmp_path).folder == tmp_path / "little"


def edited(path, *keys, to):
    """Change a value of a JSON file."""
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    path.write_text(json.dumps(content))


@pytest.fixture
def two_runs(finished, tmp_path):
    """An honest run, and one that is a little worse on validation, both finished."""
    outputs = tmp_path / "outputs"
    for name in ("honest", "worse"):
        shutil.copytree(finished / "outputs" / "first", outputs / name)
    worse = read_record(outputs / "worse")
    (outputs / "worse" / "manifest.json").unlink()
    (outputs / "worse" / "started.json").unlink()
    write_record(outputs / "worse", replace(worse, metrics=worse.metrics | {"validation/macro_f1": 0.1}))
    write_manifest(outputs / "worse", NOT_VOUCHED_FOR)
    assert resolve_run("best:tiny", outputs).folder == outputs / "honest"
    return outputs


def test_an_edited_validation_score_makes_no_run_the_best(two_runs, caplog):
    edited(two_runs / "worse" / "run.json", "metrics", "validation/macro_f1", to=0.999)
    assert resolve_run("best:tiny", two_runs).folder == two_runs / "honest"
    assert "worse is not as it was left: run.json is not what was written" in caplog.text
    with pytest.raises(ArtifactError, match=r"run.json is not what was written.*resume=true"):
        resolve_run(two_runs / "worse")


@pytest.mark.parametrize("said", ["folder", "classifier", "best:tiny"])
@pytest.mark.parametrize(
    ("harm", "file"),
    [
        (lambda c: edited(c / "classifier.json", "label_names", to=["1", "0"]), "classifier.json"),
        (lambda c: (c / "pipeline.skops").unlink(), "pipeline.skops"),
        (lambda c: (c / "added_tokens.json").write_text("{}"), "added_tokens.json"),
    ],
)
def test_a_classifier_that_was_changed_does_not_answer(two_runs, said, harm, file):
    honest = two_runs / "honest"
    reference = {"folder": honest, "classifier": honest / "classifier"}.get(said, said)
    before = resolve_run(reference, two_runs)
    assert before.load().label_names == ("0", "1")
    harm(honest / "classifier")
    with pytest.raises(ArtifactError, match=rf"{honest} is not as it was left: classifier/{file}.*resume=true"):
        resolve_run(reference, two_runs)


def test_what_is_not_read_may_be_taken_away(two_runs):
    shutil.rmtree(two_runs / "honest" / "figures")
    (two_runs / "honest" / "predictions.parquet").unlink()
    (two_runs / "honest" / "notes.txt").write_text("the one of Monday")
    assert resolve_run(two_runs / "honest").load().label_names == ("0", "1")


def test_a_classifier_by_itself_and_a_copy_without_its_manifest_still_answer(two_runs, tmp_path, caplog):
    alone = shutil.copytree(two_runs / "honest" / "classifier", tmp_path / "classifier")
    assert resolve_run(alone).load().label_names == ("0", "1")
    assert caplog.text == ""
    for name in ("manifest.json", "started.json"):
        (two_runs / "honest" / name).unlink()
    assert resolve_run(two_runs / "honest").load().label_names == ("0", "1")
    assert caplog.text.count("has no manifest.json") == 1


def test_a_run_whose_finish_was_interrupted_is_not_finished(two_runs):
    (two_runs / "honest" / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"honest is not finished.*resume=true"):
        resolve_run(two_runs / "honest")
    assert resolve_run("latest", two_runs).folder == two_runs / "worse"
