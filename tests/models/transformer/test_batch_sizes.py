"""Memory that runs out in prediction: fewer texts at a time, from the same batch on, and remembered."""

import numpy as np
import pytest
import torch

from tests.conftest import sentences
from textclf.models.options import TransformerModel
from textclf.models.transformer.classifier import FittingBatches
from textclf.models.transformer.loading import load_checkpoint
from textclf.system.memory import OutOfMemoryError

TEXTS = [row["text"] for row in sentences(200)]


@pytest.fixture
def classifier(tiny_checkpoint):
    model = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=32)
    return load_checkpoint(model, ("negative", "positive"), 1)


def limit(classifier, most):
    """Let forward passes of more than `most` texts fail; return the sizes that were tried."""
    seen = []

    def check(model, args, kwargs):
        seen.append(len(kwargs["input_ids"]))
        if seen[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    classifier.model.register_forward_pre_hook(check, with_kwargs=True)
    return seen


def test_halved_batches_give_the_same_answers_and_the_size_is_remembered(classifier, caplog):
    expected = classifier.predict_proba(TEXTS)
    seen = limit(classifier, most=20)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), expected, atol=1e-6)
    assert seen[0] > 40
    failed = sum(size > 20 for size in seen)
    assert failed == len(caplog.records) >= 2
    assert sum(size for size in seen if size <= 20) == len(TEXTS)  # no text was predicted twice
    del seen[:]
    classifier.predict_proba(TEXTS)
    assert sum(size > 20 for size in seen) <= 1


def test_below_one_text_is_an_error_that_helps(classifier):
    limit(classifier, most=0)
    with pytest.raises(OutOfMemoryError, match=r"a single text of \d+ tokens .* a shorter model\.max_length"):
        classifier.predict_proba(TEXTS[:4])


def test_other_errors_pass():
    def fails(rows):
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        list(FittingBatches().in_batches(fails, np.array([3, 4]), None, torch.device("cpu")))
