"""What the values of a label column mean: maps, likeness, rare classes, numbers from one, and no label at all."""

import pandas as pd
import pytest

from tests.conftest import sentences
from textclf.data.dataset import labels_of
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.data.options import FilesDataset, SimilarLabels
from textclf.errors import ConfigError, DataError

TEXTS = [row["text"] for row in sentences(120)]


def memory(labels, **options):
    return InMemoryDataset(train=(TEXTS[: len(labels)], labels), **options)


def count(data):
    return len(data.train) + len(data.validation) + len(data.test)


@pytest.mark.parametrize("kind", [int, str, float])
def test_a_map_names_merges_and_leaves_out_classes(kind, caplog):
    labels = [kind(1 + i % 5) for i in range(100)]
    data = load(memory(labels, label_map={1: "bad", 2: "bad", 4: "good", "5": "good"}))
    assert (data.label_names, count(data)) == (("bad", "good"), 80)
    assert data.rejected == {"train": {"label left out by label_map": 20}}
    assert "label_map leaves out the rows labelled 3" in caplog.text


def test_a_map_can_leave_out_by_null_and_orders_by_label_names():
    data = load(memory(["a", "b", "c"] * 30, label_map={"a": "x", "b": "y", "c": None}, label_names=["y", "x"]))
    assert (data.label_names, count(data)) == (("y", "x"), 60)


@pytest.mark.parametrize(
    ("given", "said"),
    [("a: b", "must name the class of each label"), ({"a": "x", "b": "x"}, "at least two classes")],
)
def test_a_map_that_cannot_be_right_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        memory(["a", "b"], label_map=given)


def test_a_map_that_names_no_label_is_refused():
    with pytest.raises(DataError, match="label_map names none of the labels, which are a, b"):
        load(memory(["a", "b"] * 30, label_map={"pos": "x", "neg": "y"}))


PAIRS = {
    ("pos", "Pos"): "upper and lower case",
    ("na\u00efve", "nai\u0308ve"): "Unicode form (NFC and NFD)",
    ("so so", "so\u00a0so"): "white space",
    ("so so", "so  so"): "white space",
    ("pos", "pos\u200b"): "characters that look alike or are not seen",
}


@pytest.mark.parametrize("pair", PAIRS, ids=ascii)
def test_labels_that_are_alike_follow_one_rule(pair, caplog):
    labels = [pair[0], pair[0], pair[1], "other"] * 25
    assert len(load(memory(labels)).label_names) == 3
    assert f"differ only in {PAIRS[pair]}: each is a class of its own" in caplog.text
    merged = load(memory(labels, on_similar_labels=SimilarLabels.merge))
    assert set(merged.label_names) == {pair[0], "other"}
    assert "taken as one class" in caplog.text
    with pytest.raises(DataError, match="on_similar_labels=fail stops there"):
        load(memory(labels, on_similar_labels=SimilarLabels.fail))


def test_merging_holds_for_other_splits_and_for_names_that_are_asked_for():
    test = (TEXTS[:4], ["POS", "neg", "Neg ", "pos"])
    data = load(memory(["pos", "neg"] * 30, test=test, on_similar_labels=SimilarLabels.merge))
    assert labels_of(data.test).tolist() == [1, 0, 0, 1]
    asked = {"label_names": ["Pos", "Neg"], "on_similar_labels": SimilarLabels.merge}
    assert labels_of(load(memory(["pos", "neg"] * 30, test=test, **asked)).test).tolist() == [0, 1, 1, 0]
    with pytest.raises(
        DataError,
        match=r"label 'POS' is not one of neg, pos.*they differ in upper and lower case. dataset.on_similar_labels=merge",
    ):
        load(memory(["pos", "neg"] * 30, test=test))


def test_all_rare_classes_are_named_at_once_and_left_out_where_asked(caplog):
    labels = ["a", "b"] * 40 + [f"rare{i // 2}" for i in range(30)]
    with pytest.raises(DataError, match=r"15 classes have too few.*'rare0' has 2, .*'rare14' has 2.*at least 3"):
        load(memory(labels))
    data = load(memory(labels, min_class_examples=3))
    assert (data.label_names, data.rejected) == (("a", "b"), {"train": {"class too rare": 30}})
    assert "leaves out 15 of 17 classes: rare0 (2), " in caplog.text


def test_a_rare_class_is_left_out_of_the_other_splits_too():
    test = (TEXTS[:3], ["a", "rare", "b"])
    data = load(memory(["a", "b"] * 40 + ["rare"], test=test, min_class_examples=3))
    assert (len(data.test), data.rejected["test"]) == (2, {"class too rare": 1})


def test_classes_counted_from_one_take_the_names_in_order():
    data = load(memory([1, 2, 3] * 30, label_names=["low", "mid", "high"], test=(TEXTS[:3], [3, 1, 2])))
    assert labels_of(data.test).tolist() == [2, 0, 1]


def test_minus_one_beside_the_other_numbers_is_told_of(caplog):
    assert load(memory([-1, 0, 1] * 30)).label_names == ("-1", "0", "1")
    assert "dataset.label_map={0: 0, 1: 1}" in caplog.text


def test_null_is_no_class_and_quotes_behind_a_space_are_no_part_of_one(tmp_path):
    lines = ["text,label", *(f'{text}, "{"ab"[i % 2]}"' for i, text in enumerate(TEXTS)), "one more,NULL"]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    data = load(FilesDataset(train=str(tmp_path / "mine.csv")))
    assert (data.label_names, data.rejected) == (("a", "b"), {"train": {"no label": 1}})


def test_a_test_file_without_labels_is_to_be_predicted(tmp_path):
    frame = pd.DataFrame({"text": TEXTS, "label": ["a", "b"] * 60})
    frame.to_csv(tmp_path / "train.csv", index=False)
    frame.assign(label=None).to_csv(tmp_path / "test.csv", index=False)
    asked = {"train": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")}
    with pytest.raises(DataError, match=r"Leave dataset.test out, and predict the file .*--input .*test.csv"):
        load(FilesDataset(**asked))


def test_the_share_of_rows_without_a_label_is_said_as_the_option_to_copy(tmp_path):
    labels = ["" if i % 16 == 0 else "ab"[i % 2] for i in range(120)]
    pd.DataFrame({"text": TEXTS, "label": labels}).to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(DataError, match="go on without them: dataset.max_rejected=0.07"):
        load(FilesDataset(train=str(tmp_path / "mine.csv")))
    assert count(load(FilesDataset(train=str(tmp_path / "mine.csv"), max_rejected=0.07))) == 112


def test_names_that_yaml_made_true_and_false_are_told_of(caplog):
    memory([0, 1], label_names=["False", "True"])
    assert "put them in quotes, as in ['no', 'yes']" in caplog.text


def test_a_slice_made_larger_by_its_classes_is_told_of(caplog):
    load(memory([f"c{i % 30}" for i in range(120)], validation_fraction=0.05))
    assert "the test slice is of 30 examples rather than 24" in caplog.text


def test_leaving_rare_classes_out_must_leave_two():
    with pytest.raises(
        DataError, match="leaves 1 of 3 classes, and at least two are needed; the largest have 40, 3, 3"
    ):
        load(memory(["a"] * 40 + ["b", "c"] * 3, min_class_examples=5))
    with pytest.raises(DataError, match="2 classes have too few(?!.*min_class_examples)"):
        load(memory(["a"] * 40 + ["b", "c"] * 2))


@pytest.mark.parametrize("form", ["['{}']", '["{}"]', '{{"choices": ["{}"]}}', "{}"])
def test_a_label_in_a_list_of_one_is_that_label(form):
    data = load(memory([form.format("ab"[i % 2]) for i in range(60)]))
    assert data.label_names == ("a", "b")


def test_several_choices_are_no_label(tmp_path):
    labels = ['{"choices": ["a", "b"]}' if i == 7 else "ab"[i % 2] for i in range(120)]
    pd.DataFrame({"text": TEXTS, "label": labels}).to_csv(tmp_path / "mine.csv", index=False)
    data = load(FilesDataset(train=str(tmp_path / "mine.csv")))
    assert (data.label_names, data.rejected) == (("a", "b"), {"train": {"several labels": 1}})
