"""Files and record of a classifier as they may be published: no secrets, no links, no paths of the machine."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from textclf.errors import ArtifactError
from textclf.models.base import Classifier
from textclf.models.belonging import checked_files, list_files
from textclf.models.families import load_classifier
from textclf.models.saved import DESCRIPTION, Description, read_description
from textclf.system.hub import names_a_folder
from textclf.system.redact import MASK, names_secret, redacted
from textclf.tracking.find_runs import RunReference
from textclf.tracking.record import RunRecord

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
"""Names of the files that classifiers of all families are read from; any other file stays where it is, unless
the classifier lists it."""
MODEL_CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SOURCES = ("_name_or_path", "name_or_path", "special_tokens_map_file", "tokenizer_file", "vocab_file", "merges_file")
"""Options in which transformers keeps where a checkpoint was read from: nobody else has those folders."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
"""`name` or `owner/name`."""
BUNDLED = "bundled:"
FILES = ("train", "validation", "test", "extra_train")
"""Options of a dataset that name files."""
NOT_PUBLISHED = ("tracker", "hydra", "experiment", "run_name", "tracking", "save_classifier")
"""Groups and options that name where a run was kept, and nothing about the classifier."""
ABSOLUTE = re.compile(
    r"(?<![\w:/.~-])(?:~|[A-Za-z]:)?[/\\](?:[^\s'\",;:=()\[\]{}<>|/\\]+[/\\]+)*[^\s'\",;:=()\[\]{}<>|/\\]+"
)
FILE_URL = re.compile(r"\bfile:/+")
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


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
    listed = description.files or {}
    target.mkdir(parents=True, exist_ok=True)
    root = located.folder or located.classifier
    for path in sorted(located.classifier.iterdir()):
        if path.name in listed or path.name == DESCRIPTION or (not listed and _is_kept(path.name)):
            copy_file(path, target / path.name, root)
    with checked_files(target, description):
        pass
    _describe(target, description, located)
    if (target / MODEL_CONFIG).is_file() and description.family == "transformer":
        _prepare_for_transformers(target, description)
    list_files(target, listed)
    return load_classifier(target)


def _is_kept(name: str) -> bool:
    """Whether a file belongs to a classifier that does not list its own."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in KEPT)


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
    """Write into `classifier.json` whether texts come in pairs where only the run knew."""
    content = _read(target / DESCRIPTION)
    if description.has_pairs is None and located.record is not None:
        content["pairs"] = located.record.data.get("pairs")
    _write(target / DESCRIPTION, content)


def _prepare_for_transformers(target: Path, description: Description) -> None:
    """Let transformers itself name the classes, and cut texts where textclf does."""
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


def public_record(record: RunRecord) -> RunRecord:
    """Return a record with the names of files in place of paths, and without secrets."""
    config = scrubbed({key: value for key, value in record.config.items() if key not in NOT_PUBLISHED})
    dataset, model = dict(config.get("dataset", {})), dict(config.get("model", {}))
    for option in FILES:
        if option in dataset:
            dataset[option] = _file_names(dataset[option])
    source = record.data.get("source")
    if "path" in dataset:
        if not is_on_hub(record.config["dataset"]["path"]):
            dataset["path"] = file_name(str(record.config["dataset"]["path"]))
            source = dataset["path"]
    elif isinstance(source, str):
        source = _file_names(source)
    data = {**record.data, "source": source}
    if isinstance(extra := data.get("extra_train"), Mapping):
        data["extra_train"] = {**extra, "file": _file_names(extra.get("file"))}
    if checkpoint := record.config.get("model", {}).get("checkpoint"):
        model["checkpoint"] = checkpoint if is_on_hub(checkpoint) else file_name(checkpoint)
    return replace(
        record,
        name=scrubbed(record.name),
        dataset=scrubbed(record.dataset),
        data=scrubbed(data, but=("label_names",)),
        config={**config, "dataset": dataset, "model": model},
        command=public_command(record.command),
        environment=scrubbed(record.environment),
        tracking={},
    )


def is_on_hub(name: str) -> bool:
    """Whether a checkpoint's or a dataset's name can only be that of a repository on the Hub."""
    return bool(HUB_ID.fullmatch(name)) and not names_a_folder(name) and not Path(name).expanduser().exists()


def public_command(command: str) -> str:
    """Return the command of a run for somebody else: files by their names, and nothing of where it was kept."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    kept = []
    for word in words:
        name, given, value = word.partition("=")
        option = name.lstrip("+~")
        if option.partition(".")[0] in NOT_PUBLISHED or names_secret(option):
            continue
        last = option.rpartition(".")[2]
        if given and option.startswith("dataset.") and (last in FILES or (last == "path" and not is_on_hub(value))):
            value = _file_names(value)
        elif given and option == "model.checkpoint" and not is_on_hub(value):
            value = file_name(value)
        kept.append(scrubbed(f"{name}={value}") if given else scrubbed(word))
    return shlex.join(kept)


def scrubbed(value: Any, but: tuple[str, ...] = ()) -> Any:
    """Return plain values, however nested, with file names in place of absolute paths, and without secrets.

    Args:
        value: A string, number, list or mapping.
        but: Keys of a mapping whose values are left as they are.
    """
    if isinstance(value, str):
        cleaned = FILE_URL.sub("/", redacted(CREDENTIALS.sub("", value)))
        return ABSOLUTE.sub(lambda found: file_name(found[0]), cleaned)
    if isinstance(value, Mapping):
        return {
            key: inner if key in but else MASK if _is_secret(key, inner) else scrubbed(inner)
            for key, inner in value.items()
        }
    return [scrubbed(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _is_secret(key: Any, value: Any) -> bool:
    """Whether an option is a secret by its name."""
    return isinstance(value, str) and names_secret(str(key))


def file_name(path: str) -> str:
    """Return the last part of a path of any system; of a pattern, its own."""
    plain = path.rstrip("/\\")
    name = PureWindowsPath(plain).name if "\\" in plain else PurePosixPath(plain).name
    return name if name not in ("", "~", "..", ".") else "a local folder"


def _file_names(value: Any) -> Any:
    """Return the names of files where an option names one or several; what comes with textclf is named whole."""
    if isinstance(value, str):
        return value if value.startswith(BUNDLED) else file_name(value)
    return [_file_names(inner) for inner in value] if isinstance(value, (list, tuple)) else value
