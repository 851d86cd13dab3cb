"""Rows of JSON Lines: an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from textclf.data import rejected
from textclf.data.readers.source import SAMPLED_ROWS, BadRow, Lines, Row
from textclf.data.readers.text import HEAD_BYTES, open_text
from textclf.data.rejected import START_CHARACTERS
from textclf.errors import DataError


class JsonLines:
    """One JSON object a line. Blank lines are no rows."""

    def columns(self, path: Path) -> list[str]:
        """Return the keys of the first rows, in order."""
        keys: dict[str, None] = {}
        with open_text(path) as stream:
            first = next((line for line in iter(lambda: stream.readline(HEAD_BYTES), "") if not line.isspace()), "")
        whole = _loads(first)
        if first.lstrip().startswith("[") and (whole is None or (whole and isinstance(whole[0], dict))):
            raise one_array(str(path))
        with open_text(path) as stream:
            found = 0
            for line in islice(stream, SAMPLED_ROWS * 10):
                content = _loads(line)
                if isinstance(content, dict):
                    keys |= dict.fromkeys(content)
                    found += 1
                if found == SAMPLED_ROWS:
                    break
        if not keys:
            first = next((bad for bad in self.rows(path, ()) if isinstance(bad, BadRow)), None)
            said = f"{path}:{first.at}: {first.cause} {first.detail}: {first.start[:60]!r}" if first else str(path)
            raise DataError(f'{said}. Each line must be one JSON object such as {{"text": "…", "label": "…"}}.')
        return list(keys)

    def rows(self, path: Path, wanted: Sequence[str]) -> Iterator[Row | BadRow]:
        """Yield a row for each line that is not blank."""
        name = str(path)
        with open_text(path) as stream:
            for found in self.objects(stream, name):
                if isinstance(found, BadRow):
                    yield found
                else:
                    number, _, content = found
                    yield Row(name, number, [content.get(key) for key in wanted])

    def objects(self, stream: IO[str], name: str) -> Iterator[tuple[int, str, dict[str, Any]] | BadRow]:
        """Yield each line that is not blank: its number, the line itself and what it holds.

        Args:
            stream: What `open_text` gave.
            name: What it is called, for rows that cannot be read.
        """
        decode = json.JSONDecoder().raw_decode
        lines = Lines(stream)
        for line in lines:
            if lines.bad:
                yield BadRow(name, lines.number, lines.bad.pop()[1], "", line[:START_CHARACTERS])
                continue
            try:
                content, end = decode(line) if line[0] == "{" else (json.loads(line), len(line))
                if end + 1 < len(line) and not line[end:].isspace():
                    json.loads(line)  # says what follows
            except (ValueError, RecursionError) as error:
                if line.isspace():
                    continue
                detail = f"({error.msg}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
                yield BadRow(name, lines.number, rejected.NOT_JSON, detail, line[:START_CHARACTERS])
                continue
            if isinstance(content, dict):
                yield lines.number, line, content
            else:
                yield BadRow(name, lines.number, rejected.NOT_AN_OBJECT, "", line[:START_CHARACTERS])

    def remark(self, path: Path) -> str:
        """Return nothing: the keys say it all."""
        return ""


def one_array(name: str) -> DataError:
    """Return the error that refuses a file that is one JSON array, with what to do."""
    stem = Path(name).stem
    return DataError(
        f"{name}: the file is one JSON array; textclf reads JSON Lines, one object a line. Convert it with "
        f"`jq -c '.[]' {name} > {stem}.jsonl`, or in Python with "
        f"pandas.read_json({name!r}).to_json({stem + '.jsonl'!r}, orient='records', lines=True)."
    )


def _loads(line: str) -> Any:
    """Return what a line holds, or nothing where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
