"""Reach the Hugging Face Hub, or explain within seconds and in one paragraph why not."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants

log = logging.getLogger(__name__)

PROBE_SECONDS = 5.0
"""How long the Hub may take to answer at all."""
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


@contextmanager
def hub_or_cache() -> Iterator[bool]:
    """Use the Hub inside the context, or its local cache alone where the Hub does not answer.

    The client libraries would otherwise retry for half a minute before they look in the cache.

    Yields:
        Whether the Hub may be asked.
    """
    if constants.is_offline_mode():
        yield False
        return
    if hub_is_reachable():
        yield True
        return
    from datasets import config as datasets_config

    before = (constants.HF_HUB_OFFLINE, datasets_config.HF_HUB_OFFLINE)
    constants.HF_HUB_OFFLINE = datasets_config.HF_HUB_OFFLINE = True
    try:
        yield False
    finally:
        constants.HF_HUB_OFFLINE, datasets_config.HF_HUB_OFFLINE = before


def names_a_folder(name: str) -> bool:
    """Whether a name can only be a local folder's, and not `owner/name` on the Hub."""
    return name.startswith((".", "~")) or Path(name).is_absolute() or name.count("/") > 1


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
