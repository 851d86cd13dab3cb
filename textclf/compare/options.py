"""What can be said about a comparison, in a config or on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from textclf.errors import refuse_unless


class Claim(Enum):
    """What a difference is claimed of."""

    auto = "auto"
    """Recipes where both systems of a pair have three seeds or more, else checkpoints."""
    recipe = "recipe"
    """Trained again with other seeds and tested on other examples, it would still be better."""
    checkpoint = "checkpoint"
    """This one trained classifier (of several seeds, the best on validation) is better than that one."""


@dataclass(frozen=True)
class CompareOptions:
    """How the runs of a sweep are compared."""

    metric: str | None = None
    """The test metric that verdicts are about, such as `accuracy`; none takes the runs' objective."""
    margin: float = 0.01
    """Differences up to this size are as good as none: systems proven to lie within it are equivalent."""
    alpha: float = 0.05
    """Chance of a false claim that is accepted over all pairs together."""
    claim: Claim = Claim.auto
    """What a difference is claimed of: `recipe`, `checkpoint`, or `auto`."""
    reference: str | None = None
    """A system to show the others' score, size and speed in relation to; none takes the most accurate."""
    note: str | None = None
    """A sentence for the report, such as what was to be expected."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no comparison."""
        refuse_unless(
            (0 < self.alpha < 0.5, f"alpha must lie between 0 and 0.5, got {self.alpha}."),
            (self.margin > 0, f"margin must be greater than 0, got {self.margin}."),
        )
