import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from textclf.models.options import LongText, Truncation
from textclf.models.transformer.encoded import Lengths
from textclf.models.transformer.tokenizer import pad, pool_windows, tokenize

TEXTS = ["a lovely film", "dull", "number 3 is a broken lamp and it stays that way"]


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint):
    return AutoTokenizer.from_pretrained(tiny_checkpoint)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("pairs", [None, ["it is", "a lamp", "so"]])
def test_batches_equal_those_of_the_tokenizer(tokenizer, side, pairs):
    tokenizer.padding_side = side
    expected = tokenizer(TEXTS, pairs, padding=True, truncation="longest_first", max_length=12, return_tensors="pt")
    batch = pad(tokenizer, tokenize(tokenizer, TEXTS, pairs, Lengths(12)), [0, 1, 2])
    tokenizer.padding_side = "right"
    assert set(batch) == set(expected)
    for name, values in batch.items():
        assert torch.equal(values, expected[name]), name


def test_lengths_and_cuts(tokenizer):
    tokens = tokenize(tokenizer, TEXTS, None, Lengths(6))
    assert tokens.lengths.tolist() == [5, 3, 6]
    assert len(tokens) == 3
    assert pad(tokenizer, tokens, [1], length=10)["attention_mask"].sum() == 3


def test_no_texts(tokenizer):
    assert len(tokenize(tokenizer, [], None, Lengths(6))) == 0


def test_more_than_one_chunk(tokenizer, monkeypatch):
    whole = tokenize(tokenizer, TEXTS, None, Lengths(12))
    monkeypatch.setattr("textclf.models.transformer.encoded.CHUNK", 2)
    np.testing.assert_array_equal(tokenize(tokenizer, TEXTS, None, Lengths(12)).ids, whole.ids)


@pytest.mark.parametrize("pairs", [None, ["it is", "a lamp " * 9, "so"]])
@pytest.mark.parametrize("lengths", [Lengths(12), Lengths(8, Truncation.tail), Lengths(12, Truncation.head_tail)])
def test_tokenizers_with_a_way_of_their_own_go_through_transformers(tiny_checkpoint, pairs, lengths):
    class Shouting(type(AutoTokenizer.from_pretrained(tiny_checkpoint))):
        def _encode_plus(self, text, text_pair=None, **options):
            return super()._encode_plus([f"{t} film" for t in text], text_pair, **options)

    plain, shouting = AutoTokenizer.from_pretrained(tiny_checkpoint), Shouting.from_pretrained(tiny_checkpoint)
    expected = tokenize(plain, [f"{text} film" for text in TEXTS], pairs, lengths)
    found = tokenize(shouting, TEXTS, pairs, lengths)
    assert found.num_cut == expected.num_cut > 0
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.type_ids, expected.type_ids)
    np.testing.assert_array_equal(found.offsets, expected.offsets)


LONG = " ".join(["film"] * 10 + ["lamp"] * 10 + ["tent"] * 10)


@pytest.mark.parametrize(
    ("truncation", "kept"),
    [
        (Truncation.head, ["film"] * 8),
        (Truncation.tail, ["tent"] * 8),
        (Truncation.head_tail, ["film"] * 2 + ["tent"] * 6),
    ],
)
def test_which_part_of_a_long_text_is_kept(tokenizer, truncation, kept):
    tokens = tokenize(tokenizer, [LONG, "dull"], None, Lengths(10, truncation))
    assert tokens.lengths.tolist() == [10, 3]
    assert tokens.num_cut == 1
    assert tokenizer.decode(tokens.ids[:10]) == f"[CLS] {' '.join(kept)} [SEP]"
    assert tokenizer.truncation_side == "right"


def test_windows_are_rows_of_their_text(tokenizer):
    lengths = Lengths(12, long_text=LongText.sliding_window, window_overlap=0)
    tokens = tokenize(tokenizer, ["dull", LONG, "a lovely film"], None, lengths)
    assert len(tokens) == 3
    assert tokens.lengths.tolist() == [3, 36, 5]
    assert tokens.num_cut == 0
    few = tokenize(tokenizer, ["dull", LONG], None, Lengths(12, long_text=LongText.sliding_window, max_windows=2))
    assert few.num_cut == 1
    batch = pad(tokenizer, tokens, [2, 1])
    assert batch["windows"].tolist() == [1, 3]
    assert [tokenizer.decode(row, skip_special_tokens=True) for row in batch["input_ids"]] == [
        "a lovely film",
        " ".join(["film"] * 10),
        " ".join(["lamp"] * 10),
        " ".join(["tent"] * 10),
    ]


def test_windows_of_pairs_keep_the_type_ids(tokenizer):
    lengths = Lengths(12, long_text=LongText.sliding_window, window_overlap=2)
    batch = pad(tokenizer, tokenize(tokenizer, [LONG], ["dull song"], lengths), [0])
    assert batch["windows"].item() == len(batch["input_ids"]) > 3
    for ids, types in zip(batch["input_ids"], batch["token_type_ids"], strict=True):
        assert tokenizer.decode(ids[types == 1]) == "dull song [SEP]"


def test_logits_of_windows_are_averaged():
    logits = torch.tensor([[1.0, 0.0], [0.0, 2.0], [4.0, 4.0]], dtype=torch.bfloat16)
    pooled = pool_windows(logits, torch.tensor([2, 1]))
    assert pooled.tolist() == [[0.5, 1.0], [4.0, 4.0]]
    assert pool_windows(logits, None) is logits
