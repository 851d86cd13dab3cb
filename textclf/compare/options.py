"""Options of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from textclf.errors import did_you_mean, listed, refuse_unless

COLUMN_ROLES = tuple(
    ["setup", "draw", "dataset", "size", "score", "metric", "examples", "example", "label", "prediction"]
)
"""What the columns of a table of results may be; `size` is of the training data."""


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
    label_price: float | None = None
    """What a label costs, in the currency of the runs: the labels that a model needs to be as good as one that takes
    none are then priced. None counts no money for labels."""
    note: str | None = None
    """A sentence for the report, such as what was to be expected."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no comparison."""
        refuse_unless(
            (0 < self.alpha < 0.5, f"alpha must lie between 0 and 0.5, got {self.alpha}."),
            (self.margin > 0, f"margin must be greater than 0, got {self.margin}."),
            (
                self.label_price is None or self.label_price > 0,
                f"label_price must be greater than 0, got {self.label_price}; leave it out where labels cost nothing.",
            ),
        )


@dataclass(frozen=True)
class TableOptions:
    """Options of reading a table of results: what its columns are called, and what it does not say."""

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of columns by role, where they are not found by name; several are joined."""
    metric: str | None = None
    """The metric that is compared; none takes that of the table."""
    lower_is_better: bool = False
    """Whether less of the metric is better; metrics that textclf knows need not say so."""
    test_examples: int | None = None
    """Test examples that every score was computed on, where no column says it."""

    def __post_init__(self) -> None:
        """Refuse roles that no column plays, and numbers that count nothing."""
        unknown = [role for role in self.columns if role not in COLUMN_ROLES]
        refuse_unless(
            (
                not unknown,
                f"--column {unknown[0] if unknown else ''}= names no role of a column; there are "
                f"{listed(COLUMN_ROLES)}.{did_you_mean(unknown[0] if unknown else '', COLUMN_ROLES)}",
            ),
            (
                self.test_examples is None or self.test_examples > 0,
                f"--test-examples must be greater than 0, got {self.test_examples}.",
            ),
        )
