"""What is missing is known before the first job: each thing is looked for once, and named once."""

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException

from textclf.errors import ConfigError
from textclf.experiment import config, preflight
from textclf.experiment.arguments import CONF
from textclf.experiment.config import build_experiment
from textclf.experiment.preflight import composed_job, obstacles, refuse_if_none_can_run


@pytest.fixture
def found(monkeypatch, tmp_path):
    """Return the obstacles of jobs, and what was looked at."""
    monkeypatch.setattr(preflight, "_known", {})
    looks = []
    for name in ("check_data", "check_checkpoint"):
        real = getattr(preflight, name)
        monkeypatch.setattr(preflight, name, lambda options, real=real: (looks.append(options.name), real(options))[1])
    config.register()

    def of(*jobs):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return obstacles(compose("config", [], return_hydra_config=True), [list(job) for job in jobs])

    of.looks = looks
    return of


def test_each_missing_thing_is_looked_for_and_named_once(found):
    models = ["model=naive_bayes", "model=transformer model.name=m model.checkpoint=./nothing"]
    jobs = [(*model.split(), f"seed={seed}", "trainer.epochs=1") for model in models for seed in (1, 2, 3)]
    (obstacle,) = found(*jobs)
    assert obstacle.jobs == (3, 4, 5)
    assert str(obstacle) == (
        "jobs 3, 4, 5 (model=transformer model.name=m model.checkpoint=./nothing): model.checkpoint=./nothing: there is "
        "no such folder, and it is no Hub id (owner/name)."
    )
    assert found.looks == ["reviews", "naive_bayes", "m"]
    refuse_if_none_can_run([obstacle], 6)
    with pytest.raises(ConfigError, match=r"^model.checkpoint=./nothing: there is no such folder"):
        refuse_if_none_can_run([obstacle], 3)


def test_a_wrong_option_stops_the_jobs_that_have_it_alone(found):
    jobs = [("model=naive_bayes", f"trainer.epochs={epochs}", f"seed={seed}") for epochs in (0, 1) for seed in (1, 2)]
    (obstacle,) = found(*jobs)
    assert obstacle.jobs == (0, 1)
    assert "trainer.epochs must be" in obstacle.reason


def test_a_file_that_follows_the_seed_is_looked_for_with_each(found):
    jobs = [("model=naive_bayes", "dataset.train=part${seed}.csv", f"seed={seed}") for seed in (1, 2)]
    first, second = found(*jobs)
    assert ("part1.csv" in first.reason, "part2.csv" in second.reason) == (True, True)


def test_packaged_checkpoints_and_word_vectors_need_no_hub(found, monkeypatch):
    monkeypatch.setattr("textclf.models.packaged.why_missing", lambda *given: "the Hub was asked")
    assert found(("model=minilm",), ("model=glove_embeddings",), ("model=wordllama_embeddings",)) == []
    (obstacle,) = found(("model=bert",))
    assert obstacle.reason == "the Hub was asked"


def test_jobs_that_differ_in_their_seed_alone_are_composed_once(monkeypatch):
    config.register()
    composed = []
    loads = ConfigLoaderImpl.load_sweep_config

    def counted(self, master, overrides):
        composed.append(overrides)
        return loads(self, master, overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counted)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        sweep = compose("config", [], return_hydra_config=True)
        jobs = [
            [f"model={model}", f"seed={seed}", "dataset.draw_seed=${seed}"]
            for model in ("bert", "nb_svm")
            for seed in (1, 2, 3)
        ]
        found = [build_experiment(composed_job(sweep, job)) for job in jobs]
        assert composed == [jobs[0], jobs[3]]
        assert found == [build_experiment(loads(GlobalHydra.instance().config_loader(), sweep, job)) for job in jobs]
        assert [one.seed for one in found] == [one.dataset.draw_seed for one in found] == [1, 2, 3, 1, 2, 3]
        with pytest.raises(HydraException, match="seed"):
            composed_job(sweep, ["model=bert", "seed=one", "dataset.draw_seed=${seed}"])
