"""Runs with folds: every example is tested by a fit that has not seen it, and the classifier is fitted to all."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from tests.conftest import BAD, GOOD, THINGS
from tests.models.embeddings.encoders import options_of, write_encoder
from tests.sparing import seldom
from textclf import load_classifier
from textclf.compare.runs import read_run
from textclf.compare.setups import shared_tests
from textclf.data.dataset import labels_of, texts_of
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.errors import ArtifactError, ConfigError, TrainingError
from textclf.experiment import cross_validation
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.export.evidence import read_origin
from textclf.export.export_run import ExportOptions, export
from textclf.models.embeddings import sentence_encoder
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.options import CalibrationMethod, ClassicalModel, TransformerModel
from textclf.predict.familiarity import Seen, familiarity
from textclf.tracking.find_runs import resolve_run
from textclf.training.fit import fit
from textclf.training.options import HFTrainer, Precision, TorchTrainer
from textclf.training.result import RunContext

BAYES = ClassicalModel(
    name="naive_bayes",
    vectorizer={"_target_": "sklearn.feature_extraction.text.CountVectorizer"},
    classifier={"_target_": "sklearn.naive_bayes.MultinomialNB"},
)
TINY = TransformerModel(name="tiny", checkpoint="tests/tiny-bert", max_length=16)
TRAINER = TorchTrainer(epochs=2, learning_rate=3e-3, precision=Precision.fp32, min_steps=1)


def noisy(count, seed=0):
    """Return different texts, one in six with the other label."""
    chance = np.random.default_rng(seed)
    found = []
    for number in range(count):
        good = bool(chance.random() < 0.5)
        words = " ".join(chance.choice(GOOD if good else BAD, 2)) + " " + " ".join(chance.choice(THINGS, 2))
        label = "positive" if good != (chance.random() < 1 / 6) else "negative"
        found.append({"text": f"{words} number {number}", "label": label})
    return found


def folded(model=BAYES, **changes):
    options = {"name": "mine", "train": noisy(60), "folds": 3} | changes.pop("dataset", {})
    return Experiment(InMemoryDataset(**options), model, **{"trainer": TRAINER} | changes)


def predictions(folder):
    return pd.read_parquet(folder / "predictions.parquet")


@pytest.mark.parametrize("repeats", seldom([1, 2], [2]))
def test_out_of_fold_predictions_are_those_of_fits_to_the_other_folds(tmp_path, repeats):
    run = folded(dataset={"fold_repeats": repeats})
    record = run_experiment(run, tmp_path / "run")
    table = predictions(tmp_path / "run")
    assert len(table) == 60 * repeats
    data = load(run.dataset)
    for part in data.folds.parts:
        own = data.fold(part)
        classifier, _ = fit(BAYES, own, TRAINER, RunContext(7))
        expected = classifier.probabilities(*texts_of(own.test))
        rows = table[(table["repeat"] == part.repeat + 1) & (table["fold"] == part.number + 1)]
        np.testing.assert_allclose(rows[["probability_negative", "probability_positive"]], expected, rtol=1e-6)
        np.testing.assert_array_equal(rows["label"] == "positive", labels_of(own.test))
    scores = [f1_score(own["label"], own["prediction"], average="macro") for _, own in table.groupby("repeat")]
    assert record.metrics["test/macro_f1"] == pytest.approx(np.mean(scores))
    assert len(record.folds["scores"]) == 3 * repeats
    assert record.data["examples"] == {"train": 36, "validation": 4, "test": 60}
    of_folds = [fold["metrics"]["validation/macro_f1"] for fold in record.folds["scores"]]
    assert record.metrics["validation/macro_f1"] == pytest.approx(np.mean(of_folds))
    report = (tmp_path / "run" / "report.md").read_text()
    assert "Each of the 60 examples was tested" in report
    assert "looked at once" not in report


def test_the_classifier_is_fitted_to_everything_and_the_source_s_test_split_is_reported_beside(tmp_path):
    run = folded(dataset={"test": noisy(30, seed=1)})
    record = run_experiment(run, tmp_path / "run")
    data = load(run.dataset)
    expected, _ = fit(BAYES, replace(data.whole_pool(), test=data.test), TRAINER, RunContext(1))
    found = load_classifier(tmp_path / "run" / "classifier")
    texts = data.folds.fixed_test["text"]
    np.testing.assert_allclose(found.predict_proba(texts), expected.predict_proba(texts), rtol=1e-6)
    right = found.predict_proba(texts).argmax(1) == labels_of(data.folds.fixed_test)
    assert record.metrics["fixed_test/accuracy"] == pytest.approx(right.mean())
    assert "the source's own test split" in (tmp_path / "run" / "report.md").read_text()


@pytest.mark.parametrize(
    "trainer", [TRAINER, HFTrainer(epochs=2, learning_rate=3e-3, precision=Precision.bf16, min_steps=1)]
)
def test_a_transformer_ends_with_the_epoch_and_the_temperature_of_its_folds(hub, tmp_path, trainer):
    model = replace(TINY, calibration=CalibrationMethod.temperature)
    record = run_experiment(folded(model, trainer=trainer), tmp_path / "run")
    kept = sorted(fold["best_epoch"] for fold in record.folds["scores"])
    assert record.folds["kept_epoch"] == kept[1] == record.fit["best_epoch"] == len(record.fit["epochs"])
    temperatures = [fold["temperature"] for fold in record.folds["scores"]]
    found = load_classifier(tmp_path / "run" / "classifier")
    assert found.temperature == pytest.approx(np.exp(np.mean(np.log(temperatures))))
    assert record.fit["planned_epochs"] == 2
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_run_that_was_cut_goes_on_with_the_next_fold(hub, tmp_path, monkeypatch):
    run = folded(TINY)
    whole = run_experiment(run, tmp_path / "whole")
    work, seen = cross_validation.fit_and_tell, []

    def cut_short(experiment, data, context, tell=True):
        seen.append(context.checkpoints.name)
        if len(seen) == 3:
            raise TrainingError("the lights went out")
        return work(experiment, data, context, tell)

    monkeypatch.setattr(cross_validation, "fit_and_tell", cut_short)
    with pytest.raises(TrainingError, match="In fold 3 of repeat 1: the lights went out"):
        run_experiment(run, tmp_path / "cut")
    seen.append("again")
    resumed = run_experiment(run, tmp_path / "cut", resume=True)
    assert seen[-3:] == ["again", "repeat-0-fold-2", "final"]
    assert resumed.metrics == whole.metrics
    pd.testing.assert_frame_equal(predictions(tmp_path / "cut"), predictions(tmp_path / "whole"))
    weights = [tmp_path / name / "classifier" / "model.safetensors" for name in ("cut", "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "another's"])
def test_a_damaged_fold_is_fitted_again(hub, tmp_path, monkeypatch, damage):
    run = folded(TINY)
    work = cross_validation.fit_and_tell

    def cut_short(experiment, data, context, tell=True):
        if context.checkpoints.name == "final":
            raise TrainingError("the lights went out")
        return work(experiment, data, context, tell)

    monkeypatch.setattr(cross_validation, "fit_and_tell", cut_short)
    with pytest.raises(TrainingError):
        run_experiment(run, tmp_path / "run")
    first, second = (tmp_path / "run" / "checkpoints" / "folds" / f"repeat-0-fold-{n}.safetensors" for n in (0, 1))
    first.write_bytes(first.read_bytes()[:-5] if damage == "cut" else second.read_bytes())
    fitted = []
    monkeypatch.setattr(
        cross_validation,
        "fit_and_tell",
        lambda *given, **more: fitted.append(given[2].checkpoints.name) or work(*given, **more),
    )
    run_experiment(run, tmp_path / "run", resume=True)
    assert fitted == ["repeat-0-fold-0", "final"]


def test_each_fit_of_a_run_has_a_seed_of_its_own():
    data = load(folded(dataset={"fold_repeats": 2}).dataset)
    seeds = [cross_validation.seed_of(seed, part) for seed in (1, 2) for part in data.folds.parts]
    assert len(set(seeds)) == 12
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_texts_are_encoded_once_for_all_folds(hub, tiny_checkpoint, tmp_path, monkeypatch):
    encoder = write_encoder(tiny_checkpoint, tmp_path / "encoder")
    counts, work = [], sentence_encoder.SentenceEncoder._encode
    monkeypatch.setattr(
        sentence_encoder.SentenceEncoder, "_encode", lambda self, texts: counts.append(len(texts)) or work(self, texts)
    )
    record = run_experiment(folded(options_of(encoder)), tmp_path / "run")
    assert [count for count in counts if count >= VECTORS.fewest_texts] == [60]
    assert record.costs["train_seconds"] > 0
    assert record.costs["test_examples_per_second"] > 0


def test_the_final_fit_learns_no_language_that_no_fold_learned(tmp_path):
    rows = [{**row, "language": "de" if number % 3 == 0 else "en"} for number, row in enumerate(noisy(90))]
    run = folded(dataset={"train": rows, "language_column": "language", "train_languages": ["en"]})
    data = load(run.dataset)
    assert set(data.whole_pool().train["language"]) == {"en"}
    assert len(data.whole_pool().train) == 60
    record = run_experiment(run, tmp_path / "run")
    assert record.data["examples"]["test"] == 90
    assert {"test/accuracy/de", "test/accuracy/en", "test/zero_shot_gap"} <= set(record.metrics)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bayes", "tiny", "embeddings"])
def test_pairs_of_texts_have_folds_too(hub, tiny_checkpoint, tmp_path, model):
    rows = [{**row, "other": f"it is {row['text']}"} for row in noisy(60)]
    made = {"bayes": BAYES, "tiny": TINY}.get(model) or options_of(write_encoder(tiny_checkpoint, tmp_path / "encoder"))
    run_experiment(folded(made, dataset={"train": rows, "text_pair_column": "other"}), tmp_path / "run")
    assert predictions(tmp_path / "run")["text_pair"].iloc[0].startswith("it is ")


def test_what_is_exported_is_said_to_be_checked_on_training_texts(tmp_path, capsys):
    run_experiment(folded(dataset={"fold_repeats": 2}), tmp_path / "run")
    export(resolve_run(str(tmp_path / "run")), ExportOptions("onnx", tmp_path / "out"))
    said = capsys.readouterr().out
    assert "of 60 training examples both give the same label" in " ".join(said.split())
    assert "test accuracy" not in said
    assert "60 training examples" in read_origin(tmp_path / "out" / "export.json").check


@pytest.mark.slow
def test_texts_of_all_repeats_count_once_beside_other_texts(tmp_path):
    for repeats in (1, 2):
        run_experiment(folded(dataset={"fold_repeats": repeats}), tmp_path / str(repeats))
    seen = Seen()
    seen.add(["an utterly other thing"] * 60, np.full((60, 2), 0.5, np.float32))
    assert [familiarity(seen, tmp_path / name).split("; texts")[0].partition(", the mean")[0] for name in "12"] == [
        familiarity(seen, tmp_path / "1").partition(", the mean")[0]
    ] * 2


def test_folds_in_several_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="cross-validates in one process"):
        run_experiment(folded(), tmp_path / "run")


def test_a_run_with_folds_is_no_run_without(tmp_path):
    run_experiment(folded(), tmp_path / "run")
    with pytest.raises(ArtifactError, match="holds another run"):
        run_experiment(folded(dataset={"fold_repeats": 2}), tmp_path / "run", resume=True)
    started = json.loads((tmp_path / "run" / "started.json").read_text())
    assert started["config"]["dataset"]["folds"] == 3


def test_the_report_counts_the_examples_of_a_fold_and_all_that_are_tested(tmp_path):
    run_experiment(folded(dataset={"test": noisy(30, seed=1), "max_eval_examples": 20}), tmp_path / "run")
    report = (tmp_path / "run" / "report.md").read_text()
    rows = report.partition("## Data")[2].splitlines()
    counts = [line.split("|")[1:-1] for line in rows if line.startswith(("| negative ", "| positive "))]
    sums = [sum(int(row[column]) for row in counts) for column in (1, 2, 3)]
    (whole,) = [line.split("|")[2:-1] for line in report.splitlines() if line.startswith("| all ")]
    assert sums == [int(cell) for cell in whole] == [36, 4, 60]
    assert "on the 20 examples of the source's own test split" in report
    (test,) = shared_tests([read_run(tmp_path / "run")])
    assert test.dataset == "mine"
