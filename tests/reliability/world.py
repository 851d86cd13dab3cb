"""The small runs that the tests of reliability kill: their data, their commands, and what a child calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.conftest import make_tiny_bert, sentences, write_jsonl

RUN = "tests.reliability.child:command"
FAST = ("analysis.attributions=1", "analysis.attributed_words=4")
TRAINING = (
    "model=transformer", "model.name=tiny", "model.max_length=16", "trainer.epochs=2", "trainer.batch_size=8",
    "trainer.learning_rate=3e-3", "trainer.precision=fp32", "trainer.log_every=1", "trainer.checkpoint_every='2'",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A folder with data and a tiny checkpoint."""

    folder: Path

    @property
    def train(self) -> Path:
        return self.folder / "reviews.jsonl"

    def data(self) -> list[str]:
        """Return the overrides that name the data."""
        return ["dataset=files", f"dataset.train={self.train}", "dataset.name=small"]

    def classical(self, *more: str, tracker: str = "none") -> list[str]:
        """Return the overrides of a run that scikit-learn fits, and that draws from its seed."""
        return [*self.data(), "model=naive_bayes", "model.imbalance=oversample", f"tracker={tracker}", *FAST, *more]

    def transformer(self, engine: str, *more: str, tracker: str = "none") -> list[str]:
        """Return the overrides of a run that an engine trains, with a checkpoint every other step."""
        checkpoint = f"model.checkpoint={self.folder / 'tiny-bert'}"
        return [*self.data(), f"trainer={engine}", *TRAINING, checkpoint, f"tracker={tracker}", *FAST, *more]


def make_world(folder: Path, rows: int = 60) -> World:
    """Write the data and the checkpoint."""
    distinct = [
        {"text": f"{row['text']} number {number}", "label": row["label"]} for number, row in enumerate(sentences(rows))
    ]
    write_jsonl(folder / "reviews.jsonl", distinct)
    make_tiny_bert(folder / "tiny-bert")
    return World(folder)
