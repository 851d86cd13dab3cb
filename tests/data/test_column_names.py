import pytest
from datasets import Dataset

from textclf.data.column_names import find_columns
from textclf.data.load import check
from textclf.data.options import FilesDataset
from textclf.data.prepare import RawData, prepare
from textclf.data.rejected import RejectedRows
from textclf.errors import ConfigError, DataError


def prepared(options, raw, source, test_fraction=0.2):
    return prepare(RawData(raw, source, options, test_fraction), RejectedRows(options.max_rejected))


def found(*names, **asked):
    options = find_columns(FilesDataset(train="x.csv", **asked), names, "x.csv")
    return options.text_column, options.text_pair_column, options.label_column


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["text", "review", "label", "class"], ("text", None, "label")),
        (["Review", "Sentiment"], ("Review", None, "Sentiment")),
        (["id", "title", "CONTENT", "Stars"], ("CONTENT", None, "Stars")),
        (["idx", "sentence1", "sentence2", "label"], ("sentence1", "sentence2", "label")),
        (["Premise", "Hypothesis", "gold label"], ("Premise", "Hypothesis", "gold label")),
        (["question", "sentence", "y"], ("question", "sentence", "y")),
    ],
)
def test_usual_names_are_found(names, columns, caplog):
    caplog.set_level("INFO")
    assert found(*names) == columns
    assert ("is taken as" in caplog.text) == ("text" not in names)


def test_asked_names_are_never_replaced():
    assert found("a", "review", "class", text_column="a") == ("a", None, "class")
    assert found("review", "reply", "label", text_pair_column="reply") == ("review", "reply", "label")
    with pytest.raises(
        DataError, match=r"no column 'revew' \(dataset.text_column\); it has review, label. Did you mean 'review'"
    ):
        found("review", "label", text_column="revew")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["review", "tweet", "label"], "several could be meant: review, tweet. Name one with dataset.text_column"),
        (["premise", "hypothesis", "text1", "text2", "label"], "several pairs could be meant"),
        (["text", "class", "stars"], "several could be meant: class, stars. Name one with dataset.label_column"),
        (["a", "b"], "no column 'text'"),
        (["text", "b"], "no column 'label'"),
    ],
)
def test_what_could_be_several_or_none_is_refused(names, message):
    with pytest.raises(DataError, match=message):
        found(*names)


def test_a_column_of_slices_is_kept_as_strings_and_is_no_candidate():
    rows = Dataset.from_dict(
        {"review": [f"t{i}" for i in range(40)], "stars": [0, None, 2, 3] * 10, "class": ["a", "b"] * 20}
    )
    data = prepared(FilesDataset(train="x", slice_columns=["stars"]), {"train": rows}, "x")
    assert data.slice_columns == ("stars",)
    for split in (data.train, data.validation, data.test):
        assert split["stars"][:] == [["0", "missing", "2", "3"][row % 4] for row in split["example"]]


@pytest.mark.parametrize("columns", [["text"], ["label"], ["language"], ["a", "a"], ["kind"]])
def test_columns_of_slices_that_clash_are_refused(columns):
    with pytest.raises(ConfigError, match="slice_columns must be distinct"):
        FilesDataset(train="x", slice_columns=columns, label_column="kind")


@pytest.mark.parametrize(
    ("file", "name"),
    [("reviews.jsonl", "reviews"), ("data/mine.csv.gz", "mine"), ("imdb/train.parquet", "imdb"),
     ("bundled:reviews/train.jsonl", "reviews"), ("toxic/*.csv", "toxic"), ("xnli/train.%language%.csv", "xnli"),
     ("/train.csv", "files")],
)  # fmt: skip
def test_files_without_a_name_are_called_after_themselves(file, name, caplog):
    caplog.set_level("INFO")
    assert FilesDataset(train=file).name == name
    assert f"runs on {file} are called {name}" in caplog.text
    assert FilesDataset(train=file, name="other").name == "other"


def test_columns_to_name_are_guessed_by_their_values(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("id,msg,my class\n1,a text of five words,x\n2,another one of five words,y\n3,and so on,x\n")
    said = "no column 'text' \\(dataset.text_column\\) nor 'label' \\(dataset.label_column\\); it has id, msg, my class"
    with pytest.raises(DataError, match=said) as refused:
        check(FilesDataset(train=str(path)))
    assert str(refused.value).endswith("dataset.text_column=msg \"dataset.label_column='my class'\"")
    check(FilesDataset(train=str(path), text_column="msg", label_column="my class"))
    with pytest.raises(DataError, match="no column 'msg'.*: dataset.text_column=text"):
        check(FilesDataset(train="bundled:reviews/train.jsonl", text_column="msg"))
