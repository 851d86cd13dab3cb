"""Exports and champions of runs with sets of labels."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from huggingface_hub import ModelCard

from tests.export.test_onnx_label_sets import transformer
from tests.export.test_space import run_in
from tests.set_run import CUES, EVERY, PLAIN, make_set_run
from textclf import load_classifier
from textclf.export.card import EXAMPLE, PLACEHOLDER, differences, model_card
from textclf.export.champion import Candidate, judge
from textclf.export.evidence import gather
from textclf.export.hub_folder import write_hub_folder
from textclf.export.set_card import raw_thresholds
from textclf.export.space import write_space_folder
from textclf.models.prediction import tempered_each
from textclf.tracking.find_runs import resolve_run
from textclf.tracking.record import read_record


@pytest.fixture(scope="module")
def evidence(set_run):
    return gather(resolve_run(set_run))


def test_the_card_tells_of_labels_and_their_thresholds(evidence, set_run):
    card = model_card(evidence)
    data = ModelCard(card).data
    assert data.pipeline_tag == "text-classification"
    assert "multi-label-classification" in data.tags
    found = {result.metric_name: result.metric_value for result in data.eval_results}
    metrics = read_record(set_run).metrics
    for name, key in (("Micro F1", "micro_f1"), ("Macro F1", "macro_f1"), ("Subset accuracy", "subset_accuracy")):
        assert found[name] == round(metrics[f"test/{key}"], 6)
    assert {result.task_name for result in data.eval_results} == {"Multi-label text classification"}
    for said in (
        "a set of labels, which may be empty",
        "given from its own threshold on",
        "Each label and its threshold",
        "are given exactly their labels",
        "(found,) = classifier.predict",
        "found.labels",
    ):
        assert said in card, said
    assert "Accuracy on the test split" not in card
    assert "hello" not in card.replace("hello-", ""), "a text of the data"
    assert not re.search(r"(?<!\\)<img", card.partition("---\n\n")[2])


def test_without_its_analysis_the_card_has_the_thresholds_all_the_same(evidence):
    card = model_card(replace(evidence, record=None, analysis=None, sets=None))
    assert "given from" in card
    assert f"{evidence.description.thresholds[1]:.3f}" in card


@pytest.mark.parametrize("write", [write_hub_folder, write_space_folder])
def test_what_is_exported_gives_the_same_sets(write, set_run, tmp_path):
    write(resolve_run(set_run), tmp_path / "out")
    where = tmp_path / "out" / ("classifier" if write is write_space_folder else "")
    texts = [EVERY, PLAIN, "the parcel", "money for a crash"]
    assert load_classifier(where).predict(texts) == load_classifier(set_run).predict(texts)
    if write is write_space_folder:
        about = json.loads((tmp_path / "out" / "space.json").read_text())
        assert "a set of labels, which may be empty, out of 3" in about["description"]


def test_the_thresholds_of_the_pipeline_allow_for_the_temperature(evidence):
    description = replace(
        evidence.description,
        family="transformer",
        temperature=2.0,
        thresholds=(0.3, 0.5, 0.9),
        options={"max_length": 9},
    )
    raw = np.array(list(raw_thresholds(description)))
    np.testing.assert_allclose(tempered_each(raw[None], 2.0)[0], description.thresholds, rtol=1e-5)
    assert raw[1] == 0.5
    card = model_card(replace(evidence, description=description))
    assert 'one["score"] >= thresholds[one["label"]]' in card
    assert any("thresholds in the code allow for that" in said for said in differences(description))


@pytest.mark.slow
def test_the_space_gives_labels(set_run, tmp_path):
    write_space_folder(resolve_run(set_run), tmp_path / "out")
    code = "import json, app; print(json.dumps([app.label(text) for text in " + repr([EVERY, PLAIN]) + "]))"
    (every, probabilities, names), (none, _, nothing) = json.loads(run_in(tmp_path / "out", code)[-1])
    assert set(names) == set(CUES)
    assert set(probabilities) == set(CUES)
    assert every.count("<li>") == 3
    assert "<img" not in every
    assert nothing == []
    assert "No label reaches its threshold." in none


def test_champions_with_sets_are_compared_by_their_objective(set_run, tmp_path):
    worse = make_set_run(tmp_path, weight=0.001)
    good, bad = (Candidate(name, run / "classifier", run) for name, run in (("good", set_run), ("bad", worse)))
    assert judge(good, bad).allowed
    refused = judge(bad, good)
    assert not refused.allowed
    assert "good is significantly better than bad" in refused.reason
    assert "macro F1" in refused.reason


def test_a_classifier_of_classes_does_not_replace_one_of_sets(set_run, tmp_path):
    single = shutil.copytree(set_run / "classifier", tmp_path / "single")
    content = json.loads((single / "classifier.json").read_text())
    del content["thresholds"]
    (single / "classifier.json").write_text(json.dumps(content))
    said = judge(Candidate("one", single, None), Candidate("the other", set_run / "classifier", set_run)).reason
    assert "one gives each text one class, the other a set of labels" in said


def test_the_code_of_the_card_gives_the_same_labels_by_transformers_alone(tiny_checkpoint, tmp_path, capsys):
    classifier = transformer(tiny_checkpoint)
    classifier.temperature, classifier.thresholds = 1.7, (0.45, 0.5, 0.3)
    classifier.save(tmp_path / "classifier")
    write_hub_folder(resolve_run(tmp_path / "classifier"), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    code = re.search(r"```\n(from transformers.*?)```", card, re.DOTALL)[1]
    exec(code.replace(PLACEHOLDER, str(tmp_path / "out")), {})
    (own,) = load_classifier(tmp_path / "out").predict([EXAMPLE])
    assert set(own.labels) == {"good", "light"}
    assert capsys.readouterr().out.splitlines()[-1] == str(list(own.labels))
