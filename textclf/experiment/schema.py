"""The options of every group, known to Hydra before a config is composed.

A YAML in `conf/model` begins with `defaults: [transformer]` and says what differs; types, names
and defaults come from the dataclass. So every option can be overridden on the command line,
`--cfg job` shows all of them, and a wrong one is refused before the first job of a sweep. The
modules imported here hold options only and are cheap; the work is imported when it starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from textclf.compare.options import CompareOptions
from textclf.data.options import FilesDataset, HubDataset
from textclf.evaluation.options import AnalysisOptions
from textclf.models.options import ClassicalModel, TransformerModel
from textclf.tracking.options import MlflowTracker, NullTracker
from textclf.training.options import HFTrainer, TorchTrainer

SCHEMAS: dict[tuple[str, str], type] = {
    ("dataset", "hub"): HubDataset,
    ("dataset", "files"): FilesDataset,
    ("model", "transformer"): TransformerModel,
    ("model", "classical"): ClassicalModel,
    ("trainer", "torch_options"): TorchTrainer,
    ("trainer", "hf_options"): HFTrainer,
    ("tracker", "mlflow_options"): MlflowTracker,
    ("tracker", "null_options"): NullTracker,
    ("analysis", "analysis_options"): AnalysisOptions,
    ("compare", "compare_options"): CompareOptions,
}
GROUPS = ("dataset", "model", "trainer", "tracker")


@dataclass
class RunConfig:
    """The whole config of a run."""

    seed: int = 1
    """Seed of initial weights, order of examples and dropout."""
    objective: str = "validation/macro_f1"
    """The validation metric that chooses the best epoch and is returned to a sweeper."""
    experiment: str = "textclf"
    """The MLflow experiment."""
    run_name: str | None = None
    """Name of the run; none makes it from dataset, model and seed."""
    save_classifier: bool = True
    """Keep the fitted classifier in the run folder."""
    resume: bool = False
    """Find the run or sweep that the same command began before, keep what is finished, and go on with the rest."""
    resume_changed: bool = False
    """Resume although code, versions of libraries or machine have changed since; the record then says so."""
    dataset: Any = MISSING
    model: Any = MISSING
    trainer: Any = MISSING
    tracker: Any = MISSING
    analysis: Any = MISSING
    compare: Any = MISSING


def register() -> None:
    """Make the options known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="run_options", node=RunConfig)
    for (group, name), options in SCHEMAS.items():
        node = OmegaConf.structured(options)
        OmegaConf.set_readonly(node, False)  # frozen as an object, open to overrides as a config
        store.store(group=group, name=name, node=node)
