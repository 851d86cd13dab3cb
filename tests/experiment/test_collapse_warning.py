"""A fit that gave one answer to everything is warned of in its record and report."""

import numpy as np
import pytest

from tests.conftest import make_data
from textclf.evaluation.predictions import Predictions
from textclf.experiment.cli import compose_experiment
from textclf.experiment.experiment import warned_of_collapse
from textclf.training.result import EpochResult, FitResult


@pytest.mark.parametrize(("model", "warned"), [("tfidf_logreg", True), ("majority", False), ("minilm", True)])
def test_collapse_goes_into_the_record_but_for_the_majority(model, warned):
    data = make_data(16, evaluation=24)
    fit = FitResult(1, 1.0, 16, "cpu", "fp32", epochs=(EpochResult(1, 2, 0.7, {}, 1.0),), best_epoch=1)
    labels = np.arange(24) % 2
    one = Predictions(labels, np.tile(np.float32([0.4, 0.6]), (24, 1)), data.label_names)
    found = warned_of_collapse(compose_experiment(f"model={model}"), data, fit, one)
    assert [said.startswith("collapse: all 24 validation predictions") for said in found.warnings] == [True] * warned
    both = Predictions(labels, np.eye(2, dtype=np.float32)[labels], data.label_names)
    assert warned_of_collapse(compose_experiment(f"model={model}"), data, fit, both) is fit
