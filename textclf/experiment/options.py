"""Options of an experiment: those of the run as a whole, declared here and nowhere else, and those of its groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from textclf.data.options import DatasetOptions
from textclf.documents.escape import is_plain
from textclf.errors import refuse_unless
from textclf.evaluation.options import AnalysisOptions
from textclf.models.options import ModelOptions, TransformerModel
from textclf.system.redact import redacted
from textclf.tracking.options import RUN_EXPERIMENT, NullTracker, TrackerOptions
from textclf.training.options import TorchTrainer, TrainerOptions


class Decides(Enum):
    """The part of a run that an option decides."""

    metrics = "metrics"
    """Its metrics, and so all else."""
    files = "files"
    """Only which files it leaves."""
    nothing = "nothing"
    """Only what it is called, where it is found, and what is said of its price."""


METRICS, FILES, NOTHING = ({"decides": part} for part in Decides)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run as a whole: the config, the experiment, records and reruns all take them from here."""

    seed: int = field(default=1, metadata=METRICS)
    """Seed of initial weights, order of examples and dropout."""
    objective: str = field(default="validation/macro_f1", metadata=METRICS)
    """The validation metric that chooses the best epoch and is returned to a sweeper."""
    experiment: str = field(default=RUN_EXPERIMENT, metadata=NOTHING)
    """The tracker's experiment. Left at its default, MLFLOW_EXPERIMENT_NAME and `mlflow.set_experiment` are heeded."""
    run_name: str | None = field(default=None, metadata=NOTHING)
    """Name of the run; none makes it from dataset, model and seed."""
    price_per_hour: float | None = field(default=None, metadata=NOTHING)
    """What an hour of this machine costs; with it a model that runs here has a price of 1,000 texts too, from the time
    that predicting the test split takes. None counts no money for what runs here."""
    currency: str = field(default="USD", metadata=NOTHING)
    """The currency of prices that are given."""
    save_classifier: bool = field(default=True, metadata=FILES)
    """Keep the fitted classifier in the run folder."""


@dataclass(frozen=True)
class Experiment(RunOptions):
    """All that decides a run."""

    dataset: DatasetOptions = field(metadata=METRICS)
    model: ModelOptions = field(metadata=METRICS)
    trainer: TrainerOptions = field(default_factory=TorchTrainer, metadata=METRICS)
    tracker: TrackerOptions = field(default_factory=NullTracker, metadata=NOTHING)
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions, metadata=FILES)

    def __post_init__(self) -> None:
        """Refuse names that a terminal would obey: they stand in logs, tables and lists of runs."""
        names = {
            "dataset.name": self.dataset.name,
            "model.name": self.model.name,
            "experiment": self.experiment,
            "run_name": self.run_name or "",
        }
        refuse_unless(
            (
                self.price_per_hour is None or self.price_per_hour > 0,
                f"price_per_hour must be above 0, got {self.price_per_hour}; leave it out where an hour costs nothing.",
            ),
            (
                re.fullmatch(r"[A-Z]{3}", self.currency) is not None,
                f"currency must be a code of three capital letters such as USD or EUR, got {self.currency!r}.",
            ),
            *(
                (is_plain(name), f"{option}={name!r}: a name is one line without control characters.")
                for option, name in names.items()
            ),
        )

    @property
    def title(self) -> str:
        """The name of the run, such as `imdb/bert/seed1`."""
        return redacted(self.run_name or f"{self.dataset.display_name}/{self.model.name}/seed{self.seed}")

    @property
    def engine(self) -> str:
        """The engine that trains the model: `torch`, `hf`, or `none` for models that need no trainer."""
        if not isinstance(self.model, TransformerModel):
            return "none"
        return type(self.trainer).__name__.removesuffix("Trainer").lower()


GROUPS = tuple(f.name for f in fields(Experiment) if f.name not in RunOptions.__dataclass_fields__)
"""The groups of options whose choices make an experiment."""


def deciding(config: Mapping[str, Any], *decided: Decides) -> dict[str, Any]:
    """Return the options of a resolved config that decide these parts of a run."""
    return {f.name: config[f.name] for f in fields(Experiment) if f.metadata["decides"] in decided}
