"""Find a run: by folder, MLflow id, registered model, as the latest or the best on a dataset, or as done before."""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textclf.data.text_columns import TextColumns
from textclf.errors import ArtifactError, did_you_mean, listed
from textclf.evaluation.metric_names import direction
from textclf.models.families import load_classifier as load_from_folder
from textclf.models.saved import DESCRIPTION
from textclf.system.files import MANIFEST_FILE, files_below, manifest_problem
from textclf.tracking.lease import at_work
from textclf.tracking.record import (
    CLASSIFIER,
    RUN_FILE,
    STARTED_FILE,
    RunRecord,
    has_manifest,
    read_record,
    refuse_changed,
    run_folders,
)
from textclf.tracking.run_folder import NOT_VOUCHED_FOR
from textclf.tracking.run_start import RunStart, differences, read_started, write_started

if TYPE_CHECKING:
    from textclf.models.base import Classifier  # with numpy, which the command line can do without

log = logging.getLogger(__name__)

LATEST = "latest"
BEST = "best:"
MODELS = "models:/"
OUTPUTS = Path("outputs")
"""Where runs are looked for."""
RUN_HELP = "a run folder, an MLflow run id, models:/NAME@ALIAS, latest, or best:DATASET"
"""What the commands say that a run may be given as."""
_MLFLOW_RUN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class RunReference:
    """A fitted classifier on disk, and the run that it came of."""

    said: str
    """What the person typed."""
    classifier: Path
    """The folder with the classifier."""
    folder: Path | None = None
    """The run folder; none of a classifier that was exported or copied out of its run."""
    record: RunRecord | None = None
    """What the run folder says of the run."""

    def load(self) -> Classifier:
        """Read the classifier.

        Raises:
            ArtifactError: If it is damaged.
        """
        classifier = load_from_folder(self.classifier)
        if classifier.has_pairs is None and self.record is not None:
            classifier.has_pairs = self.record.data.get("pairs")
        if classifier.columns.text is None:
            classifier.columns = self.trained_on
        return classifier

    @property
    def described(self) -> str | None:
        """Which run answers to a name such as `latest`, for a person; nothing where the folder itself was named."""
        if self.record is None or Path(self.said).is_dir():
            return None
        record = self.record
        shown = dict.fromkeys((record.objective, "test/accuracy", "test/micro_f1", "test/subset_accuracy"))
        scores = [f"{name} {record.metrics[name]:.3f}" for name in shown if name in record.metrics]
        when = record.started[:16].replace("T", " ")
        return f"{self.said} is {record.name}: {', '.join([*scores, f'run on {when}'])} ({self.folder})"

    @property
    def trained_on(self) -> TextColumns:
        """The columns that the run was asked to read; none are named where there is no record."""
        asked = self.record.config.get("dataset", {}) if self.record is not None else {}
        return TextColumns(asked.get("text_column"), asked.get("text_pair_column"), asked.get("title_column"))


def load_classifier(run: str | Path) -> Classifier:
    """Read a saved classifier of any family.

    Args:
        run: A run folder, the folder of a saved or exported classifier, an MLflow run id, `models:/NAME@ALIAS`,
            `latest`, or `best:DATASET`.

    Raises:
        ArtifactError: If there is no such run, or it holds no classifier, or one that is damaged.
    """
    return resolve_run(run).load()


def resolve_run(reference: str | Path, outputs: Path = OUTPUTS, tracking_uri: str | None = None) -> RunReference:
    """Find the run, and its classifier, that a person means.

    Args:
        reference: A run folder, the folder of a saved or exported classifier, an MLflow run id, `models:/NAME@ALIAS`
            (or `models:/NAME/VERSION`), `latest`: the run that was started last, or `best:DATASET`: the run whose
            validation score is best.
        outputs: Where `latest` and `best:DATASET` look.
        tracking_uri: MLflow's store or server; none takes MLFLOW_TRACKING_URI, else the local store.

    Raises:
        ArtifactError: If there is no such run, it holds no classifier, or its record or its classifier is not as the
            run left it.
    """
    said = str(reference)
    if Path(said).is_dir():
        return _at(said, Path(said))
    if said == LATEST:
        return _at(said, _latest(outputs))
    if said.startswith(BEST):
        return _at(said, _best(said.removeprefix(BEST), outputs))
    if said.startswith(MODELS) or _MLFLOW_RUN.fullmatch(said):
        from textclf.tracking.mlflow.store import model_folder, run_folder

        find = model_folder if said.startswith(MODELS) else run_folder
        return _at(said, find(said, tracking_uri))
    raise ArtifactError(
        f"There is no run {said!r}: it is neither a folder nor an MLflow run id. A run is named as {RUN_HELP}."
        f"{did_you_mean(said, [*map(str, run_folders(outputs)), LATEST])}"
    )


def _at(said: str, folder: Path) -> RunReference:
    """Return what a folder holds: a run with its classifier, or a classifier alone."""
    record = read_record(folder) if (folder / RUN_FILE).is_file() else None
    for classifier in (folder, folder / CLASSIFIER):
        if (classifier / DESCRIPTION).is_file():
            return _with_run(said, classifier, folder if record else None, record)
    if record is not None:
        raise ArtifactError(
            f"{said} is a run of {record.model} on {record.dataset} without its classifier: there is no {CLASSIFIER}/ "
            f"in {folder}. It was run with save_classifier=false, or the classifier was not copied; run it again."
        )
    below = run_folders(folder)
    some = f" It holds {len(below):,} runs, such as {below[-1]}." if below else ""
    raise ArtifactError(f"{folder} holds no classifier: there is no {DESCRIPTION} in it.{some}")


def _with_run(said: str, classifier: Path, folder: Path | None, record: RunRecord | None) -> RunReference:
    """Add the run of a classifier's folder that was named itself; its files must be as the run left them."""
    if record is None and (own := run_of(classifier)) is not None:
        folder, record = own, read_record(own)
    if folder is not None:
        refuse_changed(folder, CLASSIFIER)
        if Path(said).is_dir() and not has_manifest(folder):
            log.warning("%s has no manifest.json, so nothing says whether its files are as the run left them", folder)
    return RunReference(said, classifier, folder, record)


def run_of(classifier: Path) -> Path | None:
    """Return the run folder that the folder of a classifier is part of; none of one that was exported or copied."""
    whole = classifier.resolve()
    return whole.parent if whole.name == CLASSIFIER and (whole.parent / RUN_FILE).is_file() else None


def _latest(outputs: Path) -> Path:
    """Return the finished run that was started last."""
    return max(_finished(outputs, LATEST, lambda record: True), key=lambda found: found[1].started)[0]


def _best(dataset: str, outputs: Path) -> Path:
    """Return the finished run with the best validation score on a dataset; of equals, the cheaper one.

    Test scores have no say: chosen by them, the winner's own would be too good to be true.
    """
    found = _finished(outputs, f"{BEST}{dataset}", lambda record: record.dataset == dataset)
    objectives = sorted({record.objective for _, record in found})
    shared = [name for name in objectives if all(name in record.metrics for _, record in found)]
    if not shared:
        raise ArtifactError(
            f"{BEST}{dataset}: the runs were not selected by one objective ({listed(objectives)}), so none of them is "
            f"the best. Name a run folder."
        )
    sign = direction(shared[0])

    def rank(run: tuple[Path, RunRecord]) -> tuple[float, float]:
        return sign * run[1].metrics[shared[0]], -run[1].costs.get("num_parameters", math.inf)

    return max(found, key=rank)[0]


def _finished(outputs: Path, said: str, wanted: Callable[[RunRecord], bool]) -> list[tuple[Path, RunRecord]]:
    """Return finished runs that have a classifier, with their records; damaged ones are named and passed over."""
    found, datasets = [], set()
    for folder in run_folders(outputs) if outputs.is_dir() else []:
        try:
            record = read_record(folder)
        except ArtifactError as error:
            log.warning("left out: %s", error)
            continue
        datasets.add(record.dataset)
        if wanted(record) and (folder / CLASSIFIER / DESCRIPTION).is_file():
            found.append((folder, record))
    if not found:
        known = f" There are runs on {listed(sorted(datasets))}." if datasets else ""
        close = did_you_mean(said.removeprefix(BEST), datasets) if said.startswith(BEST) else ""
        raise ArtifactError(f"{said}: {outputs} holds no such finished run with a classifier.{known}{close}")
    return found


def find_previous_run(
    fingerprint: str,
    environment: Mapping[str, str],
    outputs: Path,
    accept_changes: bool = False,
    data_fingerprint: Callable[[], str] | None = None,
) -> Path | None:
    """Return the folder of the same run done before: a finished one, else the newest that was cut off.

    Args:
        fingerprint: The run's, as in `RunStart`.
        environment: What this process would run it with; a finished run of another is passed over.
        outputs: Where to look.
        accept_changes: Take a finished run also where code, versions or machine have changed since.
        data_fingerprint: Reads the data of now, which is asked for only where a finished run would be taken; one of
            other data is passed over. None takes it whatever its data were.

    Returns:
        The folder; none where there is no such run.
    """
    same = [(path, started) for path, started in started_runs(outputs) if started.fingerprint == fingerprint]
    same.sort(key=lambda item: item[1].started, reverse=True)
    for path, started in same:
        if not (path / RUN_FILE).is_file():
            continue
        changed = [] if accept_changes else differences(started.environment, environment)
        wrong = "; ".join(changed) or manifest_problem(path)
        if (
            wrong is None
            and data_fingerprint is not None
            and started.data_fingerprint not in (None, data_fingerprint())
        ):
            wrong = "its data have changed since, so this is another run"
        if wrong is None:
            return path
        log.info("%s was finished in %s, but is not used: %s", started.name, path, wrong)
    unfinished = [path for path, _ in same if not (path / MANIFEST_FILE).exists() and at_work(path) is None]
    return unfinished[0] if unfinished else None


def same_run_at_work(fingerprint: str, environment: Mapping[str, str], outputs: Path) -> Path | None:
    """Return the folder of the same run that another process is at work on; none where there is none.

    Args:
        fingerprint: The run's, as in `RunStart`.
        environment: What this process would run it with; a run of another environment is not the same to the digit.
        outputs: Where to look.
    """
    for path, started in started_runs(outputs):
        if started.fingerprint == fingerprint and not differences(started.environment, environment):
            holder = at_work(path)
            if holder is not None and holder.pid != os.getpid():
                return path
    return None


def started_runs(outputs: Path) -> Iterator[tuple[Path, RunStart]]:
    """Yield the folders of runs at or below a folder, with what each was started with; unreadable ones are left out."""
    for root, folders, files in os.walk(outputs):
        if STARTED_FILE not in files:
            continue
        folders.clear()  # nothing of a run lies below another
        try:
            started = read_started(Path(root))
        except ArtifactError as error:
            log.warning("%s", error)
            continue
        if started is not None:
            yield Path(root), started


def link_finished_run(previous: Path, folder: Path) -> None:
    """Let a folder of a sweep hold a run that was finished elsewhere, without taking its place on the disk twice."""
    started = read_started(previous)
    assert started is not None
    folder.mkdir(parents=True, exist_ok=True)
    files = [name for name in files_below(previous, NOT_VOUCHED_FOR) if name != RUN_FILE]
    for name in [*files, MANIFEST_FILE, RUN_FILE]:  # the record last: without it, the folder holds no run
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(previous / name, target)
        except OSError:  # another file system
            shutil.copy2(previous / name, target)
    write_started(folder, started)
    log.info("the same run was finished in %s", previous)
