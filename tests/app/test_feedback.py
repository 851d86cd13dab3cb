import json
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from textclf.app.feedback import Feedback, count_lines, feedback_file, save_feedback, training_command
from textclf.app.settings import Settings
from textclf.errors import DataError
from textclf.tracking.record import read_record

SAID = Feedback("a dull film", "negative", "positive", 0.61234567, "reviews/x/seed1", note="", user="ann@example.com")


def test_a_row_has_what_training_needs(tmp_path):
    path = tmp_path / "feedback.jsonl"
    save_feedback(path, SAID, ["negative", "positive"])
    row = json.loads(path.read_text())
    assert row.pop("time").endswith("+00:00")
    assert row == {
        "text": "a dull film", "label": "negative", "predicted": "positive", "score": 0.612346,
        "run": "reviews/x/seed1", "user": "ann@example.com",
    }  # fmt: skip
    assert count_lines(path) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label": "negativ"}, "Did you mean 'negative'"),
        ({"text": " \n"}, "needs the text"),
        ({"note": "x" * 2001}, "2,001"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(changes, said, tmp_path):
    with pytest.raises(DataError, match=said):
        save_feedback(tmp_path / "f.jsonl", Feedback(**SAID.__dict__ | changes), ["negative", "positive"])
    assert not (tmp_path / "f.jsonl").exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b\\c", "..", "", "glue/rte", "x" * 500])
def test_a_datasets_name_never_leaves_the_folder(name, tmp_path):
    path = feedback_file(Settings(outputs=str(tmp_path)), name)
    assert path.parent == tmp_path / "feedback"
    assert path.name.endswith(".jsonl")
    assert len(path.name) < 120


@pytest.mark.parametrize("folder", ["plain", "with space", "it's, [odd] {x=1} $y"])
def test_the_command_is_what_a_shell_and_hydra_read(folder, tmp_path, outputs):
    path = tmp_path / folder / "reviews.jsonl"
    typed = training_command(read_record(outputs / "runs" / "first"), path)
    words = shlex.split(typed)
    assert words[:4] == ["python", "-m", "textclf.run", "model=naive_bayes"]
    (override,) = OverridesParser.create().parse_overrides([words[4]])
    assert override.key_or_group == "dataset.extra_train"
    assert override.value() == str(path)
