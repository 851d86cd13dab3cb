import io

import numpy as np
import pytest
from PIL import Image

from textclf.documents import plotting


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
