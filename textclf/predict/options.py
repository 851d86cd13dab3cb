"""Options of predictions: thresholds, and what is written of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textclf.errors import ConfigError, did_you_mean, listed, refuse_unless

if TYPE_CHECKING:
    from textclf.models.base import Classifier
    from textclf.models.saved import Description


@dataclass(frozen=True)
class PredictOptions:
    """What is written of each prediction."""

    threshold: float | None = None
    """The probability, 0 to 1, below which the label is `abstain`; none always takes a class. Of sets of labels the one
    from which on a label is given, in place of the classifier's own; none takes these."""
    label_thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds of single labels of sets, by name, in place of the classifier's own."""
    long: bool = False
    """Write a row for each text and class or label, with the columns label, probability and given."""
    top_k: int | None = None
    """Give only so many of the most probable classes, as label_1, score_1, …; none gives every class's probability."""
    prefix: str = ""
    """What the names of the added columns begin with."""
    keep_bad_rows: bool = False
    """Keep rows that cannot be predicted, with no label and the reason in the column `error`; else the first one
    stops the work."""

    def thresholds_for(self, classifier: Classifier | Description) -> tuple[float, ...] | None:
        """Return the probability of each label from which on it is given; none of classes.

        Raises:
            ConfigError: If a threshold is asked for a label that there is not, or of single classes.
        """
        names = classifier.label_names
        if classifier.thresholds is None:
            if self.label_thresholds:
                raise ConfigError(
                    "--label-threshold is for sets of labels, and this run gives each text one class. With "
                    "--threshold T the label is abstain where no class reaches T."
                )
            return None
        if unknown := [name for name in self.label_thresholds if name not in names]:
            raise ConfigError(
                f"--label-threshold {unknown[0]}: there is no such label; there are {listed(names)}."
                f"{did_you_mean(unknown[0], names)}"
            )
        own = classifier.thresholds if self.threshold is None else (self.threshold,) * len(names)
        return tuple(self.label_thresholds.get(name, value) for name, value in zip(names, own, strict=True))

    def __post_init__(self) -> None:
        """Refuse what cannot be right."""
        refuse_unless(
            (self.top_k is None or self.top_k >= 1, f"--top-k must be at least 1, got {self.top_k}."),
            (
                not (self.long and self.top_k is not None),
                "--long writes every label in a row of its own, and --top-k the first few beside each other; give one.",
            ),
            *(
                (0 <= value <= 1, f"--label-threshold {name}={value}: a threshold is a probability, from 0 to 1.")
                for name, value in self.label_thresholds.items()
            ),
        )

    def column_names(self, label_names: Sequence[str], has_sets: bool = False) -> list[str]:
        """Return what the added columns are called, before they meet those of an input."""
        if self.long:
            return ["label", "probability", "given", *(["error"] if self.keep_bad_rows else [])]
        if self.top_k is None:
            further = [f"probability_{name}" for name in label_names]
        else:
            ranks = range(1, min(self.top_k, len(label_names)) + 1)
            further = [name for rank in ranks for name in (f"label_{rank}", f"score_{rank}")]
        own = ["labels"] if has_sets else ["label", "score"]
        return [*own, *further, *(["error"] if self.keep_bad_rows else [])]
