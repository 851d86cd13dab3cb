import json

import pytest
from sklearn.pipeline import Pipeline

from textclf import load_classifier
from textclf.errors import ArtifactError
from textclf.models.base import Cleaning
from textclf.models.classical import ClassicalClassifier
from textclf.models.saved import DESCRIPTION, Description, read_description, write_description


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
        (json.dumps({"format": 1, "family": "os.system", "label_names": [], "options": {}}), "family 'os.system'"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / DESCRIPTION).write_text(content)
    with pytest.raises(ArtifactError, match=message):
        load_classifier(tmp_path)
