"""Descriptions of labels: in the config or a YAML file, for classes, sets and pairs, held against the data."""

import json

import pytest

from tests.conftest import sentences
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.data.options import FilesDataset
from textclf.errors import ConfigError, DataError
from textclf.experiment.options import Experiment
from textclf.experiment.provenance import described, resolved_options
from textclf.experiment.rerun import value_said
from textclf.models.options import ClassicalModel

ROWS = sentences(60)
NAMES = {"negative": "a bad thing", "positive": "a good thing"}


def memory(descriptions, rows=ROWS, **options):
    return InMemoryDataset(train=rows, label_descriptions=descriptions, **options)


def test_descriptions_travel_with_the_data_and_are_recorded():
    data = load(memory(NAMES))
    assert data.label_descriptions == NAMES
    assert data.labels_in_words == ("a bad thing", "a good thing")
    assert described(data)["label_descriptions"] == NAMES
    assert "label_descriptions" not in described(load(memory(None)))


def test_they_change_neither_the_data_s_fingerprint_nor_its_classes():
    plain, told = load(memory(None)), load(memory(NAMES))
    assert (told.fingerprint, told.test_fingerprint) == (plain.fingerprint, plain.test_fingerprint)
    assert told.label_names == plain.label_names


def test_a_label_without_a_description_stands_for_itself(caplog):
    caplog.set_level("INFO")
    rows = [{"text": row["text"], "label": ["feature_request", "Sci/Tech"][i % 2]} for i, row in enumerate(ROWS)]
    assert load(memory({"Sci/Tech": "technology"}, rows)).labels_in_words == ("technology", "feature request")
    assert "read by their names: feature_request" in caplog.text


def test_labels_may_be_numbers_and_stand_in_a_yaml_file(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text("0: a complaint\n1: >\n  praise of\n  something\n", encoding="utf-8")
    rows = [{"text": row["text"], "label": int(row["label"] == "positive")} for row in ROWS]
    data = load(memory(str(path), rows))
    assert data.labels_in_words == ("a complaint", "praise of something")


def test_a_file_is_recorded_by_its_content(tmp_path):
    path = tmp_path / "labels.yaml"
    path.write_text(json.dumps(NAMES), encoding="utf-8")
    experiment = Experiment(memory(str(path)), ClassicalModel(name="m"))
    recorded = resolved_options(experiment)["dataset"]["label_descriptions"]
    assert recorded == NAMES
    assert value_said(recorded) == "{negative:'a bad thing',positive:'a good thing'}"


def test_sets_and_pairs_of_texts_have_them_too():
    rows = [
        {"text": row["text"], "labels": [["bug"], ["bug", "praise"], ["praise"], []][i % 4]}
        for i, row in enumerate(ROWS)
    ]
    sets = load(memory({"bug": "a fault"}, rows, label_column="labels"))
    assert sets.has_sets
    assert sets.labels_in_words == ("a fault", "praise")
    pairs = load(memory(NAMES, [row | {"other": row["text"]} for row in ROWS], text_pair_column="other"))
    assert pairs.has_pairs
    assert pairs.labels_in_words == tuple(NAMES.values())


def test_folds_keep_them():
    data = load(memory(NAMES, folds=3))
    assert data.folds is not None
    assert data.fold(data.folds.parts[1]).label_descriptions == NAMES


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"positiv": "good"}, "describes 'positiv', and the labels of the data are negative, positive. Did you mean"),
        ({True: "good"}, "put such names in quotes"),
        ({"negative": "positive"}, "negative, positive read the same"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(given, said):
    with pytest.raises(DataError, match=said):
        load(memory(given))


def test_a_label_that_was_left_out_as_rare_needs_no_correction():
    rows = [*ROWS, {"text": "an odd one", "label": "odd"}]
    data = load(memory(NAMES | {"odd": "a rare thing"}, rows, min_class_examples=2))
    assert data.label_descriptions == NAMES


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["good"], "must give each label a short description"),
        ({"positive": ["good"]}, "that of positive is no text"),
        ({"positive": None}, "that of positive is no text"),
        ({"positive": "  "}, "the description of positive is empty"),
        ({"negative": "x", "positive": "x"}, "read the same"),
        ("nowhere.yaml", "no such file"),
    ],
)
def test_what_describes_nothing_is_refused_at_once(given, said):
    with pytest.raises(ConfigError, match=said):
        memory(given)


@pytest.mark.parametrize(
    ("content", "said"), [(b"a: [", "is no YAML"), (b"\xff\xfe", "cannot be read"), (b"- a", "got")]
)
def test_a_file_that_holds_none_is_refused(tmp_path, content, said):
    path = tmp_path / "labels.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        FilesDataset(train="bundled:reviews/train.jsonl", label_descriptions=str(path))
