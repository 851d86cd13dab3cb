import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from textclf.compare import curve_plots, plots, prediction_plots
from textclf.compare.runs import FinishedRun
from textclf.compare.scores import Level, TestScores
from textclf.compare.setups import Setup, SharedTest
from textclf.compare.summary import SetupRow, setup_rows
from textclf.tracking.record import RunRecord

pytestmark = pytest.mark.drawn

ODD_NAMES = ["a $x$ b", "n" * 60, "bert learning_rate=2e-05 max_length=128 warmup_fraction=0.06 epochs=12", "模型"]
MANY_NAMES = [f"setup{k} learning_rate=1e-05 max_length={k}" for k in range(31)]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make_setup(name, labels, predicted, num_labels=2, costs=None):
    """A setup of one seed for each row of predictions."""
    runs = []
    for seed, row in enumerate(np.atleast_2d(predicted), 1):
        row = row.astype(np.int64)
        metrics = {"test/accuracy": float((row == labels).mean())}
        data = {"label_names": [f"c${k}$" for k in range(num_labels)], "examples": {"train": 10, "test": len(labels)}}
        record = RunRecord(
            name, "e", "d", name, "none", seed, "validation/accuracy", metrics,
            costs or {}, data, {}, {}, "", "", {}, "", 1.0,
        )  # fmt: skip
        log_losses = np.ones(len(labels), np.float32)
        runs.append(FinishedRun(Path(name), record, np.asarray(labels, dtype=np.int64), row, log_losses, "t"))
    return Setup(name, tuple(runs), {})


def many(names, seeds=2, num_labels=3, count=120):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, num_labels, count)
    setups = []
    for number, name in enumerate(names):
        right = rng.random((seeds, count)) < 0.5 + 0.4 * number / len(names)
        guesses = np.where(right, labels, rng.integers(0, num_labels, (seeds, count)))
        costs = {"train_seconds": 0.3 * 3.0 ** (number % 9), "test_examples_per_second": 10.0 + number**3}
        setups.append(make_setup(name, labels, guesses, num_labels, costs))
    return SharedTest("d", tuple(setups), ())


def row(name, mean, size=10, **costs):
    return SetupRow(name, (1, 2), size, {"accuracy": Level(mean, 0.01, mean - 0.1, mean + 0.1, "seeds")}, costs)


def is_drawn(path):
    """Whether a picture bears something, and nothing that its edge cuts."""
    picture = np.asarray(Image.open(path).convert("L"))
    edges = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    return len(np.unique(picture)) > 10 and (edges == 255).all()


def test_marks_are_the_same_in_any_order_and_tell_setups_apart():
    names = [f"s{k:02}" for k in range(40)]
    marks = plots.marks(names)
    assert marks == plots.marks(reversed(names))
    assert len(set(marks.values())) == 40
    assert {mark.colour for mark in marks.values()} == set(plots.PALETTE)


@pytest.mark.parametrize(
    ("low", "high", "unit", "labels"),
    [
        (0.05, 2000, plots.SECONDS, ["0.1 s", "1 s", "10 s", "1 min", "10 min"]),
        (1.5, 12, plots.SECONDS, ["2 s", "5 s", "10 s"]),
        (30, 8000, plots.SECONDS, ["1 min", "10 min", "1 h"]),
        (0.004, 3000, plots.MILLISECONDS, ["0.01 ms", "0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"]),
        (3, 2e9, plots.COUNT, ["10", "100", "1 k", "10 k", "100 k", "1 M", "10 M", "100 M", "1 B"]),
    ],
)
def test_ticks_are_plain(low, high, unit, labels):
    ticks = plots.plain_ticks(low, high, unit)
    assert list(ticks.values()) == labels
    assert all(low <= place <= high for place in ticks)
    assert list(ticks) == sorted(ticks)


def test_labels_of_crowded_points_do_not_overlap():
    drawn = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(drawn)
    axes = drawn.add_subplot()
    x = np.repeat([0.5, 0.505], 6) + np.arange(12) * 0.002
    y = np.tile(np.arange(6) * 0.003 + 0.5, 2)
    axes.plot(x, y, "o")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    plots.place_labels(axes, list(x), list(y), [f"setup {k}\nof many" for k in range(12)], np.zeros((0, 4)))
    drawn.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the lines that tie them
    assert len(boxes) == 12
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert all(axes.bbox.containsx(x) and axes.bbox.containsy(y) for box in boxes for x, y in box.corners())


def test_long_names_are_shown_whole_up_to_their_longest():
    assert "".join(plots.wrapped("n" * 60).split()) == "n" * 60
    assert plots.wrapped("a $x$ b") == r"a \$x\$ b"
    name = plots.wrapped("first" + "n" * 200 + "last").replace("\n", "")
    assert len(name) == plots.LONGEST_NAME
    assert name.startswith("first")
    assert name.endswith("last")


def test_scores_are_given_by_seed_and_best_first():
    labels = [0, 0, 1, 1]
    test = SharedTest(
        "d", (make_setup("a", labels, [[0, 0, 0, 0], [0, 0, 0, 1]]), make_setup("b", labels, [labels])), ()
    )
    rows = setup_rows(TestScores(test))
    frame = plots.scores_data(test, rows, "accuracy")
    assert frame[["setup", "seed", "score"]].to_numpy().tolist() == [["b", 1, 1.0], ["a", 1, 0.5], ["a", 2, 0.75]]
    assert frame["mean"].tolist() == [1, 0.625, 0.625]
    assert frame["low"].tolist()[1:] == [rows[0].levels["accuracy"].low] * 2
    lacking = [rows[0], replace(rows[1], levels={})]
    assert plots.scores_data(test, lacking, "accuracy")["setup"].tolist() == ["a", "a"]


def test_scores_of_which_less_is_better_begin_with_the_least():
    test = SharedTest("d", tuple(make_setup(name, [0, 1], [[0, 1]]) for name in "ab"), ())
    for member in test.setups:
        member.runs[0].record.metrics["test/log_loss"] = {"a": 0.9, "b": 0.1}[member.name]
    frame = plots.scores_data(test, setup_rows(TestScores(test)), "log_loss")
    assert frame["setup"].tolist() == ["b", "a"]


def test_costs_leave_out_what_a_log_axis_cannot_show():
    rows = [
        row("slow", 0.9, test_examples_per_second=10.0),
        row("fast", 0.7, test_examples_per_second=1000.0),
        row("worse", 0.6, test_examples_per_second=100.0),
        row("stopped", 0.9, test_examples_per_second=0.0),
        row("unknown", 0.9),
        replace(row("unscored", 0.9, test_examples_per_second=5.0), levels={}),
    ]
    frame = plots.cost_data(rows, "accuracy", "milliseconds_per_example")
    assert frame["setup"].tolist() == ["fast", "worse", "slow"]
    assert frame["milliseconds_per_example"].tolist() == [1, 10, 100]
    assert frame["front"].tolist() == [True, False, True]
    assert plots.cost_data(rows, "accuracy", "train_seconds").empty


def test_learning_curves_go_by_size():
    lines = {
        "m": [row("m train=100", 0.8, 100), row("m train=10", 0.6, 10)],
        "n": [row("n", 0.5, 10), row("o", 0.4, 0)],
    }
    frame = curve_plots.learning_curve_data(lines, "accuracy")
    assert frame[["line", "train_examples", "seeds", "mean"]].to_numpy().tolist() == [
        ["m", 10, 2, 0.6],
        ["m", 100, 2, 0.8],
        ["n", 10, 2, 0.5],
    ]
    assert curve_plots.learning_curve_data(lines, "macro_f1").empty


def test_class_differences_are_first_minus_second():
    labels = np.array([0, 0, 1, 1])
    first = make_setup("a", labels, [[0, 0, 1, 1], [0, 1, 1, 1]], 3)  # F1 of class 0: 1 and 2/3; of class 1: 1 and 4/5
    second = make_setup("b", labels, [[0, 0, 0, 0]], 3)  # F1 of class 0: 2/3; of class 1: 0
    frame = prediction_plots.class_difference_data(first, second)
    assert frame["class"].tolist() == ["c$0$", "c$1$"]  # class 2 neither occurs nor is predicted
    assert frame["test_examples"].tolist() == [2, 2]
    np.testing.assert_allclose(frame["first_f1"], [5 / 6, 0.9])
    np.testing.assert_allclose(frame["difference"], [1 / 6, 0.9])
    assert (frame["low"] < frame["difference"]).all()
    assert (frame["difference"] < frame["high"]).all()


def test_intervals_of_class_differences_hold_the_truth():
    """Of setups that are right equally often, about 95 % of intervals hold 0."""
    rng = np.random.default_rng(1)
    held = []
    for _ in range(100):
        labels = rng.integers(0, 2, 150)
        guesses = [np.where(rng.random((1, 150)) < 0.8, labels, 1 - labels) for _ in range(2)]
        frame = prediction_plots.class_difference_data(
            make_setup("a", labels, guesses[0]), make_setup("b", labels, guesses[1]), draws=100
        )
        held += ((frame["low"] < 0) & (frame["high"] > 0)).tolist()
    assert 0.88 < np.mean(held) < 0.995


def test_confusion_differences_are_shares_of_the_true_class():
    labels = np.array([0, 0, 0, 0, 1])
    first = make_setup("a", labels, [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]], 3)
    second = make_setup("b", labels, [[1, 1, 1, 2, 0]], 3)
    frame = prediction_plots.confusion_difference_data(first, second)
    found = frame["difference"].to_numpy().reshape(3, 3)
    np.testing.assert_allclose(found, [[5 / 8, 3 / 8 - 3 / 4, -1 / 4], [-1, 1, 0], [np.nan] * 3])
    assert frame.loc[1, ["true", "predicted"]].tolist() == ["c$0$", "c$1$"]


def test_agreement_is_the_mean_over_pairs_of_seeds():
    labels = np.zeros(4, dtype=int)
    a = make_setup("a", labels, [[0, 0, 1, 2], [0, 1, 1, 2]], 3)
    b = make_setup("b", labels, [[0, 0, 1, 1]], 3)
    c = make_setup("c", labels, [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 2]], 3)
    frame = prediction_plots.agreement_data([a, b, c])
    found = frame["agreement"].to_numpy().reshape(3, 3)
    with_c = (2 + 1 + 4 + 1 + 2 + 3) / 24
    np.testing.assert_allclose(
        found, [[3 / 4, 5 / 8, with_c], [5 / 8, np.nan, 7 / 12], [with_c, 7 / 12, (0 + 2 + 1) / 12]]
    )
    assert frame.loc[1, ["first", "second"]].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("names", "seeds", "num_labels"),
    [
        pytest.param(["one"], 1, 2, id="one"),
        pytest.param(ODD_NAMES, 2, 3, id="odd"),
        pytest.param(MANY_NAMES, 1, 41, id="many", marks=pytest.mark.slow),
    ],
)
def test_every_picture_is_drawn(names, seeds, num_labels, tmp_path):
    test = many(names, seeds, num_labels)
    rows, marks, path = setup_rows(TestScores(test)), plots.marks(names), tmp_path / "p.png"
    title = "the $title$ " * 9
    assert plots.plot_scores(plots.scores_data(test, rows, "accuracy"), "accuracy", marks, title, path)
    assert is_drawn(path)
    frame = plots.cost_data(rows, "accuracy", "train_seconds")
    assert plots.plot_cost(frame, "accuracy", "train_seconds", marks, title, path)
    assert is_drawn(path)
    agreement = prediction_plots.agreement_data(test.setups)
    assert prediction_plots.plot_agreement(agreement, title, path) == (len(names) > 1)
    assert is_drawn(path)
    first, second = test.setups[0], test.setups[-1]
    differences = prediction_plots.class_difference_data(first, second, draws=50)
    assert prediction_plots.plot_class_differences(differences, marks, title, path)
    assert is_drawn(path)
    assert prediction_plots.plot_confusion_difference(
        prediction_plots.confusion_difference_data(first, second), title, path
    )
    assert is_drawn(path)


def test_learning_curves_are_drawn(tmp_path):
    lines = {name: [row(name, 0.5 + size / 1000, size) for size in (10, 100, 110)] for name in ODD_NAMES}
    lines["single"] = [row("single", 0.4, 10)]
    frame = curve_plots.learning_curve_data(lines, "accuracy")
    assert curve_plots.plot_learning_curves(frame, "accuracy", plots.marks(lines), "t", tmp_path / "p.png")
    assert is_drawn(tmp_path / "p.png")


def test_levels_and_crossings_are_drawn_beside_learning_curves(tmp_path):
    lines = {name: [row(name, 0.5 + size / 1000, size) for size in (10, 100, 110)] for name in ODD_NAMES}
    frame = curve_plots.learning_curve_data(lines, "accuracy", fixed=[row("asked", 0.55, 0), row("shown", 0.6, 8)])
    assert frame[frame["fixed"]][["line", "train_examples", "mean"]].to_numpy().tolist() == [
        ["asked", 0, 0.55], ["shown", 8, 0.6]
    ]  # fmt: skip
    crossed = pd.DataFrame(
        [
            (ODD_NAMES[0], "asked", 0.55, 50.0, 0.0, np.inf, "said"),
            (ODD_NAMES[1], "asked", 0.55, 50.0, 10, 100, "said"),
        ],
        columns=["line", "fixed", "level", "at", "low", "high", "said"],
    )
    marks = plots.marks(frame["line"])
    assert curve_plots.plot_learning_curves(frame, "accuracy", marks, "t", tmp_path / "p.png", crossed, classes=2)
    assert is_drawn(tmp_path / "p.png")
    alone = curve_plots.learning_curve_data({}, "accuracy", fixed=[row("asked", 0.55, 0)])
    assert not curve_plots.plot_learning_curves(alone, "accuracy", marks, "t", tmp_path / "q.png")


def test_nothing_is_drawn_of_nothing(tmp_path):
    path = tmp_path / "p.png"
    single = curve_plots.learning_curve_data({"m": [row("m", 0.5)], "n": [row("n", 0.5, 20)]}, "accuracy")
    marks = plots.marks("mn")
    assert not curve_plots.plot_learning_curves(single, "accuracy", marks, "t", path)
    assert not curve_plots.plot_learning_curves(
        curve_plots.learning_curve_data({}, "accuracy"), "accuracy", marks, "t", path
    )
    assert not plots.plot_scores(plots.scores_data(many("m"), [], "accuracy"), "accuracy", marks, "t", path)
    assert not plots.plot_cost(
        plots.cost_data([], "accuracy", "size_bytes"), "accuracy", "size_bytes", marks, "t", path
    )
    nothing = pd.DataFrame({"first": [], "second": [], "difference": []})
    assert not prediction_plots.plot_class_differences(nothing, marks, "t", path)
    assert not path.exists()


def test_a_score_without_interval_is_drawn(tmp_path):
    level = Level(0.7, np.nan, np.nan, np.nan, "nothing")
    bare = replace(row("m", 0.7, train_seconds=2.0), levels={"accuracy": level})
    frame = plots.cost_data([bare, replace(bare, name="n")], "accuracy", "train_seconds")
    assert plots.plot_cost(frame, "accuracy", "train_seconds", plots.marks("mn"), "t", tmp_path / "p.png")
    assert is_drawn(tmp_path / "p.png")
    scores = plots.scores_data(many("m"), [bare], "accuracy")
    assert plots.plot_scores(scores, "accuracy", plots.marks("m"), "t", tmp_path / "p.png")
    assert is_drawn(tmp_path / "p.png")
