"""Say which model to use for some texts and labels.

python -m textclf.recommend reviews.csv
python -m textclf.recommend reviews.csv dataset.text_column=body --minutes 10
python -m textclf.recommend dataset=imdb --minutes 30 --output outputs/imdb
"""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from textclf.documents.escape import terminal
from textclf.errors import ConfigError
from textclf.experiment.arguments import use_own_folder
from textclf.experiment.cli import explain
from textclf.system.disk import Aftermath
from textclf.system.environment import threads
from textclf.system.exits import cli_errors
from textclf.system.redact import log_to_stderr, redacted
from textclf.system.wait_policy import watch_for_torch

RUNS_STAY = Aftermath(
    "the runs that were finished are kept in the output folder",
    "then give the same command again with another --output",
)
CHOSEN_HERE = (
    *("model", "seed", "study", "save_classifier", "dataset.draw_seed"),
    *("dataset.folds", "dataset.fold_repeats", "dataset.fold_test"),
)
"""Options that the ladder sets itself."""


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m textclf.recommend",
        description="Which model to use for your texts and labels. Models are run from the cheapest to the dearest, "
        "within the minutes, and the next is tried while the last was shown to gain. The answer is three lines; the "
        "report and the runs are behind it.",
    )
    parser.add_argument(
        "data",
        nargs="+",
        metavar="DATA",
        help="a file or folder of texts with labels, and options such as dataset.text_column=body; or options alone, "
        "such as dataset=imdb",
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="the time that may be spent (%(default)g)")
    parser.add_argument("--all", action="store_true", help="try every model that ends in time, whatever was shown")
    parser.add_argument("--config-dir", metavar="DIR", help="folder whose dataset/ adds choices of your own")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="folder to write to (outputs/recommendations/DATE/TIME)"
    )
    return parser.parse_intermixed_args()


def overrides_of(data: Sequence[str]) -> list[str]:
    """Return what the arguments ask for as overrides of a config.

    Raises:
        ConfigError: If a file is not there, there are several, or an option is one that is chosen here.
    """
    files = [word for word in data if "=" not in word or Path(word).exists() or "://" in word.partition("=")[0]]
    options = [word for word in data if word not in files]
    if len(files) > 1:
        raise ConfigError(
            f"{' '.join(files)}: name one file or folder, and further ones as dataset.validation=FILE and "
            f"dataset.test=FILE; options are GROUP.OPTION=VALUE."
        )
    for option in options:
        key = option.partition("=")[0].lstrip("+~")
        if key in CHOSEN_HERE or key.startswith("model."):
            raise ConfigError(f"{option}: this is chosen here, model by model; leave it out, or use textclf.run.")
    if files:
        (file,) = files
        if not Path(file).exists() and "://" not in file and not file.startswith("bundled:") and "*" not in file:
            raise ConfigError(
                f"{file}: there is no such file or folder. Name one that holds texts with labels, or a known dataset "
                f"such as dataset=imdb."
            )
        quote = '"' if "'" in file else "'"
        options = ["dataset=files", f"dataset.train={quote}{file}{quote}", *options]
    if not any(option.startswith("tracker=") for option in options):
        options.append("tracker=none")
    return options


def main() -> None:
    """Recommend a model for what the command line names; exit with 1 where that cannot be done."""
    log_to_stderr()
    logging.getLogger("textclf.recommending").setLevel(logging.INFO)
    given = arguments()
    watch_for_torch(int(threads()))
    with cli_errors(explain, RUNS_STAY):
        use_own_folder(given.config_dir)
        overrides = overrides_of(given.data)
        output = given.output or Path(f"outputs/recommendations/{datetime.now():%Y-%m-%d/%H-%M-%S}")
        from textclf.recommending.advice import PAGE, recommend

        command = shlex.join(["python", "-m", "textclf.recommend", *map(redacted, sys.argv[1:])])
        for line in recommend(overrides, output, given.minutes, given.all, command):
            print(terminal(redacted(line)))
        logging.getLogger("textclf.recommending").info("the report: %s", output / PAGE)


if __name__ == "__main__":
    main()
