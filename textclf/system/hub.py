"""Reach the Hugging Face Hub, or explain within seconds and in one paragraph why not."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, parse_ratelimit_headers

log = logging.getLogger(__name__)

PROBE_SECONDS = 5.0
"""How long the Hub may take to answer at all."""
PAUSES = (1.0, 2.0)
"""Seconds to wait before a Hub in trouble is asked again."""
_REMEMBER_SECONDS = 60.0
_last_probe: tuple[float, bool] | None = None


def hub_is_reachable() -> bool:
    """Whether the Hub answers; asked once a minute at most, and never longer than `PROBE_SECONDS`."""
    global _last_probe
    now = time.monotonic()
    if _last_probe is not None and now - _last_probe[0] < _REMEMBER_SECONDS:
        return _last_probe[1]
    # A thread, since looking up a name can hang far beyond the timeout of the request itself.
    pool = ThreadPoolExecutor(max_workers=1)
    answer = pool.submit(_ask)
    try:
        reachable = answer.result(timeout=PROBE_SECONDS)
    except FutureTimeoutError:
        reachable = False
    pool.shutdown(wait=False)
    _last_probe = (now, reachable)
    if not reachable:
        log.warning("%s does not answer; looking in the local cache", constants.ENDPOINT)
    return reachable


def _ask() -> bool:
    try:
        huggingface_hub.get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS)
    except Exception:  # whatever the client raises (timeouts, refusals, TLS, proxies) means: not reachable
        return False
    return True


@dataclass(frozen=True)
class Repository:
    """A repository that an option names."""

    kind: str
    """`model` or `dataset`."""
    name: str
    """`owner/name`."""
    revision: str | None
    """A commit, tag or branch; none for `main`."""
    named_by: str = ""
    """The option whose address it is part of; empty where it has the option that is for it."""

    @property
    def option(self) -> str:
        """The option that names it."""
        if self.named_by:
            return self.named_by
        return "model.checkpoint" if self.kind == "model" else "dataset.path"

    @property
    def page(self) -> str:
        """The address of its page."""
        return f"{constants.ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.name}"

    def __str__(self) -> str:
        return f"{'Checkpoint' if self.kind == 'model' else 'Dataset'} {self.name!r}"


@dataclass(frozen=True)
class HubAccess:
    """How the Hub may be used for now."""

    online: bool
    """Whether it may be asked; else there is its local cache alone."""
    refusal: HfHubHTTPError | None = None
    """What it answered in place of the repository."""


@contextmanager
def hub_or_cache(repository: Repository | None = None) -> Iterator[HubAccess]:
    """Use the Hub inside the context, or its local cache alone where the Hub does not answer or is in trouble.

    The client libraries would otherwise retry for half a minute before they look in the cache.

    Args:
        repository: What is wanted of it, if it is a model or dataset.
    """
    if constants.is_offline_mode():
        yield HubAccess(online=False)
        return
    access = _access(repository) if hub_is_reachable() else HubAccess(online=False)
    if access.online:
        yield access
        return
    from datasets import config as datasets_config

    before = (constants.HF_HUB_OFFLINE, datasets_config.HF_HUB_OFFLINE)
    constants.HF_HUB_OFFLINE = datasets_config.HF_HUB_OFFLINE = True
    try:
        yield access
    finally:
        constants.HF_HUB_OFFLINE, datasets_config.HF_HUB_OFFLINE = before


def _access(repository: Repository | None) -> HubAccess:
    """Ask for a repository, a few times where the Hub is in trouble; what it refuses for good may still be cached."""
    if repository is None:
        return HubAccess(online=True)
    for wait in (*PAUSES, None):
        try:
            _ask_for(repository)
        except HfHubHTTPError as error:
            if error.response.status_code != 429 and error.response.status_code < 500:
                return HubAccess(online=True, refusal=error)
            longest = _seconds_until_served(error)
            if wait is not None and (longest is None or longest <= wait):
                time.sleep(wait)
                continue
            log.warning("%s; looking in the local cache", _in_trouble(repository, error))
            return HubAccess(online=False, refusal=error)
        except HFValidationError:  # no name of a repository, which the libraries say
            return HubAccess(online=True)
        except Exception as error:  # whatever the client raises on a network that fails
            log.warning("%s: %s; looking in the local cache", repository.page, type(error).__name__)
            return HubAccess(online=False)
        return HubAccess(online=True)
    raise AssertionError("the last pass returns")


def _ask_for(repository: Repository) -> None:
    """Ask for the small file that each repository has, and raise what the Hub answers."""
    file = "config.json" if repository.kind == "model" else "README.md"
    url = huggingface_hub.hf_hub_url(
        repository.name, file, repo_type=repository.kind, revision=repository.revision or constants.DEFAULT_REVISION
    )
    session = huggingface_hub.get_session()
    answer = session.head(url, headers=build_hf_headers(), timeout=PROBE_SECONDS, follow_redirects=False)
    if answer.status_code >= 400:
        hf_raise_for_status(answer)


def _seconds_until_served(error: HfHubHTTPError) -> float | None:
    """Return for how long the Hub says to wait; none if it does not say."""
    said = error.response.headers.get("Retry-After", "")
    if said.isdigit():
        return float(said)
    limit = parse_ratelimit_headers(error.response.headers)
    return None if limit is None or limit.remaining else float(limit.reset_in_seconds)


def _in_trouble(repository: Repository, error: HfHubHTTPError) -> str:
    """Return what the Hub answered, as the start of a sentence."""
    status = error.response.status_code
    answered = "too many requests" if status == 429 else "an error of its own"
    return f"{constants.ENDPOINT} answers {status} ({answered}) for {repository.name}"


def explain(repository: Repository, access: HubAccess, error: BaseException) -> str | None:
    """Return why the Hub did not give a repository, and what to do; none where it refused nothing.

    Args:
        repository: What was asked for.
        access: How it was asked.
        error: What a client library raised; what the Hub answered may be among its causes.
    """
    cause = _answer_behind(error) or access.refusal
    if cause is None:
        return None
    status = cause.response.status_code
    kept = f"or give a local folder, {repository.option}=/path/to/it"
    has_token = "authorization" in {name.lower() for name in cause.response.request.headers}
    match cause:
        case GatedRepoError():
            if has_token:
                how = (
                    "and the account of your token has no access to it yet. Ask for it there; if you have it, the "
                    "token itself must be allowed to read gated repositories"
                )
            else:
                how = "and you are not logged in. Accept its terms there, then log in with `hf auth login`"
            return f"{repository} is gated: its owner decides who may read it ({repository.page}), {how}."
        case RevisionNotFoundError():
            revision = repository.option.partition(".")[0] + ".revision"
            revision = f"what follows @ in {repository.option}" if repository.named_by else revision
            return (
                f"{repository} has no revision {repository.revision!r}. Set {revision} to a branch, tag or full "
                f"commit that it has ({repository.page}/tree/main lists them), or leave it out for the newest."
            )
        case DisabledRepoError():
            return f"{repository} was disabled by the Hub ({repository.page}). Choose another, {kept}."
        case RemoteEntryNotFoundError() if repository.kind == "model" and not repository.named_by:
            return (
                f"{repository} lacks a file that a checkpoint of transformers has ({cause.response.url.path}). Choose "
                f"a repository with config.json, a tokenizer and model.safetensors, {kept}."
            )
        case _ if status == 401 and has_token:
            return (
                f"{repository} could not be read: {constants.ENDPOINT} does not accept your token (401). Log in again "
                f"with `hf auth login`, correct HF_TOKEN if it is set, or take the token away for what is public."
            )
        case RepositoryNotFoundError():
            spelled = f"Check the spelling of {repository.option} (owner/name"
            spelled += ", or a local folder with a / or . in front)" if repository.kind == "model" else ")"
            if has_token:
                how = "if it is private, log in with a token of an account that may read it"
            else:
                how = "if it is private, log in with `hf auth login` or set HF_TOKEN"
            return f"{repository} is not on the Hub, or is private ({status}, {constants.ENDPOINT}). {spelled}; {how}."
        case _ if status == 429:
            wait = _seconds_until_served(cause)
            when = (
                "in a few minutes" if wait is None else f"in {wait:.0f} s" if wait < 120 else f"in {wait / 60:.0f} min"
            )
            allowed = "" if has_token else "log in with `hf auth login`, which allows more; "
            return (
                f"{repository} could not be read, and is not in the local cache: {constants.ENDPOINT} was asked too "
                f"often from here (429). Try again {when}; {allowed}{kept}."
            )
        case _ if status >= 500:
            return (
                f"{repository} could not be read, and is not in the local cache: {constants.ENDPOINT} answers with an "
                f"error of its own ({status}). Your options are not the reason. Try again in a few minutes (see "
                f"https://status.huggingface.co), {kept}."
            )
        case _ if status == 407:
            return (
                f"{repository} could not be read: the proxy between here and {constants.ENDPOINT} wants a login (407). "
                f"Give it in HTTPS_PROXY=http://user:password@host:port, {kept}."
            )
        case _ if status in (401, 403):
            token = "your token may not read it" if has_token else "it is not open to all, and you are not logged in"
            return (
                f"{repository} could not be read: {constants.ENDPOINT} answers {status}: {token}, or a proxy forbids "
                f"it. Log in with `hf auth login` with a token that may, {kept}."
            )
        case _:
            return None


def _answer_behind(error: BaseException) -> HfHubHTTPError | None:
    """Return the Hub's refusal among an error and its causes."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HfHubHTTPError) and getattr(seen, "response", None) is not None:
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def why_missing(repository: Repository, bundled: str) -> str | None:
    """Return why a repository cannot be had, by the one small request or the look into the cache that shows it.

    Args:
        repository: What is wanted.
        bundled: What to type for the same thing without any network.

    Returns:
        A paragraph; none where nothing speaks against it, which a file that it lacks may still do.
    """
    if _is_cached(repository):
        return None
    with hub_or_cache(repository) as access:
        if access.refusal is None:
            return None if access.online else ways_on(str(repository), repository.option, bundled)
        if isinstance(access.refusal, RemoteEntryNotFoundError):
            return None
        return explain(repository, access, access.refusal)


def _is_cached(repository: Repository) -> bool:
    """Say whether a local cache holds anything of a repository."""
    folders = [Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository.name, repo_type=repository.kind)]
    if repository.kind == "dataset":
        prepared = os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets"
        folders.append(Path(prepared) / repository.name.replace("/", "___"))
    return any(folder.is_dir() for folder in folders)


def names_a_folder(name: str) -> bool:
    """Whether a name can only be a local folder's, and not `owner/name` on the Hub."""
    return name.startswith((".", "~")) or Path(name).is_absolute() or name.count("/") > 1


def local_folder(name: str, option: str) -> Path | None:
    """Return the folder that an option names, none where there is no such folder.

    A name without a `/` or `.` in front may also be a repository's; that the folder of this name is taken is said.

    Args:
        name: A path, or `owner/name`.
        option: The option, such as `dataset.path`.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return None
    if not names_a_folder(name):
        _say_that_it_is_local(f"{option}={name}", str(folder.absolute()))
    return folder


@functools.cache
def _say_that_it_is_local(said: str, folder: str) -> None:
    """Say, once a process, that a name is taken for a folder's."""
    log.warning(
        "%s: the folder %s is read, not the repository of this name on the Hub. Put ./ in front to say so; for the "
        "repository, rename the folder or work elsewhere",
        said, folder,
    )  # fmt: skip


def ways_on(what: str, option: str, bundled: str) -> str:
    """Return the paragraph for something that is neither reachable nor cached.

    Args:
        what: What was asked for, such as `dataset 'stanfordnlp/imdb'`.
        option: The option that takes a local path instead.
        bundled: What to type for the same thing without any network.
    """
    silent = _last_probe is not None and not _last_probe[1]  # then `hub_or_cache` has set the flag itself
    how = f"{constants.ENDPOINT} does not answer" if silent else "HF_HUB_OFFLINE is set"
    return (
        f"{what} is not in the local cache ({constants.HF_HOME}), and {how}. Three ways on: "
        f"fill the cache where there is a network, copy it here and set HF_HUB_OFFLINE=1; "
        f"give a local folder, {option}=/path/to/it; or use what comes with textclf, {bundled}."
    )
