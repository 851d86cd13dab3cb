"""Options of an audit."""

from __future__ import annotations

from dataclasses import dataclass

from textclf.errors import refuse_unless


@dataclass(frozen=True)
class AuditOptions:
    """Options of a full audit."""

    near_threshold: float = 0.7
    """Share of their pieces, 0 to 1, that near duplicates have in common."""
    most_near_texts: int = 2_000_000
    """Different texts above which near duplicates are not looked for; about 0.2 ms and 4 kB each."""
    language_sample: int = 2_000
    """Texts of each split whose language is told."""
    token_sample: int = 2_000
    """Texts of each split that are cut into tokens."""
    label_error_sample: int = 50_000
    """Examples, of all splits together, that are searched for wrong labels."""
    label_errors: bool = True
    """Search for wrong labels."""
    max_length: int | None = None
    """Tokens that the model keeps of a text; none where no tokenizer is given."""
    seed: int = 1
    """Seed of the samples and the folds."""

    def __post_init__(self) -> None:
        """Refuse samples of nothing."""
        refuse_unless(
            (0 < self.near_threshold <= 1, f"near_threshold must lie in (0, 1], got {self.near_threshold}."),
            *(
                (getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
                for name in ("most_near_texts", "language_sample", "token_sample", "label_error_sample")
            ),
        )
