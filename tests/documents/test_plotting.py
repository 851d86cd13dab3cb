import io
import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager
from PIL import Image

from textclf.documents import plotting

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
