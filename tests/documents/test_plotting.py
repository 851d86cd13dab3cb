import io
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager
from PIL import Image

from textclf.documents import plotting
from textclf.documents.drawing import MOST_MARKS, ON_LIGHT, tell, tell_cells
from textclf.documents.escape import shown

pytestmark = pytest.mark.drawn


@pytest.mark.parametrize("open_figure", [plotting.figure, lambda path: plotting.stacked_figure(path, (2.0, 1.0))])
def test_a_picture_is_the_one_that_savefig_would_write(open_figure, tmp_path, monkeypatch):
    expected = io.BytesIO()
    write = plotting._write

    def both(canvas, path):
        write(canvas, path)
        canvas.figure.savefig(expected, dpi=plotting.DPI)

    monkeypatch.setattr(plotting, "_write", both)
    with open_figure(tmp_path / "a.png") as plots:
        axes = plots[0] if isinstance(plots, list) else plots
        axes.plot([0, 1, 2], [3, 1, 2], label="a line")
        axes.set(title="a title", ylabel="left")
        plotting.legend_below(axes, 1)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.info["dpi"][0] == pytest.approx(plotting.DPI, abs=0.1)
        assert picture.mode == "RGB"
        drawn = np.asarray(picture)
    assert drawn.std() > 5  # there is something to see
    np.testing.assert_array_equal(drawn, np.asarray(Image.open(expected).convert("RGB")))


def test_fonts_that_are_installed_are_asked_in_turn():
    assert plotting.font_families([]) == ["DejaVu Sans"]
    assert plotting.font_families(["SimHei", "Comic Sans", "Noto Sans CJK SC"]) == [
        "DejaVu Sans",
        "Noto Sans CJK SC",
        "SimHei",
    ]


def write_font(path, name, characters):
    """Write a font whose glyphs are all the same block."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 700), (900, 700), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    glyphs = [".notdef", *(f"u{ord(character)}" for character in characters)]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(glyphs)
    font.setupCharacterMap({ord(character): f"u{ord(character)}" for character in characters})
    font.setupGlyf({glyph: pen.glyph() for glyph in glyphs})
    font.setupHorizontalMetrics({glyph: (1000, 100) for glyph in glyphs})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": name, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)


def drawn_with(tmp_path, name):
    with plotting.figure(tmp_path / f"{name}.png") as axes:
        axes.set(title="正面 and 负面")
    return np.asarray(Image.open(tmp_path / f"{name}.png"))


def test_characters_without_a_glyph_are_told_of_once_and_drawn_with_a_font_that_has_them(
    tmp_path, monkeypatch, caplog, recwarn
):
    monkeypatch.setattr(plotting, "_told", set())
    monkeypatch.setattr(plotting, "_installed", lambda: frozenset())
    boxes = drawn_with(tmp_path, "boxes")
    drawn_with(tmp_path, "again")
    assert caplog.text.count("figures show boxes for characters such as") == 1
    write_font(tmp_path / "font.ttf", "Noto Sans CJK SC", "正面负")
    before = list(fontManager.ttflist)
    try:
        fontManager.addfont(tmp_path / "font.ttf")
        monkeypatch.setattr(plotting, "_installed", lambda: frozenset(font.name for font in fontManager.ttflist))
        caplog.clear()
        monkeypatch.setattr(plotting, "_told", set())
        found = drawn_with(tmp_path, "found")
    finally:
        fontManager.ttflist[:] = before
    assert not caplog.text
    assert not [one for one in recwarn if "Glyph" in str(one.message)]
    assert (found != boxes).any()


def test_other_warnings_are_passed_on(tmp_path):
    with pytest.warns(UserWarning, match="something else"), plotting.figure(tmp_path / "a.png"):
        warnings.warn("something else", stacklevel=1)


def test_long_names_are_cut_in_the_middle():
    assert plotting.short("card_payment_fee_charged", 24) == "card_payment_fee_charged"
    assert plotting.short("card_payment_wrong_exchange_rate", 24) == "card_payment…change_rate"
    assert plotting.short("$" * 30, 5) == r"\$\$…\$\$"


def drawn_svg(tmp_path, name="setup", words=("first", "second")):
    with plotting.figure(tmp_path / "a.png") as axes:
        (line,) = axes.plot([0, 1, np.nan], [1, 2, 3], "o-", label=name)
        tell(line, [*words, "nothing is drawn here"], name)
        (other,) = axes.plot([0, 1], [2, 1], label="other")
        tell(other, "other", "other")
        axes.set(title=f"of {name}")
        plotting.legend_below(axes, 2)
    return (tmp_path / "a.svg").read_text(encoding="utf-8")


def elements(svg):
    return [(one.tag.rpartition("}")[2], one) for one in ElementTree.fromstring(svg).iter()]


def test_the_drawing_of_a_picture_tells_what_each_mark_shows(tmp_path):
    found = elements(drawn_svg(tmp_path))
    titles = [one.text for name, one in found if name == "title"]
    assert titles == ["first", "second", "other", "setup", "other"]  # the last two in the legend
    of = [one.get("data-of") for name, one in found if one.get("data-of")]
    assert of == ["0", "1", "0", "0", "1", "1"]  # line, line, then mark and text of each entry of the legend
    texts = [one.text for name, one in found if name == "text"]
    assert "of setup" in texts  # text stays text
    assert not [name for name, _ in found if name in ("style", "metadata", "image", "script")]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "]]>", '"><img src=x onerror=alert(1)>', "</title></svg>", "a\x00\x1bb"]
)
def test_no_name_is_more_than_text_in_a_drawing(name, tmp_path):
    allowed = {"svg", "g", "path", "use", "text", "defs", "clipPath", "rect", "title"}
    svg = drawn_svg(tmp_path, name, (f"of {name}", name))
    found = elements(svg)
    assert {tag for tag, _ in found} <= allowed
    assert not [key for _, one in found for key in one.attrib if key.startswith("on")]
    assert [one.text for tag, one in found if tag == "title"][1] == shown(name)
    assert "<script" not in svg
    assert "<img" not in svg


def test_ids_of_two_drawings_are_not_the_same(tmp_path):
    ids = []
    for name in ("one", "two"):
        own = {one.get("id") for _, one in elements(drawn_svg(tmp_path, name)) if one.get("id")}
        assert own
        ids.append(own)
    assert not ids[0] & ids[1]


def test_ink_and_grid_have_the_colours_of_the_page_and_cells_their_own(tmp_path):
    with plotting.figure(tmp_path / "a.png") as axes:
        tell_cells(axes.imshow([[0.0, 1.0]], cmap="Blues"), lambda row, column: f"cell {column}")
        axes.text(0, 0, "dark", color=ON_LIGHT)
    svg = (tmp_path / "a.svg").read_text()
    assert "currentColor" in svg
    assert "var(--line)" in svg
    assert "#000000" not in svg
    assert f"fill:{ON_LIGHT}" in svg
    assert "<title>cell 0</title>" in svg
    assert "<image" not in svg
    assert "fill:#f7fbff" in svg


def test_a_picture_of_very_many_marks_has_no_drawing(tmp_path):
    def draw(count):
        with plotting.figure(tmp_path / "a.png") as axes:
            tell(axes.plot(range(count), range(count), "o")[0], [str(k) for k in range(count)])

    draw(10)
    assert (tmp_path / "a.svg").exists()
    draw(MOST_MARKS + 1)
    assert not (tmp_path / "a.svg").exists()  # that of the picture before is gone too
    assert (tmp_path / "a.png").exists()


def test_lines_of_a_text_keep_their_alignment_in_any_font(tmp_path):
    with plotting.figure(tmp_path / "a.png") as axes:
        axes.set_yticks([0, 1], ["two\nlines", "one"])
    svg = (tmp_path / "a.svg").read_text()
    assert svg.count('<g style="text-anchor:end"><text') == 2


def test_a_legend_of_long_names_has_fewer_columns_and_stays_within_the_figure(tmp_path):
    with plotting.figure(tmp_path / "a.png") as axes:
        for number in range(3):
            axes.plot([0, 1], label=f"intent_numbe…yment_wrong (AUC 0.80{number})")
        plotting.legend_below(axes, 2)
    (legend,) = axes.figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= axes.figure.bbox.x1
