"""The command as a person types it, in a process of its own."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.reliability.zygote import Zygote
from textclf.tracking.record import find_records

ROOT = Path(__file__).parents[1]
FAST = ["tracker.system_metrics=false"]


def run(*arguments, cwd, **env):
    return subprocess.run(
        [sys.executable, "-m", "textclf.run", *arguments],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)} | env, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Does the command in a fork of a process that has imported everything, where no Hub answers; else as `run`."""
    scratch = tmp_path_factory.mktemp("zygote")
    with Zygote(
        scratch, HF_HUB_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(scratch / "empty")
    ) as zygote:

        def run_quickly(*arguments, cwd):
            ended = zygote.run("tests.reliability.child:command", *arguments, cwd=cwd)
            return subprocess.CompletedProcess(arguments, ended.status, ended.out, ended.err)

        yield run_quickly


def test_help_and_config_answer_without_loading_anything_heavy(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "glue/rte" in done.stdout
    assert len(done.stdout.splitlines()) < 45
    assert "learning_rate: 0.0002" in run("--help-all", cwd=tmp_path).stdout
    assert run("--cfg", "job", cwd=tmp_path).stdout.count("learning_rate: 0.0002") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_first_line_comes_before_anything_slow_is_imported(tmp_path):
    """A second on a machine with nothing else to do; here what was imported by then is held, whatever else runs."""
    watched = (
        "import sys; from textclf import run; from textclf.experiment import console; begin = console.begin\n"
        "def noted():\n"
        "    begin(); print('loaded:', sorted({'torch', 'datasets', 'sklearn', 'mlflow', 'pandas'} & set(sys.modules)))\n"
        "console.begin = noted\n"
        "run.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", watched, "model=majority", "dataset.train=none.csv"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["loading textclf ...", "loaded: []", "majority on reviews, seed 1"]


def test_one_run_from_any_folder(tmp_path):
    done = run("model=naive_bayes", *FAST, cwd=tmp_path, HF_HUB_OFFLINE="1", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stdout + done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "sklearn.base" in imported
    assert not {"torch", "transformers"} & imported  # seconds that a classical run has no use for
    assert "reviews/naive_bayes/seed1: test/accuracy" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stdout.splitlines()) <= 10, done.stdout
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[-3:]] == [
        "predict with it", "compare it with another", "browse it in MLflow"
    ]  # fmt: skip
    (log,) = tmp_path.glob("outputs/runs/*/*/run.log")
    assert "test predictions, for example" in log.read_text()
    (record,) = find_records(tmp_path / "outputs")
    assert record.command == "python -m textclf.run model=naive_bayes tracker.system_metrics=false"
    assert (tmp_path / "mlruns" / "mlflow.db").is_file()


def children_of(client, parent):
    found = client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    return sorted((run.info.run_name, run.info.status) for run in found)


def test_a_sweep_is_one_thing_and_goes_on_after_failures(tmp_path, quick, stored):
    """The second job asks for a checkpoint that is not there."""
    command = [
        "-m", "model=naive_bayes,bert,tfidf_logreg", "seed=1", "trainer.epochs=1", *FAST,
        "dataset.max_train_examples=100",
    ]  # fmt: skip
    done = quick(*command, cwd=tmp_path)
    assert done.returncode == 3
    out = done.stdout
    for said in (
        "sweep of model", "3 jobs",
        "[1/3] reviews[train=100]/naive_bayes/seed1: test accuracy 0.", "[2/3] model=bert", "FAILED",
        "system", "95 % interval", "do not show that", "the report: ", "1 of 3 jobs failed",
    ):  # fmt: skip
        assert said in out, said
    assert "google-bert/bert-base-uncased" in out
    assert "Traceback" not in out + done.stderr
    assert len([line for line in out[: out.index("\nsetup  ")].splitlines() if line]) <= 11, out  # one line a job
    (sweep,) = (tmp_path / "outputs" / "sweeps").glob("*/*")
    assert json.loads((sweep / "job1" / "status.json").read_text())["failed"]
    assert "Traceback" in (sweep / "job1" / "run.log").read_text()
    assert len(find_records(sweep)) == 2
    report = (sweep / "comparison" / "report.md").read_text()
    failures = report.replace("\\", "").partition("## 1 of 3 runs failed")[2].partition("## reviews")[0]
    assert "job1 (model=bert" in failures
    assert "): Checkpoint" in failures
    assert "(../job1/run.log)" in failures
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("textclf").experiment_id], "tags.sweep != ''")
    (parent,) = runs
    assert parent.info.status == "FINISHED"
    assert "do not show that" in parent.data.tags["mlflow.note.content"]
    best = client.get_run(parent.data.tags["best_run_id"])
    assert best.info.run_name == parent.data.tags["best_run"]
    assert parent.data.metrics["test/macro_f1"] == best.data.metrics["test/macro_f1"]
    assert f"The scores of this row are those of {best.info.run_name}" in parent.data.tags["mlflow.note.content"]
    assert (parent.data.metrics["jobs"], parent.data.metrics["jobs_failed"]) == (3, 1)
    home = (tmp_path / "outputs" / "index.html").read_text(encoding="utf-8")
    assert "2 finished runs of 2 setups" in home
    assert "1 failed" in home
    assert f'href="{sweep.relative_to(tmp_path / "outputs")}/job1/run.log"' in home
    logged = {file.path for file in client.list_artifacts(parent.info.run_id, "comparison")}
    assert "comparison/report.html" in logged
    children = children_of(client, parent)
    assert sorted(status for _, status in children) == ["FAILED"] + ["FINISHED"] * 2

    # Once more with resume=true: what failed is tried again, what finished is used, and all of it is the same sweep.
    again = quick(*command, "resume=true", cwd=tmp_path)
    assert again.returncode == 3, again.stdout + again.stderr
    assert "2 of them were finished before" in again.stdout
    log = (sweep / "job0" / "run.log").read_text()
    assert "finished before, so not run again: " in log
    assert again.stdout.count(" after ") == 1
    assert again.stdout.count("FAILED after") == 1
    assert "1 of 3 jobs failed" in again.stdout
    assert list((tmp_path / "outputs" / "sweeps").glob("*/*")) == [sweep]
    assert [run.info.run_id for run in client.search_runs([parent.info.experiment_id], "tags.sweep != ''")] == [
        parent.info.run_id
    ]
    assert children_of(client, parent) == children


@pytest.mark.slow
def test_a_study_sweeps_without_a_flag_and_the_command_line_has_the_last_word(tmp_path, quick, stored):
    done = quick("study=baseline_vs_transformer", "model=tfidf_svm", "seed=3,4", *FAST, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "study baseline_vs_transformer: 2 jobs" in done.stdout
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("baseline_vs_transformer").experiment_id
    (parent,) = client.search_runs([experiment], "tags.sweep = 'baseline_vs_transformer'")
    assert len(children_of(client, parent)) == 2
    (record, *_) = find_records(tmp_path / "outputs")
    # The command in a record runs that one job again, and no sweep.
    done = quick(*shlex.split(record.command)[3:], "--cfg", "hydra", "-p", "hydra.mode", cwd=tmp_path)
    assert done.stdout.strip() == "RunMode.RUN"


@pytest.mark.slow
def test_jobs_side_by_side_belong_to_the_same_sweep(tmp_path):
    done = run(
        "-m", "model=majority,naive_bayes", "trainer.epochs=0,1", *FAST, "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout.count("FAILED after") == 2
    assert "[4/4]" in done.stdout
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    (parent,) = client.search_runs([client.get_experiment_by_name("textclf").experiment_id], "tags.sweep != ''")
    assert [status for _, status in children_of(client, parent)].count("FAILED") == 2
    assert len(children_of(client, parent)) == 4


@pytest.mark.slow
def test_a_search_goes_on_from_its_storage_and_chooses_on_validation_alone(tmp_path):
    command = ["study=tune_naive_bayes", "hydra.sweeper.n_trials=2", "tracker=none"]
    first = run(*command, cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "best of 2 trials with a score" in first.stdout
    assert "test accuracy" not in first.stdout
    second = run(*command, cwd=tmp_path)
    assert "resuming after 2 trials" in second.stdout
    assert "best of 4 trials with a score" in second.stdout
    tried = {record.config["model"]["classifier"]["alpha"] for record in find_records(tmp_path / "outputs")}
    assert len(tried) == 4  # the second search proposes points of its own


@pytest.mark.slow
def test_a_search_of_which_every_trial_fails_ends_with_a_table(tmp_path, quick):
    done = quick(
        "study=tune_naive_bayes", "hydra.sweeper.n_trials=2", "tracker=none", "dataset.on_leakage=fail",
        "dataset.test=bundled:reviews/train.jsonl", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    assert "no trial of the search ended with a score" in done.stdout
    assert "2 of 2 jobs failed" in done.stdout


def test_a_quoted_value_reaches_each_job_as_it_was_typed(tmp_path, quick):
    pattern = r"(?u)\S+|\d"
    given = f'+model.vectorizer.token_pattern="{pattern}"'
    done = quick("-m", "model=naive_bayes,tfidf_logreg", "seed=1", given, "tracker=none", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    records = find_records(tmp_path / "outputs")
    assert [record.config["model"]["vectorizer"]["token_pattern"] for record in records] == [pattern] * 2


@pytest.mark.slow
def test_a_search_in_folds_says_what_it_chooses_by(tmp_path, quick):
    done = quick(
        "study=tune_naive_bayes", "hydra.sweeper.n_trials=1", "tracker=none", "dataset.folds=2", "dataset.fold_test=true",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "(macro F1 on validation, a slice of each fold's own training part)" in done.stdout
    assert "fold 1 of repeat 1" not in done.stdout  # of its jobs a sweep says no more than a line
    (record,) = find_records(tmp_path / "outputs")
    assert record.folds["folds"] == 2


@pytest.mark.slow
def test_verbose_shows_all_and_is_no_part_of_what_is_run(tmp_path, quick):
    command = ["model=naive_bayes", "dataset.max_train_examples=60", "dataset.folds=2", "tracker=none"]
    short, whole = (quick(*command, *more, cwd=tmp_path) for more in ([], ["verbose=true"]))
    assert short.stdout.count("fold 1 of repeat 1") == 1
    assert "test predictions, for example" in whole.stdout
    assert "test predictions, for example" not in short.stdout
    first, second = find_records(tmp_path / "outputs")
    assert first.command == second.command
    assert first.config == second.config
    again = quick(*command, "verbose=true", "resume=true", cwd=tmp_path)
    assert "finished before, so not run again" in again.stdout


@pytest.mark.slow
def test_a_stopped_sweep_says_how_far_it_came_and_marks_its_runs(tmp_path, stored):
    command = [sys.executable, "-m", "textclf.run", "-m", "model=majority,minilm", "trainer.epochs=500", *FAST]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while (
        not (logs := list(tmp_path.glob("outputs/sweeps/*/*/job1/run.log"))) or "training on" not in logs[0].read_text()
    ):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.terminate()
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 143
    assert "the sweep was stopped; 1 of 2 jobs had ended" in said
    assert f"resume with: {shlex.join(['python', *command[1:], 'resume=true'])}" in said
    assert len(list(tmp_path.glob("outputs/sweeps/*/*/job1/checkpoints/step-*/manifest.json"))) == 1
    assert "Traceback" not in said
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("textclf").experiment_id])
    assert sorted(found.info.status for found in runs) == ["FINISHED", "KILLED", "KILLED"]


def test_a_sweep_that_is_refused_runs_nothing(tmp_path, quick):
    done = quick("-m", "model=majority,brt", "tracker=none", cwd=tmp_path)
    assert done.returncode == 1
    assert "Did you mean 'bert'" in done.stderr
    assert "job" not in done.stdout.replace("2 jobs", "")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "sweep.json").write_text("{}")
    for wrong, said in (
        ("hydra.sweep.dir=taken", "holds a sweep already"),
        ("compare.margin=0", "margin must be greater than 0"),
        ("study=quikstart", "'quickstart'"),
    ):
        done = quick("-m", "model=majority,naive_bayes", "tracker=none", wrong, cwd=tmp_path)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert not find_records(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["trainer.lrr=1"], ["trainer.lrr: there is no such option", "learning_rate"]),
        pytest.param(["trainer.epoch=1"], ["Did you mean 'epochs'"], marks=pytest.mark.slow),
        pytest.param(["trainer.batch_size=abc"], ["trainer.batch_size", "'abc'", "Integer"], marks=pytest.mark.slow),
        (["model=brt"], ["model=brt: there is no such choice", "Did you mean 'bert'"]),
        pytest.param(["dataset=glue/rtee"], ["Did you mean 'glue/rte'"], marks=pytest.mark.slow),
        pytest.param(
            ["modle=bert"], ["modle: there is no such option", "Did you mean 'model'"], marks=pytest.mark.slow
        ),
        pytest.param(
            ["trainer.precision=fp17"],
            ["trainer.precision", "expected one of [auto, fp32, bf16, fp16]"],
            marks=pytest.mark.slow,
        ),
        pytest.param(["model._target_=os.system"], ["model._target_: there is no such option"], marks=pytest.mark.slow),
        (["trainer.epochs=0", "trainer.batch_size=-1"], ["trainer.epochs must be", "trainer.batch_size must be"]),
        (["model=tfidf_logreg", "model.classifier._target_=os.system"], ["cannot run other code"]),
        (["dataset.text_column=txt", "model=majority"], ["no column 'txt'", "it has text, label"]),
        (["dataset.train=none.jsonl"], ["dataset.train=none.jsonl: there is no such file"]),
        pytest.param(["model=="], ["model"], marks=pytest.mark.slow),
    ],
)
def test_bad_input_gets_one_paragraph_and_a_failure(overrides, said, tmp_path, quick):
    done = quick(*overrides, "tracker=none", cwd=tmp_path)
    assert done.returncode == 1
    shown = done.stdout + done.stderr
    for words in said:
        assert words in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) <= 5


@pytest.mark.parametrize(
    ("overrides", "ways"),
    [
        (["model=majority", "dataset=imdb"], ("dataset.path=", "dataset=reviews")),
        (["model=bert"], ("model.checkpoint=", "model=minilm")),
    ],
    ids=["dataset", "checkpoint"],
)
def test_no_network_is_told_within_seconds_with_the_ways_on(overrides, ways, tmp_path, quick):
    start = time.monotonic()
    done = quick(*overrides, "tracker=none", cwd=tmp_path)
    assert done.returncode == 1
    for words in ("and http://127.0.0.1:9 does not answer", "HF_HUB_OFFLINE=1", *ways):
        assert words in done.stdout + done.stderr
    assert time.monotonic() - start < 100  # the libraries alone would retry for longer


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["dataset.train=none.jsonl"], "dataset.train=none.jsonl: there is no such file"),
        (["dataset.text_column=msg"], "dataset.text_column=text"),
        pytest.param(
            ["-m", "model=majority,naive_bayes", "dataset.train=none.jsonl"],
            "there is no such file",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["-m", "model=bert,roberta", "seed=1,2", "model.checkpoint=./nothing"],
            "./nothing: there is no such folder",
            marks=pytest.mark.slow,
        ),
        (["study=tune_naive_bayes", "dataset.train=none.jsonl"], "there is no such file"),
    ],
    ids=["file", "column", "sweep", "checkpoint", "search"],
)
def test_what_is_missing_is_told_before_anything_is_made(overrides, said, tmp_path, quick):
    done = quick(*overrides, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count(said) == 1, done.stderr
    assert not list(tmp_path.iterdir()), "no folder, and no run in MLflow"


def test_a_sweep_of_which_some_jobs_cannot_run_says_so_first(tmp_path, quick):
    done = quick("-m", "model=majority,bert", "seed=1,2", "dataset.max_train_examples=60", "tracker=none", cwd=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout.count("Checkpoint 'google-bert/bert-base-uncased' is not in the local cache") == 1
    first = done.stdout.index("2 of 3 jobs will fail, and the others go on:\n  jobs 1, 2 (model=bert): Checkpoint")
    assert first < done.stdout.index("[1/3]")
    assert done.stdout.count(", for the reason above") == 2


def test_a_file_in_the_way_of_the_run_folder_is_told(tmp_path, quick):
    (tmp_path / "outputs").write_text("in the way")
    done = quick("model=majority", "tracker=none", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "hydra.run.dir=/path/to/it" in done.stderr


@pytest.mark.slow
def test_an_interrupt_ends_the_run_and_marks_it(tmp_path):
    command = [sys.executable, "-m", "textclf.run", "trainer.epochs=500", *FAST]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 90
    while not (logs := list(tmp_path.glob("outputs/runs/*/*/run.log"))) or "training on" not in logs[0].read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(2)
    assert b"Traceback" not in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("textclf").experiment_id])
    assert found.info.status == "KILLED"
