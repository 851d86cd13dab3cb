import json
import pickle
import zipfile

import numpy as np
import pytest
import skops.io
from safetensors.numpy import load_file, save_file

from tests.conftest import make_data, unlisted
from textclf import load_classifier
from textclf.data.dataset import labels_of, texts_of
from textclf.data.in_memory import InMemoryDataset
from textclf.data.load import load
from textclf.errors import ArtifactError, ConfigError, DataError
from textclf.experiment.arguments import CONF
from textclf.models.options import ClassicalModel
from textclf.training.fit import check, fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

COUNTS = {"_target_": "sklearn.feature_extraction.text.CountVectorizer"}
BAYES = {"_target_": "sklearn.naive_bayes.MultinomialNB"}
NAMES = ["hashed_logreg", "majority", "naive_bayes", "nb_svm", "tfidf_logreg", "tfidf_svm"]


def configured(name):
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(OmegaConf.load(CONF / "model" / f"{name}.yaml"), resolve=True)
    node.pop("defaults")
    return ClassicalModel(**node)


def fitted(model, data):
    return fit(model, data, TorchTrainer(), RunContext())


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_each_learns_predicts_and_is_the_same_when_loaded(name, pairs, tmp_path):
    data = make_data(pairs=pairs)
    classifier, result = fitted(configured(name), data)
    texts = texts_of(data.test)
    probabilities = classifier.predict_proba(*texts)
    assert probabilities.shape == (24, 2)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    accuracy = (probabilities.argmax(axis=1) == labels_of(data.test)).mean()
    assert accuracy == 0.5 if name == "majority" else accuracy == 1.0
    assert result.num_parameters > 0
    classifier.save(tmp_path)
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(*texts), probabilities)


def test_nothing_in_gives_nothing_out(tiny_data):
    assert fitted(configured("tfidf_logreg"), tiny_data)[0].predict_proba([]).shape == (0, 2)


def test_same_seed_same_probabilities(tiny_data):
    texts, _ = texts_of(tiny_data.test)
    first, again = (fitted(configured("tfidf_svm"), tiny_data)[0].predict_proba(texts) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("vectorizer", "classifier", "message"),
    [
        (COUNTS, {"_target_": "os.system"}, "cannot run other code"),
        (COUNTS, {"_target_": "sklearn.os.system"}, "there is no such class|no scikit-learn estimator"),
        (COUNTS, {"_target_": "sklearn.datasets.load_files"}, "is no scikit-learn estimator"),
        (COUNTS, {"_target_": "sklearn.naive_bayes.Absent"}, "there is no such class"),
        (COUNTS, {}, "must name a class"),
        (COUNTS, BAYES | {"alhpa": 1}, "no such argument; it has .* Did you mean 'alpha'"),
        (COUNTS, BAYES | {"alpha": "x"}, "'alpha' parameter of MultinomialNB must be"),
        (BAYES, BAYES, "does not turn texts into features"),
        (COUNTS, COUNTS, "does not predict classes"),
        (COUNTS, {"_target_": "textclf.models.classical.nb_svm.NBSVM", "C": -1.0}, "'C' parameter of NBSVM"),
        (
            COUNTS,
            {"_target_": "sklearn.ensemble.BaggingClassifier", "estimator": {"_target_": "os.abort"}},
            "other code",
        ),
    ],
)
def test_parts_that_are_not_allowed_or_wrong_are_refused(vectorizer, classifier, message):
    with pytest.raises(ConfigError, match=message):
        check(ClassicalModel(name="x", vectorizer=vectorizer, classifier=classifier), TorchTrainer())


def test_no_words_left_is_told(tiny_data):
    model = ClassicalModel(name="x", vectorizer=COUNTS | {"min_df": 1000}, classifier=BAYES)
    with pytest.raises(DataError, match="could not be fitted to tiny"):
        fitted(model, tiny_data)


class Payload:
    def __reduce__(self):
        return exec, ("raise SystemExit('the payload ran')",)


def test_a_pickle_in_place_of_the_pipeline_is_not_loaded(tiny_data, tmp_path):
    fitted(configured("naive_bayes"), tiny_data)[0].save(tmp_path)
    (tmp_path / "pipeline.skops").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_classifier(tmp_path)


def test_types_that_are_not_trusted_are_not_loaded(tiny_data, tmp_path):
    fitted(configured("naive_bayes"), tiny_data)[0].save(tmp_path)
    path = tmp_path / "pipeline.skops"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["schema.json"] = files["schema.json"].replace(b"sklearn.naive_bayes", b"subprocess_like")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(ArtifactError, match="not trusted"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("pairs", [False, True])
def test_vocabularies_are_kept_as_lists_and_put_back(pairs, tmp_path):
    data = make_data(pairs=pairs)
    classifier, _ = fitted(configured("tfidf_logreg"), data)
    inputs = (["it is a lovely film"], ["it is negative"] if pairs else None)
    before = classifier.predict_proba(*inputs)
    classifier.save(tmp_path)
    np.testing.assert_array_equal(classifier.predict_proba(*inputs), before)  # saving takes nothing away
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(*inputs), before)
    kept = json.loads((tmp_path / "vocabularies.json").read_text())
    assert len(kept) == (2 if pairs else 1)
    assert "awful film" in kept[0]
    with zipfile.ZipFile(tmp_path / "pipeline.skops") as archive:
        assert b"awful film" not in archive.read("schema.json")


@pytest.mark.parametrize("content", [None, "{", "[]", "3", "[5]"])
def test_vocabularies_that_are_missing_or_damaged_are_told(tiny_data, tmp_path, content):
    fitted(configured("naive_bayes"), tiny_data)[0].save(tmp_path)
    path = unlisted(tmp_path) / "vocabularies.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(ArtifactError, match=r"vocabularies\.json is missing or damaged"):
        load_classifier(tmp_path)


def test_weights_of_many_classes_are_kept_apart_and_checked(tmp_path):
    rows = [{"text": f"word{k % 3} text number{k}", "label": "abc"[k % 3]} for k in range(90)]
    data = load(InMemoryDataset(train=rows, validation=rows, test=rows))
    classifier, _ = fitted(configured("tfidf_logreg"), data)
    classifier.save(tmp_path)
    path = unlisted(tmp_path) / "model.safetensors"
    weights = load_file(path)["weights"]
    np.testing.assert_array_equal(weights, classifier.pipeline[-1].weights_)
    with zipfile.ZipFile(tmp_path / "pipeline.skops") as archive:
        parts = [part.file_size for part in archive.infolist() if part.filename.endswith(".npy")]
        assert sum(size > weights[:, 0].nbytes for size in parts) == 1  # idf, float64, alone has as many rows
    for content, said in (
        ({"weights": weights[1:]}, "do not belong together"),
        ({"weights": weights.astype(np.float64)}, "wants float32"),
        ({"weights": weights * np.float32(np.nan)}, "no numbers"),
        ({"other": weights}, "missing or damaged"),
    ):
        save_file(content, path)
        with pytest.raises(ArtifactError, match=said):
            load_classifier(tmp_path)
    path.unlink()
    with pytest.raises(ArtifactError, match="missing or damaged"):
        load_classifier(tmp_path)


def test_a_folder_from_before_vocabularies_were_kept_apart_is_read(tiny_data, tmp_path):
    classifier, _ = fitted(configured("naive_bayes"), tiny_data)
    classifier.save(tmp_path)
    (unlisted(tmp_path) / "vocabularies.json").unlink()
    skops.io.dump(classifier.pipeline, tmp_path / "pipeline.skops")
    texts = ["it is a lovely film"]
    np.testing.assert_array_equal(load_classifier(tmp_path).predict_proba(texts), classifier.predict_proba(texts))
