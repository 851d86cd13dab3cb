"""A classifier of each family, saved."""

from tests.conftest import make_data, make_tiny_bert
from textclf.models.options import ClassicalModel, TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext


def logistic():
    model = ClassicalModel(name="m", classifier={"_target_": "sklearn.linear_model.LogisticRegression"})
    return fit(model, make_data(), TorchTrainer(), RunContext())[0]


def save_each(root):
    """Write `transformer` and `classical` below a folder, and return both classifiers."""
    make_tiny_bert(root / "checkpoint")
    options = TransformerModel(name="x", checkpoint=str(root / "checkpoint"), max_length=32)
    transformer = load_checkpoint(options, ("a", "b"), seed=1)
    transformer.predict_proba(["a text"])  # tokenizers keep where they last cut
    transformer.save(root / "transformer")
    classical = logistic()
    classical.save(root / "classical")
    return transformer, classical
