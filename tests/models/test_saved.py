import json

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from tests.conftest import make_data
from textclf import load_classifier
from textclf.errors import ArtifactError
from textclf.models.classical.pipeline import ClassicalClassifier
from textclf.models.options import ClassicalModel, Cleaning
from textclf.models.saved import DESCRIPTION, Description, read_description, write_description
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext


def test_description_round_trip(tmp_path):
    classifier = ClassicalClassifier(
        label_names=("ja", "nein"), cleaning=(Cleaning.lowercase,), temperature=1.5, pipeline=Pipeline([("a", "drop")])
    )
    write_description(tmp_path, "classical", classifier, {"n": 1})
    description = read_description(tmp_path)
    assert description == Description("classical", ("ja", "nein"), (Cleaning.lowercase,), 1.5, {"n": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no classifier"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        (json.dumps({"format": 99, "family": "classical", "label_names": [], "options": {}}), "is of format 99"),
        (json.dumps({"format": 1, "family": "os.system", "label_names": ["a"], "options": {}}), "family 'os.system'"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / DESCRIPTION).write_text(content)
    with pytest.raises(ArtifactError, match=message):
        load_classifier(tmp_path)


def test_what_is_done_before_and_after_the_model_is_saved_with_it(tmp_path):
    data = make_data()
    model = ClassicalModel(
        name="m",
        classifier={"_target_": "sklearn.linear_model.LogisticRegression"},
        vectorizer={"_target_": "sklearn.feature_extraction.text.TfidfVectorizer", "lowercase": False},
        text_cleaning=[Cleaning.strip_markup, Cleaning.lowercase],
    )
    classifier, _ = fit(model, data, TorchTrainer(), RunContext())
    plain, shouted = classifier.predict_proba(["it is a lovely film", "It is A<br>LOVELY&nbsp;film"])
    np.testing.assert_array_equal(plain, shouted)
    classifier.temperature = 2.0
    classifier.save(tmp_path)
    again = load_classifier(tmp_path)
    assert (again.cleaning, again.temperature) == (tuple(model.text_cleaning), 2.0)
    odds = again.predict_proba(["it is a lovely film"])[0]
    assert odds[1] / odds[0] == pytest.approx((plain[1] / plain[0]) ** 0.5, rel=1e-4)
