"""Audit a dataset before training on it.

python -m textclf.audit dataset=imdb model=bert
python -m textclf.audit dataset=files dataset.train=reviews.csv --output audits/mine
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from datetime import datetime
from pathlib import Path

from textclf.audit.options import AuditOptions
from textclf.documents.escape import terminal
from textclf.errors import ConfigError
from textclf.experiment.arguments import choices_of, use_own_folder
from textclf.experiment.cli import composed, explain
from textclf.experiment.config import build
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
        prog="python -m textclf.audit",
        description="What is wrong with a dataset: leakage between splits, copies, contradicting labels, labels that "
        "are probably wrong, texts that the model cuts off, languages, leftover markup. The dataset is composed as "
        "for a run; of the model only the tokenizer and max_length are used.",
        epilog=f"dataset={' | '.join(choices_of('dataset'))}; model={' | '.join(choices_of('model'))}; and any option "
        f"of theirs, such as dataset.max_train_examples=20000 or model.max_length=256.",
    )
    default = AuditOptions()
    parser.add_argument("overrides", nargs="*", metavar="GROUP=CHOICE", help="such as dataset=imdb model=bert")
    parser.add_argument("--config-dir", metavar="DIR", help="folder whose model/ and dataset/ add choices of your own")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write to (outputs/audits/DATE/TIME)")
    parser.add_argument("--no-label-errors", action="store_true", help="do not search for wrong labels")
    parser.add_argument(
        "--near-threshold",
        type=float,
        default=default.near_threshold,
        help="share of their pieces that near duplicates have in common (%(default)s)",
    )
    return parser.parse_intermixed_args()


def main() -> None:
    """Audit what the command line names; exit with 1 where that cannot be done."""
    log_to_stderr()
    logging.getLogger("textclf.audit").setLevel(logging.INFO)
    given = arguments()
    with cli_errors(explain, NOTHING_LEFT):
        if strange := [word for word in given.overrides if "=" not in word]:
            raise ConfigError(f"{' '.join(strange)}: say what to audit as GROUP=CHOICE, such as dataset=imdb.")
        use_own_folder(given.config_dir)
        cfg = composed(given.overrides)
        dataset, model = build(cfg, "dataset"), build(cfg, "model")
        options = AuditOptions(near_threshold=given.near_threshold, label_errors=not given.no_label_errors)
        from textclf.audit.audit_dataset import PAGE, audit_dataset
        from textclf.audit.report import verdict

        output = given.output or Path(f"outputs/audits/{datetime.now():%Y-%m-%d/%H-%M-%S}")
        command = shlex.join(["python", "-m", "textclf.audit", *sys.argv[1:]])
        found = audit_dataset(dataset, model, output, options, command)
        print(terminal(found.summary()))
        print(terminal(verdict(found)))
        print(f"the report: {output / PAGE}")


if __name__ == "__main__":
    main()
