"""A run's classifier as the folder of an MLflow model: its code, its schema, and what it needs to run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Map

from textclf.models.bundle import libraries_needed
from textclf.models.saved import DESCRIPTION, read_description
from textclf.system.environment import version_of
from textclf.tracking.mlflow.serving import TEXT, TEXT_PAIR, THRESHOLD
from textclf.tracking.record import CLASSIFIER, PREDICTIONS_FILE, RUN_FILE, folder_bytes, read_record

PACKAGE = Path(__file__).resolve().parents[2]
ENTRY = Path(__file__).with_name("entry.py")
SERVED_BY = ("mlflow", "pandas")
"""What a served model needs beside what its classifier does."""
LEFT_OUT = ("__pycache__", "bundled")
"""Parts of the package that no served model needs: the bundled datasets, and what Python compiled."""
EXAMPLE = ("A film that stays with you.", "The plot was boring.")


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


def signature(has_pairs: bool | None) -> ModelSignature:
    """Return the schema of a packed classifier, the same for every family.

    Args:
        has_pairs: Whether it was fitted on pairs; where that is not known a second text may be given or not.
    """
    inputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, TEXT)]
    if has_pairs is not False:
        inputs.append(ColSpec(DataType.string, TEXT_PAIR, required=has_pairs is True))
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string, "label"),
        ColSpec(DataType.double, "score"),
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
    has_pairs = read_description(classifier).has_pairs
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
            signature=signature(has_pairs),
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
