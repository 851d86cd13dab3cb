import math
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as reference

from textclf.errors import ConfigError
from textclf.evaluation.metric_names import METRICS, OF_SETS, check_objective, higher_is_better
from textclf.evaluation.metrics import (
    class_figures,
    evaluate_predictions,
    undefined_metrics,
)
from textclf.evaluation.predictions import Predictions


def predictions(labels, probabilities, names=("a", "b", "c")):
    return Predictions(np.array(labels), np.array(probabilities, dtype=np.float32), names)


def test_hand_worked_two_classes():
    """Truth a a a b; guessed a a b b: a has precision 1 and recall 2/3, b has 1/2 and 1."""
    found = evaluate_predictions(
        predictions([0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]], ("a", "b"))
    )
    expected = {
        "accuracy": 3 / 4,
        "macro_f1": (4 / 5 + 2 / 3) / 2,
        "weighted_f1": 4 / 5 * 3 / 4 + 2 / 3 / 4,
        "macro_precision": 3 / 4,
        "weighted_precision": 3 / 4 + 1 / 8,
        "macro_recall": 5 / 6,
        "weighted_recall": 3 / 4,
        "mcc": 2 / math.sqrt(2 * 3 * 2 * 1),
        "roc_auc": 1.0,
        "log_loss": -sum(map(math.log, [0.9, 0.8, 0.4, 0.7])) / 4,
        "ece": (0.1 + 0.2 + 0.6 + 0.3) / 4,  # each in a bin of its own
    }
    assert found == pytest.approx(expected, abs=1e-6)
    assert list(found) == [name for name in METRICS if name not in OF_SETS]


def test_agrees_with_scikit_learn_on_many_classes():
    generator = np.random.default_rng(0)
    labels, probabilities = generator.integers(0, 5, 400), generator.dirichlet(np.ones(5), 400)
    found = evaluate_predictions(predictions(labels, probabilities, tuple("abcde")))
    guess = probabilities.argmax(axis=1)
    assert found["macro_f1"] == pytest.approx(reference.f1_score(labels, guess, average="macro"))
    assert found["weighted_f1"] == pytest.approx(reference.f1_score(labels, guess, average="weighted"))
    assert found["mcc"] == pytest.approx(reference.matthews_corrcoef(labels, guess))
    assert found["roc_auc"] == pytest.approx(
        reference.roc_auc_score(labels, probabilities, multi_class="ovr"), abs=1e-6
    )
    assert found["log_loss"] == pytest.approx(reference.log_loss(labels, probabilities), abs=1e-5)


def test_undefined_is_absent_and_the_reason_is_said():
    one_class = predictions([0, 1, 0, 1], [[0.6, 0.4]] * 4, ("a", "b"))
    found = evaluate_predictions(one_class)
    assert {"mcc", "macro_precision"}.isdisjoint(found)
    assert found["macro_f1"] == pytest.approx(1 / 3)
    said = undefined_metrics(one_class, found)
    assert "mcc" in said
    assert "b never predicted" in said
    absent = predictions([0, 0, 1, 1], [[0.6, 0.3, 0.1]] * 4)
    assert {"roc_auc", "macro_recall", "macro_f1"}.isdisjoint(evaluate_predictions(absent))
    assert "c without examples" in undefined_metrics(absent, evaluate_predictions(absent))


def test_nothing_is_said_when_all_is_defined():
    fine = predictions([0, 1], [[0.9, 0.1], [0.1, 0.9]], ("a", "b"))
    assert undefined_metrics(fine, evaluate_predictions(fine)) == ""


def test_class_figures_are_nan_where_undefined():
    figures = class_figures([0, 0, 1], [0, 0, 0], 3)
    assert figures["support"].tolist() == [3, 0, 0]
    assert figures["precision"][:2].tolist() == [1.0, 0.0]
    assert np.isnan(figures["precision"][2])
    assert np.isnan(figures["recall"][1:]).all()
    assert figures["f1"][:2].tolist() == [0.8, 0.0]
    assert np.isnan(figures["f1"][2])


@pytest.mark.slow
def test_a_run_does_not_wait_for_what_it_does_not_need():
    """`evaluate` brings every pipeline of transformers with it, skops torch: seconds before the first example is read."""
    code = (
        "import sys\n"
        "import textclf.experiment.experiment, textclf.models.classical.pipeline\n"
        "assert not {'evaluate', 'transformers.pipelines', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("test/accuracy", "would select on the test split"),
        ("validation/macrof1", "Did you mean"),
        ("accuracy", "not one of"),
    ],
)
def test_objectives_that_are_none_are_refused(objective, message):
    with pytest.raises(ConfigError, match=message):
        check_objective(objective)


def test_direction_of_objectives():
    check_objective("validation/log_loss")
    assert higher_is_better("validation/accuracy")
    assert not higher_is_better("validation/log_loss")


SEVEN = (
    "import datasets\nimport evaluate\n\n"
    "class Seven(evaluate.Metric):\n"
    "    def _info(self):\n"
    "        features = datasets.Features({'predictions': datasets.Value('int64'), 'references': datasets.Value('int64')})\n"
    "        return evaluate.MetricInfo(description='', citation='', inputs_description='', features=features)\n"
    "    def _compute(self, predictions, references):\n"
    "        return {'seven': 7.0}\n"
)
"""A metric of the Hub's."""


@pytest.fixture
def seven(hub):
    """The name of a metric on the loopback Hub."""
    space = hub / "spaces" / "evaluate-metric" / "always_seven"
    space.mkdir(parents=True, exist_ok=True)
    (space / "always_seven.py").write_text(SEVEN)
    return "always_seven"


def test_a_further_metric_comes_from_the_hub_and_a_broken_one_only_warns(seven, caplog):
    fine = predictions([0, 1], [[0.9, 0.1], [0.1, 0.9]], ("a", "b"))
    assert evaluate_predictions(fine, [seven])["seven"] == 7.0
    assert set(evaluate_predictions(fine, ["no_such_metric"])) == set(METRICS) - OF_SETS
    assert "metric 'no_such_metric' could not be computed" in caplog.text


@pytest.mark.parametrize("online", [True, False])
def test_no_code_of_the_working_folder_runs_for_a_metric(seven, tmp_path, monkeypatch, online):
    """`evaluate` looks there for a folder of the metric's name, and of its full id; Python for modules to import."""
    fine = predictions([0, 1], [[0.9, 0.1], [0.1, 0.9]], ("a", "b"))
    evaluate_predictions(fine, [seven])  # fills the cache of metrics
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", not online)
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'a').write(__file__)\n"
    (package := tmp_path / "here" / "evaluate_modules").mkdir(parents=True)
    for planted in (
        f"{seven}/{seven}.py",
        f"evaluate-metric/{seven}/{seven}.py",
        f"evaluate-metric--{seven}/evaluate-metric--{seven}.py",
        "no_such_metric/no_such_metric.py",
        "evaluate-metric/no_such_metric/no_such_metric.py",
        "evaluate.py",
    ):
        path = tmp_path / "here" / planted
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(evil + SEVEN.replace("7.0", "666.0"))
    (package / "__init__.py").write_text(evil)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(tmp_path / "here"))  # as python -m does
    for name in [name for name in sys.modules if name.split(".")[0] == "evaluate_modules"]:
        monkeypatch.delitem(sys.modules, name)
    found = evaluate_predictions(fine, [seven, "no_such_metric"])
    assert found["seven"] == 7.0
    assert set(found) == {*METRICS, "seven"} - OF_SETS
    assert not ran.exists()
    assert sys.path[0] == str(tmp_path / "here")
