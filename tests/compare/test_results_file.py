"""Tables of results: every form that is read, and what is said of those that are not."""

import json

import pytest

from textclf.compare.options import TableOptions
from textclf.compare.results_file import read_results
from textclf.errors import ConfigError, DataError

LONG = "system,seed,accuracy\na,1,0.80\na,2,0.82\nb,1,0.70\nb,2,0.75\n"


def read(tmp_path, text, name="t.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_results(path, TableOptions(**options))


def table(results):
    """Return the scores of the first data set by setup and draw."""
    return {(score.setup, score.draw): score.value for score in results.groups[0].scores}


EXPECTED = {("a", "1"): 0.80, ("a", "2"): 0.82, ("b", "1"): 0.70, ("b", "2"): 0.75}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (LONG, "t.csv"),
        (LONG.replace(",", "\t"), "t.tsv"),
        (LONG.replace(",", ";"), "t.csv"),
        (LONG.replace("system", "Model").replace("seed", "Draw").replace("accuracy", "Acc"), "t.csv"),
        ("\ufeff" + LONG, "t.csv"),
        ("seed,a,b\n1,0.80,0.70\n2,0.82,0.75\n", "t.csv"),
        ("model,1,2\na,0.80,0.82\nb,0.70,0.75\n", "t.csv"),
        ("system,seed,accuracy\na,1,80\na,2,82%\nb,1,70.0\nb,2,75\n", "t.csv"),
        ("".join(json.dumps({"model": s, "seed": int(d), "acc": v}) + "\n" for (s, d), v in EXPECTED.items()), "t.jsonl"),
        (json.dumps([{"model": s, "seed": float(d), "acc": v} for (s, d), v in EXPECTED.items()]), "t.json"),
    ],
)  # fmt: skip
def test_the_same_scores_are_read_from_every_form(tmp_path, text, name):
    results = read(tmp_path, text, name, metric="accuracy")
    assert table(results) == pytest.approx(EXPECTED)
    assert [(group.dataset, group.metric) for group in results.groups] == [("t", "accuracy")]
    assert not results.draws_are_folds


def test_data_sets_sizes_and_metrics_are_compared_apart(tmp_path):
    text = (
        "task,shots,measure,method,split,score,n_test\n"
        "cr,8,accuracy,a,0,90,753\ncr,8,accuracy,b,0,91,753\ncr,64,accuracy,a,0,92,753\ncr,64,accuracy,b,0,93,753\n"
        "cf,8,matthews_correlation,a,0,-27.5,5000\ncf,8,matthews_correlation,b,0,30,5000\n"
    )
    results = read(tmp_path, text, columns={"draw": ("split",)})
    found = {group.dataset: (group.metric, group.examples, len(group.scores)) for group in results.groups}
    assert found == {
        "cr shots=8": ("accuracy", 753, 2), "cr shots=64": ("accuracy", 753, 2), "cf shots=8": ("mcc", 5000, 2),
    }  # fmt: skip
    assert results.groups[2].scores[0].value == pytest.approx(-0.275)


def test_one_of_several_metrics_is_chosen(tmp_path):
    text = "system,seed,f1_macro,accuracy\na,1,0.5,0.8\nb,1,0.6,0.9\n"
    results = read(tmp_path, text)
    assert results.groups[0].metric == "accuracy"
    assert "f1_macro too" in results.notes[0]
    assert table(read(tmp_path, text, metric="macro_f1")) == {("a", "1"): 0.5, ("b", "1"): 0.6}
    long = "system,seed,metric,value\na,1,accuracy,0.8\na,1,f1_macro,0.5\nb,1,accuracy,0.9\nb,1,f1_macro,0.6\n"
    assert {group.dataset for group in read(tmp_path, long).groups} == {"t, accuracy", "t, macro_f1"}
    assert [group.metric for group in read(tmp_path, long, metric="macro_f1").groups] == ["macro_f1"]
    with pytest.raises(DataError, match="no row has the metric mcc; the table has accuracy, macro_f1"):
        read(tmp_path, long, metric="mcc")


def test_several_columns_make_a_name(tmp_path):
    text = "settings,datasize,lr,score\na,4,1,0.8\na,8,1,0.8\na,4,2,0.7\n"
    results = read(tmp_path, text, columns={"setup": ("settings", "lr"), "size": ("datasize",)})
    assert {(group.dataset, score.setup) for group in results.groups for score in group.scores} == {
        ("t datasize=4", "a 1"), ("t datasize=8", "a 1"), ("t datasize=4", "a 2"),
    }  # fmt: skip
    assert results.groups[0].scores[0].draw is None


def test_folds_are_told_from_draws(tmp_path):
    assert read(tmp_path, LONG.replace("seed", "fold")).draws_are_folds
    assert read(tmp_path, "model,fold 1,fold 2\na,0.8,0.82\nb,0.7,0.75\n").draws_are_folds


def test_the_last_digit_that_was_written_is_noted(tmp_path):
    scores = read(tmp_path, "system,seed,accuracy\na,1,0.81\nb,1,81.25\nb,2,8e1\n").groups[0].scores
    assert [score.unit for score in scores] == pytest.approx([1e-4, 1e-4, 0.1])


def test_percents_among_fractions_are_pointed_out(tmp_path):
    (group,) = read(tmp_path, "system,seed,accuracy\na,1,0.8\nb,1,83\n").groups
    assert "83 in line 3, 0.8 in line 2" in group.notes[0]


def test_predictions_are_read(tmp_path):
    text = "model,seed,id,gold,pred\na,1,x,pos,neg\na,1,y,neg,neg\nb,1,x,pos,pos\nb,1,y,neg,neg\n"
    (group,) = read(tmp_path, text).groups
    assert [(guess.setup, guess.draw, guess.example, guess.label, guess.prediction) for guess in group.guesses][:2] == [
        ("a", "1", "x", "pos", "neg"), ("a", "1", "y", "neg", "neg"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "t.csv: the file is empty"),
        ("system,seed,accuracy\n", "has no rows"),
        ("sistem,seed,acuracy\na,1,0.8\n", r"setup and the score.*'sistem' is near to 'system'. 'acuracy' is near to"),
        ("system,seed,accuracy\na,1,good\n", "t.csv:2: the score .column accuracy. is 'good', which is no number"),
        ("system,seed,accuracy\na,1,nan\n", "t.csv:2: .*'nan', which is no number"),
        ("system,seed,accuracy\na,1,\n", "t.csv:2: .*'missing', which is no number"),
        ("system;seed;accuracy\na;1;0,8\n", "Write decimals with a point"),
        ("system,seed,accuracy\na,1,0.8\na,1,0.9\n", "t.csv:3: setup a has draw 1 in line 2 already"),
        ("system,seed,lr,accuracy\na,1,5,0.8\na,1,6,0.9\n", "They differ in lr: .*--column setup="),
        ("system,seed,accuracy\n,1,0.8\n", "t.csv:2: the setup is missing .column system."),
        ("system,seed,accuracy\na,1,180\n", "t.csv:2: accuracy is 1.8, or 180 %"),
        ("system,seed,accuracy\na,1,-0.1\n", "t.csv:2: accuracy is -0.1"),
        ("system,seed,accuracy\na,1,0,8\n", "t.csv:2: wrong number of fields"),
        ("system,seed,accuracy,n\na,1,0.8,many\n", "t.csv:2: the number of test examples is 'many'"),
        ("model,id,label,prediction\na,x,p,p\na,x,p,n\n", "t.csv:3: setup a has predicted example x in line 2"),
        ("model,id,label,prediction\na,x,p,p\nb,x,n,n\n", "t.csv:3: the label of example x is 'n', and 'p' in line 2"),
        ("model,label,prediction\na,p,p\n", "a column for the example"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(tmp_path, text, said):
    with pytest.raises(DataError, match=said) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_files_of_other_kinds_and_columns_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_results(tmp_path / "none.csv", TableOptions())
    with pytest.raises(DataError, match=r"the ending .xlsx says nothing"):
        read(tmp_path, LONG, "t.xlsx")
    with pytest.raises(DataError, match="has no column 'acc'.*Did you mean 'accuracy'"):
        read(tmp_path, LONG, columns={"score": ("acc",)})
    with pytest.raises(ConfigError, match="--column scores= names no role.*Did you mean 'score'"):
        TableOptions({"scores": ("accuracy",)})
    with pytest.raises(ConfigError, match="--test-examples must be greater than 0, got 0"):
        TableOptions(test_examples=0)


def test_predictions_of_sets_of_labels_are_refused(tmp_path):
    path = tmp_path / "sets.jsonl"
    path.write_text('{"system": "a", "example": 1, "label": ["x", "y"], "prediction": ["y", "x"]}\n')
    with pytest.raises(DataError, match=r"sets\.jsonl:1: the label or the prediction is a list"):
        read_results(path, TableOptions())
