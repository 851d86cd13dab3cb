import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from textclf.models.tokens import pad, tokenize

TEXTS = ["a lovely film", "dull", "number 3 is a broken lamp and it stays that way"]


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint):
    return AutoTokenizer.from_pretrained(tiny_checkpoint)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("pairs", [None, ["it is", "a lamp", "so"]])
def test_batches_equal_those_of_the_tokenizer(tokenizer, side, pairs):
    tokenizer.padding_side = side
    expected = tokenizer(TEXTS, pairs, padding=True, truncation="longest_first", max_length=12, return_tensors="pt")
    batch = pad(tokenizer, tokenize(tokenizer, TEXTS, pairs, 12), [0, 1, 2])
    tokenizer.padding_side = "right"
    assert set(batch) == set(expected)
    for name, values in batch.items():
        assert torch.equal(values, expected[name]), name


def test_lengths_and_cuts(tokenizer):
    tokens = tokenize(tokenizer, TEXTS, None, 6)
    assert tokens.lengths.tolist() == [5, 3, 6]
    assert len(tokens) == 3
    assert pad(tokenizer, tokens, [1], length=10)["attention_mask"].sum() == 3


def test_no_texts(tokenizer):
    assert len(tokenize(tokenizer, [], None, 6)) == 0


def test_more_than_one_chunk(tokenizer, monkeypatch):
    whole = tokenize(tokenizer, TEXTS, None, 12)
    monkeypatch.setattr("textclf.models.tokens.CHUNK", 2)
    np.testing.assert_array_equal(tokenize(tokenizer, TEXTS, None, 12).ids, whole.ids)
