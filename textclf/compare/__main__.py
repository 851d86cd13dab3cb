"""Compare finished runs by hand, or the results of others.

python -m textclf.compare outputs/sweeps/DATE/TIME
python -m textclf.compare outputs/runs --metric accuracy --reference bert
python -m textclf.compare --mlflow EXPERIMENT
python -m textclf.compare --table results.csv
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from textclf.compare.options import COLUMN_ROLES, Claim, CompareOptions, TableOptions
from textclf.documents.escape import terminal
from textclf.errors import ConfigError
from textclf.system.disk import Aftermath
from textclf.system.exits import cli_errors
from textclf.system.redact import log_to_stderr

NOTHING_LEFT = Aftermath(
    "no half-written report is left",
    "or name another place with --output, then give the same command again",
)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m textclf.compare",
        description="Which model is better, is the difference real, and what does it cost? Runs that differ in "
        "nothing but the seed count as one setup; runs on other test examples are compared separately.",
    )
    default = CompareOptions()
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR", help="run folders, or folders that hold some")
    parser.add_argument("--mlflow", metavar="EXPERIMENT", help="the finished runs of an MLflow experiment")
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="results of others (CSV, TSV, JSON Lines): setup, draw, score, or setup, example, label, prediction",
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help=f"the table's column (or NAME,NAME) for {', '.join(COLUMN_ROLES)}, where its name does not say so",
    )
    parser.add_argument("--test-examples", type=int, metavar="N", help="that each score of the table was computed on")
    parser.add_argument("--lower-is-better", action="store_true", help="of a metric of the table that is not known")
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="MLflow's store; by default MLFLOW_TRACKING_URI, else ./mlruns/mlflow.db"
    )
    parser.add_argument("--metric", help="metric that verdicts are about; by default what the runs were selected by")
    parser.add_argument("--claim", choices=[claim.value for claim in Claim], default=default.claim.value)
    parser.add_argument("--margin", type=float, default=default.margin, help="margin of equivalence (%(default)s)")
    parser.add_argument("--alpha", type=float, default=default.alpha, help="accepted false claims (%(default)s)")
    parser.add_argument("--reference", metavar="SETUP", help="the setup that the others are related to")
    parser.add_argument("--label-price", type=float, help="what a label costs, for the labels that training needs")
    parser.add_argument("--title", help="heading of the report")
    parser.add_argument("--latex", action="store_true", help="write the table of setups as setups.tex too")
    parser.add_argument("--output", type=Path, help="folder to write to (outputs/comparisons/DATE/TIME)")
    found = parser.parse_args()
    if sum(map(bool, (found.folders, found.mlflow, found.table))) != 1:
        parser.error("name folders, or an experiment with --mlflow, or a table with --table")
    if not found.table and (found.column or found.test_examples or found.lower_is_better):
        parser.error("--column, --test-examples and --lower-is-better are for a --table")
    return found


def columns(given: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of a table by role, from `ROLE=NAME` and `ROLE=NAME,NAME`."""
    found = {}
    for text in given:
        role, equals, names = text.partition("=")
        if not equals or not all(names.split(",")):
            raise ConfigError(f"--column {text}: write ROLE=NAME, where ROLE is one of {', '.join(COLUMN_ROLES)}.")
        found[role] = tuple(names.split(","))
    return found


def main() -> None:
    """Compare what the command line names; exit with 1 where that cannot be done."""
    log_to_stderr()
    given = arguments()
    with cli_errors(after=NOTHING_LEFT):
        options = CompareOptions(
            metric=given.metric,
            margin=given.margin,
            alpha=given.alpha,
            claim=Claim(given.claim),
            reference=given.reference,
            label_price=given.label_price,
        )
        command = shlex.join(["python", "-m", "textclf.compare", *sys.argv[1:]])
        if given.table:
            table = TableOptions(columns(given.column), given.metric, given.lower_is_better, given.test_examples)
            from textclf.compare.compare_table import compare_table

            title = given.title or "Which claims survive"
            tell(compare_table(given.table, table, options, given.output, title, command, given.latex).problems)
            return
        from textclf.compare.compare_runs import compare

        folders = given.folders
        if given.mlflow:
            from textclf.tracking.mlflow.store import run_folders_of

            folders = run_folders_of(given.mlflow, given.tracking_uri)
        written = compare(folders, options, given.output, given.title or "Comparison", command, given.latex)
        tell(written.problems)


def tell(problems: Iterable[str]) -> None:
    """Print what was left out."""
    for problem in problems:
        print(terminal(f"left out: {problem}"))


if __name__ == "__main__":
    main()
