"""Exported classifiers of sets of labels: the same probabilities, the same thresholds, a check of the sets."""

import numpy as np
import pandas as pd
import pytest

from tests.conftest import make_set_data
from tests.models.embeddings.encoders import options_of, write_encoder
from textclf import load_classifier
from textclf.errors import ArtifactError
from textclf.evaluation.label_sets.set_predictions import set_prediction_table, set_predictions
from textclf.export.card import describe_classifier, differences
from textclf.export.check import compare_classifiers, examples_of
from textclf.export.evidence import gather, read_analysis, read_origin
from textclf.export.export_run import ExportOptions, export
from textclf.export.onnx import write_pipeline
from textclf.models.options import ClassicalModel, TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.system.files import write_json
from textclf.tracking.find_runs import RunReference
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

THRESHOLDS = (0.45, 0.5, 0.3)


def classical(classifier="sklearn.linear_model.LogisticRegression", chain=False):
    model = ClassicalModel(name="m", classifier={"_target_": classifier}, label_chain=chain)
    return fit(model, make_set_data(), TorchTrainer(), RunContext())[0]


def transformer(checkpoint):
    model = TransformerModel(name="tiny", checkpoint=str(checkpoint), max_length=16)
    classifier = load_checkpoint(model, make_set_data().label_names, seed=1, sets=True)
    classifier.has_pairs = False
    return classifier


def run_of(classifier, folder):
    """Write what an export reads of a run: the classifier, and predictions on test."""
    data = make_set_data()
    classifier.thresholds = THRESHOLDS
    classifier.save(folder / "classifier")
    found = set_predictions(data, "test", classifier.probabilities(data.test["text"][:]))
    set_prediction_table(data, "test", found.at(THRESHOLDS)).to_parquet(folder / "predictions.parquet")
    return RunReference("test", folder / "classifier", folder)


@pytest.mark.parametrize("family", ["transformer", "embeddings", "classical"])
def test_every_family_gives_the_same_sets_as_a_graph(family, tiny_checkpoint, tmp_path, capsys):
    if family == "transformer":
        classifier = transformer(tiny_checkpoint)
    elif family == "embeddings":
        encoder = write_encoder(tiny_checkpoint, tmp_path / "encoder")
        classifier = fit(options_of(encoder), make_set_data(), TorchTrainer(), RunContext())[0]
    else:
        classifier = classical()
    export(run_of(classifier, tmp_path / "run"), ExportOptions("onnx", tmp_path / "onnx"))
    said = capsys.readouterr().out
    assert "both give the same labels to 100 %" in said
    assert "test subset accuracy" in said
    exported, texts = load_classifier(tmp_path / "onnx"), make_set_data().test["text"][:]
    assert exported.thresholds == THRESHOLDS
    found = exported.predict_proba(texts)
    np.testing.assert_allclose(found, classifier.predict_proba(texts), atol=1e-5)
    assert np.abs(found.sum(axis=1) - 1).max() > 0.01
    if family != "classical":
        export(
            RunReference("test", tmp_path / "run" / "classifier", tmp_path / "run"),
            ExportOptions("onnx-int8", tmp_path / "small", max_loss=100),
        )
        assert load_classifier(tmp_path / "small").thresholds == THRESHOLDS


@pytest.mark.parametrize("classifier", ["textclf.models.classical.nb_svm.NBSVM", "sklearn.svm.LinearSVC"])
def test_calibrated_classifiers_of_each_label_have_a_graph(classifier, tmp_path):
    original = classical(classifier)
    (tmp_path / "onnx").mkdir()
    write_pipeline(original, tmp_path / "onnx")
    texts = make_set_data().test["text"][:]
    found = load_classifier(tmp_path / "onnx").predict_proba(texts)
    np.testing.assert_allclose(found, original.predict_proba(texts), atol=1e-5)


def test_a_chain_is_refused_in_a_paragraph(tmp_path):
    with pytest.raises(ArtifactError, match="ClassifierChain .* has no ONNX graph in skl2onnx"):
        export(run_of(classical(chain=True), tmp_path / "run"), ExportOptions("onnx", tmp_path / "onnx"))


def test_the_check_counts_sets_and_tells_of_them(tiny_checkpoint, tmp_path):
    classifier = transformer(tiny_checkpoint)
    reference = run_of(classifier, tmp_path)
    examples = examples_of(reference, classifier.label_names, 1000)
    assert examples is not None
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    names = [[classifier.label_names[k] for k in np.flatnonzero(row)] for row in examples.labels]
    assert names == [list(labels) for labels in table["labels"]]

    class Other(type(classifier)):
        """Gives the first text the opposite of its first label."""

        def probabilities(self, texts, text_pairs=None):
            found = classifier.probabilities(texts, text_pairs).copy()
            found[0, 0] = 0.0 if found[0, 0] >= THRESHOLDS[0] else 1.0
            return found

    other = Other(label_names=classifier.label_names, thresholds=THRESHOLDS, model=classifier.model,
                  tokenizer=classifier.tokenizer)  # fmt: skip
    found = compare_classifiers(classifier, other, (tmp_path, tmp_path), examples)
    assert found.agreement == pytest.approx(1 - 1 / len(examples.texts))
    assert found.sets
    assert found.original.accuracy == (table["labels"].map(list) == table["prediction"].map(list)).mean()
    check = {"of": 48, "examples": 48, "agreement": 0.5, "sets": True, "exported": {"accuracy": 0.25, "macro_f1": 0.5}}
    source = {"run": "r", "model": "m", "dataset": "d"}
    write_json(tmp_path / "export.json", {"to": "onnx", "source": source, "check": check})
    origin = read_origin(tmp_path / "export.json")
    assert origin is not None
    assert "subset accuracy 0.2500, macro F1 0.5000, and the labels of the original on 50.0 %" in origin.check


def test_a_card_says_labels_and_their_thresholds(tiny_checkpoint, tmp_path, caplog):
    evidence = gather(run_of(transformer(tiny_checkpoint), tmp_path))
    said = "It gives each text a set of labels, which may be empty, out of 3: good, seat, light."
    assert said in describe_classifier(evidence)
    assert any("good 0.45, seat 0.50, light 0.30" in said for said in differences(evidence.description))
    write_json(tmp_path / "analysis.json", {"usual_set": [], "exact": {}})
    assert read_analysis(tmp_path / "analysis.json") is None
    assert "is left out" in caplog.text


def test_a_saved_classifier_of_sets_must_give_probabilities(tmp_path, monkeypatch):
    reference = run_of(classical(), tmp_path)
    kind = type(load_classifier(reference.classifier))
    broken = lambda self, texts, pairs=None: np.full((len(texts), 3), 1.5, np.float32)  # noqa: E731
    monkeypatch.setattr(kind, "probabilities", broken)
    with pytest.raises(ArtifactError, match="no probabilities of its 3 labels"):
        load_classifier(reference.classifier)
