import re
from dataclasses import fields, replace

import numpy as np
import pytest

from tests.evaluation.test_analysis import Fixed, world
from tests.tracking.test_record import RECORD
from textclf.documents.document import Details, Heading, Picture, Quote, Table, Tiles, to_html, to_markdown
from textclf.evaluation import plots
from textclf.evaluation.analysis import analyse
from textclf.evaluation.options import AnalysisOptions
from textclf.experiment.config import SCHEMAS, RunConfig
from textclf.experiment.decisions import REASONS, decisions_table
from textclf.experiment.report import ReportedRun, caveats_of, report_blocks, summary_sentence, verdict

FULL = replace(
    RECORD,
    metrics={"validation/accuracy": 0.5, "test/accuracy": 0.25, "test/macro_f1": 0.3},
    costs={"train_seconds": 1.0, "num_parameters": 10.0, "test_examples_per_second": 5.0},
    data={"source": "s", "fingerprint": "f", "examples": {"train": 4, "validation": 4, "test": 4}},
    fit={"epochs": [], "device": "cpu", "precision": "fp64"},
    environment={"textclf": "1", "torch": "2", "transformers": "5", "git_commit": "abc"},
    command="python -m textclf.run model=m",
)


def reported(tmp_path, names=("a", "b"), record=FULL, count=4):
    """Return a run whose predictions are right one time in four."""
    labels = np.arange(count) % 2
    table = np.eye(len(names))[np.where(np.arange(count) % 4 == 0, labels, 1 - labels)] * 0.8 + 0.2 / len(names)
    data, test = world(labels, table, names)
    analysis = analyse(Fixed(len(names)), data, test, test, AnalysisOptions(attributions=1))
    (tmp_path / "figures").mkdir(exist_ok=True)
    plots.plot_reliability(analysis, tmp_path / "figures" / "reliability.png")
    (tmp_path / "figures" / "of_somebody_else.png").write_bytes(b"png")
    figures = {"precision": None, "recall": 0.5, "f1": 0.5, "support": 2.0}
    counts = {name: {"train": 2, "validation": 2, "test": 2} for name in names}
    return ReportedRun(record, dict.fromkeys(names, figures), counts, analysis, tmp_path / "figures")


def markdown(run, tmp_path):
    return to_markdown(report_blocks(run), tmp_path)


def test_names_and_texts_cannot_break_out_of_the_report(tmp_path):
    hostile = "x | y ](http://evil) <img src=x>\n# heading <script>alert(1)</script>"
    run = reported(tmp_path, (hostile, "b"), replace(FULL, name=hostile, model=hostile, dataset=hostile))
    report = markdown(run, tmp_path)
    assert "\n# heading" not in report
    assert "<img" not in report.replace("\\<img", "")
    row = next(line for line in report.splitlines() if line.startswith("| x"))
    assert row.replace("\\|", "").count("|") == 5
    page = to_html(hostile, report_blocks(run))
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_its_parts_come_in_order_and_every_picture_is_in_it(tmp_path):
    run = reported(tmp_path)
    report = markdown(run, tmp_path)
    titles = [
        "Confusions", "Mistakes", "Weak spots", "Calibration", "All scores", "Training", "Data", "Options", "Caveats",
        "Reproduce",
    ]  # fmt: skip
    assert re.findall("^## (.*)$", report, re.MULTILINE) == titles
    for said in ("| accuracy", "0.2500", "| –", "abc", "python -m textclf.run model=m", "(attributions.html)"):
        assert said in report
    drawn = [block.path.stem for block in report_blocks(run) if isinstance(block, Picture)]
    assert sorted(drawn) == ["of_somebody_else", "reliability"]


def test_the_first_sentence_is_the_answer(tmp_path):
    said = summary_sentence(reported(tmp_path, count=80))
    assert "right on 25.0 % of 80 test examples of d" in said
    assert "(95 % interval 16.8 % to 35.5 %)" in said
    assert "most frequent class would be right on 50.0 %, and no more than that is shown." in said
    assert said.endswith("Macro F1 0.300.")


def test_the_verdict_and_the_figures_come_before_anything_else(tmp_path):
    run = reported(tmp_path, count=80)
    blocks = report_blocks(run)
    assert [type(block) for block in blocks[:4]] == [Heading, Quote, Tiles, Heading]
    values = {tile.label: tile.value for tile in blocks[2].tiles}
    assert values["Accuracy"] == "25.0 %"
    assert values["Macro F1"] == "0.300"
    assert values["Most frequent class alone"] == "50.0 %"
    assert values["Mistakes"] == "60"
    report = to_markdown(blocks, tmp_path)
    assert "- Accuracy: **25.0 %** (95 % interval 16.8 to 35.5 %)" in report


def test_the_verdict_says_that_probabilities_are_off_and_no_weakness_of_what_learned_nothing(tmp_path):
    run = reported(tmp_path, count=80)  # 90 % sure, and right one time in four
    said = verdict(run)
    assert said.startswith("m is right on 25.0 % of 80 test examples of d; always saying")
    assert "Its probabilities are too sure: 90 % means about 25 % here" in said
    assert "Most frequent mistake" not in said


def test_options_that_differ_are_in_sight_and_the_others_folded_away(tmp_path):
    config = {"dataset": {"_target_": "textclf.data.options.HubDataset", "split_seed": 7}, "seed": 1}
    blocks = report_blocks(reported(tmp_path, record=replace(FULL, config=config)))
    start = blocks.index(Heading(2, "Options"))
    shown, folded = blocks[start + 2 : start + 4]
    assert isinstance(shown, Table)
    assert [row[0] for row in shown.rows] == ["dataset.split_seed"]
    assert isinstance(folded, Details)
    assert [row[0] for row in folded.blocks[0].rows] == ["seed"]


def test_many_classes_are_folded_away(tmp_path):
    run = reported(tmp_path, tuple(f"c{k}" for k in range(30)))
    page = to_html("t", report_blocks(run))
    assert "<summary>All 30 classes</summary>" in page
    assert "<summary>The 30 classes</summary>" in page


def test_what_others_found_in_the_data_is_told(tmp_path):
    data = FULL.data | {
        "audit": {"lines": ["7 of 90 test texts are in train too"], "dropped": {"train": 1034, "validation": 0}},
        "rejected": {"train": {"no text": 1200}, "test": {}},
    }
    run = reported(tmp_path, record=replace(FULL, data=data, fit=FULL.fit | {"truncated_share": 0.25}))
    report = markdown(run, tmp_path)
    assert "- 7 of 90 test texts are in train too." in report
    assert "Taken out because they recur (dataset.on\\_leakage=drop): 1,034 of train." in report
    assert re.search(r"\| train +\| no text +\| +1,200 \|", report)
    assert "1,200 rows of the source were left out" in report
    assert "25.0 % of the training texts are longer" in report
    assert "Rows that were left out" not in markdown(reported(tmp_path), tmp_path)


def test_limits_follow_the_sizes(tmp_path):
    run = reported(tmp_path, count=80)
    said = "\n".join(caveats_of(run.record, run.class_counts | {"big": {"train": 99, "test": 99}}, run.analysis))
    assert "within 9.3 points either way" in said
    assert "fewer than 30 test examples, so their scores are rough: a (2), b (2)." in said
    assert "big" not in said
    assert "80 validation examples, and none there promises the precision" in said


@pytest.mark.parametrize("trainer", ["torch", "none"])
def test_decisions_mark_what_differs_and_say_why(trainer):
    config = {
        "dataset": {"_target_": "textclf.data.options.HubDataset", "name": "d", "path": "o/n", "split_seed": 7},
        "model": {
            "_target_": "textclf.models.options.TransformerModel", "name": "m", "checkpoint": "o/c", "max_length": 64,
            "padding": "dynamic", "keep_layers": [0, 2], "window_overlap": 32,
        },
        "trainer": {"_target_": "textclf.training.options.TorchTrainer", "epochs": 4, "learning_rate": 2e-4},
        "tracker": {"_target_": "textclf.tracking.options.NullTracker", "log_model": True},
        "objective": "validation/macro_f1", "seed": 3, "run_name": "r",
    }  # fmt: skip
    table = decisions_table(replace(RECORD, config=config, trainer=trainer))
    rows = {row[0]: (row[1].text, row[1].strong, row[2]) for row in table.rows}
    assert rows["model.max_length"] == (
        "64", True, f"Set by the config; the default is 128. {REASONS['model.max_length']}"
    )  # fmt: skip
    assert rows["model.padding"] == ("dynamic", False, REASONS["model.padding"])
    assert rows["model.keep_layers"] == ("[0, 2]", True, "Set by the config; the default is none.")
    assert rows["seed"][:2] == ("3", True)
    assert rows["dataset.split_seed"][1]
    assert ("trainer.learning_rate" in rows) == (trainer == "torch")
    assert not {
        "dataset.path",
        "model.name",
        "model.checkpoint",
        "tracker.log_model",
        "run_name",
        "model.window_overlap",
    } & set(rows)


def test_every_reason_is_of_an_option_that_there_is():
    there = {f"{group}.{field.name}" for (group, _), options in SCHEMAS.items() for field in fields(options)}
    there |= {field.name for field in fields(RunConfig)}
    assert set(REASONS) <= there


def test_arguments_of_scikit_learn_are_told_one_by_one():
    model = {
        "_target_": "textclf.models.options.ClassicalModel", "name": "m",
        "vectorizer": {"_target_": "sklearn.feature_extraction.text.TfidfVectorizer", "ngram_range": [1, 2]},
        "classifier": {"_target_": "sklearn.y.LogisticRegression"},
    }  # fmt: skip
    rows = {
        row[0]: (row[1].text, row[1].strong) for row in decisions_table(replace(RECORD, config={"model": model})).rows
    }
    assert rows == {
        "model.vectorizer": ("TfidfVectorizer", False),
        "model.vectorizer.ngram_range": ("[1, 2]", True),
        "model.classifier": ("LogisticRegression", False),
    }
