import json

import numpy as np
import pandas as pd
import pytest

from tests.models.classical.test_pipeline import configured
from textclf import load_classifier
from textclf.data.in_memory import InMemoryDataset
from textclf.data.options import Task
from textclf.errors import ConfigError, DataError
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.models.options import LabelThresholds
from textclf.tracking.record import read_record

WORDS = {
    "bug": ["it", "crashes", "freezes", "breaks", "fails"],
    "bill": ["charged", "invoice", "price", "euros"],
    "thanks": ["great", "lovely", "thanks", "kind"],
}


def rows(count, seed):
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        labels = [label for label in WORDS if generator.random() < 0.4]
        words = [generator.choice(WORDS[label]) for label in labels] + [
            f"filler{generator.integers(40)}" for _ in range(4)
        ]
        found.append({"text": f"note {number} {' '.join(generator.permutation(words))}", "label": labels})
    return found


DATA = InMemoryDataset(name="notes", train=rows(160, 1), validation=rows(60, 2), test=rows(60, 3))


def experiment(name="tfidf_logreg", dataset=DATA, **changes):
    return Experiment(dataset=dataset, model=configured(name), **changes)


@pytest.mark.parametrize("name", ["tfidf_logreg", "nb_svm", "tfidf_svm", "naive_bayes", "hashed_logreg"])
def test_each_classical_model_learns_and_is_the_same_when_loaded(name, tmp_path):
    record = run_experiment(experiment(name), tmp_path / "run")
    assert read_record(tmp_path / "run") == record
    assert record.metrics["test/micro_f1"] > 0.85
    assert {"test/subset_accuracy", "test/hamming_loss", "validation/macro_f1"} <= set(record.metrics)
    assert "test/accuracy" not in record.metrics
    assert record.data["sets"] is True
    table = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    right = [list(a) == list(b) for a, b in zip(table["labels"], table["prediction"], strict=True)]
    assert np.mean(right) == record.metrics["test/subset_accuracy"]
    classifier = load_classifier(tmp_path / "run" / "classifier")
    assert classifier.has_sets
    columns = [f"probability_{label}" for label in classifier.label_names]
    np.testing.assert_array_equal(classifier.predict_proba(table["text"].tolist()), table[columns].to_numpy())
    found = classifier.predict(table["text"].tolist())
    assert [sorted(one.labels) for one in found] == [sorted(labels) for labels in table["prediction"]]


def test_what_a_run_leaves_tells_of_labels(tmp_path):
    run_experiment(experiment(), tmp_path / "run")
    report = (tmp_path / "run" / "report.md").read_text()
    for part in (
        "gives exactly the right labels to",
        "## Each label",
        "threshold",
        "flatters the F-score",
        "## Weak spots",
    ):
        assert part in report
    written = json.loads((tmp_path / "run" / "evaluation_metrics.json").read_text())
    assert set(written["per_class"]) == set(WORDS)
    described = json.loads((tmp_path / "run" / "classifier" / "classifier.json").read_text())
    assert len(described["thresholds"]) == 3


def test_thresholds_are_as_asked(tmp_path):
    found = {}
    for how in LabelThresholds:
        one = experiment()
        object.__setattr__(one.model, "label_thresholds", how)
        run_experiment(one, tmp_path / how.value)
        found[how] = load_classifier(tmp_path / how.value / "classifier").thresholds
    assert found[LabelThresholds.half] == (0.5, 0.5, 0.5)
    assert len(set(found[LabelThresholds.one])) == 1
    assert len(set(found[LabelThresholds.each])) == 3


def test_folds_choose_their_own_thresholds_and_resume_to_the_byte(tmp_path):
    folded = InMemoryDataset(name="notes", train=rows(120, 1), folds=3)
    first = run_experiment(experiment(dataset=folded), tmp_path / "one")
    again = run_experiment(experiment(dataset=folded), tmp_path / "two")
    assert first.metrics == again.metrics
    assert first.data["examples"]["test"] == 120
    assert first.metrics["test/micro_f1"] > 0.55
    table = pd.read_parquet(tmp_path / "one" / "predictions.parquet")
    assert sorted(table["fold"].unique()) == [1, 2, 3]
    assert (tmp_path / "one" / "predictions.parquet").read_bytes() == (
        tmp_path / "two" / "predictions.parquet"
    ).read_bytes()


def test_a_chain_is_saved_and_read(tmp_path):
    one = experiment("tfidf_logreg")
    object.__setattr__(one.model, "label_chain", True)
    record = run_experiment(one, tmp_path / "run")
    assert record.metrics["test/micro_f1"] > 0.8
    assert len(load_classifier(tmp_path / "run" / "classifier").predict(["it crashes"])) == 1


def test_the_majority_gives_everybody_the_same_and_is_not_called_collapsed(tmp_path):
    record = run_experiment(experiment("majority"), tmp_path / "run")
    assert not record.fit["warnings"]


def test_bad_input_is_one_paragraph(tmp_path):
    with pytest.raises(
        ConfigError, match=r"objective=validation/accuracy: each text of these data has a set of labels"
    ):
        run_experiment(experiment(objective="validation/accuracy"), tmp_path / "objective")
    lonely = InMemoryDataset(name="notes", train=rows(60, 1), test=[{"text": "x y", "label": ["unheard", "bug"]}])
    with pytest.raises(DataError, match=r"label 'unheard' is not one of"):
        run_experiment(experiment(dataset=lonely), tmp_path / "unknown")
    single = InMemoryDataset(name="notes", train=rows(60, 1), task=Task.single)
    with pytest.raises(DataError, match="several labels"):
        run_experiment(experiment(dataset=single), tmp_path / "single")
