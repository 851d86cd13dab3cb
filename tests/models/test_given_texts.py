"""Texts as callers hold them: one rule for every classifier."""

from collections import deque

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict

from tests.conftest import make_data
from tests.models.test_prediction import Fixed
from textclf.data.text_columns import TextColumns
from textclf.errors import DataError
from textclf.models.given_texts import given_texts
from textclf.models.saved import read_description
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

TEXTS = ["a lovely film", "an awful lamp", "dull"]
SEQUENCES = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "deque": deque(TEXTS),
    "series": pd.Series(TEXTS, index=[7, 3, 5]),
    "strings of pandas": pd.Series(TEXTS, dtype="string"),
    "categories": pd.Categorical(TEXTS),
    "index": pd.Index(TEXTS),
    "objects": np.array(TEXTS, dtype=object),
    "unicode": np.array(TEXTS),
    "arrow": pa.chunked_array([TEXTS]),
    "column": Dataset.from_dict({"text": TEXTS})["text"],
}
TABLES = {
    "frame": pd.DataFrame({"id": [3, 2, 1], "review": TEXTS, "text": "x"}, index=[7, 3, 5]),
    "one column": pd.DataFrame({"text": TEXTS}),
    "dataset": Dataset.from_dict({"label": [0, 1, 0], "review": TEXTS}),
    "arrow": pa.table({"review": TEXTS}),
    "mapping": {"review": TEXTS, "label": [0, 1, 0]},
    "mapping of arrays": {"text": np.array(TEXTS)},
}
REVIEWS = TextColumns("review", "reply", "title")


@pytest.mark.parametrize("given", SEQUENCES.values(), ids=SEQUENCES)
def test_sequences_of_texts(given):
    found, pairs = given_texts(given, None)
    assert (found, pairs) == (TEXTS, None)
    assert {type(text) for text in found} == {str}
    assert given_texts(given, given, has_pairs=True) == (TEXTS, TEXTS)


@pytest.mark.parametrize("given", TABLES.values(), ids=TABLES)
def test_tables_are_read_by_the_columns_that_the_classifier_knows(given):
    assert given_texts(given, None, REVIEWS, has_pairs=False) == (TEXTS, None)


def test_pairs_and_titles_of_a_table():
    rows = {"review": ["a", "b"], "reply": ["c", "d"], "title": ["one", None]}
    expected = ["one\na", "\nb"], ["c", "d"]
    assert given_texts(pd.DataFrame(rows), None, REVIEWS, has_pairs=True) == expected
    assert given_texts(Dataset.from_dict(rows), None, REVIEWS, has_pairs=None) == expected
    assert given_texts(rows, None, REVIEWS, has_pairs=False) == (expected[0], None)
    assert given_texts(rows, ["e", "f"], REVIEWS, has_pairs=True) == (expected[0], ["e", "f"])
    assert given_texts({"text": ["a"], "text_pair": ["b"]}, None, REVIEWS, has_pairs=True) == (["a"], ["b"])
    with pytest.raises(DataError, match="reads 'review' and 'reply' or 'text' and 'text_pair'"):
        given_texts({"text": ["a"]}, None, REVIEWS, has_pairs=True)


REFUSED = {
    "one text": ("one text", r"got one str; write \[text\]"),
    "bytes": (b"x", "got one bytes"),
    "set": ({"a", "b"}, "got a set: it has no order"),
    "generator": ((text for text in TEXTS), "got a generator: .* write list"),
    "values": ({"a": "b"}.values(), "write list"),
    "number": (5, "got a int: it holds no texts"),
    "none": (None, "got a NoneType: it holds no texts"),
    "matrix": (np.array([TEXTS, TEXTS]), "got a ndarray of 2 x 3"),
    "no dimension": (np.array("x"), "got a ndarray of no dimension"),
    "frame": (pd.DataFrame({"a": TEXTS, "texxt": TEXTS}), "DataFrame with the columns a, texxt; .* reads 'text'.*Did you mean"),
    "matrix as a frame": (pd.DataFrame([TEXTS] * 5), "columns 0, 1, 2; this classifier reads 'text'"),
    "same name twice": (pd.DataFrame([TEXTS], columns=["text", "text", "b"]), "text must be a list of texts, got a DataFrame"),
    "splits": (DatasetDict(train=Dataset.from_dict({"text": TEXTS})), "DatasetDict with the columns train"),
    "no columns": ({}, "dict with no columns"),
    "a text by name": ({"text": "one"}, "text must be a list of texts, got one str"),
    "missing": (pd.Series(["x", None]), r"texts\[1\] must be a string, got null"),
    "not a number": (["x", float("nan")], r"texts\[1\] must be a string, got null"),
    "NA": (pd.Series(["x", None], dtype="string"), r"texts\[1\] must be a string, got null"),
    "numbers": (np.arange(3), r"texts\[0\] must be a string, got int 0"),
    "a list of lists": ([["x"]], r"texts\[0\] must be a string, got list"),
    "rows": ([{"text": "x"}], r"texts\[0\] must be a string, got dict"),
    "half": (["x", "a \ud800"], r"texts\[1\] is no valid Unicode: .* at character 2"),
    "empty": (["x", ""], r"texts\[1\] is an empty text"),
    "blank": (("x", " \n"), r"texts\[1\] is an empty text"),
    "nan": (["x", "nan"], r"texts\[1\] is 'nan', which stands for a missing text"),
    "in a frame": (pd.DataFrame({"text": ["x", None]}), "text of row 1 must be a string, got null"),
    "in a dataset": (Dataset.from_dict({"text": ["x", ""]}), "text of row 1 is an empty text"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_sequence_of_texts_is_refused(given, message):
    classifier = Fixed(label_names=("a", "b", "c"))
    for ask in (classifier.predict, classifier.predict_proba):
        with pytest.raises(DataError, match=message):
            ask(given)


@pytest.mark.parametrize(
    ("texts", "pairs", "has_pairs", "message"),
    [
        (["x"], [3], None, r"text_pairs\[0\] must be a string, got int"),
        (["x"], None, True, "fitted on pairs"),
        (["x"], ["y"], False, "fitted on single texts"),
        (["x"], ["y", "z"], True, "got 1 and 2"),
        (["x"], [""], True, r"text_pairs\[0\] is an empty text"),
        (["x"], {"text_pair": ["y"]}, True, "text_pairs must be a list of texts, got a dict"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(texts, pairs, has_pairs, message):
    with pytest.raises(DataError, match=message):
        Fixed(label_names=("a", "b", "c"), has_pairs=has_pairs).predict_proba(texts, pairs)


def test_a_classifier_keeps_the_columns_that_it_was_fitted_to(tmp_path):
    from dataclasses import replace

    from tests.tracking.mlflow.serving_factory import LOGREG
    from textclf.models.families import load_classifier

    data = replace(make_data(), columns=TextColumns("review"))
    classifier, _ = fit(LOGREG, data, TorchTrainer(), RunContext())
    classifier.save(tmp_path)
    assert read_description(tmp_path).columns == TextColumns("review")
    frame = pd.DataFrame({"text": ["x"] * 3, "review": TEXTS})
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(frame), classifier.predict_proba(TEXTS))


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_a_transformer_reads_a_frame_row_by_row(tiny_checkpoint, monkeypatch, dtype):
    import torch

    from tests.tracking.mlflow.serving_factory import transformer

    classifier = transformer(tiny_checkpoint)
    if dtype is not None:
        monkeypatch.setattr("textclf.models.transformer.classifier.cpu_is_fast_at_bf16", lambda: True)
        classifier.autocast = getattr(torch, dtype)
    frame = pd.DataFrame({"id": [1, 2, 3], "text": TEXTS}, index=[5, 1, 3])
    expected = classifier.predict_proba(TEXTS)
    assert expected.shape == (3, 2)
    for given in (frame, frame["text"], Dataset.from_pandas(frame)):
        np.testing.assert_array_equal(classifier.predict_proba(given), expected)
    with pytest.raises(DataError, match="columns id, words; this classifier reads 'text'"):
        classifier.predict(frame.rename(columns={"text": "words"}))
