"""What must hold for all data: splits, batches, metrics, records, readers and files (hypothesis, the same each time)."""

import csv
import dataclasses
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from textclf.data.load import load
from textclf.data.options import FilesDataset
from textclf.data.splits import group_slice, stratified_choice, stratified_slice
from textclf.errors import ConfigError, DataError
from textclf.evaluation.metrics import evaluate_predictions
from textclf.evaluation.predictions import Predictions
from textclf.experiment.sweep.status import options_of
from textclf.system import files as durable
from textclf.tracking.record import RunRecord, read_record, write_record
from textclf.training.batches import BatchPlan, ProcessGroup
from textclf.training.options import TorchTrainer, is_interval, parse_interval

few = settings(
    max_examples=25, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
NAMES = ("a", "b", "c", "d")
labels = st.lists(st.integers(0, 3), min_size=8, max_size=120).map(lambda values: np.array(values, dtype=np.int64))
seeds = st.integers(0, 2**31)
texts = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0\r\n"), min_size=1, max_size=30
).filter(str.strip)


def check_slice(own, fraction, seed, cut):
    """Hold what a stratified slice must: no row twice or lost, every class in its share, the same each time."""
    first, second = cut(own, fraction, seed, NAMES, "test")
    assert sorted([*first, *second]) == list(range(len(own)))
    counts, taken = (np.bincount(rows, minlength=4) for rows in (own, own[second]))
    share = len(second) / len(own)
    assert all(taken[counts > 0] >= 1)
    lifted = np.count_nonzero((counts * share < 1) & (counts > 0))
    assert all(abs(taken - counts * share) <= 1 + lifted)
    again = cut(own, fraction, seed, NAMES, "test")
    assert all(np.array_equal(a, b) for a, b in zip((first, second), again, strict=True))


@few
@given(labels, st.floats(0.05, 0.6), seeds)
def test_slices_are_disjoint_stratified_and_stable(own, fraction, seed):
    try:
        check_slice(own, fraction, seed, stratified_slice)
    except DataError:
        counts = np.bincount(own)
        assert 1 in counts or len(own) - np.count_nonzero(counts) <= round(len(own) * fraction)


def test_a_slice_that_loses_a_row_or_a_class_would_be_found():
    own = np.array([0, 1] * 20)

    def losing(*args):
        first, second = stratified_slice(*args)
        return first[1:], second

    def unstratified(own, fraction, *rest):
        order = np.argsort(own, kind="stable")
        return order[10:], order[:10]

    for broken in (losing, unstratified):
        with pytest.raises(AssertionError):
            check_slice(own, 0.25, 1, broken)


@few
@given(labels, st.integers(4, 60), seeds)
def test_choices_have_the_size_that_was_asked_for(own, count, seed):
    chosen = stratified_choice(own, count, seed, NAMES, "train")
    assert len(chosen) == min(count, len(own)) == len(set(chosen.tolist()))
    assert set(own[chosen].tolist()) == set(own.tolist())


@settings(few, max_examples=8)
@given(labels, st.integers(2, 12), seeds)
def test_no_group_is_on_both_sides(own, groups, seed):
    named = np.array([f"g{number % groups}" for number in range(len(own))], dtype=object)
    try:
        first, second = group_slice(own, named, 0.3, seed, NAMES, "test")
    except DataError:
        return
    assert not set(named[first]) & set(named[second])
    assert sorted([*first, *second]) == list(range(len(own)))


def check_batches(plan, size):
    """Hold what a plan must: every example once, all batches whole but the last."""
    found = plan.batches()
    assert sorted(np.concatenate(found).tolist()) == list(range(len(plan.lengths)))
    assert [len(batch) for batch in found[:-1]] == [size] * (len(found) - 1)
    assert len(found) == plan.steps
    parts = list(plan)
    assert [row for part in parts for row in part] == np.concatenate(found).tolist()
    assert len(parts) == len(plan)


@few
@given(
    st.lists(st.integers(1, 64), min_size=1, max_size=300),
    st.integers(1, 9),
    st.integers(1, 4),
    st.booleans(),
    seeds,
    st.integers(1, 3),
)
def test_every_example_is_in_one_batch(lengths, micro, parts, bucketing, seed, epoch):
    options = TorchTrainer(batch_size=micro * parts, gradient_accumulation=parts, length_bucketing=bucketing)
    plan = BatchPlan(np.array(lengths), options, seed)
    plan.epoch = epoch
    check_batches(plan, options.batch_size)


def test_a_plan_that_draws_an_example_twice_would_be_found():
    class Twice(BatchPlan):
        def batches(self):
            found = super().batches()
            found[0][0] = found[0][1]
            return found

    with pytest.raises(AssertionError):
        check_batches(Twice(np.arange(1, 20), TorchTrainer(batch_size=4), 1), 4)


@few
@given(st.integers(3, 60), st.integers(1, 3), seeds)
def test_processes_share_a_batch_without_overlap(count, world, seed):
    options = TorchTrainer(batch_size=6)
    shares = [
        list(BatchPlan(np.arange(1, count + 1), options, seed, ProcessGroup(rank, world))) for rank in range(world)
    ]
    seen = [row for share in shares for part in share for row in part]
    assert len(seen) == len(set(seen)) == count - count % world


@few
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.floats(0.01, 1), min_size=4, max_size=4)), min_size=1, max_size=80
    )
)
def test_metrics_are_those_of_scikit_learn(rows):
    truth = np.array([label for label, _ in rows])
    raw = np.array([values for _, values in rows])
    probabilities = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
    predictions = Predictions(truth, probabilities, NAMES)
    found, predicted = evaluate_predictions(predictions), probabilities.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, predicted))
    assert all(math.isfinite(value) for value in found.values())
    if len(set(truth)) == 4:
        expected = sklearn.metrics.f1_score(truth, predicted, average="macro", zero_division=0)
        assert found["macro_f1"] == pytest.approx(expected)
        one_against_rest = sklearn.metrics.roc_auc_score(np.eye(4)[truth], probabilities, average="macro")
        assert found["roc_auc"] == pytest.approx(one_against_rest)
    if len(set(truth)) > 1 and len(set(predicted.tolist())) > 1:
        assert found["mcc"] == pytest.approx(sklearn.metrics.matthews_corrcoef(truth, predicted))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@few
@given(st.dictionaries(st.text(max_size=8), plain, max_size=3), st.text(max_size=30), st.floats(0, 1e9))
def test_a_record_is_read_as_it_was_written(config, name, seconds):
    values = {f.name: "" for f in dataclasses.fields(RunRecord)} | {
        "name": name, "seed": 1, "seconds": seconds, "metrics": {"test/accuracy": seconds}, "costs": {}, "data": config,
        "fit": config, "config": config, "environment": {}, "phases": {}, "tracking": {}, "format": 1,
    }  # fmt: skip
    record = RunRecord(**values)
    with tempfile.TemporaryDirectory() as folder:
        try:
            write_record(Path(folder), record)
        except UnicodeEncodeError:
            assume(False)
        assert read_record(Path(folder)) == record


@settings(few, max_examples=12)
@given(
    st.lists(
        st.tuples(texts, st.sampled_from(["pos", "neg"])),
        min_size=20,
        max_size=30,
        unique_by=lambda row: row[0].strip(),
    ),
    st.sampled_from(["csv", "tsv", "jsonl"]),
)
def test_a_file_is_read_as_it_was_written(tmp_path, rows, kind):
    assume(min([label for _, label in rows].count(name) for name in ("pos", "neg")) >= 5)
    path = tmp_path / f"rows.{kind}"
    with path.open("w", encoding="utf-8", newline="") as file:
        if kind == "jsonl":
            file.writelines(
                json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows
            )
        else:
            writer = csv.writer(file, delimiter="\t" if kind == "tsv" else ",")
            writer.writerows([("text", "label"), *rows])
    data = load(FilesDataset(train=str(path), max_rejected=0.0))
    found = [
        (text, data.label_names[label])
        for split in (data.train, data.validation, data.test)
        for text, label in zip(split["text"], split["label"], strict=True)
    ]
    assert sorted(found) == sorted(rows)


@few
@given(st.text(max_size=12) | st.from_regex(r"[0-9.]{0,3} ?(s|min|h|never)?", fullmatch=True))
def test_checkpoint_every_is_understood_or_refused(text):
    if not is_interval(text):
        with pytest.raises(ConfigError, match="checkpoint_every"):
            TorchTrainer(checkpoint_every=text)
        return
    every = parse_interval(TorchTrainer(checkpoint_every=text).checkpoint_every)
    assert every.is_never or (every.steps or every.seconds or 0) > 0


@few
@given(st.dictionaries(st.text("abcdef.", min_size=1, max_size=8), st.text("xyz=,[]{}' ", max_size=10), max_size=5))
def test_overrides_are_found_again_by_name(options):
    assert options_of([f"{key}={value}" for key, value in options.items()]) == options
    assert options_of([f"++{key}={value}" for key, value in options.items()]) == options
    assert options_of(["alone", *options]) == {}


@few
@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.binary(max_size=40), min_size=1, max_size=4), st.data()
)
def test_a_manifest_holds_until_a_byte_changes(files, data):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "made"
        with durable.new_folder(folder) as temporary:
            for name, content in files.items():
                (temporary / name).write_bytes(content)
        assert [path.name for path in Path(place).iterdir()] == ["made"]
        assert durable.manifest_problem(folder) is None
        name = data.draw(st.sampled_from(sorted(files)))
        content = files[name]
        (folder / name).write_bytes(bytes([content[0] ^ 1]) + content[1:] if content else b"x")
        assert "is not what was written" in str(durable.manifest_problem(folder))
        (folder / name).unlink()
        assert "is missing" in str(durable.manifest_problem(folder))


@few
@given(st.binary(max_size=50), st.binary(max_size=50))
def test_a_file_is_the_old_or_the_new_one(old, new):
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "file"
        path.write_bytes(old)
        with pytest.raises(OSError, match="full"), durable.new_file(path) as temporary:
            temporary.write_bytes(new)
            raise OSError("full")
        assert path.read_bytes() == old
        with durable.new_file(path) as temporary:
            temporary.write_bytes(new)
        assert path.read_bytes() == new
        assert [found.name for found in Path(place).iterdir()] == ["file"]
