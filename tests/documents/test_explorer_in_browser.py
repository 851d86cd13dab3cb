"""The mistakes on a page in a real browser: filters, cells of the confusions, and the CSV for relabelling."""

import csv
import re

import pytest

from tests.app.test_browser import ARGUMENTS, CHROMIUM, playwright
from tests.documents.test_explorer import CONTENT, NAMES, ROWS, blocks
from textclf.documents.document import to_html

pytestmark = pytest.mark.slow


def many(count):
    rows = [[k, f"text number {k}", None, 0, 1, 0.9, 0.1, [0]] for k in range(count)]
    return CONTENT | {"rows": rows, "total": 2 * count}


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no chromium or chrome on the PATH")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Return what opens a report from a file; at the end, nothing may have gone wrong or been asked for."""
    contexts, complaints = [], []

    def open_report(report, scripts=True):
        context = browser.new_context(accept_downloads=True, java_script_enabled=scripts)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda sent: None if sent.url.startswith(("file:", "blob:", "data:")) else complaints.append(sent.url),
        )
        (tmp_path / "report.html").write_text(to_html("t", report), encoding="utf-8")
        page.goto((tmp_path / "report.html").as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert complaints == []


def shown(page):
    """Return the rows of the mistakes in sight, in order."""
    said = page.locator(".mistakes .said").all_inner_texts()
    return [int(re.findall(r"row (\d+)", text)[0]) for text in said]


def test_mistakes_are_filtered_by_text_class_slice_and_probability(visit):
    page = visit(blocks())
    assert shown(page) == [7, 3, 5, 1]
    assert page.title() == "t"
    assert page.locator(".mistakes p").nth(1).inner_text() == ROWS[0][1]
    assert page.locator(".without-script").is_hidden()
    page.get_by_label("Search").fill("FILM great")
    assert shown(page) == [3]
    assert page.locator(".count").inner_text() == "1 of 4 mistakes"
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("True class").select_option("0")
    assert shown(page) == [7, 5]
    page.get_by_label("Part of the test split").select_option("1")
    assert shown(page) == [5]
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Probability from").fill("60")
    page.get_by_label("Up to").fill("90")
    assert shown(page) == [3, 5]
    page.get_by_label("Order").select_option("row")
    page.get_by_label("Probability from").fill("")
    assert shown(page) == [1, 3, 5]


def test_a_cell_of_the_confusions_leads_to_its_mistakes_and_back(visit):
    page = visit(blocks())
    cell = page.locator('td[data-true="0"][data-predicted="1"] button')
    cell.click()
    assert shown(page) == [7, 5]
    assert cell.get_attribute("aria-pressed") == "true"
    cell.focus()
    page.keyboard.press("Enter")
    assert shown(page) == [7, 3, 5, 1]
    assert cell.get_attribute("aria-pressed") == "false"


def test_wrong_labels_are_collected_and_saved_as_csv_that_no_spreadsheet_obeys(visit, tmp_path):
    page = visit(blocks())
    wrong = page.get_by_role("button", name="This label is wrong")
    assert page.get_by_text("Download for relabelling").is_hidden()
    wrong.nth(0).click()  # the next is now the first
    wrong.nth(0).click()
    page.get_by_label("It should be").nth(1).select_option("2")
    assert "2 labels marked" in page.locator(".collected").inner_text()
    with page.expect_download() as caught:
        page.get_by_text("Download for relabelling").click()
    caught.value.save_as(tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert rows == [
        {
            "row": "7", "text": ROWS[0][1], "label": NAMES[0], "prediction": "good", "probability": "0.99",
            "new_label": "good",
        },
        {
            "row": "3", "text": f"'{ROWS[1][1]}", "label": "good", "prediction": NAMES[0], "probability": "0.8",
            "new_label": NAMES[2],
        },
    ]  # fmt: skip
    page.get_by_role("button", name="Empty the list").click()
    assert page.locator(".collected").is_hidden()


def test_of_many_mistakes_a_few_are_in_sight_and_the_page_says_that_more_were_made(visit):
    page = visit(blocks(many(2000)))
    assert page.locator(".count").inner_text() == "The 2,000 surest of 4,000 mistakes"
    assert len(shown(page)) == 10
    page.get_by_role("button", name="Show 50 more").click()
    assert len(shown(page)) == 60
    page.get_by_label("Search").fill("number 1999")
    assert shown(page) == [1999]


def test_without_javascript_the_table_is_there(visit):
    page = visit(blocks(), scripts=False)
    assert page.get_by_text("Nothing of note").is_visible()
    assert page.get_by_label("Search").is_hidden()
