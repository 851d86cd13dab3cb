"""Statistical tests of scores over draws, where nothing is known of single test examples.

A draw is one sample of training examples, or one seed. Setups that were trained on the same draws make pairs, one a
draw, and Student's t of their differences allows for other draws. It says nothing of other test examples: the test set
was the same each time. Where its size n is known and the score is an accuracy, an upper limit of what it adds is known
too. For setups that err independently of each other the difference of accuracies p and q has the variance

    (p (1 - p) + q (1 - q)) / n

over draws of the test examples, and it has less where both find the same examples hard, as setups do. So the test that
adds it to the variance over draws is careful: it claims less than the predictions themselves would show.

Where draws are not shared, the setups' own variances over draws add up. Folds of a cross-validation share training
examples, so their scores vary less than other samples would make them; the variance of their mean is raised by the
ratio of test to training examples (Nadeau & Bengio 2003).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textclf.compare.statistics import Estimates

Floats = NDArray[np.float64]

MOST_DRAWS = 1000
"""More draws than this are not worth naming."""


@dataclass(frozen=True)
class DrawTest:
    """A difference of two setups with the parts of its error."""

    difference: float
    """First minus second, over draws."""
    spread: float
    """Variance of one draw's difference (shared draws), or of the difference of one draw each."""
    draws: float
    """Draws that the mean is of; of two numbers the one that gives the same error."""
    freedom: float
    """Degrees of freedom of the spread."""
    examples: float
    """Variance over draws of the test examples, at most; 0 where it is not known."""
    num_examples: int
    folds: bool = False
    """Whether the draws are folds of a cross-validation."""
    shared: bool = True

    def estimate(self, draws: Floats | None = None) -> Estimates:
        """Return the difference with its error; as it would be with other numbers of draws, where they are given."""
        count = np.array([self.draws], dtype=np.float64) if draws is None else draws
        freedom = self.freedom * (count - 1) / (self.draws - 1) if self.draws > 1 else np.ones_like(count)
        part = self.spread * _share_of_mean(count, self.shared and not self.examples, self.folds)
        total = part + self.examples
        every = total**2 / (part**2 / freedom + self.examples**2 / max(self.num_examples - 1, 1))
        return Estimates(np.full_like(count, self.difference), np.sqrt(total), every, part / total)

    def needed_draws(self, alpha: float) -> int | None:
        """Return how many draws would show a difference of this size 8 times in 10; none where `MOST_DRAWS` would not.

        Args:
            alpha: The level of the test.
        """
        if self.folds or not self.difference or self.draws >= MOST_DRAWS:
            return None
        counts = np.unique(np.geomspace(np.ceil(self.draws), MOST_DRAWS, 40).round())
        shown = self._shows(counts, alpha)
        if not shown.any():
            return None
        first = int(np.argmax(shown))
        between = np.arange(counts[max(first - 1, 0)], counts[first] + 1)
        return int(between[np.argmax(self._shows(between, alpha))])

    def _shows(self, counts: Floats, alpha: float) -> NDArray[np.bool_]:
        """Return whether each number of draws would show a difference of this size, bool (counts,)."""
        return self.estimate(counts).smallest_detectable(alpha) <= abs(self.difference)


def _share_of_mean(draws: Floats, exact: bool, folds: bool) -> Floats:
    """Return the factor that makes the variance of a mean of that of a draw.

    Where another variance is added, or two of them, dividing by one draw less corrects for few draws, as in
    `statistics.Scores.seed_variances`. The differences of shared draws alone need no correction: their t is exact.
    """
    if folds:
        return 1 / draws + 1 / np.maximum(draws - 1, 1)
    return 1 / draws if exact else 1 / np.maximum(draws - 1, 1)


def shared_draws(
    first: Floats, second: Floats, unit: float, examples: float = 0.0, num_examples: int = 1, folds: bool = False
) -> DrawTest:
    """Test two setups on the same draws.

    Args:
        first: The first one's score on each draw, float64 (k,), k at least 2.
        second: The second's, in the same order.
        unit: The last digit that scores were written with, below which they do not tell each other apart.
        examples: What `error_of_test` gives; 0 for a test that is about these very test examples.
        num_examples: Test examples; 1 where it is not known.
        folds: Whether the draws are folds of a cross-validation.
    """
    gaps = first - second
    spread = max(float(gaps.var(ddof=1)), unit**2 / 6)  # that of two rounding errors
    return DrawTest(float(gaps.mean()), spread, len(gaps), len(gaps) - 1, examples, num_examples, folds)


def separate_draws(
    first: Floats, second: Floats, unit: float, examples: float = 0.0, num_examples: int = 1
) -> DrawTest:
    """Test two setups on draws of their own; arguments as of `shared_draws`."""
    counts = np.array([len(first), len(second)])
    variances = np.array([max(float(scores.var(ddof=1)), unit**2 / 12) for scores in (first, second)])
    parts = variances / (counts - 1)
    freedom = parts.sum() ** 2 / (parts**2 / (counts - 1)).sum()
    draws = float(2 / (1 / (counts - 1)).sum() + 1)
    spread = float(parts.sum() * (draws - 1))
    gap = float(first.mean() - second.mean())
    return DrawTest(gap, spread, draws, float(freedom), examples, num_examples, shared=False)


def error_of_test(first: float, second: float, num_examples: int) -> float:
    """Return the most that the variance over draws of test examples may be, of the difference of two accuracies."""
    return max((first * (1 - first) + second * (1 - second)) / num_examples, 1 / num_examples**2)


def error_of_score(scores: Floats, unit: float, num_examples: int | None) -> Estimates:
    """Return a setup's mean score with its error over draws and, where their number is given, test examples.

    Args:
        scores: Its score on each draw, float64 (k,), k at least 2 or the number of examples given.
        unit: The last digit that scores were written with.
        num_examples: Test examples of an accuracy; none where they cannot be allowed for.
    """
    mean, draws = float(scores.mean()), len(scores)
    spread = max(float(scores.var(ddof=1)), unit**2 / 12) if draws > 1 else 0.0
    examples = max(mean * (1 - mean) / num_examples, 1 / num_examples**2) if num_examples else 0.0
    return DrawTest(mean, spread, draws, max(draws - 1, 1), examples, num_examples or 1).estimate()
