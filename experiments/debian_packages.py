"""Write Debian's package descriptions and their tags as sets of labels, real data that many machines have offline.

python experiments/debian_packages.py outputs/debian.jsonl
python -m textclf.run dataset=files dataset.train=outputs/debian.jsonl model=tfidf_logreg

The tags (https://wiki.debian.org/Debtags) say what a package is for, what it is written in, and how it is used: some
460 of them with ten packages or more, three or four a package, most of them rare. Whoever tagged a package did not tag
everything, so a score here is one of agreement. What a machine knows of its index depends on its release and on when
it last asked (`apt-get update`), so no figure made of it is published; it is for measuring time and memory.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path


def packages(index: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the description and tags of each package that has both.

    Args:
        index: As `apt-cache dumpavail` prints it: fields of one package, an empty line, the next.
    """
    for entry in index.split("\n\n"):
        fields = Parser().parsestr(entry)
        description, tags = (" ".join((fields.get(name) or "").split()) for name in ("Description", "Tag"))
        if description and tags:
            yield description, sorted({tag.strip() for tag in tags.split(",") if tag.strip()})


def rows(index: str, least: int) -> list[dict[str, object]]:
    """Return a row for each description, with its tags that `least` descriptions have or more.

    A description that several packages share occurs once, with the tags of all.
    """
    tags_of: dict[str, set[str]] = {}
    for description, tags in packages(index):
        tags_of.setdefault(description, set()).update(tags)
    counts = Counter(tag for tags in tags_of.values() for tag in tags)
    return [
        {"text": description, "label": sorted(tag for tag in tags if counts[tag] >= least)}
        for description, tags in tags_of.items()
    ]


def main() -> None:
    """Read the index and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="JSON Lines to write")
    parser.add_argument("--least", type=int, default=10, help="descriptions that a tag must have (%(default)s)")
    given = parser.parse_args()
    if shutil.which("apt-cache") is None:
        sys.exit("error: apt-cache was not found. The descriptions come from it, so this runs on Debian and its kin.")
    index = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True, encoding="utf-8")
    found = rows(index.stdout, given.least)
    if not any(row["label"] for row in found):
        sys.exit("error: apt-cache knows no tagged package. Run apt-get update, which fetches Debian's index, first.")
    given.file.parent.mkdir(parents=True, exist_ok=True)
    with given.file.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
    tags = {tag for row in found for tag in row["label"]}  # type: ignore[union-attr]
    print(f"{len(found):,} descriptions with {len(tags)} tags in {given.file}")


if __name__ == "__main__":
    main()
