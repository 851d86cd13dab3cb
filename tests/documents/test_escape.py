"""Text of strangers in each medium."""

import csv
import io
import json
import re

import pandas as pd
import pytest
from tabulate import tabulate

from textclf.documents.escape import csv_cell, csv_table, is_formula, markdown, markdown_line, script_json, terminal

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1+1",
    "＝1+1",
    "-",
    "+1-1",
    "=HYPERLINK(1)",
]


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_cell_is_a_formula(cell):
    assert is_formula(cell)
    assert csv_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["-1", "+1.5e-3", "-.5", "1-1", "a=b", "", "it's", -1, 2.5, None, True])
def test_numbers_and_plain_texts_stay(cell):
    assert csv_cell(cell) == cell


def test_a_table_is_safe_in_texts_and_names_and_keeps_its_numbers():
    table = pd.DataFrame({"=name": ["=1+1", "fine"], "score": [-0.5, 2.0], "count": [-3, 4], "mixed": [-1, "@x"]})
    rows = list(csv.reader(io.StringIO(csv_table(table).to_csv(index=False))))
    assert rows == [["'=name", "score", "count", "mixed"], ["'=1+1", "-0.5", "-3", "-1"], ["fine", "2.0", "4", "'@x"]]
    assert next(iter(table.columns)) == "=name"


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "a\rb", "\x08\x08", "\u202eabc", "\u2066x", "\x00", "\x7f", "\u2028"],
)
def test_a_terminal_is_told_nothing(text):
    assert not set(terminal(f"a{text}b")) & set("\x1b\x07\x9b\r\x08\u202e\u2066\x00\x7f\u2028")


def test_a_terminal_shows_what_is_plain():
    assert terminal("two\nlines\tand 日本 ü 🎬 שלום\r\n") == "two\nlines\tand 日本 ü 🎬 שלום\r\n"


@pytest.mark.parametrize(
    "text",
    [
        "a|b",
        "`x`",
        "[x](javascript:y)",
        "![x](http://e/x.png)",
        "<b>",
        "**x**",
        "http://evil.example",
        "www.evil.example",
    ],
)
def test_markdown_finds_no_markup(text):
    said = markdown(text)
    for mark in "|`[]<*":
        assert said.count(mark) == said.count("\\" + mark)
    assert "http:" not in said.replace("http\\:", "")
    assert "www." not in said


def test_markdown_begins_no_list():
    assert [markdown_line(text) for text in ("- x", "1. x", "+ x")] == ["\\- x", "1\\. x", "\\+ x"]


def test_latex_has_no_orders():
    said = tabulate([["\\input{/etc/passwd} $x$ {a} #1 %c & ~"]], tablefmt="latex_booktabs", disable_numparse=True)
    row = said.splitlines()[2]
    assert "\\input" not in row
    assert "$x" not in row.replace("\\$", "")


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "]]>&lt;",
        "line\u2028separator\u2029",
        "isolates \u2066 and marks \u200e\u061c",
        "back\\slash \\u003c \\b \\\\f \"quoted\" 'too'",
        "tab\tand\r\nbreak",
    ],
)
def test_json_in_a_script_element_is_what_it_was_and_ends_nothing(text):
    said = script_json({text: [text, None, 0.5]})
    assert not re.search("[<>&\u061c\u200e\u2028\u2029\u2066]", said)
    assert json.loads(said) == {text: [text, None, 0.5]}


def test_json_in_a_script_element_holds_no_control_character():
    said = script_json(["\x00a\x1b\b\f\x07\x7f\x9f\u202e\ud800", "\\\x00"])
    assert json.loads(said) == ["�a" + "�" * 8, "\\�"]
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json([float("nan")])
