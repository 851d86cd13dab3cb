"""Pipelines that would read files or call functions are neither made nor read; all others are."""

import shutil
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.conftest import make_data, unlisted
from textclf.errors import ArtifactError, ConfigError, TextclfError
from textclf.experiment.cli import compose_experiment
from textclf.models.classical.harmless import strange_part
from textclf.models.classical.pipeline import PIPELINE, check_is_read_again, make_parts
from textclf.models.families import load_classifier
from textclf.models.options import ClassicalModel
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

LOGISTIC = {"_target_": "sklearn.linear_model.LogisticRegression"}
TEXT = "sklearn.feature_extraction.text."
WORDS = ["good film", "bad film", "a good one", "a bad one"]


def model(vectorizer=None, classifier=LOGISTIC):
    vectorizer = vectorizer or {"_target_": f"{TEXT}TfidfVectorizer"}
    return ClassicalModel(name="m", vectorizer=vectorizer, classifier=classifier)


def trained(options, pairs=False):
    return fit(options, make_data(pairs=pairs), TorchTrainer(), RunContext())[0]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    trained(model({"_target_": f"{TEXT}CountVectorizer"})).save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "classifier")
    return tmp_path / "classifier"


def stranger(folder, vectorizer, last=None):
    """Write another pipeline in place of a classifier's own, as a stranger may."""
    texts = WORDS
    if getattr(vectorizer, "input", "content") == "filename":
        texts = [str(folder.parent / f"{number}.txt") for number in range(4)]
        for path, text in zip(texts, WORDS, strict=True):
            folder.parent.joinpath(path).write_text(text)
    pipeline = Pipeline([("features", vectorizer), ("classifier", last or LogisticRegression())]).fit(
        texts, [1, 0, 1, 0]
    )
    skops.io.dump(pipeline, folder / PIPELINE)
    (folder / "vocabularies.json").unlink()
    unlisted(folder)


@pytest.mark.parametrize("kind", [CountVectorizer, TfidfVectorizer, HashingVectorizer])
def test_a_vectorizer_that_opens_files_is_not_read(kind, folder):
    (folder.parent / "secret.txt").write_text("secret good film")
    stranger(folder, kind(input="filename"))
    with pytest.raises(ArtifactError, match=rf"{kind.__name__}'s input must be content, got 'filename'"):
        load_classifier(folder)


def test_a_vectorizer_within_others_is_seen():
    reads = CountVectorizer(input="file")
    for whole in (
        Pipeline([("a", ColumnTransformer([("b", reads, 0)]))]),
        FeatureUnion([("a", TfidfVectorizer()), ("b", reads)]),
        [{"a": (reads,)}],
        np.array([reads], dtype=object),
    ):
        assert "input must be content" in strange_part(whole)


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (FunctionTransformer(np.sin), "FunctionTransformer"),
        (CountVectorizer(preprocessor=str.lower), "preprocessor"),
        (CountVectorizer(tokenizer=str.split), "tokenizer"),
        (CountVectorizer(analyzer=str.split), "analyzer"),
        (CountVectorizer(decode_error="evil"), "decode_error"),
        (CountVectorizer(encoding="rot13"), "encoding"),
        (CountVectorizer(encoding=3), "encoding"),
        (CountVectorizer(stop_words=[1]), "stop_words must hold words"),
        (CountVectorizer(strip_accents=str), "strip_accents"),
        (Pipeline([("a", CountVectorizer())], memory="/tmp/cache"), "memory must be null"),
        (LogisticRegression(n_jobs=10**9), "n_jobs must be at most"),
        (LogisticRegression(C=len), "is a function"),
    ],
)
def test_each_way_is_named(whole, said):
    assert said in strange_part(Pipeline([("x", whole)]))


def test_nothing_stands_in_for_a_method():
    vectorizer = CountVectorizer()
    vectorizer.transform = LogisticRegression()
    assert "in place of its own method" in strange_part(Pipeline([("x", vectorizer)]))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"_target_": f"{TEXT}CountVectorizer", "stop_words": ["the", "a"], "encoding": "latin-1"},
        {"_target_": f"{TEXT}HashingVectorizer", "analyzer": "char_wb", "ngram_range": [2, 3], "n_features": 1024},
        {"_target_": f"{TEXT}TfidfVectorizer", "stop_words": "english", "strip_accents": "unicode"},
        {"_target_": "textclf.models.classical.hashed_tfidf.HashedTfidf", "n_features": 1024},
    ],
)
def test_what_a_config_can_name_is_read_again(options, pairs, tmp_path):
    classifier = trained(model(options), pairs)
    classifier.save(tmp_path)
    texts = (["a lovely film"], ["it is lovely"]) if pairs else (["a lovely film"],)
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(*texts), classifier.predict_proba(*texts))


@pytest.mark.parametrize(
    "name",
    [
        "linear_model.SGDClassifier",
        "linear_model.Perceptron",
        "linear_model.RidgeClassifier",
        "linear_model.LogisticRegressionCV",
        "svm.LinearSVC",
        "naive_bayes.ComplementNB",
        "neighbors.NearestCentroid",
        "dummy.DummyClassifier",
    ],
)
def test_usual_classifiers_are_read_again(name, tmp_path):
    trained(model(classifier={"_target_": f"sklearn.{name}"})).save(tmp_path)
    assert load_classifier(tmp_path).predict_proba(["a film"]).sum() == pytest.approx(1)


@pytest.mark.parametrize("name", ["ensemble.RandomForestClassifier", "svm.SVC", "neural_network.MLPClassifier"])
def test_what_would_not_be_read_again_is_refused_before_it_is_fitted(name):
    with pytest.raises(ConfigError, match="save_classifier=false"):
        check_is_read_again(model(classifier={"_target_": f"sklearn.{name}"}))


@pytest.mark.parametrize("choice", ["majority", "naive_bayes", "nb_svm", "tfidf_logreg", "tfidf_svm", "hashed_logreg"])
def test_each_model_of_the_configs_is_read_again(choice):
    check_is_read_again(compose_experiment(f"model={choice}", "dataset=reviews").model)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("input", "filename"),
        ("input", "file"),
        ("tokenizer", "os.system"),
        ("preprocessor", "x"),
        ("analyzer", "x"),
        ("decode_error", "x"),
        ("encoding", "hex"),
        ("stop_words", [1, 2]),
    ],
)
def test_a_config_names_no_such_vectorizer(option, value):
    with pytest.raises(ConfigError, match=rf"model.vectorizer.{option} must"):
        make_parts(model({"_target_": f"{TEXT}CountVectorizer", option: value}))


@pytest.mark.parametrize(
    "target",
    [
        "sklearn.base.BaseEstimator",
        "sklearn.base.ClassifierMixin",
        "sklearn.base.TransformerMixin",
        "sklearn.linear_model._base.LinearClassifierMixin",
        "sklearn.linear_model._stochastic_gradient.BaseSGDClassifier",
        "sklearn.ensemble.BaseEnsemble",
        "sklearn.svm._base.BaseLibSVM",
        "sklearn.naive_bayes._BaseNB",
        "sklearn.pipeline.Pipeline",
        "sklearn.pipeline.FeatureUnion",
        "sklearn.preprocessing.FunctionTransformer",
        "sklearn.linear_model",
        "sklearn.datasets.load_iris",
        "sklearn.utils.Bunch",
        "sklearn..x",
        "sklearn.",
        "textclf.models.options.Cleaning",
        "textclf.models.base.Classifier",
        "sklearn.cluster.KMeans",
        "sklearn.linear_model.LinearRegression",
        "sklearn.multiclass.OneVsRestClassifier",
        3,
    ],
)
@pytest.mark.parametrize("part", ["vectorizer", "classifier"])
def test_what_is_no_such_part_ends_in_a_paragraph(part, target):
    with pytest.raises(TextclfError, match=r"model\.|could not be fitted"):
        trained(model(**{part: {"_target_": target}}))


@pytest.mark.parametrize("target", ["naive_bayes.GaussianNB", "multioutput.ClassifierChain"])
def test_parts_that_do_not_fit_together_end_in_a_paragraph(target):
    with pytest.raises(ConfigError, match="do not fit texts or each other"):
        trained(model(classifier={"_target_": f"sklearn.{target}", **nested(target)}))


def nested(target):
    return {"estimator": LOGISTIC} if target.startswith("multi") else {}


@pytest.mark.parametrize(("name", "packing"), [("schema.json", zipfile.ZIP_STORED), ("x.npy", zipfile.ZIP_DEFLATED)])
def test_an_archive_is_bounded_before_it_is_read(folder, name, packing):
    with zipfile.ZipFile(folder / PIPELINE, "w", packing) as archive:
        archive.writestr(name, b" " * (70 << 20))
    with pytest.raises(ArtifactError, match="would take 70 MB unpacked"):
        load_classifier(folder)


@pytest.mark.parametrize("content", ["[[]]", "[[1, 2]]", '["ab"]', '[["a", "a"]]', "{}", "[" * 100_000])
def test_words_that_are_no_list_of_words_end_in_a_paragraph(folder, content):
    (folder / "vocabularies.json").write_text(content)
    with pytest.raises(ArtifactError):
        load_classifier(folder)
