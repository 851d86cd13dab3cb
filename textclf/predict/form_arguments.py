"""Arguments of the command line that say how a file of texts is written, shared by what reads texts and writes rows."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

READ_FORMATS = ("jsonl", "csv", "tsv", "parquet", "txt", "xlsx", "arrow", "feather")


def add_form_arguments(parser: argparse.ArgumentParser, written: Sequence[str]) -> None:
    """Add the arguments that say in which form the input and the output are, and which columns hold the texts.

    Args:
        parser: The parser of a command.
        written: Formats that the command writes.
    """
    parser.add_argument(
        "--input-format", choices=READ_FORMATS, help="where the name does not say it; stdin is looked at"
    )
    parser.add_argument("--output-format", choices=written, help="where the name does not say it")
    parser.add_argument(
        "--encoding", default="utf-8", metavar="NAME", help="of text, such as cp1252 or utf-16, or auto"
    )
    parser.add_argument("--delimiter", metavar="CHAR", help="between the values of a row; the first lines show it")
    parser.add_argument("--column-names", metavar="A,B", help="where the first line of CSV does not name them")
    parser.add_argument(
        "--quoting", choices=("check", "standard", "none"), default="check", help="of CSV: what quotes mean"
    )
    parser.add_argument("--text-column", metavar="NAME", help="column of the texts; usual names are found")
    parser.add_argument("--text-pair-column", metavar="NAME", help="column of the second texts of pairs")
    parser.add_argument("--title-column", metavar="NAME", help="column put in front of the texts")
