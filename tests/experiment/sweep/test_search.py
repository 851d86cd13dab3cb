"""Searches: the way of the objective, what decides a trial's value, and what a storage may go on from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from textclf.errors import ConfigError
from textclf.experiment import config
from textclf.experiment.arguments import CONF
from textclf.experiment.sweep.search import open_study, planned_search, search_space, storage_of

ROOT = Path(__file__).parents[3]
STUDY = ("study=tune_naive_bayes", "dataset.max_train_examples=120")


@pytest.fixture(autouse=True)
def _hydra():
    config.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def planned(*overrides):
    return planned_search(compose("config", [*STUDY, *overrides], return_hydra_config=True))


def test_the_metric_gives_the_direction():
    assert planned().direction == "maximize"
    for metric in ("log_loss", "ece"):
        assert planned(f"objective=validation/{metric}").direction == "minimize"
    assert planned("hydra.sweeper.direction=maximize").direction == "maximize"
    with pytest.raises(
        ConfigError, match=r"direction=maximize contradicts objective=validation/log_loss, of which less"
    ):
        planned("objective=validation/log_loss", "hydra.sweeper.direction=maximize")
    with pytest.raises(ConfigError, match="direction=sideways contradicts"):
        planned("hydra.sweeper.direction=sideways")


def test_a_search_is_named_by_what_decides_the_value_of_its_trials():
    name = planned().name
    assert name.startswith("reviews_train_120_-naive_bayes-macro_f1-")
    for same in ("experiment=other", "trainer.epochs=9", "tracker=none", "hydra.sweeper.n_trials=7", "run_name=mine"):
        assert planned(same).name == name, same
    others = [
        "objective=validation/accuracy", "objective=validation/log_loss", "dataset.max_train_examples=100",
        "dataset.split_seed=1", "seed=2", "model.imbalance=oversample", "dataset=headlines",
    ]  # fmt: skip
    names = {planned(other).name for other in others}
    assert len(names) == len(others)
    assert name not in names
    assert planned("hydra.sweeper.study_name=mine").name == "mine"
    assert storage_of("sqlite://%study_name%", "mine") == "sqlite://mine"


@pytest.mark.slow
def test_a_storage_is_not_shared_by_searches_that_do_not_compare(tmp_path):
    storage = f"sqlite:///{tmp_path}/search.db"
    named = "hydra.sweeper.study_name=mine"
    study = open_study(planned(named), storage)
    study.tell(study.ask(planned(named).space.ranges), 0.5)
    assert len(open_study(planned(named), storage).trials) == 1
    for overrides, said in [
        (["objective=validation/log_loss"], "begun to maximize its objective, but objective=validation/log_loss"),
        (["objective=validation/accuracy"], "objective was validation/macro_f1, now validation/accuracy"),
        (["dataset.max_eval_examples=50"], "dataset.max_eval_examples was not given, now 50"),
        (["hydra.sweeper.params.model.classifier.alpha='interval(0.1, 1.0)'"], "searched another space"),
    ]:
        changed = planned(named, *overrides) if "space" not in said else None
        if changed is None:
            cfg = compose("config", [*STUDY, named], return_hydra_config=True)
            cfg.hydra.sweeper.params["model.classifier.alpha"] = "interval(0.1, 1.0)"
            changed = planned_search(cfg)
        with pytest.raises(ConfigError, match="another name with hydra.sweeper.study_name=NAME") as caught:
            open_study(changed, storage)
        assert said in str(caught.value)


def test_trials_of_which_nothing_is_known_are_not_gone_on_from(tmp_path):
    import optuna

    storage = f"sqlite:///{tmp_path}/search.db"
    study = optuna.create_study(study_name="mine", storage=storage, direction="maximize")
    study.add_trial(optuna.trial.create_trial(value=0.5))
    with pytest.raises(ConfigError, match="does not say what its trials were run with"):
        open_study(planned("hydra.sweeper.study_name=mine"), storage)


def test_ranges_may_fall_and_must_hold_something():
    for given, low, high, step in [("range(4,1,-1)", 2, 4, 1), ("range(1,4)", 1, 3, 1), ("range(9,0,-3)", 3, 9, 3)]:
        distribution = search_space({"a": given}, []).ranges["a"]
        assert (distribution.low, distribution.high, distribution.step) == (low, high, step), given
    for empty in ("range(4,1)", "interval(1.0,0.1)", "tag(log, interval(0, 5))"):
        with pytest.raises(ConfigError, match="a=.*: there is nothing to search in it"):
            search_space({"a": empty}, [])
    assert search_space({"a": "choice(1)"}, ["b=2"]).fixed == ["a=1", "b=2"]


def test_seeds_are_run_in_every_trial():
    search = planned()
    assert search.jobs_per_trial == 1
    space = search_space({"a": "choice(1,2)", "seed": "1,2"}, ["seed=range(3,6)"])
    assert (list(space.ranges), space.seeds) == (["a"], ["3", "4", "5"])
    with pytest.raises(ConfigError, match="a search does not choose the seed"):
        search_space({}, ["seed=interval(1,5)"])
    with pytest.raises(ConfigError, match="a search goes by one objective"):
        search_space({}, ["objective=validation/ece,validation/log_loss"])


@pytest.mark.slow  # a whole command
def test_a_search_for_the_least_ends_with_the_least(tmp_path):
    command = [
        "study=tune_naive_bayes", "objective=validation/log_loss", "hydra.sweeper.n_trials=3", "tracker=none",
        "dataset.max_train_examples=120", "model.imbalance=oversample", "seed=1,2", "save_classifier=false",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "textclf.run", *command],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "study tune_naive_bayes: 6 jobs" in done.stdout
    records = [json.loads(path.read_text()) for path in sorted((tmp_path / "outputs").rglob("run.json"))]
    by_trial = {}
    for record in records:
        key = json.dumps(record["config"]["model"])
        by_trial.setdefault(key, {})[record["seed"]] = record["metrics"]["validation/log_loss"]
    assert [set(values) for values in by_trial.values()] == [{1, 2}] * 3
    least = min(sum(values.values()) / 2 for values in by_trial.values())
    assert f"(log loss on validation, less is better, mean of the seeds 1, 2): {least:.4f}, with" in done.stdout
    assert len(list((tmp_path / "outputs" / "searches").glob("reviews_train_120_-naive_bayes-log_loss-*.db"))) == 1
