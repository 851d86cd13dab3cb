import csv
import json
import sys

import pytest

from tests.audit.factory import as_data, clean, rows
from tests.conftest import write_jsonl
from textclf.audit import __main__ as command_line
from textclf.audit.audit import audit
from textclf.audit.audit_dataset import write_audit
from textclf.audit.options import AuditOptions
from textclf.errors import ArtifactError


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["textclf.audit", *arguments])
    try:
        command_line.main()
    except SystemExit as end:
        return end.code
    return 0


def files(tmp_path):
    train, validation, test = clean()
    test[0] = list(train[0])
    for row in range(9, 29):
        train[row][1] = 1 - train[row][1]
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        write_jsonl(
            tmp_path / f"{name}.jsonl", [{"text": text, "label": ("bad", "good")[label]} for text, label in part]
        )
    return [
        "dataset=files",
        "dataset.name=mine",
        *(f"dataset.{s}={tmp_path}/{s}.jsonl" for s in ("train", "validation", "test")),
    ]


def test_everything_is_written(monkeypatch, tmp_path, capsys, tiny_checkpoint):
    output = tmp_path / "out"
    model = ["model=transformer", "model.name=tiny", f"model.checkpoint={tiny_checkpoint}", "model.max_length=32"]
    assert call(monkeypatch, *files(tmp_path), *model, "--output", str(output)) == 0
    said = capsys.readouterr().out
    assert "Texts of test that are in train too: 1 of 80 test examples (1.2 %)" in said
    assert str(output / "audit.html") in said
    facts = json.loads((output / "audit.json").read_text())
    assert facts["max_length"] == 32
    assert facts["leakage"]["train_test"]["test_exact"] == 1
    assert {"truncation", "leakage_train_test"} <= {finding["code"] for finding in facts["findings"]}
    with (output / "label_errors.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert listed[0]["split"] == "train"
    assert 9 <= int(listed[0]["example"]) < 29
    assert listed[0]["label"] != listed[0]["suggested"]
    page = (output / "audit.html").read_text()
    assert page.count("data:image/png") == 3
    markdown = (output / "audit.md").read_text()
    assert "What to do: dataset.on\\_leakage=drop" in markdown
    for name in ("classes", "tokens", "words"):
        assert (output / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"figures/{name}.png" in markdown
    assert call(monkeypatch, *files(tmp_path), *model, "--output", str(output)) == 1
    assert "never overwritten" in capsys.readouterr().err


def test_a_classical_model_has_no_tokens(monkeypatch, tmp_path):
    assert (
        call(monkeypatch, *files(tmp_path), "model=tfidf_logreg", "--no-label-errors", "--output", str(tmp_path / "o"))
        == 0
    )
    facts = json.loads((tmp_path / "o" / "audit.json").read_text())
    assert facts["max_length"] is None
    assert facts["labels"] is None
    assert "tokens" not in facts["lengths"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dataset=imbd"], "imdb"),
        (["dataset.nonsense=1"], "dataset.nonsense"),
        (["imdb"], "GROUP=CHOICE"),
        (["dataset=files", "dataset.name=x", "dataset.train=/nowhere.csv"], "/nowhere.csv"),
        (["--near-threshold", "7"], "near_threshold"),
    ],
)
def test_a_mistake_is_told_in_one_paragraph(monkeypatch, capsys, tmp_path, arguments, said):
    assert call(monkeypatch, "model=tfidf_logreg", "--output", str(tmp_path / "o"), *arguments) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "o").exists()


def test_help_names_the_choices(monkeypatch, capsys):
    assert call(monkeypatch, "--help") == 0
    said = capsys.readouterr().out
    assert "imdb" in said
    assert "--output" in said


def test_a_hostile_dataset_can_be_written(tmp_path):
    """Many classes with odd names, texts with markup, formulas and control characters."""
    names = [f"class <b>{i}</b> $x_{i}$ | `{'long ' * i}`" for i in range(45)]
    parts = []
    for size, seed in ((450, 1), (90, 2), (90, 3)):
        parts.append(
            [
                [f"<script>alert({i})</script> \x07 | `code` {text}", i % 45]
                for i, (text, _) in enumerate(rows(size, seed))
            ]
        )
    found = audit(as_data(*parts, names), AuditOptions())
    write_audit(found, tmp_path / "out", "python -m textclf.audit")
    page = (tmp_path / "out" / "audit.html").read_text()
    assert "<script>alert(" not in page


def test_an_audit_is_never_overwritten(tmp_path):
    found = audit(as_data(*clean()), AuditOptions(label_errors=False, language_sample=5))
    write_audit(found, tmp_path)
    with pytest.raises(ArtifactError, match="never overwritten"):
        write_audit(found, tmp_path)
