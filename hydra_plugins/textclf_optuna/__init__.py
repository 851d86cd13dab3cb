"""`hydra/sweeper=optuna`: a sweep whose jobs are chosen by Optuna, kept in a storage that it goes on from.

Hydra finds plugins in this namespace only. Its own Optuna sweeper of the 1.3 line needs Optuna 2,
whose storage does not work with the SQLAlchemy that MLflow brings, and the one after it needs a
pre-release of Hydra; so this is a small one on today's Optuna.

Annotations are not postponed here: Hydra runs this file without naming it in sys.modules, where
dataclasses would look for them.
"""

import math
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from textclf.evaluation.metric_names import higher_is_better, metric_label

if TYPE_CHECKING:
    import optuna

    from textclf.experiment.sweep.search import Search


@dataclass
class OptunaOptions:
    """What can be said about a search."""

    _target_: str = "hydra_plugins.textclf_optuna.OptunaSweeper"
    n_trials: int = 20
    """Trials of this command; a storage that holds some already gets these in addition."""
    n_jobs: int = 1
    """Trials that are chosen and launched together; with a launcher that runs jobs side by side, as many as it runs."""
    direction: str | None = None
    """`maximize` or `minimize`; none takes the objective's own, and any other is refused."""
    seed: int | None = 1
    """Seed of the sampler."""
    study_name: str | None = None
    """Name of the search in its storage; none makes one of all that decides the value of a trial, so that no search
    goes on from the trials of another."""
    storage: str | None = None
    """An Optuna storage, such as `sqlite:///outputs/search.db`: the same command goes on from what it holds.
    `%study_name%` in it stands for the name of the search."""
    params: dict[str, str] = field(default_factory=dict)
    """The search space, in Hydra's words: `interval(1e-5, 1e-3)`, `tag(log, interval(…))`, `choice(…)`, `range(…)`.
    `seed: 1,2,3` is no part of it: every trial then runs with each of these seeds, and their mean is its value."""


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

        from textclf.experiment.sweep.search import open_study, planned_search, storage_of

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        assert self.launcher is not None
        assert self.config is not None
        search = planned_search(self.config)
        storage = storage_of(self.options.storage, search.name)
        study = open_study(search, storage, self._sampler())
        before = len(study.trials)
        if before:
            print(f"resuming after {before} trials in {storage}", flush=True)
            study.sampler = self._sampler(before)  # the same seed would propose the same points again
        done = 0
        while done < self.options.n_trials:
            trials = [
                study.ask(search.space.ranges) for _ in range(min(self.options.n_jobs, self.options.n_trials - done))
            ]
            batch = [job for trial in trials for job in search.jobs(trial.params)]
            self.validate_batch_is_legal(batch)
            returns = self.launcher.launch(batch, initial_job_idx=done * search.jobs_per_trial)
            for number, trial in enumerate(trials):
                own = returns[number * search.jobs_per_trial : (number + 1) * search.jobs_per_trial]
                values = [job.return_value for job in own]
                if all(value is not None and math.isfinite(value) for value in values):
                    study.tell(trial, fmean(values))
                else:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
            done += len(trials)
        _tell_best(study, search, bool(self.config.dataset.get("folds")))

    def _sampler(self, before: int = 0) -> "optuna.samplers.BaseSampler":
        """Return the sampler, another for each number of trials that went before."""
        import optuna

        return optuna.samplers.TPESampler(seed=None if self.options.seed is None else self.options.seed + before)


def _tell_best(study: "optuna.Study", search: "Search", is_folded: bool) -> None:
    """Print the best trial of the search, all commands on its storage taken together."""
    import optuna

    scored = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    if not scored:
        print("\nno trial of the search ended with a score")
        return
    metric = metric_label(search.objective.rpartition("/")[2])
    what = f"{metric} on validation" + ("" if higher_is_better(search.objective) else ", less is better")
    if is_folded:
        what += ", a slice of each fold's own training part"
    if len(search.space.seeds) > 1:
        what += f", mean of the seeds {', '.join(search.space.seeds)}"
    best = " ".join(f"{key}={value}" for key, value in study.best_params.items())
    print(f"\nbest of {len(scored)} trials with a score ({what}): {study.best_value:.4f}, with\n  {best}")
    print("That score is flattered by the choice. Add seed=1,2,3,4,5 to these options to see what they are worth.")


ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaOptions, provider="textclf")
