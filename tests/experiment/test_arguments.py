"""Arguments of the command: own configs, options that several models share, values that need quotes."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from textclf.errors import ConfigError
from textclf.experiment import arguments
from textclf.experiment.arguments import (
    as_given,
    choices_of,
    deferred,
    in_order,
    named_models,
    of_own_model,
    parsed,
    quoted,
    swept_groups,
    use_own_folder,
)
from textclf.experiment.cli import compose_experiment, help_text, study_of

ROOT = Path(__file__).parents[2]
FOREST = """\
defaults: [classical]
name: forest
vectorizer:
  _target_: sklearn.feature_extraction.text.TfidfVectorizer
classifier:
  _target_: sklearn.ensemble.RandomForestClassifier
  n_estimators: 5
"""


def run(*given, cwd):
    return subprocess.run(
        [sys.executable, "-m", "textclf.run", "tracker=none", *given],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture
def own(tmp_path):
    """A folder of configs of one's own."""
    for name, text in [
        ("model/forest.yaml", FOREST),
        ("dataset/mine.yaml", "defaults: [files]\nname: mine\ntrain: mine.csv\n"),
        ("study/trees.yaml", "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      model: forest,majority\n"),
    ]:  # fmt: skip
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    yield tmp_path / "conf"
    arguments.own_folders.clear()


def test_own_configs_are_choices_like_any_other(own):
    assert "forest" not in choices_of("model")
    use_own_folder(str(own))
    assert "forest" in choices_of("model")
    assert "bert" in choices_of("model")
    text = help_text(["model=forest"], whole=True)
    assert {"forest", "mine", "trees"} <= set(text.replace("|", " ").split())
    assert "sklearn.ensemble.RandomForestClassifier" in text
    assert study_of(["study=trees"]) == {"model": "forest,majority"}
    assert compose_experiment("model=forest", "dataset=mine").model.name == "forest"
    with pytest.raises(ConfigError, match=r"model=forset: there is no such choice.*Did you mean 'forest'"):
        compose_experiment("model=forset")


def test_folders_of_configs_that_cannot_be_meant_are_refused(own):
    for given, said in [
        (["--config-path", "conf"], "--config-dir conf instead, which adds yours"),
        (["--config-dir", "nosuch"], "--config-dir nosuch: there is no such folder"),
        (["--config-dir", str(own / "model")], f"Name the folder above it, {own}"),
    ]:
        with pytest.raises(ConfigError) as caught:
            parsed(given)
        assert said in str(caught.value)


def test_options_may_stand_between_overrides():
    given = ["a=1", "--config-dir", "/", "b=2", "-m"]
    found = parsed(given)
    arguments.own_folders.clear()
    assert found.overrides == ["a=1", "b=2"]
    assert in_order(given, found.overrides) == ["a=1", "b=2", "--config-dir", "/", "-m"]
    for kept in (["-m", "a=1", "b=2"], ["a=1", "-m"], ["-m"], []):
        assert in_order(kept, parsed(kept).overrides) == kept


def test_an_unknown_primary_config_says_what_is_meant_by_one(tmp_path):
    done = run("--config-name", "nosuch", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: --config-name nosuch: there is no such config; there is config.")
    assert "study/NAME.yaml" in done.stderr


@pytest.mark.slow  # a whole command
def test_a_run_with_own_configs_says_how_it_is_run_again(own, tmp_path):
    done = run(
        "--config-dir", "conf", "study=trees", "dataset.max_train_examples=60", "analysis.attributions=0", cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "study trees: 2 jobs" in done.stdout
    (path,) = (tmp_path / "outputs").rglob("job0/run.json")
    assert json.loads(path.read_text())["command"].startswith(f"python -m textclf.run --config-dir {own} model=")


def test_options_of_swept_groups_wait_for_the_jobs():
    given = ["-m", "model=nb_svm,tfidf_logreg", "model.vectorizer.min_df=2", "model.text_cleaning=[html]", "seed=1,2"]
    assert swept_groups(given, {}) == {"model"}
    waiting = deferred(given, {"model"})
    assert waiting[2:4] == ["model.vectorizer.min_df=choice(2)", "model.text_cleaning=choice([html])"]
    assert waiting[:2] + waiting[4:] == given[:2] + given[4:]
    assert as_given(waiting) == given
    assert deferred(given, set()) == given
    assert swept_groups(["model=bert"], {"model": "a,b", "seed": "1,2"}) == {"model"}


def test_an_option_of_one_of_several_models_is_named_by_it():
    given = [
        "model=llm,tfidf_logreg",
        "llm.base_url=http://127.0.0.1:8000/v1",
        "llm.key_variable=null",
        "llm.shots=0,4",
    ]
    assert named_models([*given, "trainer.epochs=2", "hydra.sweep.dir=llm.x"]) == {"llm"}
    assert named_models(["trainer.epochs=2", "model=llm", "dataset.train=llm.csv"]) == set()
    waiting = deferred(given, {"model", "llm"})
    assert waiting[1] == "llm.base_url=choice(http://127.0.0.1:8000/v1)"
    assert waiting[2] == "llm.key_variable=choice('null')"  # Hydra has no choice of null
    assert as_given(waiting) == given
    job = ["model=llm", *given[1:3], "+llm.extra_body.a=1", "seed=1"]
    own = ["model=llm", "model.base_url=http://127.0.0.1:8000/v1", "model.key_variable=null", "+model.extra_body.a=1"]
    assert of_own_model(job, "minilm") == [*own, "seed=1"]
    assert of_own_model(["model=tfidf_logreg", *job[1:]], "minilm") == ["model=tfidf_logreg", "seed=1"]
    assert of_own_model(job[1:], "llm") == [*own[1:], "seed=1"]


def test_an_option_by_the_name_of_a_model_needs_a_sweep():
    with pytest.raises(ConfigError, match="Here it is model.shots"):
        compose_experiment("model=llm", "llm.shots=4")


@pytest.mark.slow  # a whole command
def test_an_option_that_all_swept_models_have_is_theirs(tmp_path):
    done = run(
        "-m", "model=nb_svm,tfidf_logreg", "model.vectorizer.min_df=2", "dataset.max_train_examples=60", cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[2/2]" in done.stdout
    records = [json.loads(path.read_text()) for path in (tmp_path / "outputs").rglob("run.json")]
    assert [record["config"]["model"]["vectorizer"]["min_df"] for record in records] == [2, 2]
    assert all("model.vectorizer.min_df=2 " in record["command"] for record in records)


def test_a_job_without_the_common_option_is_named_before_any_is_run(tmp_path):
    done = run("-m", "model=nb_svm,minilm", "model.vectorizer.min_df=2", cwd=tmp_path)
    assert done.returncode == 1
    said = "error: the job tracker=none model=minilm model.vectorizer.min_df=2 cannot be run: model.vectorizer: there is no"
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value", ["a=b.csv", "größe.csv", "x(1).csv", "it's.csv", "my file=1.csv", "文.csv", 'a"=b.csv', "a,b"]
)
def test_a_value_that_needs_quotes_is_shown_as_it_must_be_typed(value):
    argument = f"dataset.train={value}"
    form = quoted(argument)
    (typed,) = shlex.split(form)
    assert compose_experiment("dataset=files", typed).dataset.train == value
    with pytest.raises(ConfigError) as caught:
        compose_experiment("dataset=files", argument)
    assert str(caught.value).startswith(f"{argument}: ")
    assert form in str(caught.value)


def test_what_no_quotes_would_mend_is_said_too():
    for argument, said in [
        ("bert", "Arguments are GROUP=CHOICE or GROUP.OPTION=VALUE"),
        ("dataset.größe=1", "The name of an option has letters"),
        ("dataset.train=[a=b.csv]", "needs quotes of its own"),
        ("""dataset.train=it's"a\"""", "needs quotes of its own"),
    ]:
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            compose_experiment(argument)
        assert said in str(caught.value)
