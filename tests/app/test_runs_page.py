"""The page of all runs shows drawings apart from the app's own page."""

import base64

import pytest

from textclf.app.pages import runs_page
from textclf.documents.document import Drawing


@pytest.mark.parametrize(
    ("svg", "shown"), [('<svg viewBox="0 0 590.4 216"><text>a &lt;b&gt;</text></svg>', 1), ("", 0)]
)
def test_a_drawing_is_shown_in_a_frame_of_its_own_origin(svg, shown, monkeypatch):
    frames = []
    monkeypatch.setattr(runs_page.st, "iframe", lambda address, **options: frames.append((address, options)))
    runs_page._draw(Drawing(svg, "<i>caption</i>", "what it shows"))
    assert len(frames) == shown
    for address, options in frames:
        kind, _, content = address.partition(",")
        assert kind == "data:text/html;charset=utf-8;base64"  # an address of data has no access to the app
        page = base64.b64decode(content).decode()
        assert svg in page
        assert "&lt;i&gt;caption" in page
        assert "Content-Security-Policy" in page
        assert options == {"height": 358, "alt": "what it shows"}
