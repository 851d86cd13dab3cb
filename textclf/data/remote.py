"""Files at an address (`hf://`, `https://`, `s3://` and what else fsspec knows), fetched into a cache on this machine.

A copy is kept below `HF_HOME`, in a folder that is named by the address and by what the store says of the file's state
(its ETag, checksum, commit or time). A file that has changed is fetched anew, beside the old copy.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec
from fsspec.core import url_to_fs
from fsspec.registry import known_implementations
from huggingface_hub import constants

from textclf.errors import ConfigError, DataError, did_you_mean, first_line
from textclf.system.files import new_file
from textclf.system.hub import HubAccess, Repository, explain, hub_or_cache
from textclf.system.redact import redacted

log = logging.getLogger(__name__)

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(?=.)")
HUB = re.compile(r"hf://(?:(?P<kind>datasets|spaces|models)/)?(?P<name>[^/@]+/[^/@]+)(?:@(?P<revision>[^/]+))?/.+")
KINDS = {"datasets": "dataset", "models": "model", None: "model"}
USUAL = ("hf", "https", "http", "s3", "gs")
"""Schemes that are named to a person."""
STATE = (
    "etag",
    "checksum",
    "md5",
    "digest",
    "generation",
    "version",
    "blob_id",
    "xet_hash",
    "oid",
    "modified",
    "mtime",
)
"""Parts of the names under which stores say in which state a file is."""
UNSAID = "unsaid"
"""In place of a state where the store says none."""


def is_address(text: str) -> bool:
    """Whether a text is an address, such as `hf://datasets/owner/name/train.csv`, and no path on this machine."""
    found = SCHEME.match(text)
    return found is not None and found[1].lower() != "file"


def folder() -> Path:
    """Return where copies are: below `HF_HOME`."""
    return Path(constants.HF_HOME) / "textclf" / "remote"


def fetch(address: str, option: str) -> Path:
    """Return a copy of a remote file on this machine, fetched where there is none of its present state.

    Where the store does not answer, the last copy is taken with a warning.

    Args:
        address: Such as `hf://datasets/owner/name@revision/train.csv`, `https://…` or `s3://bucket/train.parquet`.
        option: The option that names it, such as `dataset.train`.

    Raises:
        ConfigError: If a package is missing that reads such addresses, or nothing reads them.
        DataError: If there is no such file, it may not be read, or its store does not answer and there is no copy.
    """
    said = f"{option}={redacted(address)}"
    name = _name_of(address)
    if not name or "*" in address:
        raise DataError(f"{said}: one file is fetched from an address. Name a file, not a folder or a pattern.")
    own = folder() / hashlib.sha256(address.encode()).hexdigest()[:16]
    files, path = _open(address, said)
    repository = _repository(address, option)
    with nullcontext(HubAccess(online=True)) if repository is None else hub_or_cache(repository) as access:
        try:
            if not access.online:
                raise ConnectionError("the Hub is not asked, since HF_HUB_OFFLINE is set, or does not answer")
            return _fetched(files, path, own, name, said)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # each store raises kinds of its own
            copies = sorted(own.glob(f"*/{name}"), key=lambda copy: copy.stat().st_mtime)
            if copies and not _is_final(error, access):
                log.warning("%s: %s; the last copy is used, %s", said, _why(error), copies[-1])
                return copies[-1]
            refusal = None if repository is None else explain(repository, access, error)
            raise DataError(refusal or _refusal(said, option, error)) from error


def _open(address: str, said: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    scheme = SCHEME.match(address)
    protocol = scheme[1].lower() if scheme else ""
    try:
        return url_to_fs(address, skip_instance_cache=True, use_listings_cache=False)  # what was listed may be old
    except ImportError as error:
        package = str(known_implementations.get(protocol, {}).get("class", "")).partition(".")[0]
        missing = getattr(error.__cause__ or error, "name", None) if package in ("", "fsspec") else package
        why = first_line(error).rstrip(".")
        raise ConfigError(
            f"{said}: {protocol}:// is read with the package {missing or 'that fsspec names'}, which is not installed "
            f"({why}). Install it (pip install {missing or protocol}), or download the file and give its path."
        ) from error
    except ValueError as error:
        known = sorted(set(fsspec.available_protocols()))
        raise ConfigError(
            f"{said}: no file system is known for {protocol}://. Use {', '.join(USUAL)} or another of fsspec's, or the "
            f"path of a file on this machine.{did_you_mean(protocol, known)}"
        ) from error


def _fetched(files: Any, path: str, own: Path, name: str, said: str) -> Path:
    """Return a copy of the present state of a file."""
    info = files.info(path)
    if info.get("type") == "directory":
        raise DataError(f"{said} is a folder. Name a file in it.")
    state = _state_of(info)
    copy = own / hashlib.sha256(state.encode()).hexdigest()[:16] / name
    if copy.is_file() and state != UNSAID:
        log.info("%s was fetched before: %s", said, copy)
        return copy
    copy.parent.mkdir(parents=True, exist_ok=True)
    with new_file(copy) as temporary:
        files.get_file(path, str(temporary))
        found, wanted = temporary.stat().st_size, info.get("size")
        if wanted is not None and found != wanted:
            raise DataError(f"{said}: {found:,} of {wanted:,} bytes came. Try again, or download it and give its path.")
    log.info("%s was fetched: %.1f MB in %s", said, found / 1e6, copy)
    return copy


def _state_of(info: Mapping[str, Any]) -> str:
    """Return what a store says of the state of a file; its size alone says too little."""
    told = {
        key: str(value)
        for key, value in info.items()
        if value is not None and any(part in key.lower().replace("-", "_") for part in (*STATE, "created"))
    }
    return repr(sorted(told.items())) + f" {info.get('size')}" if told else UNSAID


def _name_of(address: str) -> str:
    """Return the name of the file at an address, by whose ending its kind is known; empty where it has none."""
    parts = urlsplit(address)
    if parts.path.endswith("/") or (not parts.path and parts.scheme.lower() in ("http", "https")):
        return ""
    return unquote(PurePosixPath(parts.path).name or parts.netloc)


def _repository(address: str, option: str) -> Repository | None:
    """Return the repository of the Hub that an address lies in; none of any other address, or of a bucket."""
    found = HUB.fullmatch(address)
    if found is None or found["name"].startswith("buckets/") or found["kind"] not in KINDS:
        return None
    return Repository(KINDS[found["kind"]], found["name"], found["revision"], named_by=option)


def _is_final(error: Exception, access: HubAccess) -> bool:
    """Whether a store has answered that there is no such file, or that it may not be read."""
    if not access.online:
        return False
    status = _status_of(error)
    if status is not None:
        return 400 <= status < 500 and status != 429
    return isinstance(error, PermissionError) or (isinstance(error, FileNotFoundError) and error.__cause__ is None)


def _status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an error, where there is one."""
    while error is not None:
        for holder in (error, getattr(error, "response", None)):
            for name in ("status", "status_code"):
                found = getattr(holder, name, None)
                if isinstance(found, int):
                    return found
        error = error.__cause__
    return None


def _why(error: Exception) -> str:
    """Return an error in a few words, without secrets."""
    cause = (
        error.__cause__ if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception) else error
    )
    return redacted(first_line(cause).rstrip(".") or type(cause).__name__)


def _refusal(said: str, option: str, error: Exception) -> str:
    """Return why a file could not be fetched, and what to do."""
    status = _status_of(error)
    instead = f"or download it and give its path, {option}=/path/to/it"
    if status == 404 or (isinstance(error, FileNotFoundError) and error.__cause__ is None):
        return f"{said}: there is no such file. Check the address, {instead}."
    if status in (401, 403) or isinstance(error, PermissionError):
        return (
            f"{said}: it may not be read from here ({_why(error)}). Give this machine the right to (the store's own "
            f"environment variables or login, such as AWS_PROFILE for s3), {instead}."
        )
    return f"{said} could not be fetched ({_why(error)}). Check the address and the network, try again, {instead}."
