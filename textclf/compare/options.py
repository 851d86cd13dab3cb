"""Options of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from textclf.errors import refuse_unless


class Claim(Enum):
    """The subject of a verdict: the setups, or single classifiers."""

    auto = "auto"
    """The setups where both of a pair have three seeds or more, else the classifiers."""
    setup = "setup"
    """Trained again with other seeds and tested on other examples, it would still be better."""
    classifier = "classifier"
    """This one trained classifier (of several seeds, the best on validation) is better than that one."""


@dataclass(frozen=True)
class CompareOptions:
    """Options of a comparison of runs."""

    metric: str | None = None
    """The test metric that verdicts are about, such as `accuracy`; none takes the runs' objective."""
    margin: float = 0.01
    """Differences up to this size count as none: setups shown to differ by less are equivalent."""
    alpha: float = 0.05
    """Chance of a false claim that is accepted over all pairs together."""
    claim: Claim = Claim.auto
    """The subject of a verdict: `setup`, `classifier`, or `auto`."""
    reference: str | None = None
    """The setup that the others' score, size and speed are related to; none takes the most accurate."""
    note: str | None = None
    """A sentence for the report, such as what was to be expected."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no comparison."""
        refuse_unless(
            (0 < self.alpha < 0.5, f"alpha must lie between 0 and 0.5, got {self.alpha}."),
            (self.margin > 0, f"margin must be greater than 0, got {self.margin}."),
        )
