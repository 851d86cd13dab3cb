"""Registering a run: the first takes the alias, a worse one and one that cannot be compared are refused."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tests.tracking.mlflow.serving_factory import classical, finished_run
from textclf.errors import ArtifactError, ConfigError
from textclf.export import registry
from textclf.export.registry import RefusedError, register
from textclf.system.files import write_manifest
from textclf.tracking.find_runs import resolve_run
from textclf.tracking.options import MlflowTracker
from textclf.tracking.record import read_record, write_record
from textclf.tracking.start import start_run


@pytest.fixture(scope="module")
def classifiers():
    """A fitted classifier of single texts, and one of pairs."""
    return classical(), classical(pairs=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The address of one store; each test has a model of its own in it."""
    root = tmp_path_factory.mktemp("registry")
    with chdir(root), start_run(MlflowTracker(directory=str(root / "mlruns"), system_metrics=False), "d", "r", {}):
        return f"sqlite:///{root}/mlruns/mlflow.db"


@pytest.fixture
def world(tmp_path, monkeypatch, store):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def champion_of(name, alias="champion"):
    found = MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).get_model_version_by_alias(name, alias)
    return str(found.version), found


@pytest.mark.parametrize(
    ("call", "is_tracked"),
    [
        ("log_model_artifacts", False),
        pytest.param("finalize_logged_model", True, marks=pytest.mark.slow),
        pytest.param("create_model_version", False, marks=pytest.mark.slow),
    ],
)
def test_what_a_killed_registration_began_is_taken_over(world, classifiers, store, call, is_tracked, monkeypatch):
    class KilledError(BaseException):
        pass

    def killed(*args, **kwargs):
        raise KilledError

    finalize = MlflowClient.finalize_logged_model
    name = f"killed-{call}-{is_tracked}"
    run = finished_run(world / "run", classifiers[0])
    client = MlflowClient(store)
    experiment = client.create_experiment(name, (world / "artifacts").as_uri())
    run_id = client.create_run(experiment).info.run_id if is_tracked else None
    write_record(run, replace(read_record(run), experiment=name, tracking={"run_id": run_id}))
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(MlflowClient, call, killed)
        patched.setattr(MlflowClient, "finalize_logged_model", killed if call != "create_model_version" else finalize)
        register(run, name)
    assert register(run, name).version == "1"
    (model,) = client.search_logged_models([experiment])
    assert model.status == "READY"
    assert champion_of(name)[1].source == f"models:/{model.model_id}"
    if run_id is not None:
        assert [output.model_id for output in client.get_run(run_id).outputs.model_outputs] == [model.model_id]


def test_the_first_takes_the_alias_and_the_same_again_changes_nothing(world, classifiers):
    run = finished_run(world / "run", classifiers[0], right=0.9)
    done = register(run, "first")
    assert (done.version, done.model) == ("1", "models:/first@champion")
    assert "had no champion before" in done.said
    version, found = champion_of("first")
    assert version == "1"
    assert found.tags["model"] == "logreg"
    assert found.tags["seed"] == "1"
    assert found.tags["test/accuracy"] == "0.9000"
    assert found.tags["run_folder"] == str(run)
    for again in (run, "models:/first@champion", "models:/first/1"):
        done = register(again, "first")
        assert done.version == "1"
        assert "nothing was changed" in done.said
    found = resolve_run("models:/first@champion")
    assert found.record == read_record(run)
    assert found.load().predict(["it is a lovely film"])[0].label == "positive"


def test_of_two_who_register_one_run_at_once_the_second_waits(world, classifiers, monkeypatch):
    run, inside, most = finished_run(world / "run", classifiers[0], right=0.9), [], []
    do = registry._registered

    def watched(*given):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.3)
        try:
            return do(*given)
        finally:
            inside.pop()

    monkeypatch.setattr(registry, "_registered", watched)
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda _: register(run, "twice"), range(2)))
    assert max(most) == 1
    assert [found.version for found in done] == ["1", "1"]
    assert "nothing was changed" in done[0].said + done[1].said


def test_a_significantly_worse_one_is_refused_unless_forced(world, classifiers):
    register(finished_run(world / "good", classifiers[0], right=0.95), "worse")
    bad = finished_run(world / "bad", classifiers[0], right=0.7, model="naive_bayes")
    with pytest.raises(RefusedError) as refused:
        register(bad, "worse")
    for said in (
        "significantly better",
        "200 test examples",
        "25 points of accuracy",
        "p < 0.001",
        "--force",
        "worse@champion",
    ):
        assert said in str(refused.value), said
    assert champion_of("worse")[0] == "1"
    assert len(MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).search_model_versions("name = 'worse'")) == 1, (
        "what was refused was registered"
    )
    forced = register(bad, "worse", force=True)
    assert forced.version == champion_of("worse")[0] == "2"
    assert "forced" in forced.said
    back = register(world / "good", "worse")
    assert back.version == champion_of("worse")[0] == "1", "the champion of before is no new version"
    assert "significantly better" in back.said


def test_one_that_is_not_shown_to_be_worse_is_taken_and_says_so(world, classifiers):
    register(finished_run(world / "a", classifiers[0], right=0.9), "close")
    done = register(finished_run(world / "b", classifiers[0], right=0.89, model="naive_bayes"), "close")
    assert done.version == "2"
    assert "No difference in accuracy is shown" in done.said


def test_two_that_differ_in_the_seed_alone_are_two(world, classifiers):
    register(finished_run(world / "a", classifiers[0], right=0.95), "seeds")
    other = finished_run(world / "b", classifiers[0], right=0.7)
    write_record(other, replace(read_record(other), seed=2))
    with pytest.raises(RefusedError, match="with seed 2"):
        register(other, "seeds")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"test_set": "another"}, "these are not the same examples"),
        ({"examples": 100}, "these are not the same examples"),
    ],
)
def test_one_that_cannot_be_compared_is_refused(world, classifiers, changes, said):
    name = f"other-{len(changes)}-{next(iter(changes))}"
    register(finished_run(world / "a", classifiers[0]), name)
    other = finished_run(world / "b", classifiers[0], **changes)
    with pytest.raises(RefusedError, match=said):
        register(other, name)
    assert register(other, name, force=True).version == "2"


@pytest.mark.parametrize(("name", "force"), [("run.json", True), ("predictions.parquet", True), ("run.json", False)])
def test_a_run_that_was_edited_is_not_registered(world, classifiers, name, force):
    run = finished_run(world / "run", classifiers[0], right=0.9)
    write_manifest(run)
    (run / name).write_bytes((run / name).read_bytes() + b" ")
    with pytest.raises(ArtifactError, match=f"{run} is not as it was left: {name} is not what was written"):
        register(run, f"edited {name} {force}", force=force)
    with pytest.raises(MlflowException):
        champion_of(f"edited {name} {force}")


def test_one_without_test_predictions_is_refused_where_the_alias_is_taken(world, classifiers):
    register(finished_run(world / "a", classifiers[0]), "bare")
    classifiers[0].save(world / "exported")
    with pytest.raises(RefusedError, match="has no test predictions"):
        register(world / "exported", "bare")
    assert register(world / "exported", "bare", "exported").version == "2"


def test_other_labels_and_pairs_are_refused(world, classifiers):
    single, pairs = classifiers
    register(finished_run(world / "a", single), "contract")
    with pytest.raises(RefusedError, match="classifies pairs of texts"):
        register(finished_run(world / "pairs", pairs), "contract")
    renamed = replace(single, label_names=("bad", "good"))
    with pytest.raises(RefusedError, match="answers with the labels bad, good"):
        register(finished_run(world / "renamed", renamed), "contract")


def test_a_model_that_the_run_has_logged_is_not_logged_again(world, classifiers, store):
    run = finished_run(world / "run", classifiers[0])
    with start_run(MlflowTracker(tracking_uri=store, system_metrics=False), "logged", "r", {}) as tracked:
        record = replace(read_record(run), tracking={"run_id": tracked.run_id, "url": None})
        write_record(run, record)
        tracked.log_model(run)
    register(run, "logged")
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("logged").experiment_id
    (model,) = client.search_logged_models([experiment])
    version = champion_of("logged")[1]
    assert (version.run_id, version.source) == (tracked.run_id, f"models:/{model.model_id}")
    weights = [p for p in Path(model.artifact_location.removeprefix("file://")).rglob("pipeline.skops")]
    assert [path.is_symlink() for path in weights] == [False]


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("a/b", "x"),
        ("a@b", "x"),
        ("", "x"),
        ("a", "v3"),
        ("a", "latest"),
        ("a", "a b"),
        ("a\x1b[31mb", "x"),
        ("a\nb", "x"),
        ("a\x9bb", "x"),
        ("a\u202eb", "x"),
        ("a", "x\x1b"),
        ("a", "x\n"),
    ],
)
def test_names_that_no_address_could_hold_are_refused(world, classifiers, name, alias):
    with pytest.raises(ConfigError, match="--name|--alias"):
        register(world, name, alias)


def test_a_run_without_classifier_is_no_candidate(world, classifiers):
    run = finished_run(world / "run", classifiers[0])
    (run / "classifier" / "classifier.json").unlink()
    with pytest.raises(ArtifactError, match="without its classifier"):
        register(run, "gone")
    with pytest.raises(MlflowException):
        champion_of("gone")


@pytest.mark.slow
def test_the_command_prints_one_paragraph(world, classifiers):
    good = finished_run(world / "good", classifiers[0], right=0.95)
    bad = finished_run(world / "bad", classifiers[0], right=0.7)

    def command(*arguments):
        return subprocess.run([sys.executable, "-m", "textclf.register", *arguments], capture_output=True, text=True)

    done = command(str(good), "--name", "command")
    assert done.returncode == 0, done.stderr
    assert "mlflow models serve -m models:/command@champion --env-manager local" in done.stdout
    refused = command(str(bad), "--name", "command")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: ")
    assert len(refused.stderr.strip().split("\n")) == 1
    missing = command(str(world / "nothing"), "--name", "command")
    assert (missing.returncode, "Traceback" in missing.stderr) == (1, False)
