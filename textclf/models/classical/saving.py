"""A scikit-learn pipeline as a file of which every byte depends on the pipeline alone.

skops names the parts of its archive by their addresses in memory and stamps them with the time, so that the same
pipeline, written twice, gives two files. Here the parts are numbered in the order in which they occur, and the time is
the earliest that an archive can bear.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

from sklearn.pipeline import Pipeline

SCHEMA = "schema.json"
STAMP = (1980, 1, 1, 0, 0, 0)


def write_pipeline(pipeline: Pipeline, path: Path) -> None:
    """Write a pipeline with skops, never pickle; the same pipeline always gives the same bytes."""
    import skops.io  # where saving and reading classifiers begins, it is imported with care

    written = io.BytesIO()
    skops.io.dump(pipeline, written)
    numbers: dict[str, int] = {}
    with ZipFile(written) as source, ZipFile(path, "w") as target:
        schema = _numbered(json.loads(source.read(SCHEMA)), numbers)
        for name in source.namelist():
            stem, dot, ending = name.partition(".")
            if name != SCHEMA:
                target.writestr(ZipInfo(f"{numbers[stem]}{dot}{ending}", STAMP), source.read(name))
        target.writestr(ZipInfo(SCHEMA, STAMP), json.dumps(schema, indent=2))


def _numbered(node: Any, numbers: dict[str, int]) -> Any:
    """Return a node of the schema with its addresses, and the files named by them, as numbers."""
    if isinstance(node, list):
        return [_numbered(item, numbers) for item in node]
    if not isinstance(node, dict):
        return node
    if "__loader__" not in node:  # the content of a dictionary, whose keys are the pipeline's own
        return {key: _numbered(value, numbers) for key, value in node.items()}
    changed = {}
    for key, value in node.items():
        if key == "__id__":
            changed[key] = numbers.setdefault(str(value), len(numbers) + 1)
        elif key == "file" and isinstance(value, str):
            stem, dot, ending = value.partition(".")
            changed[key] = f"{numbers.setdefault(stem, len(numbers) + 1)}{dot}{ending}"
        else:
            changed[key] = _numbered(value, numbers)
    return changed
