"""A pipeline's bytes depend on the pipeline alone."""

import json
from zipfile import ZipFile

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import LinearSVC

from textclf.models.classical.saving import write_pipeline

TEXTS = ["a good film", "a bad film", "good things", "bad things"] * 3
LABELS = [1, 0, 1, 0] * 3
VECTORIZERS = {
    "alone": lambda: TfidfVectorizer(stop_words="english"),
    "hashing": lambda: HashingVectorizer(n_features=16),
    "union": lambda: FeatureUnion([("a", TfidfVectorizer()), ("b", TfidfVectorizer(stop_words=["the"]))]),
    "chain": lambda: Pipeline([("words", TfidfVectorizer())]),
    "columns": lambda: ColumnTransformer([("a", TfidfVectorizer(), 0), ("b", TfidfVectorizer(), 1)]),
}


@pytest.mark.parametrize("kind", VECTORIZERS)
def test_no_address_in_memory_is_written_and_predictions_stay(kind, tmp_path):
    texts = [[text, text] for text in TEXTS] if kind == "columns" else TEXTS
    classifier = CalibratedClassifierCV(LinearSVC(), cv=2) if kind == "union" else LogisticRegression()
    pipeline = Pipeline([("features", VECTORIZERS[kind]()), ("classifier", classifier)]).fit(texts, LABELS)
    before = pipeline.predict_proba(texts)
    write_pipeline(pipeline, tmp_path / "pipeline.skops")
    with ZipFile(tmp_path / "pipeline.skops") as archive:
        schema = archive.read("schema.json").decode()
    assert "_stop_words_id" not in schema
    assert max(_numbers(json.loads(schema))) < 1_000_000, "an address"
    assert (pipeline.predict_proba(texts) == before).all()
    write_pipeline(pipeline, tmp_path / "again.skops")  # predicting made the addresses again
    assert (tmp_path / "again.skops").read_bytes() == (tmp_path / "pipeline.skops").read_bytes()


def _numbers(node):
    """Yield the whole numbers of a schema, and 0; skops writes values as JSON in text."""
    yield 0
    if isinstance(node, int):
        yield node
    elif isinstance(node, str) and node.isdecimal():
        yield int(node)
    elif isinstance(node, (dict, list)):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from _numbers(inner)
