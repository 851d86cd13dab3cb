"""The files of a classifier as they may be given away: only what it is read from, no links, no machine's paths."""

from __future__ import annotations

import fnmatch
import json
import shutil
from pathlib import Path
from typing import Any

from textclf.errors import ArtifactError
from textclf.export.public import scrubbed
from textclf.models.base import Classifier
from textclf.models.saved import DESCRIPTION, Description, load_classifier, read_description
from textclf.tracking.find_runs import RunReference

KEPT = (
    DESCRIPTION,
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "pipeline.skops",
    "vocabularies.json",
    "*.onnx",
    "*.onnx.data",
    "*.onnx_data",
)
"""Names of the files that classifiers of all families are read from; any other file stays where it is."""
MODEL_CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SOURCES = ("_name_or_path", "name_or_path", "special_tokens_map_file", "tokenizer_file", "vocab_file", "merges_file")
"""What transformers notes of where a checkpoint was read from: nobody else has those folders."""


def copy_classifier(located: RunReference, target: Path) -> Classifier:
    """Copy the files of a classifier to a folder, and read it there to see that it works.

    Args:
        located: What is exported.
        target: The folder; made where it is not there.

    Returns:
        The classifier, as it was read from the copy.

    Raises:
        ArtifactError: If a file is missing, damaged, or a link to somewhere else.
    """
    description = read_description(located.classifier)
    target.mkdir(parents=True, exist_ok=True)
    root = located.folder or located.classifier
    for path in sorted(located.classifier.iterdir()):
        if any(fnmatch.fnmatchcase(path.name, pattern) for pattern in KEPT):
            copy_file(path, target / path.name, root)
    _describe(target, description, located)
    if (target / MODEL_CONFIG).is_file() and description.family == "transformer":
        _prepare_for_transformers(target, description)
    return load_classifier(target)


def copy_file(source: Path, target: Path, root: Path) -> None:
    """Copy a file that lies below a folder; a link that leads out of it is not followed.

    Raises:
        ArtifactError: If it leads out of it, or is no file that can be read.
    """
    try:
        real = source.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"{source} cannot be read: {error}") from error
    if not real.is_relative_to(root.resolve()):
        raise ArtifactError(
            f"{source} is a link that leads out of {root}, and what it leads to was not exported. If it belongs to "
            f"the classifier, copy the folder with its links followed (cp -rL) and export the copy."
        )
    if not real.is_file():
        raise ArtifactError(f"{source} is no file, so the classifier cannot be exported.")
    shutil.copyfile(real, target)


def _describe(target: Path, description: Description, located: RunReference) -> None:
    """Let `classifier.json` say whether texts come in pairs where only the run knew."""
    content = _read(target / DESCRIPTION)
    if description.has_pairs is None and located.record is not None:
        content["pairs"] = located.record.data.get("pairs")
    _write(target / DESCRIPTION, content)


def _prepare_for_transformers(target: Path, description: Description) -> None:
    """Let transformers alone name the classes, and cut texts where textclf does."""
    config = _read(target / MODEL_CONFIG)
    names = description.label_names
    if len(config.get("id2label", names)) != len(names):
        raise ArtifactError(
            f"{MODEL_CONFIG} and {DESCRIPTION} do not belong together: {len(config['id2label'])} classes against "
            f"{len(names)}. One of them was changed; export the run that wrote them."
        )
    config["id2label"] = {str(label): name for label, name in enumerate(names)}
    config["label2id"] = {name: label for label, name in enumerate(names)}
    _write(target / MODEL_CONFIG, _without_sources(config))
    if not (target / TOKENIZER_CONFIG).is_file():
        return
    tokenizer = _without_sources(_read(target / TOKENIZER_CONFIG))
    tokenizer["model_max_length"] = description.options["max_length"]
    tokenizer["truncation_side"] = "left" if description.options.get("truncation") == "tail" else "right"
    _write(target / TOKENIZER_CONFIG, tokenizer)


def _without_sources(content: dict[str, Any]) -> dict[str, Any]:
    """Return options without what says where on a machine they were read from."""
    return {key: scrubbed(value) for key, value in content.items() if key not in SOURCES}


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtifactError: If it is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.name} of the classifier is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{path.name} of the classifier is damaged: it holds no JSON object.")
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
