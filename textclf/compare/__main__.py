"""Compare finished runs by hand.

python -m textclf.compare outputs/sweeps/DATE/TIME
python -m textclf.compare outputs/runs --metric accuracy --reference bert
python -m textclf.compare --mlflow EXPERIMENT
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from textclf.compare.options import Claim, CompareOptions
from textclf.documents.escape import terminal
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
        "--tracking-uri", metavar="URI", help="MLflow's store; by default MLFLOW_TRACKING_URI, else ./mlruns/mlflow.db"
    )
    parser.add_argument("--metric", help="metric that verdicts are about; by default what the runs were selected by")
    parser.add_argument("--claim", choices=[claim.value for claim in Claim], default=default.claim.value)
    parser.add_argument("--margin", type=float, default=default.margin, help="margin of equivalence (%(default)s)")
    parser.add_argument("--alpha", type=float, default=default.alpha, help="accepted false claims (%(default)s)")
    parser.add_argument("--reference", metavar="SETUP", help="the setup that the others are related to")
    parser.add_argument("--title", default="Comparison", help="heading of the report")
    parser.add_argument("--latex", action="store_true", help="write the table of setups as setups.tex too")
    parser.add_argument("--output", type=Path, help="folder to write to (outputs/comparisons/DATE/TIME)")
    found = parser.parse_args()
    if bool(found.folders) == bool(found.mlflow):
        parser.error("name folders, or an experiment with --mlflow")
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
        )
        from textclf.compare.compare_runs import compare

        folders = given.folders
        if given.mlflow:
            from textclf.tracking.mlflow.store import run_folders_of

            folders = run_folders_of(given.mlflow, given.tracking_uri)
        command = shlex.join(["python", "-m", "textclf.compare", *sys.argv[1:]])
        written = compare(folders, options, given.output, given.title, command, given.latex)
        for problem in written.problems:
            print(terminal(f"left out: {problem}"))


if __name__ == "__main__":
    main()
