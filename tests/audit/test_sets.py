"""The audit of sets of labels: what is planted is found, and clean data has none of it."""

import csv
import json

import numpy as np
import pytest
from datasets import Dataset

from tests.audit.factory import COMMON
from textclf.audit.audit import audit
from textclf.audit.audit_dataset import write_audit
from textclf.audit.corpus import Corpus
from textclf.audit.finding import Severity
from textclf.audit.gate import pass_gate
from textclf.audit.options import AuditOptions
from textclf.audit.set_errors import find_set_errors
from textclf.audit.sets import set_facts
from textclf.data.dataset import TextData
from textclf.data.options import OnLeakage

NAMES = ("bug", "praise", "refund")
MARKS = (("crashes", "freezes", "glitch"), ("lovely", "superb", "brilliant"), ("refund", "reimburse", "moneyback"))
QUICK = AuditOptions(label_errors=False, language_sample=5)


def rows(count, seed, share=0.3):
    """Return texts with their sets of labels, each label independent of the others, and its words in the text."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        labels = np.flatnonzero(rng.random(3) < share).tolist()
        words = [str(word) for word in rng.choice(COMMON, 12)]
        words += [str(word) for label in labels for word in rng.choice(MARKS[label], 2)]
        found.append([" ".join(words), labels])
    return found


def as_data(train, validation=None, test=None, names=NAMES):
    def split(part):
        columns = {
            "example": list(range(len(part))),
            "text": [row[0] for row in part],
            "label": [row[1] for row in part],
        }
        return Dataset.from_dict(columns)

    parts = (train, validation or rows(80, 2), test or rows(120, 3))
    return TextData("mine", *map(split, parts), label_names=tuple(names), source="tests")


def clean():
    return rows(500, 1)


@pytest.fixture(scope="module")
def whole():
    """An audit of clean data with some labels changed."""
    train = clean()
    for row in range(20, 60, 2):
        train[row][1] = sorted(set(train[row][1]) ^ {row // 2 % 3})
    return audit(as_data(train), AuditOptions(language_sample=5))


def test_clean_sets_have_nothing_worse_than_a_note():
    found = audit(as_data(clean()), QUICK)
    assert not [finding.code for finding in found.findings if finding.severity is not Severity.note]
    assert not {finding.code for finding in found.findings} & {"labels_always_together", "labels_never_together"}
    assert not found.sets.telling
    assert "3 labels; in train 0 to 3 a text, 0.9 on average, none in 3" in found.summary()


def test_cardinality_is_counted_by_hand():
    facts = set_facts(Corpus.of(as_data([["a", [0, 1]], ["b", []], ["c", [0, 1, 2]], ["d", [2]]])))
    train = facts.cardinality[0]
    assert (train.mean, train.least, train.most, train.none, train.sets) == (1.5, 0, 3, 0.25, 4)


def test_pairs_are_counted_and_judged_against_chance():
    train = [["x", labels] for labels in [[0, 1]] * 40 + [[1]] * 20 + [[2]] * 40]
    pairs = {frozenset((one.first, one.second)): one for one in set_facts(Corpus.of(as_data(train))).pairs}
    bound, apart = pairs[frozenset((0, 1))], pairs[frozenset((1, 2))]
    assert (bound.first, bound.count, bound.expected, bound.verdict) == (0, 40, 24.0, "always together")
    assert (apart.count, apart.expected, apart.verdict) == (0, 24.0, "never together")
    assert pairs[frozenset((0, 2))].verdict == "never together"


def test_the_chance_of_a_pair_is_that_of_fishers_test():
    from scipy.stats import fisher_exact

    rng = np.random.default_rng(5)
    has = rng.random((60, 2)) < 0.4
    has[:10] = True
    (pair,) = set_facts(Corpus.of(as_data([["x", np.flatnonzero(row).tolist()] for row in has], names=NAMES[:2],
                                          validation=[["v", [0]]], test=[["t", [1]]]))).pairs  # fmt: skip
    table = [[(has[:, 0] & has[:, 1]).sum(), (has[:, 0] & ~has[:, 1]).sum()],
             [(~has[:, 0] & has[:, 1]).sum(), (~has[:, 0] & ~has[:, 1]).sum()]]  # fmt: skip
    assert pair.more == pytest.approx(fisher_exact(table, "greater").pvalue)
    assert pair.fewer == pytest.approx(fisher_exact(table, "less").pvalue)


def test_labels_that_imply_or_exclude_each_other_are_found():
    train = clean()
    for row in train:
        row[1] = sorted({*row[1], 1} if 0 in row[1] else set(row[1]))
        row[1] = [label for label in row[1] if label != 2] if 1 in row[1] else row[1]
    found = audit(as_data(train), QUICK)
    assert "bug with praise" in found.finding("labels_always_together").meaning
    assert found.finding("labels_always_together").severity is Severity.note
    assert "refund and praise" in found.finding("labels_never_together").meaning
    assert found.finding("new_pairs").count == sum({0, 2} <= set(own) or {1, 2} <= set(own) for _, own in rows(120, 3))


def test_two_labels_that_are_the_same_are_a_warning():
    train = [[text, [0, 1] if 0 in labels else [label for label in labels if label != 1]] for text, labels in clean()]
    finding = audit(as_data(train), QUICK).finding("labels_always_together")
    assert finding.severity is Severity.warning
    assert "and the other way round" in finding.meaning


def test_rare_labels_and_rare_pairs_are_named():
    train = [[text, [label for label in labels if label != 2]] for text, labels in clean()]
    for row in range(3):
        train[row][1] = [0, 2]
    found = audit(as_data(train), QUICK)
    assert found.finding("tiny_label").meaning.startswith("refund (3): too few")
    assert found.finding("tiny_label").severity is Severity.problem
    assert "refund and bug (3)" in found.finding("rare_pairs").meaning
    assert "training texts have refund" in found.finding("imbalance").amount


def test_copies_with_other_sets_name_the_labels_that_differ():
    train = clean()
    train[10] = [train[11][0], [0, 1]]
    train[11][1] = [1, 2]
    finding = audit(as_data(train), QUICK).finding("contradictions")
    assert finding.count == 2
    assert finding.title == "Texts that bear different sets of labels"
    assert {example.label for example in finding.examples} == {"bug, praise", "praise, refund"}
    assert {example.remark for example in finding.examples} == {"the copies differ in bug, refund"}
    assert "The copies differ in bug (1 texts), refund (1 texts)." in finding.meaning


def test_leaks_show_the_sets_of_both_sides():
    train, test = clean(), rows(120, 3)
    test[0] = [train[0][0], []]
    train[0][1] = [0, 2]
    example = audit(as_data(train, test=test), QUICK).finding("leakage_train_test").examples[0]
    assert (example.label, example.remark) == ("no label", "the same as train 0 (bug, refund)")


def test_a_label_with_another_share_in_test_is_found_and_chance_is_not():
    shifted = [[text, sorted({*labels, 2}) if i % 2 else labels] for i, (text, labels) in enumerate(rows(120, 3))]
    found = audit(as_data(clean(), test=shifted), QUICK)
    finding = found.finding("label_shift_test")
    assert finding.count == 1
    assert finding.meaning.startswith("refund is in 29 % of train and in 62 % of test")
    assert found.finding("label_shift_validation") is None


def test_sets_of_other_sizes_are_found_where_each_label_keeps_its_share():
    test = [["x", [0, 1, 2]] if i % 10 < 3 else ["y", []] for i in range(400)]
    found = audit(as_data(rows(1500, 1), test=test), QUICK)
    assert found.finding("label_shift_test") is None
    assert found.finding("set_sizes_test").severity is Severity.warning


def test_one_label_each_and_mostly_none_are_noted():
    ones = [[text, [i % 3]] for i, (text, _) in enumerate(clean())]
    assert "dataset.task=single" in audit(as_data(ones), QUICK).finding("one_label_each").remedy
    few = rows(500, 1, share=0.1)
    assert audit(as_data(few), QUICK).finding("mostly_no_label").count == sum(not labels for _, labels in few)


def test_changed_labels_lead_the_list_and_the_set_that_was_is_suggested(whole):
    errors = whole.label_errors
    assert errors.labels == (0, 1, 2)
    first = errors.rows[:15].tolist()
    assert len(set(first) & set(range(20, 60, 2))) >= 13
    was = clean()
    right = sum(np.flatnonzero(own).tolist() == was[row][1] for row, own in zip(first, errors.suggested, strict=False))
    assert right >= 12
    finding = whole.finding("label_errors")
    assert "sure of other labels" in finding.meaning
    assert np.all(np.diff(errors.scores) >= 0)


def test_labels_that_the_words_do_not_tell_are_not_called_wrong():
    rng = np.random.default_rng(0)
    train = [[text, sorted({*labels} - {2} | ({2} if rng.random() < 0.4 else set()))] for text, labels in clean()]
    part = [[text, [label for label in labels if label != 2]] for text, labels in rows(80, 2)]
    found = find_set_errors(Corpus.of(as_data(train, part, part)), AuditOptions())
    assert found.labels == (0, 1)
    assert "knows too little of refund" in found.remark
    has = Corpus.of(as_data(train, part, part)).sets
    assert np.array_equal(found.suggested[:, 2], has[found.rows][:, 2])


def test_copies_of_a_text_lie_in_one_fold():
    train = clean() + [["zebra quartz fjord vortex jigsaw", [1]]] * 40
    found = find_set_errors(Corpus.of(as_data(train)), AuditOptions())
    scores = dict(zip(found.judged.tolist(), found.judged_scores.tolist(), strict=True))
    copies = [scores[row] for row in range(500, 540)]
    assert np.ptp(copies) < 1e-9
    assert copies[0] < 0.9


def test_everything_is_written(whole, tmp_path):
    write_audit(whole, tmp_path / "out", "python -m textclf.audit dataset=mine")
    facts = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert facts["sets"]["cardinality"]["train"]["most"] == 3
    assert facts["classes"]["bug"]["train"] == int(whole.class_counts[0, 0])
    page = (tmp_path / "out" / "audit.md").read_text()
    for said in ("## Sets of labels", "## Labels together", "labels a text", "without a label"):
        assert said in page
    assert "## Classes" not in page
    with (tmp_path / "out" / "label_errors.csv").open() as stream:
        listed = list(csv.DictReader(stream))
    assert listed
    assert all(row["label"] != row["suggested"] for row in listed)
    assert {"bug", "praise", "refund", "no label"} >= {name for row in listed for name in row["label"].split(", ")}


def test_a_runs_brief_audit_speaks_of_labels():
    train = [[text, [label for label in labels if label != 2]] for text, labels in clean()]
    train[0] = [train[1][0], [2]]
    _, said = pass_gate(as_data(train), OnLeakage.warn, tell=False)
    assert any(line.startswith("label 'refund' has 1 training examples") for line in said["lines"])
    assert said["contradictions"]["train"] == 2
