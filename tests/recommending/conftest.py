"""Runs in this process leave pictures of one pixel: drawing takes a third of a small run, and has tests of its own."""

import pytest
from PIL import Image

from textclf.documents import plotting


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(plotting, "_write", lambda canvas, path: Image.new("RGB", (1, 1)).save(path, format="png"))
