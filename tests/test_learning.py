"""On the bundled data, learning pays: majority < naive Bayes < MiniLM. Takes minutes on two cores."""

import pytest
from hydra import compose, initialize_config_dir

from textclf.experiment import config
from textclf.experiment.arguments import CONF
from textclf.experiment.config import build_all
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["reviews", "headlines"])
def test_learning_pays(dataset, tmp_path):
    config.register()
    scores = []
    for model in ("majority", "naive_bayes", "minilm"):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            options = build_all(compose("config", [f"dataset={dataset}", f"model={model}", "tracker=none"]))
        scores.append(run_experiment(Experiment(**options), tmp_path / model).metrics["test/accuracy"])
    assert scores[0] < scores[1] < scores[2]
