"""The columns that hold the texts of an example."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TextColumns:
    """The columns that hold the texts: what a person asks for, what was found, or what a classifier was trained on."""

    text: str | None = None
    """The texts, or the first texts of pairs; none looks for a usual name."""
    text_pair: str | None = None
    """The second texts of pairs; none looks for a usual name where pairs are wanted."""
    title: str | None = None
    """Titles, put in front of the texts on a line of their own."""


UNNAMED = TextColumns()
"""No columns are named."""
