"""Shards of an input, one output for each, and the ledger in the output folder that says which are finished.

The ledger is the folder `.prediction` below the outputs: `asked.json` says which classifier predicts what with which
options, and `shards.jsonl` has a line for each finished shard. A shard gets its name and its line while nobody else may
write either; a process that is killed between the two leaves an output that is made again. So each row is there once.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from textclf.data.file_paths import parts_of
from textclf.data.readers.packed import unpacked_name
from textclf.data.remote import is_address
from textclf.errors import ArtifactError, ConfigError, DataError, listed
from textclf.predict.rows import Kind, kind_like, kind_of_name, kind_to_write
from textclf.system.appending import LineFile, json_line
from textclf.system.digests import known_digest
from textclf.system.files import files_below, write_json

LEDGER = ".prediction"
ASKED_FILE, FINISHED_FILE, LOCK_FILE = "asked.json", "shards.jsonl", ".lock"
LOCK_SECONDS = 60.0
"""How long a process waits for the others, each of which needs the ledger for a moment."""


class BegunAnewError(ArtifactError):
    """Another command has begun the folder anew, so that what this one predicts has no place there."""


@dataclass(frozen=True)
class Shard:
    """An input file and its output."""

    name: str
    """The output's path from the output folder, with `/`."""
    input: Path
    output: Path

    def state(self) -> dict[str, int]:
        """Return by what a change of the input is noticed: its size in bytes, and when it was changed last, in ns.

        Raises:
            OSError: If it is not there.
        """
        stat = self.input.stat()
        return {"input_bytes": stat.st_size, "input_mtime_ns": stat.st_mtime_ns}


def shards_of(
    inputs: Sequence[str], folder: Path, input_kind: Kind | None = None, output_kind: Kind | None = None
) -> tuple[Path, list[Shard]]:
    """Return the folder that all inputs lie in, and the shards in the order of their names.

    An output has the path of its input below that folder. Its ending is another where it has another format, or one
    that is not written.

    Args:
        inputs: Files and patterns.
        folder: The output folder.
        input_kind: Format of the inputs; none takes the one that each name says.
        output_kind: Format of the outputs; none takes that of the inputs.

    Raises:
        DataError: If there is no such file.
        ConfigError: If a format is not known, two outputs would have one name, or inputs lie in the output folder.
    """
    files: dict[Path, None] = {}
    bases = []
    for given in inputs:
        if given == "-" or is_address(given):
            raise ConfigError(
                f"--input {given}: of several inputs each is a file on this machine or on a drive of its own; a pipe "
                f"and an address are predicted alone, with --output FILE."
            )
        found = [Path(os.path.abspath(part.path)) for part in parts_of(given, "--input")]
        whole = [path for path in found if not path.is_dir()]
        if not whole:
            raise DataError(f"--input {given}: this names folders alone; name the files in them, as in '{given}/*'.")
        files |= dict.fromkeys(whole)
        bases.append(_folder_of_pattern(given) if len(found) > 1 or not Path(given).exists() else whole[0].parent)
    base, folder = Path(os.path.commonpath(bases)), Path(os.path.abspath(folder))
    shards: dict[str, Shard] = {}
    for path in sorted(files):
        if path.resolve().is_relative_to(folder.resolve()):
            raise ConfigError(
                f"--output {folder}: the input {path} lies in this folder, and outputs would be taken for inputs when "
                f"the command is given again. Name another folder."
            )
        name = _output_name(path.relative_to(base), path, input_kind, output_kind)
        if name in shards:
            raise ConfigError(
                f"{shards[name].input} and {path} would both be written to {folder / name}; predict them into two "
                f"folders."
            )
        shards[name] = Shard(name, path, folder / name)
    return base, list(shards.values())


def _folder_of_pattern(pattern: str) -> Path:
    """Return the folder in front of the first part of a path that is a pattern."""
    parts = Path(os.path.abspath(Path(pattern).expanduser())).parts
    start = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:start])


def _output_name(path: Path, said: Path, input_kind: Kind | None, output_kind: Kind | None) -> str:
    """Return the name of a shard's output, by the path of its input."""
    read = input_kind or kind_of_name(path.name)
    if read is None:
        raise ConfigError(
            f"--input: the name of {said} says no format; say it with --input-format "
            f"{'|'.join(kind.value for kind in Kind)}, or take a pattern that leaves the file out."
        )
    written = output_kind or kind_to_write(path.name) or kind_like(read)
    if kind_to_write(path.name) is written:
        return path.as_posix()
    stem = Path(unpacked_name(Path(path.name)))
    stem = stem.with_suffix("") if kind_of_name(stem.name) is not None else stem
    return path.with_name(f"{stem.name}.{written.value}").as_posix()


@dataclass(frozen=True)
class Finished:
    """A line of the ledger: a shard that is finished."""

    name: str
    input_bytes: int
    input_mtime_ns: int
    output_bytes: int
    rows: int
    bad_rows: int
    labels: dict[str, int]
    """How often each label was given."""


class Ledger:
    """The ledger of an output folder, as one command sees it; processes and machines may share it."""

    def __init__(self, folder: Path, token: str):
        """Take the ledger of a folder that `begin_ledger` has begun.

        Args:
            folder: The output folder.
            token: What tells this command, given once or several times, from another that begins the folder anew.
        """
        self.folder, self.token = folder, token
        self._finished: dict[str, Finished] = {}
        self._read = 0

    def finished(self) -> dict[str, Finished]:
        """Return the finished shards by name; only what is new since the last time is read."""
        try:
            with open(self.folder / LEDGER / FINISHED_FILE, "rb") as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):  # being written
                        break
                    self._read += len(line)
                    self._note(line)
        except FileNotFoundError:
            pass
        return dict(self._finished)

    def is_finished(self, shard: Shard) -> bool:
        """Whether a shard is finished, of the input as it is now, and its output is there."""
        done = self.finished().get(shard.name)
        if done is None or shard.state() != {"input_bytes": done.input_bytes, "input_mtime_ns": done.input_mtime_ns}:
            return False
        return shard.output.is_file() and shard.output.stat().st_size == done.output_bytes

    def add(
        self, shard: Shard, state: dict[str, int], rows: int, bad_rows: int, labels: dict[str, int], whole: Path
    ) -> None:
        """Give a whole output its name, and note that its shard is finished.

        Args:
            shard: The shard.
            state: What the input was when it was read.
            rows: Rows of the input.
            bad_rows: Those of them that could not be predicted.
            labels: How often each label was given.
            whole: The output under the name that it was written to.

        Raises:
            BegunAnewError: If the folder was begun anew meanwhile; nothing is changed then.
            DataError: If the input has changed since it was read.
        """
        with _locked(self.folder):
            asked = _read_asked(self.folder)
            if asked is None or asked["token"] != self.token:
                raise BegunAnewError(
                    f"{self.folder} was begun anew by another command, so what this one has predicted is not put there."
                )
            if shard.state() != state:
                raise DataError(f"{shard.input} was changed while it was read; give the command again.")
            size = whole.stat().st_size
            whole.replace(shard.output)
            entry = {"name": shard.name, **state, "output_bytes": size, "rows": rows, "bad_rows": bad_rows}
            with closing(LineFile(self.folder / LEDGER / FINISHED_FILE)) as file:
                file.repair()
                file.append(json_line({"token": self.token, **entry, "labels": labels}), sync=True)

    def _note(self, line: bytes) -> None:
        try:
            said: dict[str, Any] = json.loads(line)
            if said.pop("token") == self.token:
                self._finished[said["name"]] = Finished(**said)
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # of a shard that is made again then


def begin_ledger(folder: Path, asked: dict[str, Any], shards: Iterable[Shard], force: bool = False) -> Ledger:
    """Begin the ledger of an output folder, or go on with the one that is there.

    Args:
        folder: The output folder; made where it is not there.
        asked: What decides the outputs, as plain values by name.
        shards: The shards.
        force: Begin anew: replace the outputs that are there, and remove those that an earlier command has made.

    Raises:
        ArtifactError: If the folder was predicted with something else, or holds files of the outputs' names.
    """
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"--output {folder}: several inputs are written to a folder, and this is a file.")
    (folder / LEDGER).mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        former = _read_asked(folder)
        if former is not None and not force:
            changed = [name for name in asked if former["asked"].get(name) != asked[name]]
            if not changed:
                return Ledger(folder, former["token"])
            name = changed[0]
            others = f" (so do {listed(changed[1:])})" if changed[1:] else ""
            raise ArtifactError(
                f"{folder} was begun with another command: {name} differs, {_shown(former['asked'].get(name))} "
                f"there and {_shown(asked[name])} now{others}. Give the former command to go on with it, name another "
                f"folder, or add --force to begin this one anew."
            )
        if force:
            _remove_outputs(folder, former)
        elif there := [shard.output for shard in shards if shard.output.exists()]:
            more = f" (and {len(there) - 1:,} more)" if there[1:] else ""
            raise ArtifactError(
                f"{there[0]} is there already{more}, and nothing says that "
                f"this command made it; name another folder, or add --force to replace it."
            )
        token = uuid.uuid4().hex
        write_json(folder / LEDGER / ASKED_FILE, {"token": token, "asked": asked})
        if former is not None:
            (folder / LEDGER / FINISHED_FILE).unlink(missing_ok=True)
    return Ledger(folder, token)


def digest_of_classifier(folder: Path) -> str:
    """Return what tells a classifier from others, wherever its folder lies: a digest of all its files."""
    found = hashlib.sha256()
    for name in files_below(folder):
        found.update(f"{name} {known_digest(folder / name)}\n".encode())
    return found.hexdigest()[:16]


def _remove_outputs(folder: Path, former: dict[str, Any] | None) -> None:
    """Remove what an earlier command has made in a folder."""
    for name in Ledger(folder, former["token"]).finished() if former is not None else ():
        path = folder / name
        if path.resolve().is_relative_to(folder.resolve()):
            path.unlink(missing_ok=True)


def _read_asked(folder: Path) -> dict[str, Any] | None:
    """Return what a folder was begun with; none where it was not begun.

    Raises:
        ArtifactError: If that cannot be read.
    """
    path = folder / LEDGER / ASKED_FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return {"token": str(said["token"]), "asked": dict(said["asked"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is damaged ({type(error).__name__}), so nothing says what {folder} holds; name another folder, or "
            f"remove {path.parent} and the outputs."
        ) from error


def _shown(value: Any) -> str:
    return "nothing" if value in (None, "", {}, []) else repr(value)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change the ledger of a folder."""
    with FileLock(folder / LEDGER / LOCK_FILE, timeout=LOCK_SECONDS):
        yield
