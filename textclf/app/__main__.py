"""Show a run to colleagues: a page to type texts into, to upload files to, and to say what is wrong.

python -m textclf.app
python -m textclf.app best:imdb --port 8600
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from textclf.app.server import LOOPBACK, address, announce, check_installed, free_port, serve
from textclf.app.settings import Settings
from textclf.errors import ConfigError
from textclf.system.disk import Aftermath
from textclf.system.exits import cli_errors

KEPT = Aftermath("feedback that was given is kept", "then start the app again")


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m textclf.app",
        description="A page that shows what finished runs predict and why, takes feedback to train on, shows a run's "
        "scores and compares runs. It listens on this machine alone unless --host says otherwise.",
    )
    parser.add_argument(
        "run", nargs="?", metavar="RUN",
        help="the run that is picked at first: a run folder, an MLflow run id, models:/NAME@ALIAS, latest, or "
        "best:DATASET (the newest)",
    )  # fmt: skip
    parser.add_argument("--outputs", default=default.outputs, metavar="DIR", help="where runs are found (%(default)s)")
    parser.add_argument("--port", type=int, default=8501, help="port to listen on, 0 for any (%(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--feedback", metavar="FILE", help="JSONL file for feedback (OUTPUTS/feedback/DATASET.jsonl)")
    parser.add_argument("--to-label", metavar="FILE", help="what textclf.label wrote, for the page Label")
    parser.add_argument("--events", metavar="FILE", help="JSONL file for events (OUTPUTS/app/events.jsonl)")
    parser.add_argument("--log-texts", action="store_true", help="write the texts into the events too")
    for option, what in [
        ("max_upload_mb", "largest file that can be uploaded, in MB"),
        ("max_rows", "most rows of an uploaded file"),
        ("max_characters", "longest text that can be typed"),
        ("words", "words of a text that are weighed; 0 weighs none"),
        ("classifiers", "classifiers kept in memory"),
    ]:
        value = getattr(default, option)
        flag = "--" + option.replace("_", "-")
        parser.add_argument(flag, type=int, default=value, metavar="N", help=f"{what} (%(default)s)")
    parser.add_argument(
        "--sign-in", action="store_true", help="ask who it is, by the [auth] in .streamlit/secrets.toml"
    )
    parser.add_argument(
        "--allow", action="append", default=[], metavar="WHO", help="an address, or @DOMAIN, that may sign in"
    )
    return parser.parse_args()


def main() -> None:
    """Serve what the command line asks for; exit with 1 where that cannot be done."""
    given = arguments()
    with cli_errors(after=KEPT):
        check_installed()
        settings = settings_of(given)
        if given.sign_in:
            from textclf.app.sign_in import check_sign_in, secrets_files

            check_sign_in(secrets_files())
        port = free_port(given.host, given.port)
        if given.host not in LOOPBACK and not given.sign_in:
            print(f"note: --host {given.host} lets in everybody who can reach this machine.", file=sys.stderr)
        announce(given.host, port, f"the app: {address(given.host, port)} (Ctrl-C ends it)")
        serve(settings, given.host, port)


def settings_of(given: argparse.Namespace) -> Settings:
    """Return the app's settings, with the run found and every path made whole.

    Raises:
        TextclfError: If there is no such run, the outputs folder is missing, or a limit makes no sense.
    """
    outputs = Path(given.outputs)
    run = None
    if given.run is not None:
        from textclf.tracking.find_runs import resolve_run

        found = resolve_run(given.run, outputs)
        run = str((found.folder or found.classifier).resolve())
    elif not outputs.is_dir():
        raise ConfigError(
            f"There is no folder {outputs}, so there is no run to show. Train one (python -m textclf.run "
            f"model=tfidf_logreg), name a run, or say where runs are with --outputs DIR."
        )
    if given.to_label is not None and not Path(given.to_label).is_file():
        raise ConfigError(f"--to-label {given.to_label}: there is no such file; python -m textclf.label makes one.")
    return Settings(
        outputs=str(outputs.resolve()),
        run=run,
        feedback=_whole(given.feedback),
        events=_whole(given.events),
        to_label=_whole(given.to_label),
        max_upload_mb=given.max_upload_mb,
        max_rows=given.max_rows,
        max_characters=given.max_characters,
        words=given.words,
        classifiers=given.classifiers,
        log_texts=given.log_texts,
        sign_in=given.sign_in,
        allowed=tuple(given.allow),
    )


def _whole(path: str | None) -> str | None:
    return None if path is None else str(Path(path).resolve())


if __name__ == "__main__":
    main()
