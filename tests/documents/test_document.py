import base64
import re
from html.parser import HTMLParser

import pytest

from textclf.documents.document import (
    Bullets,
    Cell,
    Code,
    Column,
    Details,
    Heading,
    Link,
    Paragraph,
    Picture,
    Quote,
    Table,
    Tile,
    Tiles,
    to_html,
    to_markdown,
)

HOSTILE = "<script>alert('1')</script> \" | *b* _i_ `c` [l](http://evil) <img src=//evil>\r\n# h &amp; \\ \x00"
MARKUP = re.compile(r"(?<!\\)(?:\\\\)*[*_`\[\]<>|~&$#]")
VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """The elements of a page with their attributes and texts; refuses tags that do not balance."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", "in": tuple(outer["tag"] for outer in self.open), **dict(attributes)}
        assert len(dict(attributes)) == len(attributes)
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, *tags):
        return [element for element in self.elements if element["tag"] in tags]

    def texts(self, *tags):
        return [element["text"] for element in self.all(*tags)]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "figures" / "a (1).png"
    path.parent.mkdir()
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    return path


def every_block(text, path):
    """Every block, with the text wherever a text can be."""
    table = Table((Column(text, hint=text), Column("n", True)), ((text, Cell(text, 2.0, True)),), text)
    every = (
        Heading(1, text),
        Paragraph(text),
        Heading(2, text),
        Quote(text),
        Tiles((Tile(text, text, text),)),
        Bullets((text, "second")),
        Heading(2, "Other"),
        table,
        Picture(path, text, text),
        Code(text),
    )
    return [*every, Details(text, (*every, Heading(3, text), Details("deeper", (Paragraph("deep"),))))]


@pytest.fixture
def blocks(picture):
    return every_block(HOSTILE, picture)


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]


@pytest.mark.parametrize(
    "block",
    [Paragraph(HOSTILE), Quote(HOSTILE), Heading(3, HOSTILE), Bullets((HOSTILE,))],
    ids=lambda block: type(block).__name__,
)
def test_no_text_is_markup_in_markdown(block, tmp_path):
    line = to_markdown([block], tmp_path)
    assert line.count("\n") == 1
    assert MARKUP.findall(re.sub(r"^(>|###|-) ", "", line)) == []
    assert "http\\://" in line
    assert "\x00" not in line
    assert re.sub(r"\\(?=[^\w\s])", "", line.replace("\\\\", "BACKSLASH")).count("alert('1')</script>") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [("- x", "\\- x"), ("1. x", "1\\. x"), ("2) x", "2\\) x"), ("---", "\\---"), ("+", "\\+"), ("-0.5", "-0.5")],
)
def test_no_line_becomes_a_list_or_a_rule_in_markdown(text, expected, tmp_path):
    assert to_markdown([Paragraph(text)], tmp_path) == f"{expected}\n"
    assert to_markdown([Bullets((text,))], tmp_path) == f"- {expected}\n"
    assert to_markdown([Quote(text)], tmp_path) == f"> {expected}\n"


def test_no_cell_breaks_a_table_in_markdown(tmp_path):
    table = Table((Column(HOSTILE), Column("n", True)), ((HOSTILE, "1"), ("\x01", Cell("2", strong=True))))
    head, rule, first, second = to_markdown([table], tmp_path).splitlines()
    assert [len(cells(line)) for line in (head, rule, first, second)] == [2, 2, 2, 2]
    assert cells(first)[0] == cells(head)[0]
    assert MARKUP.findall(cells(first)[0]) == []
    assert cells(second) == ["�", "**2**"]


def test_a_command_is_verbatim(tmp_path):
    command = "textclf a=*_b \\\n  c='```' <d>"
    assert to_markdown([Code(command)], tmp_path) == f"````\n{command}\n````\n"
    assert Page(to_html("t", [Code(command)])).texts("code") == [command]


def test_every_text_is_only_text_in_html(blocks):
    page = Page(to_html(HOSTILE, blocks))
    shown = HOSTILE.replace("\x00", "�")
    assert page.texts("title", "h1") == [shown] * 3
    once_in_each = ("blockquote", "caption", "figcaption", "code", "strong", "b", "small")
    assert {tag: page.texts(tag) for tag in once_in_each} == {tag: [shown] * 2 for tag in once_in_each}
    assert page.texts("dt") == [shown] * 4  # of a tile and of a hint
    assert page.texts("dd") == [shown * 2, shown] * 2
    assert page.texts("h3") == [shown]
    assert page.texts("li").count(shown) == 3  # two lists and the table of contents
    assert {image["alt"] for image in page.all("img")} == {shown}
    assert len(page.all("script")) == 1
    assert not [name for element in page.elements for name in element if name.startswith("on")]


def test_the_page_needs_no_network(picture, blocks):
    page = Page(to_html("t", blocks))
    assert re.findall(r"\w+://", to_html("t", every_block("a", picture))) == []
    assert page.all("link", "iframe", "base", "object", "form") == []
    assert all(element["src"].startswith("data:image/png;base64,") for element in page.elements if "src" in element)
    assert all(element["href"].startswith("#") for element in page.elements if "href" in element)
    assert "url(" not in page.texts("style")[0]
    assert "@import" not in page.texts("style")[0]
    policy = next(e["content"] for e in page.all("meta") if e.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'")


def test_pictures_are_embedded_in_html_and_linked_in_markdown(picture, tmp_path):
    block = Picture(picture, "The caption", "What it shows")
    (image,) = Page(to_html("t", [block])).all("img")
    assert base64.b64decode(image["src"].partition(",")[2], validate=True) == picture.read_bytes()
    assert image["alt"] == "What it shows"
    assert image["in"][-1] == "figure"
    linked = "figures/a%20%281%29.png"
    assert to_markdown([block], tmp_path) == f"![What it shows]({linked})\n\n*The caption*\n"
    assert f"(../{linked})" in to_markdown([block], tmp_path / "report")


def test_a_picture_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        to_html("t", [Picture(tmp_path / "none.png", "", "")])


def test_numbers_are_aligned_to_the_right(tmp_path):
    table = Table((Column("system"), Column("score", True)), (("a", "0.5"), ("b", "10.25")))
    assert to_markdown([table], tmp_path).splitlines() == [
        "| system   |   score |",
        "|:---------|--------:|",
        "| a        |     0.5 |",
        "| b        |   10.25 |",
    ]
    found = [element.get("class") for element in Page(to_html("t", [table])).all("th", "td")]
    assert found == [None, "number"] * 3


@pytest.mark.parametrize(
    ("cell", "numeric", "key"),
    [
        (Cell("0.731 ± 0.012", 0.731), True, 0.731),
        (Cell("late", 3), False, 3.0),
        ("1,234.5", True, 1234.5),
        ("−0.5", True, -0.5),
        ("1234", False, None),
        ("–", True, None),
        ("nan", True, None),
        (Cell("–", float("nan")), True, None),
    ],
)
def test_cells_say_what_they_are_sorted_by(cell, numeric, key):
    (found,) = Page(to_html("t", [Table((Column("a"), Column("b", numeric)), (("x", cell),))])).all("td")
    assert (float(found["data-sort"]) if "data-sort" in found else None) == key


def test_a_table_can_be_sorted_and_read_aloud():
    table = Table((Column("system"), Column("score", True, "Mean over seeds.")), (("a", "1"), ("b", "2")), "Scores")
    page = Page(to_html("t", [table]))
    heads = [head for head in page.all("th") if head.get("scope") == "col"]
    assert [head["aria-sort"] for head in heads] == ["none", "none"]
    buttons = [button for button in page.all("button") if button["in"][-1] == "th"]
    assert [(button["text"], button.get("title")) for button in buttons] == [
        ("system", None),
        ("score", "Mean over seeds."),
    ]
    assert [head["text"].strip() for head in page.all("th") if head.get("scope") == "row"] == ["a", "b"]
    (region,) = [element for element in page.all("div") if element.get("role") == "region"]
    assert (region["aria-label"], region["tabindex"]) == ("Scores", "0")
    assert (page.texts("caption"), page.texts("dd")) == (["Scores"], ["Mean over seeds."])


def test_captions_and_hints_are_in_markdown(tmp_path):
    table = Table((Column("a", hint="First."), Column("b", hint="Second.")), (("x", "y"),), "Scores")
    lines = to_markdown([table], tmp_path).splitlines()
    assert lines[0] == "**Scores**"
    assert lines[-1] == "*a*: First; *b*: Second."


def test_contents_lead_to_the_sections():
    blocks = [Heading(1, "R"), Paragraph("p"), *(Heading(2, name) for name in "ABA"), Details("d", (Heading(2, "in"),))]
    page = Page(to_html("t", blocks))
    links = [link for link in page.all("a") if "nav" in link["in"]]
    targets = {element["id"]: element["text"] for element in page.elements if "id" in element}
    assert [link["text"] for link in links] == ["A", "B", "A"]
    assert [targets[link["href"][1:]] for link in links] == ["A", "B", "A"]
    assert len(targets) == 3
    assert [e["tag"] for e in page.all("h1", "p", "nav", "h2")][:4] == ["h1", "p", "nav", "h2"]
    assert Page(to_html("t", blocks[:3])).all("nav") == []


def test_details_fold_in_html_and_are_plain_in_markdown(tmp_path):
    block = Details("More", (Paragraph("inside"), Code("ls")))
    page = Page(to_html("t", [block]))
    assert page.texts("summary") == ["More"]
    assert "details" in page.all("code")[0]["in"]
    assert to_markdown([block], tmp_path) == "**More**\n\ninside\n\n```\nls\n```\n"


def test_the_copy_button_waits_for_the_script():
    (button,) = Page(to_html("t", [Code("ls")])).all("button")
    assert "hidden" in button


def test_both_can_be_written_as_utf8_and_come_out_the_same_again(blocks, tmp_path):
    blocks = [*blocks, Paragraph("half \ud800 \u202eback")]
    assert to_html("t", blocks) == to_html("t", list(blocks))
    assert to_markdown(blocks, tmp_path) == to_markdown(list(blocks), tmp_path)
    assert b"half \xef\xbf\xbd \xef\xbf\xbdback" in to_html("t", blocks).encode("utf-8")
    assert to_markdown(blocks, tmp_path).encode("utf-8").endswith(b"half \xef\xbf\xbd \xef\xbf\xbdback\n")
    assert to_html("t", blocks).startswith("<!DOCTYPE html>\n<html lang=")


def test_shapes_that_cannot_be_shown_are_refused():
    with pytest.raises(ValueError, match="2 columns has 1 cells"):
        Table((Column("a"), Column("b")), (("x",),))
    with pytest.raises(ValueError, match="1, 2 or 3, got 4"):
        Heading(4, "x")


def test_a_link_leads_beside_the_report_and_nowhere_else(tmp_path):
    link = Link(HOSTILE, 'javascript:alert(1)/a b)".html')
    line = to_markdown([link], tmp_path)
    assert line.endswith("](javascript%3Aalert%281%29/a%20b%29%22.html)\n")
    (found,) = Page(to_html("t", [link])).all("a")
    assert found["href"] == "javascript%3Aalert%281%29/a%20b%29%22.html"
    assert found["text"].startswith("<script>")
