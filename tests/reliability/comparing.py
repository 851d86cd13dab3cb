"""Whether two run folders hold the same, byte for byte, but for what the clock and the memory of the machine say.

All that may differ is listed here, and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORD = "run.json"
MANIFEST = "manifest.json"
ABOUT_THE_RUN = (
    ".hydra",  # how this attempt was called: a rerun says resume=true
    "run.log",  # the log of all attempts
    "started.json",
    "status.json",
    "tracking.jsonl",
    ".lease.lock",  # what locks are held on is never removed
    ".tracking.lock",
)
"""Files that tell of the attempts rather than of the result. They may be there, and are not compared."""
WALL_CLOCK = {
    RECORD: (
        "started", "seconds", "phases", "command",
        "costs.train_seconds", "costs.train_examples_per_second", "costs.test_examples_per_second",
        "costs.peak_memory_bytes", "costs.peak_gpu_memory_bytes",
        "costs.latency_median_seconds", "costs.latency_p95_seconds",
        "fit.train_seconds", "fit.epochs.seconds", "fit.resumed_at",
        "environment.git_commit",
        "tracking.run_id", "tracking.url",
    ),
    "analysis.json": ("seconds", "attribution_seconds"),
}  # fmt: skip
"""Values by file and dotted path (through lists as well) that are times, memory, or names given by the tracker."""
ROWS = (
    "training", "peak memory of training and testing", "peak GPU memory", "predicting the test split", "a single example",
    "started", "commit", "whole run", "run in MLflow",
)  # fmt: skip
"""Rows of the tables of report.md and report.html that show them."""
REPORTS = ("report.md", "report.html")
LEFT_BEHIND = re.compile(r"checkpoints|lease\.json|\..*")
"""Names directly in the folder of a finished run that nobody may leave there."""
MASKED = "·"


def contents(folder: Path) -> dict[str, bytes]:
    """Return what a run folder holds that must be the same each time, by path from it."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        top = name.partition("/")[0]
        if top in ABOUT_THE_RUN or path.is_dir():
            continue
        found[name] = _masked(name, path.read_bytes())
    return found


def left_behind(folder: Path) -> list[str]:
    """Return what a finished run should have removed: temporary files, checkpoints, leases."""
    found = [entry.name for entry in folder.iterdir() if LEFT_BEHIND.fullmatch(entry.name)]
    found += [
        str(path.relative_to(folder))
        for path in folder.rglob(".*")
        if path.parent != folder and ".hydra" not in path.parts
    ]
    return sorted(set(found) - set(ABOUT_THE_RUN))


def differences(expected: dict[str, bytes], folder: Path) -> list[str]:
    """Return in words how a run folder differs from what is expected; empty where it does not."""
    found = contents(folder)
    said = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    said += [f"{name} should not be there" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        if expected[name] != found[name]:
            said.append(f"{name} differs: {_first_difference(expected[name], found[name])}")
    said += [f"left behind: {name}" for name in left_behind(folder)]
    return said + list(_broken_manifest(folder))


def _broken_manifest(folder: Path) -> Iterator[str]:
    """Yield what a manifest says that is not so; the digests of the reports and of the record are masked otherwise."""
    from textclf.system.files import manifest_problem

    problem = manifest_problem(folder)
    if problem is not None:
        yield f"not finished: {problem}"


def _masked(name: str, content: bytes) -> bytes:
    if name == MANIFEST:
        return "\n".join(sorted(json.loads(content)["files"])).encode()
    if name in WALL_CLOCK:
        said = json.loads(content)
        for path in WALL_CLOCK[name]:
            _mask(said, path.split("."))
        return json.dumps(said, indent=1).encode()
    if name in REPORTS:
        return _masked_report(content.decode()).encode()
    return content


def _mask(node: Any, path: list[str]) -> None:
    if isinstance(node, list):
        for item in node:
            _mask(item, path)
    elif isinstance(node, dict) and path[0] in node:
        if len(path) == 1:
            node[path[0]] = MASKED
        else:
            _mask(node[path[0]], path[1:])


def _masked_report(text: str) -> str:
    text = re.sub(r"[\d.]+ s on (\w+) in", rf"{MASKED} s on \1 in", text)
    text = re.sub(r"[\d,]+(\*\* \(|</b><small>)texts a second", rf"{MASKED}\1texts a second", text)
    text = re.sub(r" {2,}", " ", re.sub(r"-{3,}", "---", text))  # the columns are as wide as what they hold
    text = re.sub(r"(?m)^python -m textclf\.run .*$|<pre><code>python -m textclf\.run .*?</code></pre>", MASKED, text)
    for row in ROWS:
        text = re.sub(rf"(?m)^(\| {re.escape(row)} \|).*$", rf"\1 {MASKED} |", text)
        text = re.sub(rf"(<div>{re.escape(row)}</div></th>\s*<td><div>)[^<]*", rf"\1{MASKED}", text)
    return text


def _first_difference(expected: bytes, found: bytes) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), min(len(expected), len(found))
    )
    part = slice(max(0, at - 40), at + 60)
    return f"at byte {at}, expected {expected[part]!r}, found {found[part]!r}"
