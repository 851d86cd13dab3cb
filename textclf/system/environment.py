"""Versions of the libraries, the machine, and the commit that a result was made with."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

LIBRARIES = (
    *("textclf", "torch", "transformers", "tokenizers", "datasets", "scikit-learn", "evaluate", "mlflow", "numpy"),
    "peft",
)
NOT_INSTALLED = "not installed"


def environment() -> dict[str, str]:
    """Return the versions of the libraries, the platform, and the commit of textclf's code."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "machine": machine()}
    found |= {"threads": threads(), **{library: version_of(library) or NOT_INSTALLED for library in LIBRARIES}}
    commit, hub = git_commit(), other_hub()
    return found | ({"git_commit": commit} if commit else {}) | ({"hub": hub} if hub else {})


def threads() -> str:
    """Return how many threads this process is to compute with."""
    return os.environ.get("OMP_NUM_THREADS") or str(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )


@functools.cache
def version_of(library: str) -> str | None:
    """Return the version of a library, `textclf` among them; none where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def other_hub() -> str | None:
    """Return the host of the Hub that HF_ENDPOINT names; none for huggingface.co.

    What bears a name of huggingface.co elsewhere, on a mirror or a test server, need not be the same.
    """
    host = urlsplit(os.environ.get("HF_ENDPOINT", "")).netloc.rpartition("@")[2]
    return host if host and host != "huggingface.co" else None


def machine() -> str:
    """Return what computes: the number and kind of the processors, and the GPUs that torch sees."""
    kind = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        kind = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), kind)
    except OSError:
        pass  # not Linux
    found = f"{os.cpu_count()} × {kind}"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        found += "".join(f", {names.count(name)} × {name}" for name in dict.fromkeys(names))
    return found


@functools.cache
def git_commit() -> str | None:
    """Return the commit of the checkout that textclf runs from, `-dirty` where it was changed since.

    Asked once in a process: the code that runs is the code that was there when it was imported.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # installed: a checkout around it would be somebody else's
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
