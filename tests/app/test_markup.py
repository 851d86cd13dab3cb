from html.parser import HTMLParser

import pytest

from tests.app.conftest import IMAGE, MARKDOWN
from textclf.app import markup
from textclf.app.classifiers import Weighed, Word
from textclf.documents.document import Cell, Column, Table

EVIL = f"<script>alert(1)</script>{IMAGE}\" onmouseover='x' {MARKDOWN}"


class Reader(HTMLParser):
    """Gathers the elements, their attributes, and the text of some HTML."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data):
        self.text += data


WEIGHED = Weighed(((Word(EVIL, " " + EVIL, 0.5), Word("plain", "", -0.01)),), False)


@pytest.mark.parametrize(
    "html",
    [
        markup.paragraph(EVIL),
        markup.message("error", EVIL),
        markup.answer(EVIL, 0.5, 0.1),
        markup.bars([(EVIL, 0.5, "50 %")], "Caption", "Class", "Probability"),
        markup.weighed_words(WEIGHED),
        markup.word_table(WEIGHED.strongest(8)),
        markup.table(Table((Column(EVIL, hint=EVIL),), ((Cell(EVIL, strong=True),), (EVIL,)), EVIL)),
        markup.bullets([EVIL]),
        markup.quotes([EVIL]),
    ],
)
def test_no_text_becomes_an_element(html):
    found = Reader(html)
    assert EVIL[:75] in found.text
    assert not found.tags & {"script", "img", "a"}
    assert not {name for name in found.attributes if name.startswith("on") or name in ("src", "href")}


def test_words_are_told_apart_without_colour():
    words = [Word("good", " ", 0.5), Word("bad", " ", -0.4), Word("so", " ", 0.01)]
    weighed = Weighed((tuple(words),), False)
    html = markup.weighed_words(weighed)
    assert 'class="tc-for"' in html
    assert 'class="tc-against"' in html
    assert Reader(html).text == "good bad so "
    table = Reader(markup.word_table(weighed.strongest(8))).text
    assert "goodfor+0.50" in table
    assert "badagainst−0.40" in table
    assert "so" not in table.partition("Log-odds")[2]


def test_control_characters_are_replaced():
    assert markup.text("a\x00b\u202ec\ud800") == "a�b�c�"
