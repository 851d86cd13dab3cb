"""From how many labels on training is as good as a setup that takes no more of them, in words, tables and the answer."""

import json

import pytest

from tests.compare.factory import guess, labels_of, write_run
from tests.compare.test_pairs import compared
from textclf.compare.answer import answer
from textclf.compare.compare_runs import compare
from textclf.compare.crossings import crossings
from textclf.compare.options import CompareOptions
from textclf.errors import ConfigError

N = 1200
SIZES = (20, 80, 320)


def write_curve(folder, model, accuracies, seeds=(1, 2, 3), price=None, per_class=True, **changes):
    labels = labels_of(N)
    for size, accuracy in accuracies.items():
        for seed in seeds:
            predicted = guess(labels, accuracy, 1000 * size + seed)
            write(folder / f"{model}{size}-{seed}", model, seed, labels, predicted, size, price, per_class, **changes)


def write(folder, model, seed, labels, predicted, size, price, per_class, **changes):
    """Write a run on its own draw of the examples, whose sizes are given by class or as a whole."""
    write_run(folder, model, seed, labels, predicted, train=size, **changes)
    record = json.loads((folder / "run.json").read_text())
    limit = {"examples_per_class": size // 2, "max_train_examples": None}
    record["config"]["dataset"] |= {"draw_seed": seed} | (limit if per_class else {})
    record["costs"] |= {} if price is None else {"price_per_1000_texts": price}
    (folder / "run.json").write_text(json.dumps(record))


def write_asked(folder, accuracy, *, model="llm", shots=0, seeds=(1,), price=None, size=20):
    labels = labels_of(N)
    fit = {"device": "a server", "labels_per_class": shots, "draws_seed": bool(shots), "reads_labels": bool(shots)}
    fit |= {"train_examples": 2 * shots}
    for seed in seeds:
        predicted = guess(labels, accuracy, 7 + 100 * shots + seed)
        options = {"shots": shots}
        write(folder / f"{model}{shots}-{size}-{seed}", model, seed, labels, predicted, size, price, True,
              trainer="none", fit=fit, options=options)  # fmt: skip


def test_a_person_reads_from_how_many_labels_on_training_is_as_good_and_what_it_costs(tmp_path, capsys):
    write_curve(tmp_path / "runs", "small", {20: 0.6, 80: 0.8, 320: 0.9}, price=0.001)
    write_asked(tmp_path / "runs", 0.75, price=1.0)
    compare(tmp_path / "runs", CompareOptions(label_price=0.5), output=tmp_path / "out")
    (found,) = crossings(compared(tmp_path / "runs"))
    assert (found.line, found.fixed, found.classes) == ("small", "llm", 2)
    assert 20 < found.found.at < 80
    assert (found.found.low, found.found.high) in {(20, 80), (20, 320)}
    said = capsys.readouterr().out
    about = found.count(found.found.at)
    assert f"From about {about} labels a class on small is at least as good as llm (95 % 10 to " in said
    assert "at 1/1,000 of the price of predicting (0.00100 USD against 1.00 USD for 1,000 texts)" in said
    assert "over draws of the training and test examples" in said
    assert "At 0.500 USD a label these cost about" in said
    texts = 1000 * 0.5 * found.found.at / 0.999
    assert f"which small saves over llm in predicting {float(f'{texts:.2g}'):,.0f} texts." in said
    report = (tmp_path / "out" / "report.md").read_text()
    assert report.count("at least as good as llm (95 %") == 2  # the answer, and its own paragraph
    held = json.loads((tmp_path / "out" / "comparison.json").read_text())["crossings"]["d"]
    assert held[0]["found"]["at"] == pytest.approx(found.found.at)
    drawn = (tmp_path / "out" / "figures" / "data" / "learning_curve_crossings.csv").read_text()
    assert "small,llm," in drawn
    assert "Rings: from how many labels on" in report


def test_what_takes_no_more_labels_is_one_setup_beside_those_with_the_most(tmp_path):
    write_curve(tmp_path, "small", {20: 0.6, 80: 0.8, 320: 0.9})
    write_asked(tmp_path, 0.75, size=20)
    write_asked(tmp_path, 0.8, shots=4, seeds=(1, 2, 3), size=80)
    comparison = compared(tmp_path)
    assert {(row.name, row.train_examples) for row in comparison.rows if "llm" in row.name} == {
        ("llm shots=0", 0), ("llm shots=4", 8)
    }  # fmt: skip
    assert {frozenset((pair.first, pair.second)) for pair in comparison.pairs} == {
        frozenset(("llm shots=0", "llm shots=4")),
        frozenset(("llm shots=0", "small train=160-per-class")),
        frozenset(("llm shots=4", "small train=160-per-class")),
    }
    assert [one.fixed for one in crossings(comparison)] == ["llm shots=4", "llm shots=0"]  # the better one first
    found = answer(comparison)
    assert found is not None
    assert found.setup == "small train=160-per-class"
    assert "at least as good as llm shots=4" in found.reasons[-1]


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (0.97, "With up to 160 labels a class, the most tried, small is not as good as llm (95 % more than 160; over"),
        (0.45, "With 10 labels a class, the fewest tried, small is at least as good as llm (95 % 10 or fewer; over"),
    ],
)
def test_nothing_is_read_beyond_the_sizes_tried(tmp_path, level, said):
    write_curve(tmp_path, "small", {20: 0.6, 80: 0.8, 320: 0.9})
    write_asked(tmp_path, level)
    (found,) = crossings(compared(tmp_path))
    assert str(found).startswith(said)


def test_one_seed_has_no_interval_and_two_sizes_have_no_curve(tmp_path):
    write_curve(tmp_path / "one", "small", {20: 0.6, 80: 0.8, 320: 0.9}, seeds=(1,), per_class=False)
    write_asked(tmp_path / "one", 0.75)
    (found,) = crossings(compared(tmp_path / "one"))
    assert "training examples on small is at least as good as llm (no interval: it takes 3 seeds" in str(found)
    write_curve(tmp_path / "two", "small", {20: 0.6, 80: 0.8})
    write_asked(tmp_path / "two", 0.75)
    assert crossings(compared(tmp_path / "two")) == []


def test_less_of_a_loss_is_better(tmp_path):
    write_curve(tmp_path, "small", {20: 0.6, 80: 0.8, 320: 0.9})
    write_asked(tmp_path, 0.75)
    (found,) = crossings(compared(tmp_path, metric="log_loss"))
    assert 20 < found.found.at < 80


def test_a_dearer_setup_in_money_is_not_taken_for_being_fast(tmp_path):
    labels = labels_of(N)
    fast = {"train_seconds": 2.0, "test_examples_per_second": 1e5, "latency_median_seconds": 0.0001}
    slow = {"train_seconds": 2.0, "test_examples_per_second": 100.0, "latency_median_seconds": 0.01}
    for name, accuracy, costs in (("slow", 0.803, slow), ("fast", 0.80, fast)):
        for seed in (1, 2, 3):
            predicted = guess(labels, accuracy, seed + len(name))
            for folder, price in (("free", {}), ("dear", {"price_per_1000_texts": 9.0 if name == "fast" else 1.0})):
                write_run(tmp_path / folder / f"{name}{seed}", name, seed, labels, predicted, costs=costs | price)
    free, dear = compared(tmp_path / "free"), compared(tmp_path / "dear")
    taken = [found.setup for one in (free, dear) if (found := answer(one)) is not None]
    assert taken == ["fast", "slow"]
    assert (
        "fast is the faster one" in " ".join(free.sentences(free.pairs)) or "cheaper" in free.sentences(free.pairs)[0]
    )
    assert "fast is the" not in " ".join(dear.sentences(dear.pairs))


def test_a_label_costs_something_or_is_not_priced():
    with pytest.raises(ConfigError, match="label_price must be greater than 0"):
        CompareOptions(label_price=0)
