"""A run's classifier as an MLflow model: packed with its code, schema and requirements, and logged to a store."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Map

from textclf.models.bundle import libraries_needed
from textclf.models.saved import DESCRIPTION, read_description, refuse_asked
from textclf.system.environment import version_of
from textclf.system.unfinished import temporary_folder
from textclf.tracking.mlflow.serving import TEXT, TEXT_PAIR, THRESHOLD
from textclf.tracking.record import CLASSIFIER, PREDICTIONS_FILE, RUN_FILE, folder_bytes, read_record

PACKAGE = Path(__file__).resolve().parents[2]
ENTRY = Path(__file__).with_name("entry.py")
SERVED_BY = ("mlflow", "pandas")
"""What a served model needs beside what its classifier does."""
LEFT_OUT = ("__pycache__", "bundled")
"""Parts of the package that no served model needs: the bundled datasets, and what Python compiled."""
EXAMPLE = ("A film that stays with you.", "The plot was boring.")
NAME = "classifier"
"""What the model is called among those of its run."""
FINGERPRINT = "fingerprint"
"""The tag by which a classifier is known again."""
BLOCK = 1 << 20


def requirements(classifier: Path) -> list[str]:
    """Return the exact versions of what a saved classifier needs to predict, as pip takes them.

    Only what its family needs: a classical model brings no torch along. Builds of torch for one
    device (`2.13.0+cpu`) are named by their public version.
    """
    found = []
    for name in sorted({*libraries_needed(read_description(classifier)), *SERVED_BY}):
        version = version_of(name)
        found.append(f"{name}=={version.partition('+')[0]}" if version else name)
    return found


def signature(has_pairs: bool | None, has_sets: bool = False) -> ModelSignature:
    """Return the schema of a packed classifier, the same for every family.

    Args:
        has_pairs: Whether it was fitted on pairs; where that is not known a second text may be given or not.
        has_sets: Whether it gives each text a set of labels.
    """
    inputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, TEXT)]
    if has_pairs is not False:
        inputs.append(ColSpec(DataType.string, TEXT_PAIR, required=has_pairs is True))
    answer = [ColSpec(DataType.string, "label"), ColSpec(DataType.double, "score")]
    outputs: list[ColSpec | TensorSpec] = [
        *([ColSpec(Array(DataType.string), "labels")] if has_sets else answer),
        ColSpec(Map(DataType.double), "probabilities"),
    ]
    params = ParamSchema([ParamSpec(THRESHOLD, DataType.double, 0.0)])
    return ModelSignature(Schema(inputs), Schema(outputs), params)


def pack(run_dir: Path, folder: Path, model: Model | None = None) -> Path:
    """Write the MLflow model of a run's classifier.

    The classifier's files are links to those of the run, so that uploading the folder copies large
    weights once.

    Args:
        run_dir: A run folder with a classifier, or the folder of a classifier alone.
        folder: The folder to write; it must not be there.
        model: MLflow's own description of the model, where it is already known to a store.

    Raises:
        ArtifactError: If there is no classifier, or it is damaged.
    """
    run_dir = Path(run_dir).resolve()
    classifier = run_dir / CLASSIFIER if (run_dir / CLASSIFIER / DESCRIPTION).is_file() else run_dir
    description = read_description(classifier)
    has_pairs = description.has_pairs
    if has_pairs is None and (run_dir / RUN_FILE).is_file():
        has_pairs = read_record(run_dir).data.get("pairs")
    beside = {name: run_dir / name for name in (RUN_FILE, PREDICTIONS_FILE) if (run_dir / name).is_file()}
    staging = folder.with_name(f".{folder.name}.staging")
    try:
        stub = staging / CLASSIFIER
        stub.mkdir(parents=True)
        shutil.copy(classifier / DESCRIPTION, stub)
        code = staging / "code" / "textclf"
        shutil.copytree(PACKAGE, code, ignore=shutil.ignore_patterns(*LEFT_OUT))
        example = {TEXT: list(EXAMPLE)} | ({TEXT_PAIR: list(EXAMPLE[::-1])} if has_pairs else {})
        model = model or Model()
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(ENTRY),
            artifacts={CLASSIFIER: str(stub), **{name: str(path) for name, path in beside.items()}},
            code_paths=[str(code)],
            signature=signature(has_pairs, description.thresholds is not None),
            input_example=(pd.DataFrame(example), {THRESHOLD: 0.0}),
            pip_requirements=requirements(classifier),
            mlflow_model=model,
        )
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    _link(classifier, folder / "artifacts" / CLASSIFIER)
    model.model_size_bytes = folder_bytes(folder)
    model.save(str(folder / "MLmodel"))
    return folder


def _link(source: Path, target: Path) -> None:
    """Make every file of a folder appear in another one."""
    for directory, _, names in os.walk(source):
        there = target / Path(directory).relative_to(source)
        there.mkdir(parents=True, exist_ok=True)
        for name in names:
            (there / name).unlink(missing_ok=True)
            (there / name).symlink_to(Path(directory) / name)


def log_classifier(client: MlflowClient, experiment_id: str, run_id: str | None, run_dir: Path) -> str:
    """Log a run's classifier as an MLflow model.

    The uploaded files are read where the run wrote them: no second copy of the weights is made. A model of the same
    classifier that a process was killed over is taken over, so that no empty one stays beside it; one that is whole
    already is used as it is.

    Args:
        client: The store.
        experiment_id: The experiment that it belongs to.
        run_id: The run in the store that it came of; none where the store does not know the run.
        run_dir: The run folder, or the folder of a classifier alone.

    Returns:
        The model's id.

    Raises:
        ArtifactError: If there is no classifier, or it is damaged.
        MlflowException: If the store fails; the model is then marked as failed.
    """
    known_as = fingerprint(run_dir)
    logged = _begun_model(client, experiment_id, run_id, known_as)
    if logged is None:
        tags = {FINGERPRINT: known_as}
        logged = client.create_logged_model(experiment_id, NAME, run_id, tags=tags, model_type="text classifier")
    elif logged.status == LoggedModelStatus.READY:
        return logged.model_id
    done = LoggedModelStatus.FAILED
    try:
        refuse_asked(run_dir / CLASSIFIER if (run_dir / CLASSIFIER).is_dir() else run_dir, "An MLflow model")
        described = Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            run_id=run_id,
        )
        with temporary_folder("textclf-model-") as folder:
            client.log_model_artifacts(logged.model_id, str(pack(run_dir, folder / "model", described)))
        if run_id is not None and logged.model_id not in _outputs(client, run_id):
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        done = LoggedModelStatus.READY
    finally:
        client.finalize_logged_model(logged.model_id, done)
    return logged.model_id


def _begun_model(client: MlflowClient, experiment_id: str, run_id: str | None, known_as: str) -> LoggedModel | None:
    """Return a model that was begun of a classifier for the same run, a whole one before others; none where none was.

    Models of a run from before there was this fingerprint are not found, and neither are those of other runs.
    """
    found = client.search_logged_models([experiment_id], f"tags.`{FINGERPRINT}` = '{known_as}'")
    same = [model for model in found if (model.source_run_id or None) == run_id]
    return max(same, key=lambda model: model.status == LoggedModelStatus.READY, default=None)


def logged_model(client: MlflowClient, run_id: str, known_as: str) -> str | None:
    """Return the id of the model that a run has logged of a classifier, or none."""
    for model_id in _outputs(client, run_id):
        found = client.get_logged_model(model_id)
        if found.status == LoggedModelStatus.READY and found.tags.get(FINGERPRINT) == known_as:
            return found.model_id
    return None


def _outputs(client: MlflowClient, run_id: str) -> list[str]:
    """Return the ids of the models that a run has logged."""
    outputs = client.get_run(run_id).outputs
    return [output.model_id for output in outputs.model_outputs] if outputs is not None else []


def fingerprint(run_dir: Path) -> str:
    """Return a digest (16 hexadecimal digits) of a classifier's files and of its run's record."""
    run_dir = Path(run_dir)
    classifier = run_dir / CLASSIFIER if (run_dir / CLASSIFIER / DESCRIPTION).is_file() else run_dir
    files = sorted(path for path in classifier.rglob("*") if path.is_file())
    record = run_dir / RUN_FILE
    digest = hashlib.sha256()
    for path in [*files, *([record] if record.is_file() and record not in files else [])]:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as opened:
            while block := opened.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()[:16]
