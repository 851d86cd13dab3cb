import numpy as np
import pytest
from PIL import Image

from textclf.evaluation import plots
from textclf.evaluation.predictions import Predictions

pytestmark = pytest.mark.drawn


def predictions(num_labels, count=200, seed=0):
    generator = np.random.default_rng(seed)
    names = tuple(f"class ${k}_{'long ' * k}" for k in range(num_labels))
    probabilities = generator.dirichlet(np.ones(num_labels), count).astype(np.float32)
    return Predictions(generator.integers(0, num_labels, count), probabilities, names)


def is_drawn(path):
    return len(np.unique(np.asarray(Image.open(path).convert("L")))) > 10


@pytest.mark.parametrize("num_labels", [2, 4, 30])
@pytest.mark.parametrize("name", ["confusion_matrix", "roc_curves", "precision_recall_curves"])
def test_pictures_of_any_number_of_classes(name, num_labels, tmp_path):
    getattr(plots, f"plot_{name}")(predictions(num_labels), "a/b_c $1", tmp_path / "p.png")
    assert is_drawn(tmp_path / "p.png")


def test_curves_need_examples_of_two_classes(tmp_path):
    one = Predictions(np.zeros(5, dtype=int), np.full((5, 2), 0.5, dtype=np.float32), ("a", "b"))
    assert not plots.plot_roc_curves(one, "t", tmp_path / "p.png")
    assert not plots.plot_precision_recall_curves(one, "t", tmp_path / "p.png")
    assert not (tmp_path / "p.png").exists()
