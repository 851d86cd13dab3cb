import numpy as np
import pytest

from tests.audit.factory import as_data, clean
from textclf.audit.corpus import Corpus
from textclf.audit.label_errors import find_label_errors
from textclf.audit.options import AuditOptions


def test_copies_of_a_text_lie_in_one_fold():
    """A wrong label on one of many copies would otherwise be learned from the others, or forgiven by them."""
    train, validation, test = clean()
    odd = "zebra quartz fjord vortex jigsaw"
    train += [[odd, 1]] * 40
    found = find_label_errors(Corpus.of(as_data(train, validation, test)), AuditOptions())
    scores = dict(zip(found.judged.tolist(), found.judged_scores.tolist(), strict=True))
    copies = [scores[row] for row in range(240, 280)]
    assert np.ptp(copies) < 1e-9  # one fold, so one prediction
    assert copies[0] < 0.9  # its words are unknown to it


def test_a_sample_is_stratified_and_said_to_be_one():
    corpus = Corpus.of(as_data(*clean()))
    found = find_label_errors(corpus, AuditOptions(label_error_sample=100))
    assert len(found.judged) == 100
    assert np.bincount(corpus.labels[found.judged]).tolist() == [50, 50]
    assert "100 of 380" in found.remark


def test_the_same_seed_finds_the_same():
    corpus = Corpus.of(as_data(*clean()))
    first, again = (find_label_errors(corpus, AuditOptions()) for _ in range(2))
    assert np.array_equal(first.judged_scores, again.judged_scores)


def test_classes_too_small_to_judge():
    train, validation, test = ([row for row in part if row[1] == 0] for part in clean())
    assert find_label_errors(Corpus.of(as_data(train, validation, test)), AuditOptions()) is None


def test_a_class_of_copies_is_not_judged():
    train, validation, test = clean()
    train = [row for row in train if row[1] == 0] + [["always the same", 1]] * 60
    validation, test = ([row for row in part if row[1] == 0] for part in (validation, test))
    assert find_label_errors(Corpus.of(as_data(train, validation, test)), AuditOptions()) is None


@pytest.mark.parametrize("classes", [3])
def test_more_than_two_classes(classes):
    marks = ("apple", "brick", "cloud")

    def part(count, seed):
        rng = np.random.default_rng(seed)
        return [[f"{marks[i % 3]} {' '.join(map(str, rng.integers(0, 50, 8)))}", i % 3] for i in range(count)]

    train = part(150, 0)
    train[7][1] = (train[7][1] + 1) % classes
    corpus = Corpus.of(as_data(train, part(30, 1), part(30, 2), ("a", "b", "c")))
    found = find_label_errors(corpus, AuditOptions())
    assert found.rows[0] == 7
    assert found.suggested[0] == 7 % 3
