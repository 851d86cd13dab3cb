"""The command that recommends a model: its answer, its ladder, its time, and what it refuses."""

import json
import random
import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import BAD, GOOD, THINGS, sentences, write_jsonl
from textclf import recommend as door
from textclf.compare.scores import Level
from textclf.errors import ConfigError, DataError
from textclf.recommending import advice, climb, estimate, judge
from textclf.tracking.record import read_record

CLOCK = climb._Clock
LEVEL = Level(0.8, 0.0, 0.7, 0.9, "examples")
PLAIN = (("majority", 1), ("naive_bayes", 1), ("tfidf_logreg", 1))


def command(monkeypatch, capsys, *given):
    """Run the command; return its exit status, the lines of stdout, and stderr."""
    monkeypatch.setattr(sys, "argv", ["textclf.recommend", *map(str, given)])
    status = 0
    try:
        door.main()
    except SystemExit as end:
        status = end.code
    said = capsys.readouterr()
    return status, said.out.splitlines(), said.err


def noisy(count, wrong=0.2):
    """Return texts of which a share has the other label."""
    chance = random.Random(0)
    rows = []
    for _ in range(count):
        good = chance.random() < 0.5
        words = " ".join(chance.choices(GOOD if good else BAD, k=2) + chance.choices(THINGS, k=2))
        rows.append({"body": words, "label": "positive" if good != (chance.random() < wrong) else "negative"})
    return rows


def test_a_person_with_a_file_is_told_what_to_use(tmp_path, monkeypatch, capsys, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(climb, "LADDER", PLAIN)
    write_jsonl(tmp_path / "mine.jsonl", noisy(160))
    status, lines, err = command(
        monkeypatch, capsys, "mine.jsonl", "dataset.text_column=body", "--output", "out", "--minutes", "10"
    )
    assert status == 0, err
    assert len(lines) == 3
    assert lines[0] == 'Use naive_bayes: python -m textclf.predict out/runs/naive_bayes "a text"'
    assert lines[1].startswith("Why: on 32 test texts, which had no part in the choice, its macro F1 is 0.")
    assert "in cross-validation it beats majority by " in lines[1]
    assert "tfidf_logreg was not shown to gain (a gap of about " in lines[1]
    assert lines[2].startswith("Not tried: nothing. With half of the labels naive_bayes scores 0.")
    assert "mine: 112 texts to train on (16 to choose by, 32 to test), 2 classes of " in caplog.text
    assert caplog.text.count("texts are in train too (1 word for word)") == 1  # not again by each run

    report = (tmp_path / "out" / "recommendation.md").read_text("utf-8")
    assert "better than majority by " in report
    assert (tmp_path / "out" / "recommendation.html").is_file()
    assert (tmp_path / "out" / "comparison" / "report.md").is_file()
    record = read_record(tmp_path / "out" / "runs" / "naive_bayes")
    assert shlex.split(record.command) == [
        *("python", "-m", "textclf.run", "dataset=files", "dataset.train='mine.jsonl'", "dataset.text_column=body"),
        *("tracker=none", "model=naive_bayes", "seed=1"),
    ]
    shown = f"{record.metrics['test/macro_f1']:.3f}"
    assert f"its macro F1 is {shown} (" in lines[1]
    others = json.loads((tmp_path / "out" / "runs" / "majority" / "run.json").read_text())
    assert f"{others['metrics']['test/macro_f1']:.3f}" not in report  # test chose nothing, so it is told of one


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """Climb with rungs whose outcome and cost are written down; return what was run, skipped and kept."""

    class Outcome:
        remark = ""

        def __init__(self, model, better, seconds, estimate):
            self.model, self.seconds, self.estimate, self.runs = model, seconds, estimate, (None,)
            self.judged = (
                None
                if better is None
                else type("Judged", (), {"is_better": better is True, "may_gain": better == "perhaps"})
            )

    def climbed(script, minutes, whole=False, trial_seconds=1.0):
        now = [0.0]
        monkeypatch.setattr(climb, "LADDER", tuple((model, 1) for model in script))
        monkeypatch.setattr(climb, "describe", lambda rung, metric: rung.model)
        monkeypatch.setattr(climb, "_median", lambda runs, cost: 0.0)
        monkeypatch.setattr(climb, "check", lambda experiment: None)
        monkeypatch.setattr(climb._Climber, "result", lambda self, first: self)
        monkeypatch.setattr(climb, "_Clock", lambda minutes: CLOCK(minutes, lambda: now[0]))
        trial = estimate.Trial(trial_seconds, 0.0, 0.5, 0.0, (1, 3))
        monkeypatch.setattr(climb, "tried", lambda experiment, data: trial)

        def run(self, experiment, model, seeds, expected):
            better, seconds = script[model]
            now[0] += seconds
            return Outcome(model, None if not self.tried else better, seconds, expected)

        monkeypatch.setattr(climb._Climber, "_run", run)
        path = write_jsonl(tmp_path / "data.jsonl", sentences(80))
        done = climb.climb(["dataset=files", f"dataset.train='{path}'"], tmp_path / "runs", minutes, whole)
        return [rung.model for rung in done.tried], {one.model: one.reason for one in done.skipped}, done.kept.model

    return climbed


SCRIPT = {
    "majority": (False, 2),
    "naive_bayes": (True, 2),
    "tfidf_logreg": (False, 2),
    "nb_svm": (False, 2),
    "hashed_logreg": (True, 2),
}


def test_two_rungs_without_a_shown_gain_end_the_climb(scripted):
    ran, skipped, kept = scripted(SCRIPT, 5)
    assert ran == ["majority", "naive_bayes", "tfidf_logreg", "nb_svm"]
    assert skipped == {"hashed_logreg": "2 rungs before it did not gain, nor can have gained much (--all goes on)"}
    assert kept == "naive_bayes"


def test_too_few_texts_to_show_a_gain_are_no_reason_to_stop(scripted):
    ran, _, kept = scripted({**SCRIPT, "nb_svm": ("perhaps", 2)}, 5)
    assert (ran, kept) == (list(SCRIPT), "hashed_logreg")


def test_all_goes_on(scripted):
    ran, skipped, kept = scripted(SCRIPT, 5, whole=True)
    assert (ran, skipped, kept) == (list(SCRIPT), {}, "hashed_logreg")


def test_a_floor_that_nothing_beats_is_no_reason_to_stop(scripted):
    ran, _, kept = scripted({**SCRIPT, "naive_bayes": (False, 2)}, 5)
    assert ran == list(SCRIPT)
    assert kept == "hashed_logreg"


def test_the_baselines_are_run_whatever_the_time(scripted):
    ran, skipped, kept = scripted({**SCRIPT, "naive_bayes": (True, 40)}, 0.5)
    assert ran == ["majority", "naive_bayes"]
    assert kept == "naive_bayes"
    assert skipped["tfidf_logreg"] == (
        "it would take about 21 s, and 0.0 s of 0.5 min were left; --minutes 1.5 would do"
    )


def test_a_rung_that_would_overrun_the_time_is_not_begun(scripted):
    script = {"majority": (None, 2), "naive_bayes": (True, 2), "minilm": (True, 2)}
    ran, _, kept = scripted(script, 1, trial_seconds=10)  # and twice more for the folds
    assert (ran, kept) == (["majority", "naive_bayes", "minilm"], "minilm")
    ran, skipped, kept = scripted(script, 1, trial_seconds=100)
    assert ran == ["majority", "naive_bayes"]
    assert skipped["minilm"].startswith("it would take about 5 min 2 s")
    assert kept == "naive_bayes"


def test_pairs_of_few_examples_are_for_few_examples(scripted, monkeypatch):
    script = {"majority": (None, 1), "naive_bayes": (True, 1), "setfit": (True, 1)}
    ran, _, _ = scripted(script, 60)
    assert ran == list(script)
    monkeypatch.setattr(climb, "FEW", 20)
    _, skipped, _ = scripted(script, 60)
    assert skipped["setfit"].startswith("it pays with at most about 20 examples of a class, and there are ")


def test_what_took_far_longer_than_expected_is_said():
    rung = climb.Tried("minilm", (), (), LEVEL, 90.0, 30.0, None, None)
    assert rung.remark == "minilm took 1 min 30 s, and was expected to take 30 s"
    assert climb.Tried("minilm", (), (), LEVEL, 40.0, 30.0, None, None).remark == ""


def test_each_text_is_predicted_by_a_classifier_that_did_not_see_it(tmp_path):
    """Texts that only a memory of themselves can tell are told no better than by chance."""
    from textclf.data.load import load
    from textclf.experiment.cli import compose_experiment

    chance = random.Random(1)
    rows = [{"text": f"word{n} word{n}", "label": chance.choice(["a", "b"])} for n in range(120)]
    path = write_jsonl(tmp_path / "data.jsonl", rows)
    experiment = compose_experiment("dataset=files", f"dataset.train='{path}'", "model=naive_bayes")
    data = load(experiment.dataset)
    found = judge.by_folds(experiment, data)
    assert len(found.labels) == len(data.train) + len(data.validation)
    assert 0.3 < (found.predicted == found.labels).mean() < 0.7


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nothing.csv"], "nothing.csv: there is no such file or folder. Name one that holds texts with labels"),
        (["one.jsonl", "two.jsonl"], "one.jsonl two.jsonl: name one file or folder"),
        (["data.jsonl", "model=bert"], "model=bert: this is chosen here, model by model; leave it out"),
        (["data.jsonl", "--minutes", "0"], "--minutes 0: the time must be more than 0 minutes"),
        (["data.jsonl", "--minutes=-1"], "--minutes -1: the time must be more than 0 minutes"),
        (["data.jsonl", "--minutes", "nan"], "--minutes nan: the time must be more than 0 minutes"),
        (["data.jsonl", "--output", "full"], "--output full: it is there already, and a recommendation needs a folder"),
        (["same.jsonl"], "train holds one class only"),
        (["single.jsonl"], "too few examples in train"),
        (["dataset=imbd"], "dataset=imbd: there is no such choice"),
    ],
)
def test_what_cannot_be_done_is_refused_before_work(given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "data.jsonl", sentences(40))
    write_jsonl(tmp_path / "full" / "something.jsonl", sentences(2))
    write_jsonl(tmp_path / "same.jsonl", [row | {"label": "one"} for row in sentences(40)])
    write_jsonl(tmp_path / "single.jsonl", [*sentences(40), {"text": "a rare one", "label": "rare"}])
    status, lines, err = command(monkeypatch, capsys, *given)
    assert (status, lines) == (1, [])
    (error,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert said in error
    assert not (tmp_path / "outputs").exists()


def test_sets_of_labels_are_sent_to_the_study_that_takes_them(tmp_path):
    rows = [
        {"text": f"text {number} {'bug' * (number % 2)}", "label": ["a", "b"][: number % 3]} for number in range(60)
    ]
    write_jsonl(tmp_path / "sets.jsonl", rows)
    with pytest.raises(DataError, match=r"have sets of labels.*study=multi_label"):
        climb.climb(
            ["dataset=files", f"dataset.train='{tmp_path / 'sets.jsonl'}'", "tracker=none"], tmp_path / "runs", 1
        )


def test_a_class_of_one_example_in_splits_of_ones_own_is_refused(tmp_path):
    rare = {"text": "a rare one", "label": "rare"}
    for name, count in (("train", 40), ("validation", 10), ("test", 10)):
        write_jsonl(tmp_path / f"{name}.jsonl", [*sentences(count), rare | {"text": f"a rare {name}"}])
    options = [f"dataset.{name}='{tmp_path / name}.jsonl'" for name in ("train", "validation", "test")]
    with pytest.raises(DataError, match="'rare' has 1 training example, and at least 2 of each class are needed"):
        climb.climb(["dataset=files", *options, "tracker=none"], tmp_path / "runs", 1)


def test_options_alone_and_a_tracker_of_ones_own():
    assert door.overrides_of(["dataset=imdb"]) == ["dataset=imdb", "tracker=none"]
    assert door.overrides_of(["dataset=imdb", "tracker=mlflow"]) == ["dataset=imdb", "tracker=mlflow"]
    with pytest.raises(ConfigError, match="seed=3: this is chosen here"):
        door.overrides_of(["dataset=imdb", "seed=3"])


def test_texts_that_are_not_english_are_told(tmp_path, monkeypatch):
    german = ["Das war ein sehr schöner Film, den wir gerne noch einmal mit der ganzen Familie sehen würden",
              "Leider ist die Lampe schon nach zwei Wochen kaputt gegangen und niemand antwortet auf unsere Briefe"]  # fmt: skip
    rows = [{"text": f"{german[n % 2]}, Nummer {n}", "label": "ab"[n % 2]} for n in range(60)]
    path = write_jsonl(tmp_path / "data.jsonl", rows)
    monkeypatch.setattr(climb, "LADDER", PLAIN[:1])
    found = climb.climb(["dataset=files", f"dataset.train='{path}'", "tracker=none"], tmp_path / "runs", 1)
    assert found.facts.language == "de"
    assert "the texts are not English (de), and minilm was trained on English" in found.notes[0]
    assert advice._what(found, found.kept.runs[0]) == (
        "Use none of them yet: no model is shown to beat always answering 'a'."
    )


@pytest.mark.slow
def test_the_bundled_reviews_with_minilm(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = Path(climb.__file__).parents[1] / "data" / "bundled" / "reviews" / "train.jsonl"
    for name, precision in (("full", "fp32"), ("half", "bf16")):
        status, lines, err = command(
            monkeypatch, capsys, file, "--all", "--minutes", "10", "--output", name, f"trainer.precision={precision}",
            "trainer.epochs=2",
        )  # fmt: skip
        assert status == 0, err
        assert lines[0].startswith("Use ")
        assert {path.name for path in (tmp_path / name / "runs").iterdir()} >= {"minilm_embeddings", "minilm"}
        assert "setfit: it pays with at most about 64 examples of a class" in lines[2]
