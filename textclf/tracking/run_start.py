"""The start of a run, `started.json`: its options and environment, by which it is found again and resumed."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from textclf.errors import ArtifactError
from textclf.system.files import write_json
from textclf.tracking.record import STARTED_FILE

FORMAT = 1
PACKAGE = Path(__file__).resolve().parent.parent
DECIDES = ("audit", "data", "evaluation", "models", "training", "experiment/experiment.py")
"""The parts of the package whose code decides the result of a run."""
EQUALITY = ("code", "python", "machine", "threads", "torch", "transformers", "tokenizers", "scikit-learn", "numpy")
"""What of the environment must be the same for two runs to come out the same to the digit."""


@dataclass(frozen=True)
class RunStart:
    """A run that was started."""

    name: str
    fingerprint: str
    """Digest of the options that decide what the run leaves."""
    config: dict[str, Any]
    environment: dict[str, str]
    command: str
    started: str
    """Time of the start, ISO 8601 with zone."""
    data_fingerprint: str | None = None
    """Digest of its data; none until they have been read."""
    format: int = FORMAT


def write_started(folder: Path, started: RunStart) -> None:
    """Write what a run was started with to its folder."""
    write_json(folder / STARTED_FILE, asdict(started))


def read_started(folder: Path) -> RunStart | None:
    """Return what the run of a folder was started with; none where no run was, or before there was such a file.

    Raises:
        ArtifactError: If the file is damaged, or of a later format.
    """
    path = folder / STARTED_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ArtifactError(f"{path} is of format {content['format']!r}; this textclf reads {FORMAT}.")
        return RunStart(**{f.name: content[f.name] for f in fields(RunStart)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({type(error).__name__}: {error}), so the run there cannot be resumed. Move "
            f"{folder} away and run it again."
        ) from error


@functools.cache
def code_digest() -> str:
    """Return a digest (12 hexadecimal digits) of the code that decides the result of a run."""
    found = hashlib.sha256()
    for part in DECIDES:
        path = PACKAGE / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode())
            found.update(file.read_bytes())
    return found.hexdigest()[:12]


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between two environments that decides the digits of a result, as `torch 2.12, now 2.13`."""
    said = []
    for key in EQUALITY:
        was, is_now = before.get(key, "unknown"), now.get(key, "unknown")
        if key == "machine":  # its GPUs are named only where torch was loaded already; training looks at its own
            was, is_now = was.partition(", ")[0], is_now.partition(", ")[0]
        if was != is_now:
            said.append(f"{key} {was}, now {is_now}")
    return said
