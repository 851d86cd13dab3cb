"""Starts Streamlit on the app's one script, told to keep to itself."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import threading
import time
from pathlib import Path

from textclf.app.events import event_log_of
from textclf.app.settings import Settings
from textclf.errors import ConfigError

SCRIPT = Path(__file__).parent / "script" / "streamlit_script.py"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
WAIT_SECONDS = 60
"""How long the server may take to answer before the address is not announced any more."""
LIGHT = {
    "primaryColor": "#1a5bb5",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f4f6f8",
    "textColor": "#1d2126",
    "linkColor": "#1a5bb5",
    "borderColor": "#8a939f",
}
DARK = {
    "primaryColor": "#2f6fc4",
    "backgroundColor": "#15181c",
    "secondaryBackgroundColor": "#1f242a",
    "textColor": "#e4e7eb",
    "linkColor": "#8db8f5",
    "borderColor": "#6c7683",
}
"""The colours of the reports."""


def streamlit_flags(settings: Settings, host: str, port: int) -> list[str]:
    """Return the options that Streamlit is started with; they win over anybody's config files."""
    options: dict[str, object] = {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.maxUploadSize": settings.max_upload_mb,
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "server.enableStaticServing": False,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.disableDataExport": True,  # its CSV would let a cell be a formula; the pages offer their own
        "logger.hideWelcomeMessage": True,
        "theme.font": "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Noto Sans, sans-serif",
        "theme.baseRadius": "6px",
        "theme.showWidgetBorder": True,
    }
    options |= {f"theme.light.{name}": value for name, value in LIGHT.items()}
    options |= {f"theme.dark.{name}": value for name, value in DARK.items()}
    said = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in options.items()]
    if host in LOOPBACK and not settings.sign_in:  # no other name may lead here (DNS rebinding)
        said += [f"--server.allowedHosts={name}" for name in LOOPBACK]
    return said


def check_installed() -> None:
    """Refuse to begin without Streamlit.

    Raises:
        ConfigError: If it is not installed.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise ConfigError('The app needs Streamlit, which is not installed: pip install "textclf[app]".')


def free_port(host: str, port: int) -> int:
    """Return the port to listen on: the one asked for, or any free one for 0.

    Raises:
        ConfigError: If it is taken, not allowed, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"--host {host} --port {port} cannot be listened on: {why}. Choose another port, such as --port "
                f"{port + 1 if 1023 < port < 65535 else 8502}, or --port 0 for any that is free."
            ) from error
        return int(probe.getsockname()[1])


def address(host: str, port: int) -> str:
    """Return what a person types into a browser."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def announce(host: str, port: int, line: str) -> None:
    """Print a line once the server answers, without holding up what starts it."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

    def wait() -> None:
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            try:
                socket.create_connection((target, port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                print(line, flush=True)
                return

    threading.Thread(target=wait, daemon=True).start()


def refuse_other_pages() -> None:
    """Let no page of another origin open a session, which holds uploads and predictions.

    Streamlit takes a page on any port of this machine for its own, and asks a server on the Internet for the machine's
    outer address before it refuses others. A page of the app's own, whose origin is the host that it asks, and one of
    `server.corsAllowedOrigins` are let in; so is a program, which names no origin.
    """
    from streamlit.web.server.server_util import is_allowed_origin
    from streamlit.web.server.starlette import starlette_websocket

    assert hasattr(starlette_websocket, "is_url_from_allowed_origins")
    starlette_websocket.is_url_from_allowed_origins = is_allowed_origin


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve the app until it is interrupted."""
    from streamlit.web import cli

    refuse_other_pages()
    os.environ.update(settings.as_environment())
    event_log_of(settings.events_file, settings.log_texts)
    sys.argv = ["streamlit", "run", str(SCRIPT), *streamlit_flags(settings, host, port)]
    cli.main(sys.argv[1:], prog_name="streamlit", standalone_mode=False)
