"""A record alone is enough to run it again."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.tracking.test_record import RECORD
from textclf.errors import ArtifactError, ConfigError
from textclf.experiment.cli import compose_experiment
from textclf.experiment.provenance import resolved_options
from textclf.experiment.rerun import changes_since, check_places, compare_with, overrides_of, value_said
from textclf.system.environment import environment
from textclf.tracking.options import MlflowTracker, NullTracker

VALUES = [
    *("a b", "it's", "back\\slash", "end\\", "\\'x", "x'\\", "{a}", "1e5", "null", "", "ü,=:[]"),
    *(1, 1e-05, None, True, [], {}, [1, "a", None], {"a": 1, "b": [True, 0.5]}),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_every_value_survives_the_command_line(value):
    assert OverridesParser.create().parse_override(f"x={value_said(value)}").value() == value


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=nb_svm", "dataset=entailment", "tracker=none", "seed=7"),
        ("model=tfidf_logreg", "model.vectorizer.ngram_range=[1,3]", "analysis.attributions=2"),
        ("model=bert", "dataset=imdb", "trainer=hf", "trainer.learning_rate=1e-5", "dataset.label_names=[no,'it''s']"),
    ],
    ids=lambda given: given[0],
)
def test_a_record_composes_to_the_same_experiment(overrides):
    overrides = [given.replace("it''s", "it\\'s") for given in overrides]
    config = resolved_options(compose_experiment(*overrides))
    record = RECORD.__class__(**{**vars(RECORD), "config": config})
    assert resolved_options(compose_experiment(*overrides_of(record))) == config


def test_options_of_unknown_code_are_refused():
    record = RECORD.__class__(**{**vars(RECORD), "config": {"model": {"_target_": "os.system", "command": "ls"}}})
    with pytest.raises(ArtifactError, match=r"'os\.system'"):
        overrides_of(record)


def test_keys_of_a_record_are_data_too():
    hostile = "good:${oc.env:HOME},bad"
    for key in (hostile, "${oc.env:HOME}", "a b", "a,b:c", "(a)=[b]", "back\\slash"):
        said = OverridesParser.create().parse_override(f"++x={value_said({key: 'y'})}").value()
        assert said == {key: "y"}


def test_labels_in_any_writing_come_back():
    """Hydra has no words for such keys; what stands in them is data too, and looked up nowhere."""
    names = {"it's": "a", "größe": "b", "负面": "c", "a\nb": "d", "~": "e", "${oc.env:HOME}é": "${oc.env:HOME}"}
    config = resolved_options(compose_experiment("dataset=reviews", "model=tfidf_logreg"))
    config["dataset"] |= {"label_map": names, "label_descriptions": names}
    again = compose_experiment(*overrides_of(replace(RECORD, config=config)))
    assert again.dataset.label_map == again.dataset.label_descriptions == names


def test_places_of_a_record_that_are_not_at_hand_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere" / "run"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = {
        "dataset": {"train": "/home/me/private.csv", "test": "test.csv"},
        "tracker": {"tracking_uri": "http://evil", "directory": "../store"},
        "model": {"checkpoint": str(folder / "checkpoint")},
    }
    record = replace(RECORD, config=config)
    with pytest.raises(ConfigError) as refused:
        check_places(record, folder, [], [])
    said = str(refused.value)
    assert "--trust /home/me/private.csv --trust http://evil --trust ../store" in said
    assert "test.csv" not in said
    assert str(folder) not in said
    check_places(record, folder, [], ["/home/me/private.csv", "http://evil", "../store"])
    check_places(record, folder, ["dataset.train=mine.csv", "++tracker.tracking_uri=null"], ["../store"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://evil")
    check_places(record, folder, ["dataset=reviews"], ["../store"])
    with pytest.raises(ConfigError):
        check_places(record, folder, ["dataset=reviews"], [])


def test_a_group_that_is_chosen_beside_a_record_takes_nothing_of_it():
    """Or the places of the record would come along unseen."""
    config = resolved_options(compose_experiment("dataset=reviews", "model=tfidf_logreg"))
    config["tracker"] |= {"tracking_uri": "http://evil"}
    config["dataset"] |= {"train": "/home/me/private.csv"}
    record = replace(RECORD, config=config)
    given = ["tracker=mlflow", "dataset=reviews"]
    check_places(record, Path("nowhere"), given, [])
    again = compose_experiment(*overrides_of(record, given), *given)
    assert again.tracker == MlflowTracker()
    assert again.dataset.train == "bundled:reviews/train.jsonl"
    assert again.model.name == "tfidf_logreg"
    assert compose_experiment(*overrides_of(record, ["tracker=none"]), "tracker=none").tracker == NullTracker()


@pytest.mark.parametrize(
    "name", ["", "${oc.env:HOME}", "x}${oc.env:HOME}", "train=/etc/passwd", "a@b", "a.b", "~a", "+a", "a b", "größe"]
)
def test_names_of_options_are_data_too(name):
    config = resolved_options(compose_experiment("dataset=reviews"))
    config["dataset"] |= {name: 1}
    with pytest.raises(ArtifactError, match="names dataset options that there are not"):
        overrides_of(replace(RECORD, config=config))


@pytest.mark.parametrize("options", [[1], "x", None, 3])
def test_options_of_another_shape_are_refused(options):
    with pytest.raises(ArtifactError, match="has no options of dataset"):
        overrides_of(replace(RECORD, config={"dataset": options}))


@pytest.mark.parametrize("address", ["databricks", "uc", "file:/tmp/x", "mlruns", "sqlite:///%2e%2e/s.db"])
def test_a_tracker_of_a_record_is_an_address_however_it_is_said(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    record = replace(RECORD, config={"tracker": {"tracking_uri": address, "directory": "mlruns"}})
    with pytest.raises(ConfigError, match=re.escape(f"tracker.tracking_uri={address}")):
        check_places(record, tmp_path, [], [])
    check_places(record, tmp_path, [], [address])


def test_what_differs_is_said():
    before = RECORD.__class__(**{**vars(RECORD), "metrics": {"test/accuracy": 0.5, "test/mcc": 0.1}, "data": {}})
    assert compare_with(before, before) == "all 2 metrics are those of the record, to the digit"
    other = RECORD.__class__(**{**vars(before), "metrics": {"test/accuracy": 0.5, "test/mcc": 0.2}})
    assert compare_with(before, other) == "1 of 2 metrics differ from the record: test/mcc 0.1, now 0.2"
    moved = RECORD.__class__(**{**vars(before), "data": {"fingerprint": "x"}})
    assert "the data are others" in compare_with(before, moved)
    old = RECORD.__class__(**{**vars(RECORD), "environment": environment() | {"torch": "0.1"}})
    assert [change.split(",")[0] for change in changes_since(old)] == ["torch 0.1"]
