"""The real server in a real browser: every page at two widths, by mouse and by keyboard alone."""

import csv
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.app.conftest import IMAGE, MARKDOWN
from textclf.compare.compare_runs import compare
from textclf.experiment.leaderboard.home import write_home

pytestmark = [pytest.mark.slow, pytest.mark.drawn]
PAGES = ["Predict", "Batch", "Label", "Compare", "Runs", "Run", "History", "Events"]
SELDOM = ("History", "Events")
EVIL = f"a dull film <script>document.title='hacked'</script> {IMAGE} {MARKDOWN}"
WIDTHS = pytest.mark.parametrize("width", [1280, 390])


@contextmanager
def serving(run, outputs, folder):
    """Serve the app, and give its address; feedback and events go to a folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "textclf.app", str(run), "--outputs", str(outputs), "--port", str(port),
        "--feedback", str(folder / "feedback.jsonl"), "--events", str(folder / "events.jsonl"), "--max-rows", "50",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            assert process.poll() is None, (folder / "log").read_text()
            if address in (folder / "log").read_text():
                break
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(20)
    assert "Traceback" not in (folder / "log").read_text()


@pytest.fixture(scope="module")
def server(outputs, tmp_path_factory):
    """The address of the app, and the folder with its feedback and events."""
    folder = tmp_path_factory.mktemp("served")
    with serving(outputs / "runs" / "first", outputs, folder) as address:
        yield address, folder


@contextmanager
def visiting(browser, address):
    """Give what opens the app at a width; at the end, nothing may have gone wrong in the browser."""
    contexts, complaints = [], []

    def open_at(width, scheme="light"):
        size = {"width": width, "height": 844 if width < 600 else 900}
        context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
        page.on("request", lambda sent: None if _is_local(sent.url) else complaints.append(f"asked for {sent.url}"))
        page.goto(address)
        page.get_by_role("heading", name="Predict", level=1).wait_for()
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def visit(browser, server):
    """Return what opens the app at a width."""
    with visiting(browser, server[0]) as open_at:
        yield open_at


def _is_local(url):
    return url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))


def go(page, name):
    if name in SELDOM:
        page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", name=name, level=1).wait_for()
    settle(page)


def settle(page):
    """Wait until the page has stopped working."""
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget], [data-stale=true]')")
    page.wait_for_timeout(300)


def ask(page, text):
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_role("heading", name="Words that mattered").wait_for()
    page.get_by_label("It should be").wait_for()
    settle(page)


def side_by_side(page, text):
    page.get_by_text("answers to one text").click()
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Predict with each").click()
    page.get_by_role("heading", name="Answers").wait_for()
    settle(page)


def check_page(page, width):
    """Hold a page against what every page must be."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page is wider than the screen"
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    inputs = page.locator("input:visible, textarea:visible, button:visible, [role=combobox]:visible, a:visible")
    nameless = [
        one.evaluate("e => e.outerHTML.slice(0, 300)") for one in inputs.all() if not _name(page, one.element_handle())
    ]
    assert nameless == []
    assert page.evaluate("[...document.querySelectorAll('img')].filter(e => !e.alt).length") == 0
    assert page.locator("img[onerror], a[href^='javascript:']").count() == 0
    assert "hacked" not in page.title()
    assert _low_contrast(page) == []


def choose(page, label, option):
    """Pick an option of a list; the page may still be scrolling at the first click, which closes the list again."""
    wanted = page.get_by_role("option", name=option)
    for _ in range(4):
        page.get_by_label(label).click()
        page.wait_for_timeout(1000)
        if wanted.count():
            break
    wanted.click()


def _name(page, handle):
    """Return the name that a screen reader says, from the browser's own accessibility tree."""
    client = page.context.new_cdp_session(page)
    page.evaluate("e => { window.__asked = e }", handle)
    found = client.send("Runtime.evaluate", {"expression": "window.__asked"})["result"]["objectId"]
    (node,) = client.send("Accessibility.getPartialAXTree", {"objectId": found, "fetchRelatives": False})["nodes"]
    client.detach()
    return "ignored" if node.get("ignored") else node.get("name", {}).get("value")


def _low_contrast(page):
    """Return texts of ours that stand out less than 4.5 to 1 from what is behind them."""
    return page.evaluate("""() => {
      const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
      const rgba = color => {
        canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
      };
      const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
      const light = rgb => {
        const [r, g, b] = rgb.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
        return .2126 * r + .7152 * g + .0722 * b;
      };
      const behind = element => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) layers.unshift(rgba(getComputedStyle(e).backgroundColor));
        return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
      };
      return [...document.querySelectorAll('[class*="tc-"], label p, button p, h1, h2, a p')].filter(e => e.checkVisibility()
          && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())).map(e => {
        const back = behind(e), front = over(rgba(getComputedStyle(e).color), back);
        const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
        return [(a + .05) / (b + .05), e.className, e.textContent.slice(0, 40)];
      }).filter(([ratio]) => ratio < 4.5);
    }""")


def violations(page, name):
    """Return the serious and critical violations that axe-core finds on a page, and where they are.

    None is excused: those in Streamlit's own elements are minor (a drop zone with role and name).
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    answer = axe.Axe().run(page).response
    assert answer["passes"]
    return [
        (name, one["id"], one["help"], [(node["target"], node["html"][:200]) for node in one["nodes"]])
        for one in answer["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_that_keeps_people_out(width, scheme, visit):
    page = visit(width, scheme)
    page.get_by_label("Text", exact=True).wait_for()
    found = violations(page, "Predict")
    ask(page, "it is a lovely film")
    for name in PAGES:
        go(page, name)
        if name == "Compare":
            found += violations(page, name)
            side_by_side(page, "it is a lovely film")
        found += violations(page, name)
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("link", name="History", exact=True).wait_for()
    assert found + violations(page, "the menu") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_pages_of_files(scheme, browser, outputs, tmp_path):
    compare(outputs, output=tmp_path / "comparison")
    write_home(outputs)
    page = browser.new_context(color_scheme=scheme).new_page()
    found = []
    for path in (
        outputs / "index.html",
        outputs / "runs" / "first" / "report.html",
        tmp_path / "comparison" / "report.html",
    ):
        page.goto(path.as_uri())
        found += violations(page, path.name)
    page.context.close()
    assert found == []


def feedback(folder):
    path = folder / "feedback.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (1280, "dark"), (390, "dark")])
def test_every_page_is_whole(width, scheme, visit):
    page = visit(width, scheme)
    ask(page, "it is a lovely film")
    for name in PAGES:
        go(page, name)
        check_page(page, width)
        if folder := os.environ.get("TEXTCLF_SCREENSHOTS"):
            whole = page.evaluate("document.querySelector('.stMain').scrollHeight")
            page.set_viewport_size({"width": width, "height": min(whole + 20, 4000)})
            page.wait_for_timeout(1000)
            page.screenshot(path=f"{folder}/{name.lower()}_{width}_{scheme}.png")
            page.set_viewport_size({"width": width, "height": 900})


@WIDTHS
def test_one_text_goes_through_several_runs(width, visit):
    page = visit(width)
    go(page, "Compare")
    side_by_side(page, EVIL)
    assert page.locator("h3").count() == page.locator(".tc-answer").count() == page.locator(".tc-text").count() == 2
    tops = [box.bounding_box()["y"] for box in page.locator(".tc-answer").all()]
    assert (abs(tops[0] - tops[1]) < 50) == (width > 1000)
    check_page(page, width)


@WIDTHS
def test_a_text_is_explained_and_corrected(width, visit, server):
    page = visit(width)
    before = len(feedback(server[1]))
    ask(page, EVIL)
    assert page.locator(".tc-bars tbody tr").count() == 2
    assert page.locator(".tc-text").inner_text().strip() == EVIL
    assert page.locator(".tc-text .tc-for").count() >= 1
    check_page(page, width)
    choose(page, "It should be", "positive")
    page.get_by_role("button", name="Save feedback").click()
    page.get_by_text("dataset.extra_train=").wait_for()
    rows = feedback(server[1])
    assert len(rows) == before + 1
    assert (rows[-1]["text"], rows[-1]["label"], rows[-1]["predicted"]) == (EVIL, "positive", "negative")
    go(page, "History")
    page.locator("table").get_by_text("dull film").wait_for()
    check_page(page, width)


def test_the_keyboard_alone_is_enough(visit, server):
    page = visit(1280)
    before = len(feedback(server[1]))
    order = []
    page.get_by_label("Text", exact=True).wait_for()

    def tab_to(name):
        for _ in range(40):
            page.keyboard.press("Tab")
            order.append(_name(page, page.evaluate_handle("document.activeElement").as_element()))
            if order[-1] == name:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                ring = page.evaluate("getComputedStyle(document.activeElement).boxShadow")
                assert outline != "none" or ring != "none", f"{name} does not show that it has the focus"
                return
        raise AssertionError(f"{name} was not reached: {order}")

    tab_to("Text")
    page.keyboard.type("it is an awful chair")
    tab_to("Predict")
    page.keyboard.press("Enter")
    page.get_by_label("It should be").wait_for()
    settle(page)
    tab_to("It should be")
    page.keyboard.type("posi")
    page.keyboard.press("Enter")
    tab_to("Save feedback")
    page.keyboard.press("Enter")
    page.get_by_text("dataset.extra_train=").wait_for()
    assert feedback(server[1])[before:][0]["text"] == "it is an awful chair"
    page.evaluate("document.activeElement.blur()")
    assert "Events" not in order
    tab_to("More")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Events", exact=True).wait_for()
    tab_to("Events")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Events", level=1).wait_for()


@WIDTHS
def test_a_file_is_predicted_and_taken_along(width, visit, tmp_path):
    page = visit(width)
    go(page, "Batch")
    path = tmp_path / "my texts.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), (1, "a lovely film"), (2, "=an awful lamp"), (3, EVIL)])
    page.locator("input[type=file]").set_input_files(path)
    choose(page, "Say unsure", "never")
    page.get_by_role("button", name="Predict the file").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "my_texts.predicted.csv"
    with open(download.value.path(), newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["text"], row["label"]) for row in rows] == [
        ("1", "a lovely film", "positive"), ("2", "'=an awful lamp", "negative"), ("3", EVIL, "negative"),
    ]  # fmt: skip
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSONL").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["a lovely film", "=an awful lamp", EVIL]
    settle(page)
    check_page(page, width)


def test_a_wrong_file_says_where_and_why(visit, tmp_path):
    page = visit(1280)
    go(page, "Batch")
    for name, content, said in [
        ("a.jsonl", '{"text": "fine"}\n{"text": 3}\n', "a.jsonl:2"),
        ("b.csv", "text\n" + "fine\n" * 51, "more than 50 rows"),
    ]:
        (tmp_path / name).write_text(content)
        page.locator("input[type=file]").set_input_files(tmp_path / name)
        page.get_by_role("button", name=f"Remove {name}").wait_for()
        page.get_by_role("button", name="Predict the file").click()
        page.get_by_role("alert").get_by_text(said).wait_for()
        page.get_by_role("button", name=f"Remove {name}").click()
        page.get_by_role("button", name="Predict the file").wait_for(state="hidden")


def test_two_visitors_have_their_own_history(visit, browser, server):
    first, second = visit(1280), visit(1280)
    ask(first, "a lovely tent")
    go(second, "History")
    second.get_by_text("Nothing was predicted yet.").wait_for()
    go(first, "History")
    first.locator("table").get_by_text("lovely tent").wait_for()
    first.get_by_role("button", name="Clear history").click()
    first.get_by_text("Nothing was predicted yet.").wait_for()


@pytest.mark.parametrize(("host", "code"), [("127.0.0.1", "101"), ("evil.example", "403")])
def test_another_name_for_this_machine_is_refused(host, code, server):
    port = int(server[0].rpartition(":")[2])
    asked = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(asked.encode())
        assert connection.recv(100).split()[1].decode() == code
