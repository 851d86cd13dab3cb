"""Send to MLflow what it could not take while the runs were under way.

python -m textclf.sync
python -m textclf.sync outputs/2026-11-20/12-00-00 outputs/sweeps/mine
python -m textclf.sync --tracking-uri http://127.0.0.1:5000
python -m textclf.sync --trust http://127.0.0.1:5000      where that is the server that the runs name
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from textclf.documents.escape import terminal
from textclf.system.disk import Aftermath
from textclf.system.exits import FAILED, cli_errors
from textclf.system.redact import redacted

REST_IS_KEPT = Aftermath(
    "what was sent is noted, and the rest is kept in the run folders",
    "then give the same command again, which sends the rest",
)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m textclf.sync",
        description="Each run keeps what it logs in its folder too. This sends what is not in the store yet: "
        "of runs whose store was down, locked or slow, and of runs that were killed, which are marked so. What is "
        "there already is not sent again, and runs under way are left alone.",
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="RUN|FOLDER", help="run folders, or folders with some (outputs)"
    )
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="send to this store or server, not to that which each run names"
    )
    parser.add_argument(
        "--trust",
        metavar="URI",
        action="append",
        default=[],
        help="a store or server that a run may be sent to because its folder names it; one below the working folder, "
        "and that of MLFLOW_TRACKING_URI, need no such word",
    )
    return parser.parse_args()


def main() -> None:
    """Send what the command line names; exit with 1 where something could not be sent."""
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s: %(message)s")
    logging.getLogger("textclf.tracking.mlflow.database").setLevel(logging.WARNING)
    given = arguments()
    with cli_errors(after=REST_IS_KEPT):
        if given.tracking_uri and os.sep in given.tracking_uri and "://" not in given.tracking_uri:
            from textclf.errors import ConfigError

            raise ConfigError(
                f"--tracking-uri {given.tracking_uri}: name a store as sqlite:////path/to/mlflow.db, or a server."
            )
        from textclf.tracking.mlflow.unsent import journals_below, send_late

        folders = journals_below(given.folders or [Path("outputs")])
        done = problems = 0
        for sent in send_late(folders, given.tracking_uri, given.trust):
            print(terminal(redacted(sent.describe())), flush=True)
            done += 1
            problems += bool(sent.problems)
        if not done:
            there = "1 run is in its store" if len(folders) == 1 else f"{len(folders)} runs are in their store"
            print(f"nothing to send: {there}" if folders else "no run was tracked here")
    if problems:
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
