"""A record alone is enough to run it again."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.tracking.test_record import RECORD
from textclf.errors import ArtifactError
from textclf.experiment.cli import compose_experiment
from textclf.experiment.provenance import resolved_options
from textclf.experiment.rerun import changes_since, compare_with, overrides_of, value_said
from textclf.system.environment import environment

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


def test_what_differs_is_said():
    before = RECORD.__class__(**{**vars(RECORD), "metrics": {"test/accuracy": 0.5, "test/mcc": 0.1}, "data": {}})
    assert compare_with(before, before) == "all 2 metrics are those of the record, to the digit"
    other = RECORD.__class__(**{**vars(before), "metrics": {"test/accuracy": 0.5, "test/mcc": 0.2}})
    assert compare_with(before, other) == "1 of 2 metrics differ from the record: test/mcc 0.1, now 0.2"
    moved = RECORD.__class__(**{**vars(before), "data": {"fingerprint": "x"}})
    assert "the data are others" in compare_with(before, moved)
    old = RECORD.__class__(**{**vars(RECORD), "environment": environment() | {"torch": "0.1"}})
    assert [change.split(",")[0] for change in changes_since(old)] == ["torch 0.1"]
