"""Register a run's classifier in MLflow, as the champion that is served.

python -m textclf.register outputs/runs/DATE/TIME --name reviews
python -m textclf.register best:imdb --name reviews --alias champion
"""

from __future__ import annotations

import argparse

from textclf.documents.escape import terminal
from textclf.system.disk import Aftermath
from textclf.system.exits import cli_errors
from textclf.system.redact import log_to_stderr, redacted

UNCHANGED = Aftermath(
    "the run itself is as it was, and the alias is given last",
    "then give the same command again",
)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m textclf.register",
        description="Put a run's classifier into MLflow's registry and give it an alias. Where the alias is taken, the "
        "two classifiers are compared on the test set they share, and the one that bears it keeps it if it is "
        "significantly better, or if they cannot be compared.",
    )
    parser.add_argument(
        "run", metavar="RUN", help="a run folder, an MLflow run id, models:/NAME@ALIAS, latest, or best:DATASET"
    )
    parser.add_argument("--name", required=True, help="the registered model, such as reviews; made if it is not there")
    parser.add_argument("--alias", default="champion", help="the alias to give (%(default)s)")
    parser.add_argument("--force", action="store_true", help="give the alias whatever the comparison says")
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="MLflow's store; by default MLFLOW_TRACKING_URI, else ./mlruns/mlflow.db"
    )
    return parser.parse_args()


def main() -> None:
    """Register what the command line names; exit with 1 where that is refused or cannot be done."""
    log_to_stderr()
    given = arguments()
    with cli_errors(after=UNCHANGED):
        from textclf.export.registry import register

        done = register(given.run, given.name, given.alias, force=given.force, tracking_uri=given.tracking_uri)
        print(terminal(done.said))
        uri = redacted(done.uri)
        print(terminal(f"serve it: MLFLOW_TRACKING_URI={uri} mlflow models serve -m {done.model} --env-manager local"))


if __name__ == "__main__":
    main()
