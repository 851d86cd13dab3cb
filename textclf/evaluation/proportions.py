"""Proportions with Wilson's 95 % interval, such as the share of right answers."""

from __future__ import annotations

from dataclasses import dataclass

from textclf.documents.wording import MISSING, percent


@dataclass(frozen=True)
class Proportion:
    """A count out of a total, with Wilson's 95 % interval (Wilson 1927)."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        """The share, 0 to 1; none of nothing."""
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the interval; 0 and 1 where there is nothing to go by."""
        if not self.total:
            return 0.0, 1.0
        from statsmodels.stats.proportion import proportion_confint  # with scipy.stats: half a second

        low, high = proportion_confint(self.count, self.total, alpha=0.05, method="wilson")
        return max(0.0, float(low)), min(1.0, float(high))

    def plain(self) -> dict[str, float | int | None]:
        """Return the share as plain values."""
        low, high = self.interval
        return {"count": self.count, "total": self.total, "share": self.value, "low": low, "high": high}

    def __str__(self) -> str:
        """Say the share and its interval, for a person."""
        if self.value is None:
            return MISSING
        low, high = self.interval
        return f"{percent(self.value)} ({percent(low)[:-2]}–{percent(high)})"
