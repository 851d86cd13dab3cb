"""A seed that nothing is drawn from is run once; one that decides the data or the model is run each time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from textclf.experiment import config
from textclf.experiment.arguments import CONF
from textclf.experiment.sweep.search import planned_search
from textclf.experiment.sweep.seeds import without_repeats

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _hydra():
    config.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def left(*models, extra=(), seeds=(1, 2, 3)):
    """Return the seeds that are left of each model's."""
    jobs = [[f"model={model}", f"seed={seed}", *extra] for model in models for seed in seeds]
    kept = without_repeats(compose("config", [], return_hydra_config=True), jobs)
    assert kept == [job for job in jobs if job in kept]
    return [sum(job[0] == f"model={model}" for job in kept) for model in models]


def test_models_that_draw_from_their_seed_keep_all(capsys):
    assert left("majority", "naive_bayes", "tfidf_logreg", "tfidf_svm", "nb_svm", "minilm") == [1, 1, 1, 3, 3, 3]
    said = capsys.readouterr().out
    assert (
        "tfidf_logreg on reviews draws nothing from its seed: it is run once, with seed 1, and not again with 2, 3"
        in said
    )
    assert "svm" not in said


def test_a_seed_that_decides_something_else_is_kept():
    assert left("naive_bayes", extra=["dataset.split_seed=${seed}"]) == [3]
    assert left("naive_bayes", extra=["model.imbalance=oversample"]) == [3]
    assert left("naive_bayes", extra=["run_name=mine${seed}"]) == [1]
    assert left("naive_bayes", seeds=[5]) == [1]


def test_a_search_runs_the_seeds_that_matter_to_any_of_its_trials():
    def seeds(*params):
        cfg = compose("config", ["study=tune_naive_bayes"], return_hydra_config=True)
        with open_dict(cfg.hydra.sweeper.params):
            cfg.hydra.sweeper.params.update(dict(params))
        return planned_search(cfg).space.seeds

    assert seeds(("seed", "1,2")) == ["1"]
    assert seeds(("seed", "1,2"), ("model.imbalance", "none,oversample")) == ["1", "2"]


@pytest.mark.slow  # a whole command
def test_a_sweep_runs_once_what_its_seed_does_not_change(tmp_path):
    done = subprocess.run(
        [
            sys.executable, "-m", "textclf.run", "-m", "model=majority,naive_bayes,tfidf_svm", "seed=1,2,3",
            "dataset.max_train_examples=100", "tracker=none", "analysis.attributions=0",
        ],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[5/5]" in done.stdout
    records = [json.loads(path.read_text()) for path in (tmp_path / "outputs").rglob("run.json")]
    found = sorted((record["model"], record["seed"], record["fit"]["draws_seed"]) for record in records)
    assert found == [
        ("majority", 1, False), ("naive_bayes", 1, False), *(("tfidf_svm", seed, True) for seed in (1, 2, 3))
    ]  # fmt: skip
    assert "± 0.000" not in done.stdout
    assert "fewer than three seeds" not in done.stdout
    (pairs,) = (tmp_path / "outputs").rglob("comparison/comparison.json")
    compared = json.loads(pairs.read_text())["pairs"]
    assert {pair["claim"] for pair in compared} == {"setup"}
    assert {pair["seeds"] for pair in compared} >= {"any and any"}


def of_sizes(*choices, option="dataset.examples_per_class", sizes=(4, 8), seeds=(1, 2)):
    """Return the sizes and seeds that are left of a sweep over both, each seed with its own draw."""
    jobs = [
        [*choices, f"{option}={size}", f"seed={seed}", "dataset.draw_seed=${seed}"] for size in sizes for seed in seeds
    ]
    kept = without_repeats(compose("config", [], return_hydra_config=True), jobs)
    return [(int(job[-3].partition("=")[2]), int(job[-2].partition("=")[2])) for job in kept]


def test_what_takes_no_more_labels_is_run_with_one_size(capsys):
    assert of_sizes("model=minilm_zero_shot") == [(4, 1)]
    assert of_sizes("model=llm", "model.shots=5", sizes=(4, 8, 16), seeds=(1,)) == [(8, 1)]
    assert of_sizes("model=llm", "model.shots=20") == [(8, 1), (8, 2)]  # its run says what is missing
    said = capsys.readouterr().out
    assert "minilm_zero_shot on reviews takes no labels of train, however many there are: it is run with one" in said
    assert "llm on reviews takes 5 labels of each class" in said


def test_of_sizes_that_leave_validation_alone_the_largest_is_taken():
    assert of_sizes("model=zero_shot", option="dataset.max_train_examples") == [(8, 1)]


def test_what_learns_from_all_labels_is_run_with_every_size():
    every = [(size, seed) for size in (4, 8) for seed in (1, 2)]
    assert of_sizes("model=tfidf_logreg") == every
    assert of_sizes("model=minilm_zero_shot", "model.calibration=temperature") == every  # fitted on validation
    messages = ["dataset=messages", "model=minilm_zero_shot"]  # its thresholds follow the texts of train
    assert len(of_sizes(*messages, option="dataset.max_train_examples")) == 4
