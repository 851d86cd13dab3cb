"""Small runs with a classifier of each kind, to pack, register and serve."""

import numpy as np

from tests.compare.factory import write_run
from tests.conftest import make_data
from textclf.models.options import ClassicalModel, TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

LOGREG = ClassicalModel(
    name="logreg",
    vectorizer={"_target_": "sklearn.feature_extraction.text.TfidfVectorizer"},
    classifier={"_target_": "sklearn.linear_model.LogisticRegression"},
)


def classical(pairs=False):
    """Fit a small logistic regression."""
    return fit(LOGREG, make_data(pairs=pairs), TorchTrainer(), RunContext())[0]


def transformer(checkpoint):
    """Return a random transformer with a head, untrained."""
    options = TransformerModel(name="tiny", checkpoint=str(checkpoint), max_length=32)
    found = load_checkpoint(options, ("negative", "positive"), seed=1)
    found.has_pairs = False
    return found


def finished_run(folder, classifier, right=1.0, examples=200, **changes):
    """Write a run folder with a classifier and made-up test predictions, `right` of them right."""
    labels = np.arange(examples) % len(classifier.label_names)
    wrong = np.random.default_rng(0).permutation(examples) >= round(right * examples)
    predicted = np.where(wrong, (labels + 1) % len(classifier.label_names), labels)
    model = changes.pop("model", "logreg")
    write_run(folder, model, 1, labels, predicted, names=classifier.label_names, **changes)
    classifier.save(folder / "classifier")
    return folder
