import io

import numpy as np
import pytest
from PIL import Image

from textclf.reporting import figure


@pytest.mark.parametrize("open_figure", [figure.figure, lambda path: figure.stacked_figure(path, (2.0, 1.0))])
def test_a_picture_is_the_one_that_savefig_would_write(open_figure, tmp_path, monkeypatch):
    expected = io.BytesIO()
    write = figure._write

    def both(canvas, path):
        write(canvas, path)
        canvas.figure.savefig(expected, dpi=figure.DPI)

    monkeypatch.setattr(figure, "_write", both)
    with open_figure(tmp_path / "a.png") as plots:
        axes = plots[0] if isinstance(plots, list) else plots
        axes.plot([0, 1, 2], [3, 1, 2], label="a line")
        axes.set(title="a title", ylabel="left")
        figure.legend_below(axes, 1)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.info["dpi"][0] == pytest.approx(figure.DPI, abs=0.1)
        assert picture.mode == "RGB"
        drawn = np.asarray(picture)
    assert drawn.std() > 5  # there is something to see
    np.testing.assert_array_equal(drawn, np.asarray(Image.open(expected).convert("RGB")))
