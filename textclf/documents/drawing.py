"""A figure as inline SVG for pages: its marks tell what they show, and it has the colours and the font of the page.

matplotlib writes the SVG; of that only known elements and attributes are written again, so that no name of a class or
setup can be more than text. A mark that is told of (`tell`) has a `<title>`, which the page's script shows at once.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from markupsafe import escape
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text

from textclf.documents.escape import shown

MOST_MARKS = 2000
"""Marks of a picture; one of more stays a PNG, which is smaller and no slower to look at."""
MOST_CHARACTERS = 400_000
"""Length of a drawing; with ten of them a page stays below 3 MB."""
MOST_ALONG = 24
"""Places of a curve that are told of."""
ON_LIGHT, ON_DARK = "#111111", "#fefefe"
"""Colours of words on a cell, which has its own colour; black and white would turn with the page."""
COLOURS = {
    "#000000": "currentColor", "#222222": "currentColor", "#333333": "currentColor", "#ffffff": "var(--page)",
    "#e6e6e6": "var(--line)", "#cccccc": "var(--line)",
}  # fmt: skip
"""Colours of the styles of plots, and what they are on a page."""
TOLD = "told:"
"""What the id of a mark begins with whose rest says what it shows."""
NUMBER = re.compile(r"-?\d+\.\d+")
PLAIN = re.compile(r"[\w#.,%() +-]*")
ELEMENTS = {"svg", "g", "path", "use", "text", "tspan", "defs", "clipPath", "rect", "image"}
ATTRIBUTES = {"d", "x", "y", "width", "height", "transform", "viewBox"}
STYLES = {
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-dashoffset",
    "stroke-linejoin", "stroke-linecap", "opacity", "font-size", "font-weight", "font-style", "text-anchor",
}  # fmt: skip
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=\s]+")
LINK = "{http://www.w3.org/1999/xlink}href"


def tell(artist: Artist, words: str | Sequence[str], of: str = "") -> None:
    """Say what a mark shows, for readers of a page who point at it.

    Args:
        artist: Anything that is drawn: a bar, a text, a line with markers, a collection.
        words: Of the whole, or of each of its markers or parts in order.
        of: The setup or class that it belongs to: all marks of one stand out together, with the entry of the legend
            whose mark has the same label.
    """
    said: list[str] = [words] if isinstance(words, str) else list(words)
    if isinstance(artist, Line2D) and len(said) > 1:  # points that are no numbers are not drawn
        places = np.column_stack(artist.get_data()).astype(float)
        said = [one for one, place in zip(said, places, strict=True) if np.isfinite(place).all()]
    artist.set_gid(TOLD + json.dumps({"words": said, "of": of}))


def tell_along(axes: Axes, x: Any, y: Any, words: Sequence[str], of: str = "") -> None:
    """Say what a curve shows at places along it, at most `MOST_ALONG` of them; nothing more is seen for that."""
    chosen = np.unique(np.linspace(0, len(words) - 1, min(len(words), MOST_ALONG)).astype(int))
    (points,) = axes.plot(np.asarray(x)[chosen], np.asarray(y)[chosen], "o", color="none", markersize=7)
    told: list[str] = [words[int(k)] for k in chosen]
    tell(points, told, of)


def tell_cells(image: AxesImage, words: Callable[[int, int], str]) -> None:
    """Say what each cell of a matrix shows, by its row and column; of more than `MOST_MARKS` they stay one image."""
    values = image.get_array()
    if values is not None and values.size <= MOST_MARKS:
        cells: list[str] = [words(int(row), int(column)) for row, column in np.ndindex(values.shape)]
        tell(image, cells)


def tell_names(labels: Sequence[Text], names: Sequence[str], of: Sequence[str] = ()) -> None:
    """Say the whole names of labels, which may be cut, and what each belongs to."""
    for number, (label, name) in enumerate(zip(labels, names, strict=False)):
        tell(label, name, of[number] if of else "")


def as_svg(figure: Figure) -> str | None:
    """Return a figure as inline SVG; none where it has too many marks.

    The figure must have been laid out, and is not to be drawn again.
    """
    figure.set_layout_engine("none")
    known = _told_of(figure)
    for image in [one for axes in figure.axes for one in axes.images if one.get_gid() is not None]:
        _into_cells(image)
    _tell_legends(figure, known)
    _keep_alignment(figure)
    written = io.StringIO()
    width, height = figure.get_size_inches() * 72
    dpi, figure.dpi = figure.dpi, 72
    own = _Renderer(width, height, written, image_dpi=round(dpi))
    renderer: Any = MixedModeRenderer(figure, width / 72, height / 72, dpi, own)
    figure.draw(renderer)
    renderer.finalize()
    svg = _Writer(shown(written.getvalue()), width, height).text
    return None if svg.count("<use") + svg.count("<path") > MOST_MARKS or len(svg) > MOST_CHARACTERS else svg


def _content(artist: Artist) -> dict[str, Any]:
    """Return what is told of an artist; nothing where that is nothing."""
    gid = artist.get_gid() or ""
    return json.loads(gid[len(TOLD) :]) if gid.startswith(TOLD) else {}


def _told_of(figure: Figure) -> dict[str, str]:
    """Return what marks belong to, by their label in a legend."""
    found = {}
    for artist in figure.findobj(lambda one: bool(_content(one).get("of"))):
        found.setdefault(str(artist.get_label()), _content(artist)["of"])
        found.setdefault(_content(artist)["of"], _content(artist)["of"])
    return found


def _tell_legends(figure: Figure, known: dict[str, str]) -> None:
    """Let each entry of a legend belong to what its mark does."""
    for legend in figure.findobj(Legend):
        assert isinstance(legend, Legend)
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            of = _content(text).get("of") or known.get(text.get_text())
            if of:
                tell(text, _content(text).get("words", [of])[0], of)
                if handle is not None:
                    tell(handle, [], of)


def _into_cells(image: AxesImage) -> None:
    """Put a square for each cell in the place of an image."""
    values = image.get_array()
    assert values is not None
    assert isinstance(image.axes, Axes)
    rows, columns = np.indices(values.shape).reshape(2, -1) - 0.5
    corners = np.stack([[columns, rows], [columns + 1, rows], [columns + 1, rows + 1], [columns, rows + 1]])
    colours = image.to_rgba(values).reshape(-1, 4)
    cells = PolyCollection(
        list(corners.transpose(2, 0, 1)), facecolors=colours, edgecolors=colours, linewidths=0.3, zorder=0
    )
    cells.set_gid(image.get_gid())
    image.set_visible(False)
    image.axes.add_collection(cells, autolim=False)


def _keep_alignment(figure: Figure) -> None:
    """Note how texts of several lines are aligned: matplotlib would place each line by the width in its own font."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        align = text._multialignment or text.get_horizontalalignment()  # type: ignore[attr-defined]
        if "\n" in text.get_text() and align in ("center", "right"):
            text.set_gid(TOLD + json.dumps({**_content(text), "align": align}))


class _Renderer(RendererSVG):
    """matplotlib's renderer, which also aligns the lines of a text whatever the font."""

    align = ""

    def open_group(self, s: str, gid: str | None = None) -> None:
        """Begin a group, and learn from its id how it is aligned."""
        self.align = json.loads(gid[len(TOLD) :]).get("align", "") if gid and gid.startswith(TOLD) else ""
        super().open_group(s, gid)

    def draw_text(self, gc, x, y, s, prop, angle, ismath=False, mtext=None):
        """Write a text; a line of several is anchored as the whole is aligned."""
        if mtext is None and self.align and not angle and not ismath:
            width = self.get_text_width_height_descent(s, prop, ismath)[0]
            anchor, shift = ("middle", width / 2) if self.align == "center" else ("end", width)
            self.writer.start("g", style=f"text-anchor: {anchor}")
            super().draw_text(gc, x + shift, y, s, prop, angle, ismath, None)
            self.writer.end("g")
        else:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)


class _Writer:
    """Writes what is known of matplotlib's SVG, and nothing else."""

    def __init__(self, written: str, width: float, height: float):
        """Write a drawing, whose text is then there."""
        root = ElementTree.fromstring(written)
        self.prefix = f"p{hashlib.sha256(written.encode()).hexdigest()[:8]}"
        """What ids begin with: those of another drawing of the page are others."""
        self.ids: dict[str, str] = {}
        self.series: dict[str, int] = {}
        inner = "".join(self._element(child) for child in root)
        self.text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" fill="currentColor" '
            f'stroke-linejoin="round" style="--width:{width:.0f}">{inner}</svg>'
        )

    def _element(self, element: ElementTree.Element, words: Iterator[str] | None = None, marks: str = "") -> str:
        """Return an element as text.

        Args:
            element: One of matplotlib's.
            words: What the marks below it show, in turn.
            marks: The element that is a mark of those.
        """
        name = element.tag.rpartition("}")[2]
        if name not in ELEMENTS or element.get("id") == "patch_1":  # the paper
            return ""
        extra, title = "", ""
        gid = element.get("id", "")
        if gid.startswith(TOLD):
            content = json.loads(gid[len(TOLD) :])
            said = content.get("words", [])
            if content.get("of"):
                extra += f' data-of="{self.series.setdefault(content["of"], len(self.series))}"'
            kinds = [one.tag.rpartition("}")[2] for one in _marks(element)]
            marks = "use" if "use" in kinds else "path"
            if len(said) > 1 and kinds.count(marks) == len(said):
                words = iter(said)
            elif len(said) == 1:
                extra, title = f'{extra} class="mark" role="img"', _title(said[0])
        elif gid and name in ("path", "clipPath"):
            extra += f' id="{self._id(gid)}"'
        if name == marks and words is not None and (said := next(words, "")):
            extra, title = f'{extra} class="mark" role="img"', _title(said)
        inside = None if name == "defs" else words
        inner = "".join(self._element(child, inside, marks) for child in element)
        inner += str(escape(element.text)) if name in ("text", "tspan") and element.text else ""
        if name in ("g", "defs") and not inner:
            return ""
        if name == "g" and not extra and not (attributes := self._attributes(element)):
            return inner
        attributes = self._attributes(element)
        return (
            f"<{name}{attributes}{extra}>{title}{inner}</{name}>" if title or inner else f"<{name}{attributes}{extra}/>"
        )

    def _id(self, given: str) -> str:
        return self.ids.setdefault(given, f"{self.prefix}-{len(self.ids)}")

    def _attributes(self, element: ElementTree.Element) -> str:
        """Return the attributes of an element that are known, numbers rounded to a hundredth of a point."""
        found = []
        for key, value in element.attrib.items():
            if key == "transform" and value.startswith("rotate(-0 "):
                continue
            if key in ATTRIBUTES:
                found.append((key, NUMBER.sub(_rounded, " ".join(value.split()))))
            elif key == "style":
                found.append((key, _style(value)))
            elif key == "clip-path" and (match := re.fullmatch(r"url\(#(\w+)\)", value)):
                found.append((key, f"url(#{self._id(match[1])})"))
            elif key == LINK and value.startswith("#"):
                found.append(("href", f"#{self._id(value[1:])}"))
            elif key == LINK and PICTURE.fullmatch(value):
                found.append(("href", value))
        return "".join(f' {key}="{escape(value)}"' for key, value in found if value)


def _marks(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the elements at or below one that are drawn."""
    for child in element:
        name = child.tag.rpartition("}")[2]
        if name != "defs":
            yield child
            yield from _marks(child)


def _style(given: str) -> str:
    """Return the styles that are known, in the page's colours."""
    found = []
    for part in given.split(";"):
        key, _, value = (text.strip() for text in part.partition(":"))
        if key not in STYLES or not PLAIN.fullmatch(value):
            continue
        found.append(f"{key}:{COLOURS.get(value, NUMBER.sub(_rounded, value))}")
    return ";".join(found)


def _title(words: str) -> str:
    return f"<title>{escape(shown(words))}</title>"


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
