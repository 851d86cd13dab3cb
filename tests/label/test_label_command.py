"""The command, from texts to the file that people correct, with a run and with a language model on loopback."""

import csv
import json
import shlex

import pytest

from tests.commands import call
from tests.conftest import GOOD, make_data, make_set_data, sentences, write_jsonl
from tests.llm_server import Raw, answering
from textclf.app.feedback import Feedback, save_label
from textclf.experiment.cli import composed
from textclf.experiment.config import build
from textclf.label.__main__ import main
from textclf.label.worklist import read_worklist
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

OTHER = {"positive": "negative", "negative": "positive"}
SHORT = ["lovely chair", "awful tent", "lovely awful lamp", "a chair"]


def fitted(folder, data, pairs=False):
    classifier, _ = fit(build(composed(["model=tfidf_logreg"]), "model"), data, TorchTrainer(), RunContext())
    classifier.has_pairs = pairs
    classifier.save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("single"), make_data())


@pytest.fixture
def label(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTCLF_ANSWER_CACHE", str(tmp_path / "answers"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    return lambda *arguments: call(main, "label", arguments, monkeypatch, capsys)


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts(path, count=40):
    """Write reviews without their labels in a CSV, beside other columns."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "review"])
        writer.writerows((number, row["text"]) for number, row in enumerate(sentences(count, 500)))
    return path


def ask(server, *more):
    """Return the arguments that ask a language model for one of two labels."""
    options = ["model.checkpoint=stand-in", f"model.base_url={server.address}", "model.retries=1"]
    return ["--with", "llm", "--label", "positive=the writer is pleased", "--label", "negative", *options, *more]


def mood(text):
    return "positive" if any(word in text for word in GOOD) else "negative"


def test_texts_get_a_label_the_least_certain_first_and_keep_their_columns(label, single, tmp_path):
    code, _, err = label(texts(tmp_path / "reviews.csv"), "--with", single)
    assert code == 0, err
    found = rows(tmp_path / "outputs" / "labelling" / "reviews.jsonl")
    names = ["text", "suggested_label", "suggested_score", "suggested_probability_negative"]
    assert list(found[0]) == [*names, "suggested_probability_positive", "id"]
    margins = [abs(row["suggested_probability_positive"] - row["suggested_probability_negative"]) for row in found]
    known = {row["text"]: row["label"] for row in sentences(40, 500)}
    different = len({row["text"] for row in found})
    assert len(found) == different == len(known)
    assert all(row["suggested_score"] == max(row[name] for name in list(row)[3:5]) for row in found)
    assert margins[0] == min(margins)
    assert "the least certain first" in err
    assert "python -m textclf.app" in err


def test_most_writes_the_least_certain_of_all_and_sample_looks_at_some(label, single, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": text} for text in SHORT])
    label("a.jsonl", "--with", single)
    label("a.jsonl", "--with", single, "--most", 2, "--output", "two.csv")
    every = [row["text"] for row in rows(tmp_path / "outputs" / "labelling" / "a.jsonl")]
    assert [item.text for item in read_worklist(tmp_path / "two.csv").items] == every[:2]
    label("a.jsonl", "--with", single, "--sample", 3, "--output", "three.parquet")
    assert {item.text for item in read_worklist(tmp_path / "three.parquet").items} < set(every)


def test_what_people_have_labelled_is_left_out_wherever_it_is_said(label, single, tmp_path):
    given = [{"text": text, "label": "positive" if text == "a chair" else ""} for text in SHORT]
    write_jsonl(tmp_path / "a.jsonl", [*given, {"text": "A  chair", "label": ""}, {"text": "", "label": ""}])
    write_jsonl(tmp_path / "feedback.jsonl", [{"text": "awful tent", "label": "negative", "predicted": "x"}])
    output = tmp_path / "outputs" / "labelling" / "a.jsonl"
    said = Feedback("Lovely chair", "positive", "positive", 0.6, "a.jsonl")
    save_label(output.parent / "a.labels.jsonl", said, ("negative", "positive"))
    code, _, err = label(
        "a.jsonl", "--with", single, "--label-column", "label", "--labelled", "feedback.jsonl", "--label", "neutral"
    )
    assert code == 0, err
    assert [row["text"] for row in rows(output)] == ["lovely awful lamp"]
    assert "4 labelled already" in err
    assert "1 without a text" in err
    assert read_worklist(output).label_names == ("negative", "positive", "neutral")
    assert label("a.jsonl", "--with", single)[0] == 1, "it is there already"
    write_jsonl(tmp_path / "bare.jsonl", [{"text": "a", "length": 1}])
    code, _, err = label("a.jsonl", "--with", single, "--labelled", "bare.jsonl", "--output", "b.jsonl")
    assert code == 1
    assert "no column holds labels" in err


def test_a_labelled_file_of_other_labels_is_refused_before_anything_is_predicted(label, single, tmp_path):
    texts(tmp_path / "a.csv")
    write_jsonl(tmp_path / "done.jsonl", [{"text": "x", "label": "refund"}])
    code, _, err = label("a.csv", "--with", single, "--labelled", "done.jsonl")
    assert code == 1
    assert "done.jsonl has labels that" in err
    assert "'refund'; it knows negative, positive" in err
    assert not (tmp_path / "outputs" / "labelling" / "a.jsonl").exists()
    assert label("a.csv", "--with", single, "--labelled", "done.jsonl", "--label", "refund")[0] == 0


def test_pairs_and_sets(label, tmp_path):
    pair = fitted(tmp_path / "pair", make_data(pairs=True), pairs=True)
    write_jsonl(tmp_path / "p.jsonl", [{"premise": "a good film", "hypothesis": "a dull film", "meta": {"a": 1}}])
    assert label("p.jsonl", "--with", pair)[0] == 0
    (item,) = read_worklist(tmp_path / "outputs" / "labelling" / "p.jsonl").items
    assert (item.text, item.text_pair) == ("a good film", "a dull film")
    sets = fitted(tmp_path / "sets", make_set_data())
    code, out, err = label(texts(tmp_path / "s.csv"), "--with", sets, "--output", "-")
    assert code == 0, err
    given = [json.loads(row["suggested_labels"]) for row in csv.DictReader(out.splitlines())]
    assert {len(own) for own in given} >= {0, 1}


def test_a_language_model_is_asked_once_about_each_text_whatever_stops_it(label, tmp_path):
    texts(tmp_path / "a.csv")
    count = len({row["text"] for row in sentences(40, 500)})
    with answering(answer=mood, others=lambda text: {OTHER[mood(text)]: -1.5}) as server:
        code, _, err = label(
            "a.csv", *ask(server, "model.price_input=1", "model.price_output=1", "model.max_cost=1e-9")
        )
        assert code == 1
        assert "fewer texts with --sample N" in err
        assert server.sent == []
        server.faults += [0.0] * 12 + [(401, {}, {"error": {"message": "no"}})]
        assert label("a.csv", *ask(server, "model.concurrency=1"))[0] == 1
        assert not (tmp_path / "outputs" / "labelling" / "a.jsonl").exists()
        assert len(server.asked) == 12
        code, _, err = label("a.csv", *ask(server, "model.price_input=1", "model.price_output=1"))
        assert code == 0, err
        assert len(server.asked) == count
        assert "USD" in err
        assert "the writer is pleased" in server.asked[0]["messages"][0]["content"]
    work = read_worklist(tmp_path / "outputs" / "labelling" / "a.jsonl")
    assert all(item.suggested == (mood(item.text),) and item.score is not None for item in work.items)


def test_answers_that_name_no_label_come_first_and_are_told(label, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": text} for text in SHORT])
    answers = {"a chair": Raw("no idea")}
    with answering(answer=lambda text: answers.get(text, "negative"), knows_logprobs=False) as server:
        code, _, err = label("a.jsonl", *ask(server))
    assert code == 0, err
    found = rows(tmp_path / "outputs" / "labelling" / "a.jsonl")
    assert [row["text"] for row in found] == ["a chair", *SHORT[:3]]
    assert [row["suggested_label"] for row in found] == [None, "negative", "negative", "negative"]
    assert {row["suggested_score"] for row in found} == {None}
    assert "labels without probabilities" in err
    assert "'no idea' (1)" in err


def test_examples_of_the_prompt_are_those_that_people_labelled(label, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"text": text} for text in SHORT[:2]])
    write_jsonl(tmp_path / "few.jsonl", sentences(4))
    with answering(answer=mood) as server:
        code, _, err = label("a.jsonl", *ask(server, "model.shots=1", "--labelled", "few.jsonl"))
        assert code == 0, err
        assert len(server.asked[0]["messages"]) == 1 + 2 * 2 + 1
        code, _, err = label("a.jsonl", *ask(server, "model.shots=1"), "--force")
        assert code == 1
        assert "--labelled FILE" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("none.csv --with latest", "none.csv: there is no such file"),
        ("a.csv b.csv --with latest", "name one file"),
        ("a.csv --with tfidf_logreg", "has to be trained on some labels first"),
        ("a.csv --with llm model.checkpoint=x", "needs the labels to choose from"),
        ("a.csv --with llm --label one model.checkpoint=x", "There is one label"),
        ("a.csv --with llm --label one --label one", "--label: one is given twice"),
        ("a.csv --with llm --labels none.yaml", "--labels none.yaml: there is no such file"),
        ("a.csv --with llm --label a --label b model.checkpoint=x model.base_url=http://x.test/v1", "There is no key"),
        ("a.csv --with llm --label a --label b model.chekpoint=x", "Did you mean 'checkpoint'?"),
        ("a.csv --with RUN model.checkpoint=x", "options are for models that need no training"),
        ("a.csv --with RUN --several", "gives each text one class"),
        ("a.csv --with RUN --text-column body", "no column 'body'"),
        ("a.csv --with RUN --label-column gold", "There is no column 'gold'"),
        ("a.csv --with RUN --output x.txt", "plain lines have no room"),
        ("a.csv --with RUN --output none/x.jsonl", "there is no folder none"),
        ("a.csv --with RUN --most 0", "--most must be at least 1"),
    ],
)
def test_mistakes_are_told_in_a_paragraph(arguments, said, label, single, tmp_path):
    texts(tmp_path / "a.csv", 2)
    code, out, err = label(*shlex.split(arguments.replace("RUN", shlex.quote(single))))
    assert code == 1
    assert said in err
    assert out == ""
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) <= 2
