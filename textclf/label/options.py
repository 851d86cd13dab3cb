"""Options of suggesting labels: which texts of a file, and which labels there are to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from textclf.errors import refuse_unless


@dataclass(frozen=True)
class LabelOptions:
    """What labels are suggested for, and what is written."""

    most: int | None = None
    """Texts that are written, the least certain of all; none writes every text."""
    sample: int | None = None
    """Texts that are looked at, drawn at random; none looks at every text."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels to choose from, with what each means in words; an empty text leaves it to the name. With a run they are
    offered to people beside its own."""
    several: bool = False
    """Whether a text may have several labels at once, or none; a run knows that itself."""
    labelled: tuple[str, ...] = ()
    """Files with texts that people have labelled: these are left out."""
    label_column: str | None = None
    """The column of the input that holds labels by people; rows with one are left out. None: no row has one."""

    def __post_init__(self) -> None:
        """Refuse what cannot be right."""
        refuse_unless(
            (self.most is None or self.most >= 1, f"--most must be at least 1, got {self.most}."),
            (self.sample is None or self.sample >= 1, f"--sample must be at least 1, got {self.sample}."),
        )
