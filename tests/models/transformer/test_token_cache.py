import logging
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from transformers import AutoTokenizer

from textclf.errors import ConfigError
from textclf.models.options import LongText, Truncation
from textclf.models.transformer.encoded import Lengths
from textclf.models.transformer.token_cache import DTYPES, TOKENS
from textclf.models.transformer.tokenizer import tokenize
from textclf.system import text_cache
from textclf.system.array_files import ArrayFiles

TEXTS = [f"number {i} is a lovely film and it stays that way" for i in range(30)]
PAIRS = [f"tent {i % 7}" for i in range(30)]


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint):
    return AutoTokenizer.from_pretrained(tiny_checkpoint)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Few texts are worth a file in a folder of its own."""
    monkeypatch.setattr(text_cache.constants, "HF_HOME", str(tmp_path))
    monkeypatch.setattr(TOKENS, "fewest_texts", 2)
    monkeypatch.setattr(TOKENS, "file_seconds", 0.0)
    return tmp_path / "textclf" / "tokens"


@pytest.fixture
def worked(monkeypatch):
    """The texts that were really tokenised."""
    seen = []
    work = TOKENS.remembered

    def watched(how, texts, make, text_pairs):
        return work(how, texts, lambda *given: (seen.extend(texts), make(*given))[1], text_pairs)

    monkeypatch.setattr(TOKENS, "remembered", watched)
    return seen


def tokens_in_a_run(tokenizer, texts=TEXTS, pairs=None, lengths=Lengths(12)):  # noqa: B008
    with TOKENS.remembering():
        return tokenize(tokenizer, texts, pairs, lengths)


def assert_same(found, expected):
    assert found.num_cut == expected.num_cut
    for name in DTYPES:
        values, wanted = getattr(found, name), getattr(expected, name)
        assert (values is None) == (wanted is None), name
        if wanted is not None:
            np.testing.assert_array_equal(values, wanted)
            assert values.dtype == wanted.dtype


@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("long_text", LongText)
def test_a_later_run_reads_what_an_earlier_one_made(tokenizer, folder, worked, pairs, long_text):
    lengths = Lengths(14, long_text=long_text, window_overlap=2)
    expected = tokenize(tokenizer, TEXTS, pairs, lengths)
    worked.clear()
    assert_same(tokens_in_a_run(tokenizer, TEXTS, pairs, lengths), expected)
    assert worked == TEXTS
    assert_same(tokens_in_a_run(tokenizer, TEXTS, pairs, lengths), expected)
    assert worked == TEXTS
    assert len(os.listdir(folder)) == 1


def test_one_run_remembers_without_files(tokenizer, folder, worked, monkeypatch):
    monkeypatch.setenv(TOKENS.variable, "0")
    with TOKENS.remembering():
        first = tokenize(tokenizer, TEXTS, None, Lengths(12))
        assert tokenize(tokenizer, TEXTS, None, Lengths(12)) is first
    assert worked == TEXTS
    assert not folder.exists()


def test_outside_a_run_nothing_is_kept(tokenizer, folder, worked):
    for _ in range(2):
        tokenize(tokenizer, TEXTS, None, Lengths(12))
    assert worked == TEXTS * 2
    assert not folder.exists()


@pytest.mark.parametrize(
    ("texts", "pairs", "lengths"),
    [
        ([*TEXTS[:-1], "dull"], None, Lengths(12)),
        ([TEXTS[0] + TEXTS[1][:3], TEXTS[1][3:], *TEXTS[2:]], None, Lengths(12)),
        (TEXTS, PAIRS, Lengths(12)),
        (TEXTS, None, Lengths(11)),
        (TEXTS, None, Lengths(12, Truncation.tail)),
        (TEXTS, None, Lengths(12, Truncation.head_tail)),
    ],
)
def test_other_texts_or_lengths_are_another_entry(tokenizer, folder, worked, texts, pairs, lengths):
    tokens_in_a_run(tokenizer)
    worked.clear()
    assert_same(tokens_in_a_run(tokenizer, texts, pairs, lengths), tokenize(tokenizer, texts, pairs, lengths))
    assert worked == texts * 2


def test_another_vocabulary_is_another_entry(tiny_checkpoint, folder, worked):
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    before = tokens_in_a_run(tokenizer, lengths=Lengths(30))
    tokenizer.add_tokens(["lovely film"])
    after = tokens_in_a_run(tokenizer, lengths=Lengths(30))
    assert len(worked) == 60
    assert len(after.ids) < len(before.ids)


@pytest.mark.parametrize("damage", ["cut off", "one byte", "empty", "other key"])
def test_a_damaged_file_is_made_anew(tokenizer, folder, worked, caplog, damage):
    expected = tokens_in_a_run(tokenizer)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    flipped = content[:-40] + bytes([content[-40] ^ 1]) + content[-39:]
    path.write_bytes({"cut off": content[:-9], "one byte": flipped, "empty": b""}.get(damage, content))
    if damage == "other key":
        tokens_in_a_run(tokenizer, TEXTS[::-1])
        (other,) = set(folder.iterdir()) - {path}
        path.write_bytes(other.read_bytes())
    worked.clear()
    with caplog.at_level(logging.WARNING):
        assert_same(tokens_in_a_run(tokenizer), expected)
    assert worked == TEXTS
    assert "is damaged" in caplog.text
    assert_same(TOKENS.read(path.stem, 30)[0], expected)


def test_the_least_recently_used_go_first(tokenizer, folder, worked, monkeypatch):
    monkeypatch.setenv(TOKENS.variable, "1")
    tokens_in_a_run(tokenizer, TEXTS)
    tokens_in_a_run(tokenizer, TEXTS[:20])
    old, used = sorted(folder.iterdir(), key=lambda path: -path.stat().st_size)
    for path in (old, used):
        os.utime(path, (1, 1 if path is old else 2))
    with TOKENS.remembering():
        ArrayFiles(folder).make_room(used.stat().st_size)
    assert list(folder.iterdir()) == [used]


def test_a_folder_that_cannot_be_written_stops_nothing(tokenizer, folder, caplog):
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    assert len(tokens_in_a_run(tokenizer)) == 30
    assert "could not be kept" in caplog.text


def test_runs_at_the_same_time_leave_one_whole_file(tokenizer, folder):
    expected = tokenize(tokenizer, TEXTS, None, Lengths(12))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: tokens_in_a_run(tokenizer), range(12)):
            assert_same(found, expected)
    (path,) = folder.iterdir()
    assert_same(TOKENS.read(path.stem, 30)[0], expected)


@pytest.mark.parametrize("given", ["lots", "-1", "1.5"])
def test_a_size_that_is_no_number_is_refused(monkeypatch, given):
    monkeypatch.setenv(TOKENS.variable, given)
    with pytest.raises(ConfigError, match=TOKENS.variable), TOKENS.remembering():
        pass
