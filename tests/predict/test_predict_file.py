"""The command, from the run to the file, in one process."""

import bz2
import csv
import gzip
import io
import json
import re
import shlex
import sys

import pytest

from tests.commands import call
from tests.conftest import make_data
from textclf.documents.escape import terminal
from textclf.experiment.cli import composed
from textclf.experiment.config import build
from textclf.predict.__main__ import main
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext


def fitted(folder, pairs):
    model = build(composed(["model=naive_bayes"]), "model")
    data = make_data(pairs=pairs)
    classifier, _ = fit(model, data, TorchTrainer(), RunContext())
    classifier.has_pairs = pairs
    classifier.save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("single"), pairs=False)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("pair"), pairs=True)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def predict(*arguments, stdin=None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return call(main, "predict", arguments, monkeypatch, capsys)

    return predict


def test_texts_are_answered(run, single, pair):
    code, out, _ = run(single, "a lovely film", "an awful, dull film")
    assert code == 0
    one, two = out.splitlines()
    assert one.startswith("positive (0.")
    assert two.startswith("negative (")
    assert run(single, "a kettle", "--threshold", "0.99")[1].startswith("abstain: ")
    assert run(single, "a lovely film", "--top-k", "2")[1].count("(0.") == 2
    assert run(pair, "a film", "it is positive")[1].startswith("positive (0.")
    assert run(pair, "a film")[0::2] == (
        1,
        f'error: {pair} was fitted on pairs of texts: give them two by two, as in "A man plays the guitar." "Somebody makes music."; got 1.\n',
    )
    assert run(single, "fine", " ")[0::2] == (
        1,
        "error: Text 2 is an empty text and cannot be classified; leave such rows out.\n",
    )


def test_a_file_with_true_labels(run, single, tmp_path):
    (tmp_path / "in.csv").write_text('id,review,label\n1,"lovely,\nfine",positive\n2,awful,negative\n')
    code, out, err = run(single, "--input", "in.csv", "--output", "out.jsonl")
    assert (code, out) == (0, "")
    assert "out.jsonl: 2 rows" in err
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["id"], row["label"], row["predicted_label"]) for row in rows] == [
        ("1", "positive", "positive"),
        ("2", "negative", "negative"),
    ]


def test_pipes(run, single):
    code, out, _ = run(single, "--input", "-", "--input-format", "txt", "--output", "-", stdin=b"lovely\nawful\n")
    assert code == 0
    assert [json.loads(line)["label"] for line in out.splitlines()] == ["positive", "negative"]
    code, out, _ = run(
        single,
        "--input",
        "-",
        "--input-format",
        "jsonl",
        "--output",
        "-",
        "--output-format",
        "tsv",
        stdin=b'{"text": "fine"}',
    )
    assert out.startswith("text\tlabel\tscore\tprobability_negative\tprobability_positive\nfine\tpositive\t0.")


@pytest.mark.parametrize(
    ("stdin", "kind", "rows"),
    [
        (b'\n{"text": "fine"}\n{"text": "awful"}\n', "jsonl", 2),
        (b'{"text": "fine"}', "jsonl", 1),
        (b"\xef\xbb\xbfid,review\n1,fine\n2,awful\n", "csv", 2),
        (bz2.compress(b"id,review\n1,fine\n"), "csv", 1),
        (b'[\n {\n  "text": "fine"\n },\n {"text": "awful"}\n]\n', "jsonl", 2),
        (gzip.compress(b"id\treview\n1\tfine\n", mtime=0), "tsv", 1),
        (b"text\nfine\n", "csv", 1),
        (b"fine, text\nan awful lamp, that is\n", "csv", 1),
        (b"fine, text\nan awful lamp, I said, twice\n", "txt", 2),
        (b"It is fine, truly\nawful\n", "txt", 2),
        (b"{fine} so far\n", "txt", 1),
        (b"lovely", "txt", 1),
    ],
)
def test_stdin_says_its_format_by_how_it_begins(run, single, caplog, stdin, kind, rows):
    code, out, _ = run(single, "--input", "-", "--output", "-", "--output-format", "jsonl", stdin=stdin)
    assert code == 0
    assert len(out.splitlines()) == rows
    assert re.search(rf"stdin is read as {kind}: (its (first|second) line|it begins like an array)", caplog.text)


def test_stdin_is_looked_at_in_its_encoding_and_as_it_is_said_to_be_written(run, single):
    ends = ("--input", "-", "--output", "-", "--output-format", "jsonl")
    wide = "id,text\n1,fine\n".encode("utf-16")
    assert json.loads(run(single, *ends, "--encoding", "utf-16", stdin=wide)[1])["text"] == "fine"
    named = run(single, *ends, "--column-names", "id,text", stdin=b"1,fine\n2,awful\n")[1]
    assert [json.loads(line)["text"] for line in named.splitlines()] == ["fine", "awful"]


def test_stdin_goes_out_as_it_came(run, single):
    assert run(single, "--input", "-", "--output", "-", stdin=b"id,text\n1,fine\n")[1].startswith("id,text,label,")
    assert json.loads(run(single, "--input", "-", "--output", "-", stdin=b"fine\n")[1])["label"] == "positive"
    code, _, err = run(single, "--input", "-", "--output", "-", stdin=b"PAR1" + b"\0" * 99)
    assert (code, "Parquet" in err) == (1, True)
    code, _, err = run(single, "--input", "-", "--output", "-", stdin=b"")
    assert (code, "empty" in err) == (1, True)


def test_the_name_of_a_file_is_no_text(run, single, pair, tmp_path, caplog):
    (tmp_path / "my reviews.csv").write_text("text\nfine\n")
    for folder, texts in (
        (single, ["my reviews.csv"]),
        (single, ["fine", "./my reviews.csv"]),
        (pair, ["a", "my reviews.csv"]),
    ):
        code, out, err = run(folder, *texts)
        assert (code, out) == (1, "")
        assert f"--input {shlex.quote(texts[-1])} --output predictions.csv" in err
        assert "--input - --input-format txt" in err
    assert "is a folder" in run(single, str(tmp_path))[2]
    (tmp_path / "fine").mkdir()
    assert run(single, "fine")[0] == 0  # a word
    assert run(single, "x" * 5000)[0] == 0
    assert not caplog.text
    assert run(single, "absent.csv")[0] == 0
    assert "there is no file absent.csv here" in caplog.text


def test_bad_rows(run, single, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n{"text"\n')
    code, _, err = run(single, "--input", "in.jsonl", "--output", "out.csv")
    assert code == 1
    assert err.startswith("error: in.jsonl:2: invalid JSON")
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
    code, _, err = run(single, "--input", "in.jsonl", "--output", "out.csv", "--keep-bad-rows")
    assert code == 0
    assert "1 row could not be predicted" in err
    assert (tmp_path / "out.csv").read_text().splitlines()[2].startswith(',,,,,"line 2: invalid JSON')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "absent.csv", "--output", "o.csv"], "no such file"),
        (["--input", ".", "--output", "o.csv", "--input-format", "csv"], "a folder"),
        (["--input", "in.csv", "--output", "in.csv", "--force"], "is the input"),
        (["--input", "in.csv", "--output", "there.csv"], "there already"),
        (["--input", "in.csv", "--output", "o.docx"], "--output-format"),
        (["--input", "in.dat", "--output", "o.csv"], "--input-format"),
        (["--input", "in.csv", "--output", "o.csv", "--threshold", "2"], "between 0 and 1"),
        (["--input", "in.csv", "--output", "o.csv", "--top-k", "0"], "--top-k"),
        (["--input", "in.csv", "--output", "o.csv", "--text-column", "txt"], "Did you mean 'text'"),
        (["--input", "pairs.csv", "--output", "o.csv"], "single texts"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_a_line(run, single, tmp_path, arguments, message):
    for name in ("in.csv", "in.dat", "there.csv"):
        (tmp_path / name).write_text("text\nfine\n")
    (tmp_path / "pairs.csv").write_text("premise,hypothesis\na,b\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, err = run(single, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_pairs_are_checked_before_the_classifier_is_loaded(run, pair, tmp_path, monkeypatch):
    monkeypatch.setattr("textclf.predict.predict_file.ready", lambda *_: pytest.fail("loaded"))
    (tmp_path / "in.csv").write_text("text\nfine\n")
    assert "fitted on pairs" in run(pair, "--input", "in.csv", "--output", "o.csv")[2]


@pytest.mark.parametrize(
    "arguments", [[], ["text", "--input", "a.csv", "--output", "-"], ["--input", "a.csv"], ["text", "--output", "o"]]
)
def test_what_the_command_line_lacks(run, single, arguments):
    assert run(single, *arguments)[0] == 2


def test_a_run_that_is_not_there(run):
    code, _, err = run("outputs/absent", "text")
    assert code == 1
    assert "There is no run 'outputs/absent'" in err


def test_an_interrupt_ends_quietly(run, single, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("textclf.predict.texts.resolve_run", interrupted)
    assert run(single, "text") == (130, "", "interrupted\n")


def test_texts_that_look_like_formulas_are_told_of_or_made_safe(run, single, tmp_path, caplog):
    (tmp_path / "in.csv").write_text('text,"=x",n\n"=1+1 lovely",fine,-5\ngood,"@sum",-0.5\n')
    assert run(single, "--input", "in.csv", "--output", "plain.csv")[0] == 0
    assert "'=x' and maybe more begins as a formula does" in caplog.text
    assert (tmp_path / "plain.csv").read_text().startswith("text,=x,n,label,")
    caplog.clear()
    assert run(single, "--input", "in.csv", "--output", "safe.csv", "--spreadsheet")[0] == 0
    head, first, second = (tmp_path / "safe.csv").read_text().splitlines()
    assert head.startswith("text,'=x,n,label,")
    assert first.startswith("'=1+1 lovely,fine,-5,positive,0.")
    assert second.startswith("good,'@sum,-0.5,")
    assert not caplog.text


def test_a_class_cannot_order_a_terminal_about(run, tmp_path, monkeypatch):
    from textclf.predict import texts

    monkeypatch.setattr(texts, "shown", lambda prediction, top_k: "\x1b[2Jpositive\r")
    folder = fitted(tmp_path / "c", pairs=False)
    assert run(folder, "a lovely film")[1] == "\ufffd[2Jpositive\ufffd\n"


class Screen(io.TextIOWrapper):
    """A terminal, or a pipe, that keeps what was written."""

    def __init__(self, is_terminal):
        super().__init__(io.BytesIO(), encoding="utf-8")
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize("kind", ["csv", "jsonl", "txt"])
def test_a_terminal_obeys_no_text_and_a_pipe_gets_it_as_it_is(run, single, kind, monkeypatch):
    texts = ["fine \x1b]0;title\x07\x1b[2J\x9b31m", "a good\u202e film", "so so\r over", "日本語 é 🎬"]
    out = io.StringIO()
    csv.writer(out).writerows([["text"], *([text] for text in texts)])
    seen = {}
    for is_terminal in (True, False):
        screen = Screen(is_terminal)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", screen)
            arguments = ("--input", "-", "--input-format", "csv", "--output", "-", "--output-format", kind)
            assert run(single, *arguments, stdin=out.getvalue().encode())[0] == 0
        screen.flush()
        seen[is_terminal] = screen.buffer.getvalue().decode()
    assert not set("\x1b\x07\x9b\u202e") & set(seen[True])
    assert "\r" not in seen[True].replace("\r\n", "\n")
    assert len(seen[True].splitlines()) >= 4
    if kind == "csv":
        assert "\x1b]0;title\x07" in seen[False]
        assert "日本語 é 🎬" in seen[True]
        assert seen[True] == terminal(seen[False])
