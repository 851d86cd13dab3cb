"""The mistakes on a page, as they stand before its script runs."""

import json
import re

from tests.documents.test_document import HOSTILE, Page
from textclf.documents.document import (
    Cell,
    Column,
    ConfusionTable,
    Explorer,
    Heading,
    Paragraph,
    Picture,
    Table,
    to_html,
    to_markdown,
)

NAMES = ("bad </script><b>", "good", '"neutral", =1+1')
ROWS = [  # row, text, text_pair, true, predicted, probability, that of the true class, slices
    [7, "a dull </script><script>document.title='hacked'</script> film", None, 0, 1, 0.99, 0.01, [0]],
    [3, '=HYPERLINK("http://evil") lovely, "great" film', None, 1, 0, 0.8, 0.2, [1]],
    [5, "שלום \u2066 עולם & <img src=x onerror=alert(1)>", None, 0, 1, 0.7, 0.3, [1]],
    [1, "Nothing of note", None, 2, 1, 0.5, 0.4, []],
]
CONTENT = {
    "labels": list(NAMES),
    "slices": ["words: 1 to 4", f"source: {HOSTILE}"],
    "total": 4,
    "cut": 1000,
    "rows": ROWS,
}
COUNTS = ((5, 2, 0), (1, 9, 0), (0, 1, 0))
FALLBACK = Table((Column("row", numeric=True), Column("text")), tuple((Cell(str(r[0]), r[0]), r[1]) for r in ROWS))


def blocks(content=CONTENT):
    return [
        Heading(1, "Report"),
        ConfusionTable(NAMES, COUNTS, None),
        Explorer(content, (Paragraph("4 are wrong."), FALLBACK)),
    ]


def test_markdown_has_the_picture_and_the_table(tmp_path):
    picture = Picture(tmp_path / "m.png", "c", "alt")
    said = to_markdown([ConfusionTable(NAMES, COUNTS, picture), *blocks()[1:]], tmp_path)
    assert said.startswith("![alt](m.png)")
    assert "4 are wrong." in said
    assert "Nothing of note" in said
    assert "labels" not in said


def test_texts_stand_in_the_page_as_data_and_as_text_alone():
    page = Page(to_html("t", blocks()))
    assert len(page.all("script")) == 3  # the data, the page's own and the explorer's
    data = next(element for element in page.all("script") if element.get("type") == "application/json")
    assert json.loads(data["text"]) == json.loads(json.dumps(CONTENT).replace("\\u0000", "�"))
    assert page.all("img") == []
    assert not re.search(r"\w+://(?!evil)", to_html("t", blocks()))


def test_without_its_script_the_table_remains_and_the_filters_are_hidden():
    page = Page(to_html("t", blocks()))
    (section,) = [element for element in page.all("section") if "explorer" in element["class"]]
    assert "hidden" in section
    (fallback,) = [element for element in page.all("div") if element.get("class") == "without-script"]
    assert "hidden" not in fallback
    assert "Nothing of note" in fallback["text"]
    cells = [element for element in page.all("td") if element.get("class", "").startswith(("hit", "miss"))]
    assert [cell["text"].split()[0] for cell in cells] == ["5", "2", "0", "1", "9", "0", "0", "1", "0"]
    assert [(cell["data-true"], cell["data-predicted"]) for cell in cells if "data-true" in cell] == [
        ("0", "1"), ("1", "0"), ("2", "1"),
    ]  # fmt: skip
    assert [cell["style"] for cell in cells[:2]] == ["--s:0.714", "--s:0.286"]


def test_a_page_without_mistakes_to_explore_has_no_script_for_them():
    assert len(Page(to_html("t", [Heading(1, "R")])).all("script")) == 1
