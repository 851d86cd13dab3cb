"""Files that belong to a saved classifier: listed in `classifier.json` with their digests, and checked on load.

The list finds what is missing, damaged or mixed up; it is no signature, since whoever changes a file can change it too.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import stat
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from textclf.errors import ArtifactError, listed
from textclf.models.saved import DESCRIPTION, Description

BELONGING = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*.json",
    "vocab.txt",
    "merges.txt",
    "*.model",
    "pipeline.skops",
    "vocabularies.json",
    "*.onnx",
    "*.onnx.data",
    "*.onnx_data",
)
"""Names of the files that classifiers of all families are read from. Some tokenizers have others, which are listed by
name; any other file in the folder is no part of the classifier."""
LARGE = 1 << 26
"""Bytes above which parts of a file stand for it: reading all of BERT's weights takes three quarters of the time of
loading them. Other weights, or fewer, differ in every part; a single byte that has changed may lie between them, and is
found by the manifest of the run."""
PARTS, PART = 64, 1 << 19
"""Parts of a large file, evenly spread over it from its beginning to its end, and the bytes of each."""


def list_files(directory: Path, also: Iterable[str] = ()) -> None:
    """Write the files of a classifier and their digests into its `classifier.json`, which must be there.

    Who may read that may read the others: safetensors lets nobody but the owner read what it writes.

    Args:
        directory: The folder of the classifier, with all of its files.
        also: Names of files that belong to it beside the usual ones; those that are not there are left out.
    """
    path = directory / DESCRIPTION
    content = json.loads(path.read_text(encoding="utf-8"))
    names = {found.name for found in _files_in(directory)} | {name for name in also if (directory / name).is_file()}
    mode = stat.S_IMODE(path.stat().st_mode)
    for name in names:
        (directory / name).chmod(mode)
    content["files"] = {name: digest_of(directory / name) for name in sorted(names - {DESCRIPTION})}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")


def _files_in(directory: Path) -> list[Path]:
    """Return the files of a folder that belong to a classifier by their name."""
    return sorted(
        path
        for path in directory.iterdir()
        if path.is_file() and any(fnmatch.fnmatchcase(path.name, pattern) for pattern in BELONGING)
    )


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file; of a large one, that of its size and of parts of it, marked so."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= LARGE:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        digest = hashlib.sha256(f"{size}\0".encode())
        for part in range(PARTS):
            file.seek((size - PART) * part // (PARTS - 1))
            digest.update(file.read(PART))
        return f"sha256-of-parts:{digest.hexdigest()}"


@contextmanager
def checked_files(directory: Path, description: Description) -> Iterator[None]:
    """Check the files of a classifier, beside what is done with them inside the context.

    A classifier that was saved before there was a list has none to check.

    Raises:
        ArtifactError: If a file is missing, has been changed, or belongs to the classifier and is not listed.
    """
    if description.files is None:
        yield
        return
    missing = [name for name in description.files if not (directory / name).is_file()]
    if missing:
        raise ArtifactError(
            f"{directory} lacks {listed(missing)}, without which its classifier is not the one that was saved. Copy "
            f"the whole folder again from where it was trained, or train it again."
        )
    strange = [path.name for path in _files_in(directory) if path.name not in description.files]
    if strange:
        raise ArtifactError(
            f"{directory} holds {listed(strange)}, which its classifier was not saved with and would be read all the "
            f"same. Take it out, or copy the whole folder again from where it was trained."
        )
    with ThreadPoolExecutor(1) as pool:  # hashing leaves the interpreter to the loaders
        changed = pool.submit(_changed, directory, description.files)
        yield
        if names := changed.result():
            raise ArtifactError(
                f"{listed(names)} in {directory} has been changed since the classifier was saved: {DESCRIPTION} has "
                f"another digest of it. Copy the whole folder again from where it was trained, or train it again."
            )


def _changed(directory: Path, files: Mapping[str, str]) -> list[str]:
    """Return the files whose digests are not those that are listed."""
    return [name for name, digest in files.items() if digest_of(directory / name) != digest]
