"""Labelling in a real browser: by keys alone, at two widths, through the death of the server."""

import json

import pytest

from tests.app.test_browser import check_page, go, serving, settle, violations, visiting
from tests.app.test_label_page import suggestion
from tests.conftest import write_jsonl

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


def kept(outputs):
    path = outputs / "labelling" / "todo.labels.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def press(page, key, count):
    """Press a key, and wait until the page shows how many texts are labelled."""
    before = page.locator(".tc-reading").inner_text()
    page.keyboard.press(key)
    page.wait_for_function("before => document.querySelector('.tc-reading')?.innerText !== before", arg=before)
    page.get_by_text(f"{count} of 6 texts labelled").wait_for()
    settle(page)


def test_keys_label_texts_and_a_killed_server_loses_none(browser, outputs, tmp_path):
    own = tmp_path / "outputs"
    rows = [suggestion(f"text {number}", "good", 0.4 + number / 20) for number in range(6)]
    write_jsonl(own / "labelling" / "todo.jsonl", rows)
    run = outputs / "runs" / "first"
    with serving(run, own, tmp_path) as address, visiting(browser, address) as visit:
        page = visit(1280)
        go(page, "Label")
        check_page(page, 1280)
        found = violations(page, "Label")
        press(page, "1", 1)
        press(page, "s", 1)
        press(page, "a", 2)
        assert [(row["text"], row["label"]) for row in kept(own)] == [("text 0", "bad"), ("text 2", "good")]
    with serving(run, own, tmp_path) as address, visiting(browser, address) as visit:
        page = visit(390, "dark")
        go(page, "Label")
        assert page.locator(".tc-reading").inner_text() == "text 1"
        check_page(page, 390)
        found += violations(page, "Label")
        page.get_by_role("button", name="good").click()
        page.get_by_text("3 of 6 texts labelled").wait_for()
        settle(page)
    assert [row["text"] for row in kept(own)] == ["text 0", "text 2", "text 1"]
    assert found == []
