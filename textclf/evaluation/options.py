"""Options of the error analysis of a run."""

from __future__ import annotations

from dataclasses import dataclass

from textclf.errors import refuse_unless


@dataclass(frozen=True)
class AnalysisOptions:
    """The error analysis of a trained run: how much of it, and at which levels."""

    bins: int = 15
    """Bins of equal width over the top probability, for the calibration error (15 as in Guo et al. 2017)."""
    mistakes: int = 20
    """The most confident mistakes that are shown with their texts, and the most confused pairs of classes."""
    fewest_examples: int = 30
    """Test examples that a slice needs before a score of it is given."""
    alpha: float = 0.05
    """Chance of wrongly marking any slice as worse than the rest that is accepted, over all slices together."""
    wanted_precision: float | None = 0.95
    """Share of answers, 0 to 1, that are to be right: the threshold for it is sought on validation; none seeks none."""
    wanted_coverage: float | None = 0.9
    """Share of texts, 0 to 1, that are to be answered: likewise."""
    attributions: int = 4
    """Test examples whose words are weighed by leaving each out, half of them mistakes; 0 weighs none."""
    attributed_words: int = 64
    """Words of such an example, from its start, that are left out in turn; each costs a prediction."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no analysis."""
        refuse_unless(
            *(
                (value >= least, f"{option} must be at least {least}, got {value}.")
                for option, value, least in [
                    ("bins", self.bins, 2),
                    ("mistakes", self.mistakes, 0),
                    ("fewest_examples", self.fewest_examples, 2),
                    ("attributions", self.attributions, 0),
                    ("attributed_words", self.attributed_words, 1),
                ]
            ),
            (0 < self.alpha < 0.5, f"alpha must lie between 0 and 0.5, got {self.alpha}."),
            *(
                (value is None or 0 < value < 1, f"{option} must lie between 0 and 1 (or null), got {value}.")
                for option, value in [
                    ("wanted_precision", self.wanted_precision),
                    ("wanted_coverage", self.wanted_coverage),
                ]
            ),
        )
