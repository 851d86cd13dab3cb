"""Browse the runs of the tracking store in MLflow's own page.

python -m textclf.ui
python -m textclf.ui --port 5050
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from textclf.errors import ConfigError
from textclf.system import signals
from textclf.system.exits import INTERRUPTED, cli_errors
from textclf.system.redact import redacted
from textclf.tracking.options import MlflowTracker

HOST = "127.0.0.1"
PATIENCE_SECONDS = 10
"""How long MLflow's server is given to end."""
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
"""What MLflow's server is told: to send nothing home, and to run and unpickle nothing."""


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m textclf.ui",
        description=f"Show all runs side by side in MLflow, at http://{HOST}:5000, to this machine alone.",
    )
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (%(default)s)")
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="MLflow's store; by default MLFLOW_TRACKING_URI, else ./mlruns/mlflow.db"
    )
    return parser.parse_args()


def command(given: argparse.Namespace) -> list[str]:
    """Return the command of MLflow that shows the store; one in SQLite is made where it is not there.

    Raises:
        ConfigError: If the store is a server, which has a page of its own, or one that MLflow never opens.
    """
    uri = given.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if uri is not None and uri.startswith(("http:", "https:")):
        raise ConfigError(f"{redacted(uri)} is a server, which shows its runs itself: open that address in a browser.")
    from textclf.tracking.mlflow.store import open_store

    _, uri, _ = open_store(MlflowTracker(tracking_uri=uri))
    return [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", HOST, "--port", str(given.port)]


def runs_page(uri: str) -> str:
    """Return the address, below that of MLflow's pages, of the newest runs of a store that was opened before."""
    from textclf.tracking.mlflow.store import newest_runs_page

    return newest_runs_page(uri)


def main() -> None:
    """Serve MLflow's page until it is interrupted; end as it ends."""
    given = arguments()
    with cli_errors():
        asked = command(given)
        page = runs_page(asked[asked.index("--backend-store-uri") + 1])
        print(f"MLflow: http://{HOST}:{given.port}{page} (Ctrl-C ends it)", flush=True)
        ended = serve(asked)
    sys.exit(ended)


def serve(asked: list[str]) -> int:
    """Run MLflow's server until it ends or this process is asked to, and leave none behind; return the exit status."""
    with signals.stoppable():
        process = subprocess.Popen(asked, env=os.environ | SETTINGS)
        try:
            return process.wait()
        except KeyboardInterrupt as stop:
            return stop.status if isinstance(stop, signals.Stopped) else INTERRUPTED
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


if __name__ == "__main__":
    main()
