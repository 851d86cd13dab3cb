import itertools

import numpy as np
import pytest
from PIL import Image

from textclf.documents import plotting
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
    getattr(plots, f"plot_{name}")(predictions(num_labels), tmp_path / "p.png")
    assert is_drawn(tmp_path / "p.png")


def test_curves_need_examples_of_two_classes(tmp_path):
    one = Predictions(np.zeros(5, dtype=int), np.full((5, 2), 0.5, dtype=np.float32), ("a", "b"))
    assert not plots.plot_roc_curves(one, tmp_path / "p.png")
    assert not plots.plot_precision_recall_curves(one, tmp_path / "p.png")
    assert not (tmp_path / "p.png").exists()


@pytest.fixture
def axes(monkeypatch):
    """The plots that are drawn, as they are when they are written."""
    drawn = []
    write = plotting._write
    monkeypatch.setattr(
        plotting, "_write", lambda canvas, path: drawn.extend(canvas.figure.axes) or write(canvas, path)
    )
    return drawn


def test_titles_say_what_is_seen(axes, tmp_path):
    path = tmp_path / "p.png"
    four = predictions(4)
    wrong = int((four.predicted != four.labels).sum())
    plots.plot_confusion_matrix(four, path)
    plots.plot_roc_curves(four, path)
    plots.plot_precision_recall_curves(predictions(2), path)
    plots.plot_class_scores(predictions(50, 2000), path)
    assert [one.get_title(loc="left") for one in axes if one.get_title(loc="left")] == [
        f"Which class is taken for which: {wrong} of 200 are wrong",
        "ROC curve of each class against the rest",
        r"Precision over recall of the class class \$1_long ",
        "Precision, recall and F1 of the 40 weakest of 50 classes",
    ]


def test_classes_without_a_curve_are_named(axes, tmp_path):
    names = tuple(f"name{k}" for k in range(12))
    labels = np.repeat(np.arange(11), np.arange(30, 19, -1))  # the last has no example
    chances = np.random.default_rng(0).dirichlet(np.ones(12), len(labels)).astype(np.float32)
    plots.plot_roc_curves(Predictions(labels, chances, names), tmp_path / "p.png")
    assert axes[0].get_title(loc="left") == "ROC curve of 8 of 12 classes, each against the rest"
    assert axes[0].get_xlabel().endswith("Without a curve: name8, name9, name10, name11")


@pytest.mark.parametrize("num_labels", [30, 77])
def test_the_names_of_many_classes_stand_at_their_cells_and_within_the_picture(num_labels, axes, tmp_path):
    names = tuple(f"name of class {k} which is long and ends in {k}" for k in range(num_labels))
    found = predictions(num_labels, 2000)
    plots.plot_confusion_matrix(Predictions(found.labels, found.probabilities, names), tmp_path / "p.png")
    (grid, _) = axes
    whole = grid.figure.bbox
    for axis, side in ((grid.xaxis, 0), (grid.yaxis, 1)):
        labels = axis.get_ticklabels()
        assert len(labels) == num_labels
        for place, label in enumerate(labels):
            box = label.get_window_extent()
            assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
            assert whole.y0 <= box.y0 <= box.y1 <= whole.y1
            middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)[side]
            cell = grid.transData.transform((place, place))[side]
            assert middle == pytest.approx(cell, abs=6)  # pixels
        if side == 0:
            widths = [label.get_window_extent() for label in labels]
            assert all(a.x1 <= b.x0 + 1 for a, b in itertools.pairwise(widths))
