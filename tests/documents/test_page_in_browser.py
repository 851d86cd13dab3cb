"""A page in a real browser: its mistakes are filtered and saved, its tables fade, and it can be read in the dark."""

import csv
import re

import pytest

from tests.documents.test_explorer import CONTENT, NAMES, ROWS, blocks
from textclf.documents import plotting
from textclf.documents.document import Column, ConfusionTable, Details, Picture, Quote, Table, Tile, Tiles, to_html
from textclf.documents.drawing import tell

pytestmark = [pytest.mark.slow, pytest.mark.drawn]


def many(count):
    rows = [[k, f"text number {k}", None, 0, 1, 0.9, 0.1, [0]] for k in range(count)]
    return CONTENT | {"rows": rows, "total": 2 * count}


@pytest.fixture
def visit(browser, tmp_path):
    """Return what opens a report from a file; at the end, nothing may have gone wrong or been asked for."""
    contexts, complaints = [], []

    def open_report(report, scripts=True, width=1280, scheme="light"):
        context = browser.new_context(
            accept_downloads=True,
            java_script_enabled=scripts,
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
        )
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


def test_without_a_table_of_confusions_the_most_frequent_lead_to_their_mistakes(visit):
    page = visit([block for block in blocks() if not isinstance(block, ConfusionTable)])
    page.get_by_role("button", name="bad </script><b> taken for good (2)").click()
    assert shown(page) == [7, 5]
    page.get_by_role("button", name="taken for good (1)").click()
    assert shown(page) == [1]


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


WIDE = Table(tuple(Column(f"column {k}") for k in range(9)), (tuple(f"value of {k}" for k in range(9)),), "Wide")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_table_that_goes_on_fades_there_and_the_page_itself_never_goes_on(width, visit):
    page = visit([*blocks(), WIDE, Details("more", (WIDE,))], width=width)
    region = page.get_by_role("region", name="Wide").first
    fades = "region => getComputedStyle(region).maskImage !== 'none'"
    goes_on = region.evaluate("region => region.scrollWidth > region.clientWidth")
    assert goes_on == (width == 390)
    assert region.evaluate(fades) == goes_on
    region.evaluate("region => { region.scrollLeft = region.scrollWidth; }")
    page.wait_for_timeout(100)
    assert not region.evaluate(fades)
    page.get_by_text("more", exact=True).click()
    page.wait_for_timeout(100)
    assert page.get_by_role("region", name="Wide").nth(1).evaluate(fades) == goes_on
    assert page.evaluate("document.documentElement.scrollWidth") == width


def contrasts(page):
    """Return the least contrast of a text with what lies behind it, over all elements with a text of their own."""
    return page.evaluate("""() => {
      const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
      const over = ([r, g, b, a = 1], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a)];
      const behind = element => {
        if (element === null) return [255, 255, 255];
        const own = numbers(getComputedStyle(element).backgroundColor);
        return own[3] === 0 ? behind(element.parentElement) : over(own, behind(element.parentElement));
      };
      const light = colour => colour.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
      let least = [99, ""];
      for (const element of document.querySelectorAll("main *")) {
        if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()) || !element.checkVisibility()) continue;
        const back = behind(element), front = over(numbers(getComputedStyle(element).color), back);
        const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
        const found = (a + 0.05) / (b + 0.05);
        if (found < least[0]) least = [found, element.outerHTML.slice(0, 200)];
      }
      return least;
    }""")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_in_the_dark(scheme, visit):
    shares = ConfusionTable(("a", "b"), ((3, 97), (26, 74)), None)
    more = [
        Tiles((Tile("Accuracy", "57 %", "of all"),)),
        shares,
        ConfusionTable(("a", "b"), ((76, 24), (50, 50)), None),
    ]
    page = visit([*blocks(), *more, Quote("Right."), WIDE], scheme=scheme)
    least, where = contrasts(page)
    assert least > 4, where


EVIL = "<script>document.title='hacked'</script>"


def picture(tmp_path):
    with plotting.figure(tmp_path / "a.png") as axes:
        for height, name in enumerate((EVIL, "minilm")):
            (line,) = axes.plot([0, 1], [height, height + 1], "o", label=name)
            tell(line, [f"{name}, seed {seed}: 0.{seed}12 macro F1" for seed in (1, 2)], name)
        plotting.legend_below(axes, 2)
    return [Picture(tmp_path / "a.png", "a caption", "what it shows")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_mark_tells_what_it_shows_to_a_pointer_and_its_setup_stands_out(visit, tmp_path, scheme):
    page = visit(picture(tmp_path), scheme=scheme)
    assert page.locator(".drawing title").count() == 0  # the browser shows no second one
    page.locator(".drawing use.mark").nth(2).hover()
    assert page.locator(".tip").inner_text() == "minilm, seed 1: 0.112 macro F1"
    page.wait_for_timeout(200)
    faint = page.eval_on_selector_all(".drawing [data-of]", "all => all.map(one => getComputedStyle(one).opacity)")
    assert faint == ["0.15", "1", "0.15", "0.15", "1", "1"]  # marks, then mark and text of each entry of the legend
    page.mouse.move(2, 2)
    assert page.locator(".tip").is_hidden()
    page.locator(".drawing g.mark text").first.hover()
    assert page.locator(".tip").inner_text() == EVIL
    assert page.title() == "t"
    ink = page.eval_on_selector(".drawing text", "one => getComputedStyle(one).fill")
    assert ink == page.evaluate("getComputedStyle(document.body).color")


def test_a_mark_tells_what_it_shows_to_the_keyboard(visit, tmp_path):
    page = visit(picture(tmp_path))
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.locator(".tip").inner_text() == f"{EVIL}, seed 1: 0.112 macro F1"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == f"{EVIL}, seed 1: 0.112 macro F1"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".tip").inner_text() == "minilm, seed 1: 0.112 macro F1"
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()


def test_a_picture_on_a_phone_is_moved_not_shrunk_until_nobody_can_read_it(visit, tmp_path):
    page = visit(picture(tmp_path), width=390)
    box = page.locator(".drawing svg").bounding_box()
    assert box["width"] == pytest.approx(5.6 * 72, abs=1)  # a point a pixel: letters of 10 points are 10 pixels high
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_without_a_script_a_mark_has_a_title(visit, tmp_path):
    page = visit(picture(tmp_path), scripts=False)
    assert page.locator(".drawing use.mark title").count() == 4
    assert page.locator(".tip").count() == 0
