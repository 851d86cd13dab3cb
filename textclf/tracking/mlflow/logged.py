"""A run's classifier in an MLflow store, as a model that can be registered and served."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model
from mlflow.tracking import MlflowClient

from textclf.models.saved import DESCRIPTION
from textclf.tracking.mlflow.model import pack
from textclf.tracking.record import CLASSIFIER, RUN_FILE

NAME = "classifier"
"""What the model is called among those of its run."""
FINGERPRINT = "fingerprint"
"""The tag by which a classifier is known again."""
BLOCK = 1 << 20


def log_classifier(client: MlflowClient, experiment_id: str, run_id: str | None, run_dir: Path) -> str:
    """Log a run's classifier as an MLflow model.

    The uploaded files are read where the run wrote them: no second copy of the weights is made.

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
    tags = {FINGERPRINT: fingerprint(run_dir)}
    logged = client.create_logged_model(experiment_id, NAME, run_id, tags=tags, model_type="text classifier")
    done = LoggedModelStatus.FAILED
    try:
        described = Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            run_id=run_id,
        )
        with tempfile.TemporaryDirectory(prefix="textclf-model-") as folder:
            client.log_model_artifacts(logged.model_id, str(pack(run_dir, Path(folder) / "model", described)))
        if run_id is not None:
            client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        done = LoggedModelStatus.READY
    finally:
        client.finalize_logged_model(logged.model_id, done)
    return logged.model_id


def logged_model(client: MlflowClient, run_id: str, known_as: str) -> str | None:
    """Return the id of the model that a run has logged of a classifier, or none."""
    outputs = client.get_run(run_id).outputs
    for output in outputs.model_outputs if outputs is not None else ():
        found = client.get_logged_model(output.model_id)
        if found.status == LoggedModelStatus.READY and found.tags.get(FINGERPRINT) == known_as:
            return found.model_id
    return None


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
