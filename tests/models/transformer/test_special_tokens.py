"""Special tokens: what is padded with, on which side, and how a text ends."""

import io
import json

import numpy as np
import pytest
import sentencepiece
from transformers import AutoTokenizer

from tests import tiny_checkpoints
from tests.conftest import sentences
from tests.tiny_checkpoints import make_checkpoint
from textclf.errors import ArtifactError
from textclf.models.families import load_classifier
from textclf.models.options import LongText, TransformerModel, Truncation
from textclf.models.transformer.loading import load_checkpoint

NAMES = ("negative", "positive")
TEXTS = ["a lovely film", "dull", "it is a broken lamp and it stays that way"]


def load(folder, **changes):
    return load_checkpoint(
        TransformerModel(name="x", checkpoint=str(folder), **{"max_length": 32, **changes}), NAMES, seed=1
    )


def agreed(classifier):
    """Return the padding's id, which tokenizer and configuration have in common."""
    assert classifier.model.config.pad_token_id == classifier.tokenizer.pad_token_id
    return classifier.tokenizer.pad_token_id


@pytest.mark.parametrize(
    ("family", "tokenizer", "changes", "padding"),
    [
        ("gpt2", lambda: tiny_checkpoints._gpt(), {}, 0),  # none at all: the end of a text
        ("gpt2", lambda: tiny_checkpoints._gpt("<pad>"), {}, 1),  # the tokenizer's alone
        ("gpt2", lambda: tiny_checkpoints._gpt(), {"pad_token_id": 7}, 7),  # the configuration's alone
        ("llama", lambda: tiny_checkpoints._gpt(), {"eos_token_id": [0, 5]}, 0),
        ("qwen2", lambda: tiny_checkpoints._gpt("<pad>"), {"vocab_size": 1}, 0),  # the tokenizer's has no vector
        ("bert", lambda: tiny_checkpoints._wordpiece(64), {"pad_token_id": 3}, 0),
        ("roberta", lambda: tiny_checkpoints._roberta(64), {"pad_token_id": 4}, 4),  # from which positions are counted
    ],
)
def test_tokenizer_and_configuration_agree(family, tokenizer, changes, padding, tmp_path):
    make_checkpoint(family, tmp_path / "base", tokenizer(), **changes)
    classifier = load(tmp_path / "base")
    assert agreed(classifier) == padding
    if changes != {"vocab_size": 1}:
        found = classifier.predict_proba(TEXTS)
        classifier.save(tmp_path / "saved")
        again = load_classifier(tmp_path / "saved")
        assert agreed(again) == padding
        np.testing.assert_array_equal(again.predict_proba(TEXTS), found)


def test_without_padding_and_end_it_is_refused(tmp_path):
    tokenizer = tiny_checkpoints._gpt()
    make_checkpoint("gpt2", tmp_path, tokenizer, eos_token_id=None)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for name in ("eos_token", "bos_token", "unk_token", "pad_token"):
        settings.pop(name, None)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(ArtifactError, match="no padding token in its vocabulary and no end-of-text token"):
        load(tmp_path)


@pytest.mark.parametrize(("family", "side"), [("gpt2", "right"), ("qwen3", "left"), ("xlnet", "left")])
def test_the_side_is_changed_only_where_it_changes_the_logits(family, side, tmp_path):
    tokenizer = None if family == "xlnet" else tiny_checkpoints._gpt("<pad>", "left")
    make_checkpoint(family, tmp_path / "base", tokenizer)
    classifier = load(tmp_path / "base")
    assert classifier.tokenizer.padding_side == side
    alone = np.concatenate([classifier.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), alone, atol=1e-6)
    classifier.save(tmp_path / "saved")
    assert load_classifier(tmp_path / "saved").tokenizer.padding_side == side


@pytest.mark.parametrize("pairs", [None, ["it is", "a lamp", "so"]])
@pytest.mark.parametrize(("family", "end"), [("t5", 1), ("bart", 2)])
def test_each_text_ends_once(family, end, pairs, tmp_path):
    """Also where the tokenizer adds no end, and where a text has it written out."""
    plain = tiny_checkpoints._trained(("<pad>", "</s>", "<unk>") if family == "t5" else tiny_checkpoints.ROBERTA)
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    bare = tiny_checkpoints.PreTrainedTokenizerFast(tokenizer_object=plain, **special)
    make_checkpoint(family, tmp_path / "base", bare)
    classifier = load(tmp_path / "base")
    texts = [*TEXTS[:2], "a text that ends </s> early"]
    tokens = classifier.tokenize(texts, pairs)
    for row in range(3):
        ids = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]].tolist()
        assert ids.count(end) == (1 if pairs is None else 2)
        assert ids[-1] == end
    found = classifier.predict_proba(texts, pairs)
    classifier.save(tmp_path / "saved")
    np.testing.assert_array_equal(load_classifier(tmp_path / "saved").predict_proba(texts, pairs), found)
    cut = load(tmp_path / "base", max_length=8).tokenize([TEXTS[2]], None)
    assert (len(cut.ids), int(cut.ids[-1])) == (8, end)


def test_an_end_that_the_tokenizer_does_not_have_is_refused(tmp_path):
    make_checkpoint("t5", tmp_path, eos_token_id=None)
    with pytest.raises(ArtifactError, match=r"classifies by the token that ends a text.*eos_token_id is None"):
        load(tmp_path)


@pytest.mark.slow
def test_a_tokenizer_in_python_cuts_as_others_do(tmp_path):
    """CANINE's: a token a character."""
    classifier = load(make_checkpoint("canine", tmp_path), max_length=16)
    tokenizer, lengths = classifier.tokenizer, classifier.lengths
    for pairs, cut, last in ((None, 1, "y"), (["it is", "a lamp", "so"], 2, "o")):
        classifier.lengths = lengths
        expected = tokenizer(TEXTS, pairs, truncation="longest_first", max_length=16)["input_ids"]
        tokens = classifier.tokenize(TEXTS, pairs)
        assert [tokens.ids[a:b].tolist() for a, b in zip(tokens.offsets, tokens.offsets[1:], strict=False)] == expected
        assert tokens.num_cut == cut
        for changes in (
            {"truncation": Truncation.head_tail},
            {"long_text": LongText.sliding_window, "window_overlap": 4},
        ):
            classifier.lengths = type(lengths)(max_length=16, **changes)
            tokens = classifier.tokenize(TEXTS, pairs)
            assert np.diff(tokens.offsets).max() == 16
            assert chr(tokens.ids[tokens.offsets[-1] - 2]) == last  # the end of the last text is there


@pytest.fixture(scope="module")
def only_sentencepiece(tmp_path_factory):
    """A repository such as microsoft/deberta-v3-base, which has its vocabulary in spm.model alone."""
    folder, model = make_checkpoint("deberta-v3", tmp_path_factory.mktemp("spm")), io.BytesIO()
    for file in folder.glob("*token*"):
        file.unlink()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(row["text"] for row in sentences(80)), model_writer=model, vocab_size=48,
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]",
        unk_piece="[UNK]", minloglevel=2,
    )  # fmt: skip
    (folder / "spm.model").write_bytes(model.getvalue())
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')
    return folder


def test_a_vocabulary_of_sentencepiece_is_read(only_sentencepiece):
    classifier = load(only_sentencepiece)
    assert AutoTokenizer.from_pretrained(only_sentencepiece).tokenize("film") == ["▁film"]
    assert classifier.predict_proba(TEXTS).shape == (3, 2)


def test_a_vocabulary_that_is_not_there_is_said_to_be(only_sentencepiece):
    (only_sentencepiece / "spm.model").write_bytes(b"damaged")
    with pytest.raises(ArtifactError) as refused:
        load(only_sentencepiece)
    assert "tiktoken" not in str(refused.value)
    assert "tokenizer" in str(refused.value)
