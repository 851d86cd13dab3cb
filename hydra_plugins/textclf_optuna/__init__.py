"""`hydra/sweeper=optuna`: a sweep whose jobs are chosen by Optuna, kept in a storage that it goes on from.

Hydra finds plugins in this namespace only. Its own Optuna sweeper of the 1.3 line needs Optuna 2,
whose storage does not work with the SQLAlchemy that MLflow brings, and the one after it needs a
pre-release of Hydra; so this is a small one on today's Optuna.

Annotations are not postponed here: Hydra runs this file without naming it in sys.modules, where
dataclasses would look for them.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from textclf.errors import ConfigError

if TYPE_CHECKING:
    import optuna

log = logging.getLogger("textclf.sweep")


@dataclass
class OptunaOptions:
    """What can be said about a search."""

    _target_: str = "hydra_plugins.textclf_optuna.OptunaSweeper"
    n_trials: int = 20
    """Trials of this command; a storage that holds some already gets these in addition."""
    n_jobs: int = 1
    """Trials that are chosen and launched together; with a launcher that runs jobs side by side, as many as it runs."""
    direction: str = "maximize"
    """`maximize` or `minimize` the objective."""
    seed: int | None = 1
    """Seed of the sampler."""
    study_name: str = "textclf"
    """Name of the search in its storage."""
    storage: str | None = None
    """An Optuna storage, such as `sqlite:///outputs/search.db`: the same command goes on from what it holds."""
    params: dict[str, str] = field(default_factory=dict)
    """The search space, in Hydra's words: `interval(1e-5, 1e-3)`, `tag(log, interval(…))`, `choice(…)`, `range(…)`."""


class OptunaSweeper(Sweeper):
    """Asks Optuna for the jobs, and tells it what came of them. A failed or undefined job counts as failed trial."""

    def __init__(self, **options: Any) -> None:
        self.options = OptunaOptions(**options)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Prepare the launcher."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials, the command line's own values before those of the search space."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        space, fixed = search_space(self.options.params, arguments)
        assert self.launcher is not None
        if self.options.direction not in ("maximize", "minimize"):
            raise ConfigError(f"hydra.sweeper.direction must be maximize or minimize, got {self.options.direction!r}.")
        study = optuna.create_study(
            study_name=self.options.study_name,
            storage=self._storage(),
            direction="maximize" if self.options.direction == "maximize" else "minimize",
            sampler=self._sampler(),
            load_if_exists=True,
        )
        before = len(study.trials)
        if before:
            print(f"resuming after {before} trials in {self.options.storage}", flush=True)
            study.sampler = self._sampler(before)  # the same seed would propose the same points again
        done = 0
        while done < self.options.n_trials:
            trials = [study.ask(space) for _ in range(min(self.options.n_jobs, self.options.n_trials - done))]
            batch = [[*(f"{key}={value}" for key, value in trial.params.items()), *fixed] for trial in trials]
            self.validate_batch_is_legal(batch)
            returns = self.launcher.launch(batch, initial_job_idx=done)
            for trial, job in zip(trials, returns, strict=True):
                value = job.return_value
                if value is None or not math.isfinite(value):
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(trial, value)
            done += len(trials)
        self._tell_best(study)

    def _storage(self) -> str | None:
        """Return the storage, the folder of a SQLite file made."""
        storage = self.options.storage
        if storage is not None and storage.startswith("sqlite:///"):
            Path(storage.removeprefix("sqlite:///")).absolute().parent.mkdir(parents=True, exist_ok=True)
        return storage

    def _sampler(self, before: int = 0) -> "optuna.samplers.BaseSampler":
        """Return the sampler, another for each number of trials that went before."""
        import optuna

        return optuna.samplers.TPESampler(seed=None if self.options.seed is None else self.options.seed + before)

    def _tell_best(self, study: "optuna.Study") -> None:
        """Print the best trial of the search, all commands on its storage taken together."""
        import optuna

        scored = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        if not scored:
            print("\nno trial of the search ended with a score")
            return
        best = " ".join(f"{key}={value}" for key, value in study.best_params.items())
        print(f"\nbest of {len(scored)} trials with a score: {study.best_value:.4f} on validation, with\n  {best}")
        print("That score is flattered by the choice. Add seed=1,2,3,4,5 to these options to see what they are worth.")


def search_space(
    params: Mapping[str, str], arguments: Sequence[str]
) -> "tuple[dict[str, optuna.distributions.BaseDistribution], list[str]]":
    """Return the search space and the overrides that are the same in every trial.

    Args:
        params: The search space of the config.
        arguments: The command line's overrides, which have the last word.
    """
    parser = OverridesParser.create()
    parsed = parser.parse_overrides([*(f"{key}={value}" for key, value in params.items()), *arguments])
    given = {override.get_key_element(): override for override in parsed}
    space = {key: _distribution(override) for key, override in given.items() if override.is_sweep_override()}
    return space, [override.input_line or "" for override in given.values() if not override.is_sweep_override()]


def _distribution(override: Override) -> "optuna.distributions.BaseDistribution":
    """Return Optuna's distribution for a sweep in Hydra's words."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        log_scale = "log" in value.tags
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=log_scale)
        return FloatDistribution(float(value.start), float(value.end), log=log_scale)
    if isinstance(value, RangeSweep):
        ends = [end for end in (value.start, value.stop, value.step) if isinstance(end, int)]
        if len(ends) == 3:
            return IntDistribution(ends[0], ends[1] - 1, step=ends[2])
    return CategoricalDistribution([str(choice) for choice in override.sweep_iterator(transformer=Transformer.encode)])


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaOptions, provider="textclf")
