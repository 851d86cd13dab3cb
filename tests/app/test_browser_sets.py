"""Sets of labels in a real browser: chips and bars, words for a label, feedback by box, axe at two widths."""

import pytest

from tests.app.test_browser import check_page, feedback, go, serving, settle, violations, visiting
from tests.set_run import BUG, EVERY, MARKUP, PLAIN, REFUND

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


@pytest.fixture(scope="module")
def server(set_run, tmp_path_factory):
    """The address of the app, and the folder with its feedback and events."""
    folder = tmp_path_factory.mktemp("served-sets")
    with serving(set_run, set_run.parent, folder) as address:
        yield address, folder


@pytest.fixture
def visit(browser, server):
    """Return what opens the app at a width."""
    with visiting(browser, server[0]) as open_at:
        yield open_at


def ask(page, text):
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_role("heading", name="Which labels are right?").wait_for()
    settle(page)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_labels_are_given_explained_and_corrected(width, scheme, visit, server):
    page = visit(width, scheme)
    before = len(feedback(server[1]))
    ask(page, EVERY)
    assert sorted(page.locator(".tc-chips li").all_inner_texts()) == sorted([BUG, REFUND, MARKUP])
    assert page.locator(".tc-labels tbody tr.tc-given").count() == 3
    for bar, mark in zip(page.locator(".tc-bar span").all(), page.locator(".tc-bar i").all(), strict=True):
        own, threshold = bar.bounding_box(), mark.bounding_box()
        assert own["x"] + own["width"] > threshold["x"] > own["x"], "a given label ends before its threshold"
    check_page(page, width)
    found = violations(page, "Predict")
    page.get_by_role("checkbox", name=REFUND, exact=True).locator("xpath=ancestor::label").click()
    page.get_by_role("button", name="Save feedback").click()
    page.get_by_text("dataset.extra_train=").wait_for()
    row = feedback(server[1])[before]
    assert (row["text"], row["labels"]) == (EVERY, [MARKUP, BUG])
    ask(page, PLAIN)
    assert page.locator(".tc-chips").count() == page.locator(".tc-given").count() == 0
    assert "no label reaches its threshold" in page.locator(".tc-answer").inner_text().replace("\n", " ")
    found += violations(page, "Predict without a label")
    for name in ("Run", "Runs", "History"):
        go(page, name)
        check_page(page, width)
        found += violations(page, name)
    assert found == []
