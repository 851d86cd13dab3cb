"""The main path with plain Python objects: no Hydra, and MLflow only where it is asked for."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient

from tests.conftest import sentences, write_jsonl
from textclf import load_classifier
from textclf.data.in_memory import InMemoryDataset
from textclf.data.options import FilesDataset, HubDataset, OnLeakage
from textclf.errors import ArtifactError, ConfigError, DataError
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.models.options import CalibrationMethod, ClassicalModel, TransformerModel
from textclf.tracking.options import MlflowTracker
from textclf.tracking.record import find_records, read_record
from textclf.training.options import HFTrainer, Precision, TorchTrainer

REVIEWS = HubDataset(name="reviews", path="tests/reviews")
BAYES = ClassicalModel(
    name="naive_bayes",
    vectorizer={"_target_": "sklearn.feature_extraction.text.CountVectorizer"},
    classifier={"_target_": "sklearn.naive_bayes.MultinomialNB"},
)
TINY = TransformerModel(name="tiny", checkpoint="tests/tiny-bert", max_length=32)
TRAINER = TorchTrainer(epochs=3, learning_rate=3e-3, precision=Precision.fp32)


def experiment(**changes):
    return Experiment(**{"dataset": REVIEWS, "model": TINY, "trainer": TRAINER} | changes)


@pytest.mark.parametrize(
    ("model", "trainer", "engine"),
    [(BAYES, TRAINER, "none"), (TINY, TRAINER, "torch"), (TINY, HFTrainer(epochs=1), "hf")],
)
def test_a_run_leaves_a_whole_record(model, trainer, engine, tmp_path, caplog):
    caplog.set_level("INFO")
    run = tmp_path / "run"
    record = run_experiment(experiment(model=model, trainer=trainer), run, "python -m textclf.run")
    assert read_record(run) == record
    assert record.name == f"reviews/{model.name}/seed1"
    assert record.trainer == engine
    assert {"start", "load", "audit", "fit", "evaluate", "record"} <= set(record.phases)
    assert ("before_first_step" in record.phases) == (engine != "none")
    assert "it took starting " in caplog.text
    assert record.data["examples"] == {"train": 80, "validation": 20, "test": 40}
    assert {"validation/macro_f1", "test/macro_f1", "test/accuracy", "test/log_loss"} <= set(record.metrics)

    written = json.loads((run / "evaluation_metrics.json").read_text())
    assert written["metrics"] == record.metrics
    assert written["per_class"]["positive"]["support"] == 20
    table = pd.read_parquet(run / "predictions.parquet")
    assert len(table) == 40
    assert (table["label"] == table["prediction"]).mean() == record.metrics["test/accuracy"]
    figures = {path.name for path in (run / "figures").iterdir()}
    assert {"confusion_matrix.png", "roc_curve.png", "precision_recall_curve.png"} <= figures
    assert ("loss_curve.png" in figures) == (engine != "none")
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["name"] == model.name
    assert "positive" in (run / "classification_report.txt").read_text()
    report = (run / "report.md").read_text()
    for figure in figures:
        assert f"(figures/{figure})" in report
    classifier = load_classifier(run)
    columns = [f"probability_{name}" for name in classifier.label_names]
    np.testing.assert_allclose(classifier.predict_proba(list(table["text"])), table[columns], atol=1e-6)
    for said in ("reviews: 2 classes", "test predictions, for example", "most frequent class alone: accuracy 0.5000"):
        assert said in caplog.text


@pytest.mark.parametrize("model", [BAYES, TINY])
def test_same_seed_same_metrics(model, tmp_path):
    first, again = (run_experiment(experiment(model=model), tmp_path / name).metrics for name in "ab")
    assert first == again


def test_seeds_share_the_test_examples_and_differ_in_training(tmp_path):
    dataset = replace(REVIEWS, max_train_examples=20, max_eval_examples=16)
    for seed in (1, 2):
        run_experiment(experiment(dataset=dataset, seed=seed), tmp_path / str(seed))
    first, second = (pd.read_parquet(tmp_path / str(seed) / "predictions.parquet") for seed in (1, 2))
    assert first["example"].tolist() == second["example"].tolist()
    assert first["probability_positive"].tolist() != second["probability_positive"].tolist()
    names = [record.name for record in find_records(tmp_path)]
    assert names == ["reviews[train=20,eval=16]/tiny/seed1", "reviews[train=20,eval=16]/tiny/seed2"]


def test_pairs_run_end_to_end(tmp_path, caplog):
    caplog.set_level("INFO")
    pairs = HubDataset(
        name="pairs", path="tests/pairs", text_column="first", text_pair_column="second", test_split="validation"
    )
    for model in (BAYES, TINY):
        record = run_experiment(experiment(dataset=pairs, model=model), tmp_path / model.name)
        assert record.data["pairs"]
        assert f'{tmp_path / model.name} "a text" "another text"' in caplog.text
        assert "text_pair" in pd.read_parquet(tmp_path / model.name / "predictions.parquet").columns


def test_every_run_is_in_mlflow(tmp_path, stored):
    tracker = MlflowTracker(directory=str(stored), log_model=True, system_metrics=False)
    record = run_experiment(experiment(tracker=tracker), tmp_path / "run")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    run = client.get_run(record.tracking["run_id"])
    assert run.info.run_name == "reviews/tiny/seed1"
    assert run.data.params["trainer.learning_rate"] == "0.003"
    assert run.data.tags["config_fingerprint"] == record.config_fingerprint
    assert run.data.metrics["test/accuracy"] == pytest.approx(record.metrics["test/accuracy"], abs=5e-5)
    for name in ("test/accuracy", "cost/train_seconds"):
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [0]  # a bar, not a dot
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("tiny on reviews, seed 1: test macro F1 0.")
    assert note.endswith(f"Folder: {(tmp_path / 'run').resolve()}")
    assert " training, " in run.data.tags["costs"]
    assert record.tracking["url"].endswith(f"/runs/{run.info.run_id}?workflowType=machine_learning")
    assert len(client.get_metric_history(run.info.run_id, "validation/macro_f1")) >= 3
    logged = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert {"figures", "report.md", "predictions.parquet", "config.yaml", "run.json"} <= logged
    (model,) = run.outputs.model_outputs
    assert client.get_logged_model(model.model_id).status.name == "READY"


def test_a_failed_run_leaves_no_record_and_is_marked(tmp_path, stored, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("out of paper")

    monkeypatch.setattr("textclf.experiment.experiment.evaluate_split", fail)
    tracker = MlflowTracker(directory=str(stored), system_metrics=False)
    with pytest.raises(RuntimeError, match="out of paper"):
        run_experiment(experiment(model=BAYES, tracker=tracker), tmp_path / "run")
    assert find_records(tmp_path / "run") == []
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("textclf").experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "RuntimeError: out of paper"


def test_a_finished_run_is_never_overwritten(tmp_path):
    run_experiment(experiment(model=BAYES), tmp_path)
    with pytest.raises(ArtifactError, match="holds a finished run, which is never overwritten"):
        run_experiment(experiment(model=BAYES), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "test/accuracy"}, "would select on the test split"),
        ({"model": replace(TINY, checkpoint="tests/absent")}, "'tests/absent' is not on the Hub"),
        ({"trainer": replace(TRAINER, precision=Precision.fp16)}, "fp16 needs a CUDA GPU"),
        ({"model": replace(TINY, max_length=500)}, "at most 64 tokens"),
    ],
)
def test_what_cannot_work_is_refused_before_any_data_is_loaded(changes, message, tmp_path):
    nowhere = FilesDataset(name="x", train="/no/such/file.jsonl")
    with pytest.raises((ArtifactError, ConfigError), match=message):
        run_experiment(experiment(dataset=nowhere, **changes), tmp_path)


def test_an_undefined_objective_costs_no_run(tmp_path, caplog):
    caplog.set_level("INFO")
    hopeless = replace(TRAINER, learning_rate=1e-9, epochs=2)
    record = run_experiment(experiment(objective="validation/mcc", trainer=hopeless), tmp_path)
    assert "validation/mcc undefined" in caplog.text
    assert "validation/mcc" not in record.metrics
    assert record.fit["best_epoch"] == 1


def test_a_run_tells_its_errors_and_can_be_calibrated(tmp_path, stored, caplog):
    caplog.set_level("INFO")
    tracker = MlflowTracker(directory=str(stored), system_metrics=False)
    record = run_experiment(
        experiment(model=replace(BAYES, calibration=CalibrationMethod.temperature)), tmp_path / "mended"
    )
    raw = run_experiment(experiment(model=BAYES, tracker=tracker), tmp_path / "raw")
    assert record.metrics["validation/accuracy"] == raw.metrics["validation/accuracy"]
    assert record.metrics["validation/log_loss"] <= raw.metrics["validation/log_loss"] + 1e-6
    told = json.loads((tmp_path / "mended" / "analysis.json").read_text())
    assert told["temperature"]["is_applied"] == (load_classifier(tmp_path / "mended").temperature != 1.0)
    assert told["calibration"]["ece"] == pytest.approx(record.metrics["test/ece"], abs=1e-6)
    assert "calibration error" in caplog.text
    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    logged = {entry.path for entry in client.list_artifacts(raw.tracking["run_id"])}
    assert {"analysis.json", "attributions.html", "attributions.json", "report.html"} <= logged


def test_objects_of_python_run_and_are_recorded(tmp_path):
    frame = pd.DataFrame(sentences(80))
    test = ([row["text"] for row in sentences(20, 80)], [row["label"] for row in sentences(20, 80)])
    record = run_experiment(experiment(dataset=InMemoryDataset(name="mine", train=frame, test=test)), tmp_path / "run")
    assert record == read_record(tmp_path / "run")
    assert record.data["examples"]["test"] == 20
    assert record.config["dataset"]["train"].startswith("DataFrame of 80 rows")
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["dataset"]["name"] == "mine"


@pytest.mark.parametrize("choice", OnLeakage)
def test_leakage_is_told_dropped_or_refused(choice, tmp_path, caplog):
    rows = [{"text": f"{row['text']} {n * n}", "label": row["label"]} for n, row in enumerate(sentences(120))]
    train = write_jsonl(tmp_path / "train.jsonl", rows[:80])
    test = write_jsonl(tmp_path / "test.jsonl", rows[75:])
    dataset = FilesDataset(name="leaky", train=str(train), test=str(test), on_leakage=choice)
    if choice is OnLeakage.fail:
        with pytest.raises(DataError, match="texts of test are in train too"):
            run_experiment(experiment(dataset=dataset), tmp_path / "run")
        assert find_records(tmp_path / "run") == []
        return
    record = run_experiment(experiment(dataset=dataset), tmp_path / "run")
    assert "texts are in train too" in caplog.text
    audit = record.data["audit"]
    assert audit["leakage"]["train_test"]["test_exact"] >= 4
    total = sum(record.data["examples"][split] for split in ("train", "validation"))
    assert total == 80 - sum(audit.get("dropped", {}).values())
    assert ("dropped" in audit) == (choice is OnLeakage.drop)
    assert "texts are in train too" in (tmp_path / "run" / "report.md").read_text()


def test_rows_that_cannot_be_used_are_kept_with_the_run(tmp_path):
    rows = [*sentences(300), {"text": None, "label": "positive"}]
    train = write_jsonl(tmp_path / "train.jsonl", rows)
    record = run_experiment(experiment(dataset=FilesDataset(train=str(train))), tmp_path / "run")
    (rejected,) = (tmp_path / "run" / "rejected.jsonl").read_text().splitlines()
    assert json.loads(rejected)["line"] == 301
    assert sum(record.data["rejected"]["train"].values()) == 1
    assert "Rows that were left out" in (tmp_path / "run" / "report.md").read_text()
