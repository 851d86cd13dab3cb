"""Export the classifier of a run.

python -m textclf.export latest --to onnx-int8
python -m textclf.export best:imdb --to space --output my_space
python -m textclf.export models:/reviews@champion --to hub --push owner/name
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from textclf.system.disk import Aftermath
from textclf.system.exits import cli_errors
from textclf.system.redact import log_to_stderr
from textclf.tracking.find_runs import OUTPUTS, RUN_HELP

TARGETS = {
    "onnx": "a graph that predicts without torch, transformers or scikit-learn",
    "onnx-int8": "the same with 8-bit weights: a quarter of the size, refused where it is worse",
    "safetensors": "the transformer as transformers itself reads it",
    "space": "a Gradio Space that runs as it is",
    "hub": "the folder of a model repository, with its card",
}

NOTHING_LEFT = Aftermath(
    "no half-written export is left",
    "or name another place with --output, then give the same command again",
)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m textclf.export",
        description="Write a run's classifier in a form that others run. load_classifier and textclf.predict read the "
        "folder too. Its predictions are checked against the original on the run's own test examples.",
        epilog="; ".join(f"{name}: {what}" for name, what in TARGETS.items()) + ".",
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--to", required=True, choices=list(TARGETS), help="what to write")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write (outputs/exports/RUN-TARGET)")
    parser.add_argument(
        "--max-loss",
        type=float,
        default=1.0,
        metavar="POINTS",
        help="points of macro F1 that 8-bit weights may cost (%(default)s)",
    )
    parser.add_argument(
        "--examples", type=int, default=1000, metavar="N", help="most test examples to check on (%(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="keep an export that fails its check, or has none")
    parser.add_argument("--push", metavar="OWNER/NAME", help="push the folder of hub or space there, with HF_TOKEN")
    parser.add_argument("--public", action="store_true", help="make what is pushed public; it is private otherwise")
    parser.add_argument(
        "--with-texts", action="store_true", help="offer some of the run's test texts in the space, for all to read"
    )
    parser.add_argument("--outputs", type=Path, default=OUTPUTS, metavar="DIR", help="where runs are (%(default)s)")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow's store or server (mlruns/mlflow.db)")
    return parser.parse_args()


def main() -> None:
    """Export what the command line names; exit with 1 where that cannot be done."""
    log_to_stderr()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    given = arguments()
    with cli_errors(after=NOTHING_LEFT):
        from textclf.export.export_run import ExportOptions, export

        options = ExportOptions(
            to=given.to,
            output=given.output,
            max_loss=given.max_loss,
            examples=given.examples,
            force=given.force,
            push=given.push,
            private=not given.public,
            with_texts=given.with_texts,
            command=shlex.join(["python", "-m", "textclf.export", *sys.argv[1:]]),
        )
        from textclf.tracking.find_runs import resolve_run

        export(resolve_run(given.run, given.outputs, given.tracking_uri), options)


if __name__ == "__main__":
    main()
