import os
import socket
import subprocess
import sys
from contextlib import nullcontext

import pytest
from streamlit import config

from textclf.app.__main__ import settings_of
from textclf.app.server import LOOPBACK, SCRIPT, address, free_port, refuse_other_pages, streamlit_flags
from textclf.app.settings import Settings
from textclf.errors import ConfigError


def said(*arguments, **environment):
    command = [sys.executable, "-m", "textclf.app", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=120)


def test_every_flag_is_one_that_streamlit_has():
    flags = dict(flag[2:].split("=", 1) for flag in streamlit_flags(Settings(max_upload_mb=7), "127.0.0.1", 8501))
    assert not set(flags) - set(config.get_config_options())
    assert flags["server.address"] == "127.0.0.1"
    assert flags["browser.gatherUsageStats"] == "false"
    assert flags["server.maxUploadSize"] == "7"
    assert flags["client.toolbarMode"] == "minimal"
    assert flags["server.fileWatcherType"] == "none"
    assert SCRIPT.is_file()
    assert {path.name for path in SCRIPT.parent.glob("*.py")} == {
        "__init__.py",
        "streamlit_script.py",
    }  # it goes onto sys.path


def test_a_port_in_use_is_refused_with_another():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port}"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", 0) > 0
    for host, wrong in [("127.0.0.1", 99999), ("203.0.113.7", 0)]:
        with pytest.raises(ConfigError, match="cannot be listened on"):
            free_port(host, wrong)


def test_addresses_can_be_typed():
    assert address("127.0.0.1", 8501) == "http://127.0.0.1:8501"
    assert address("0.0.0.0", 1) == "http://127.0.0.1:1"
    assert address("::1", 1) == "http://[::1]:1"


def test_what_cannot_be_served_is_said_in_a_paragraph(tmp_path, outputs):
    done = said("nosuch", "--outputs", str(outputs))
    assert done.returncode == 1
    assert done.stderr.startswith("error: There is no run 'nosuch'")
    assert "Traceback" not in done.stderr


def test_options_reach_the_app_as_whole_paths(outputs, monkeypatch):
    from textclf.app import __main__ as command

    monkeypatch.chdir(outputs.parent)
    monkeypatch.setattr(
        sys, "argv", ["app", "latest", "--outputs", "outputs", "--feedback", "f.jsonl", "--max-rows", "9"]
    )
    settings = settings_of(command.arguments())
    assert settings.run == str(outputs / "runs" / "first")
    assert settings.feedback == str(outputs.parent / "f.jsonl")
    assert settings.max_rows == 9
    monkeypatch.setattr(sys, "argv", ["app", "--outputs", "missing"])
    with pytest.raises(ConfigError, match="There is no folder missing"):
        settings_of(command.arguments())


def test_without_streamlit_it_says_what_to_install(monkeypatch, capsys):
    from textclf.app import __main__ as command

    monkeypatch.setattr("textclf.app.server.importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["app"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert 'pip install "textclf[app]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("origin", "host", "let_in"),
    [
        ("http://localhost:8501", "localhost:8501", True),
        ("http://127.0.0.1:8501", "127.0.0.1:8501", True),
        ("http://[::1]:8501", "[::1]:8501", True),
        (None, "localhost:8501", True),
        ("http://localhost:9999", "localhost:8501", False),
        ("http://127.0.0.1:8501", "localhost:8501", False),
        ("http://localhost", "localhost:8501", False),
        ("http://0.0.0.0:8501", "localhost:8501", False),
        ("https://evil.example", "localhost:8501", False),
        ("null", "localhost:8501", False),
        ("http://evil.example:8501", "evil.example:8501", False),
    ],
)
def test_a_page_of_another_origin_opens_no_session(origin, host, let_in, monkeypatch):
    from streamlit.web.server.starlette import starlette_websocket

    def never(*args):
        raise AssertionError("a server on the Internet is asked")

    before = starlette_websocket.is_url_from_allowed_origins
    monkeypatch.setattr(starlette_websocket, "is_url_from_allowed_origins", before)
    monkeypatch.setattr("streamlit.net_util.get_external_ip", never)
    monkeypatch.setattr(config, "get_option", lambda name, known=config.get_option: (
        list(LOOPBACK) if name == "server.allowedHosts" else known(name)
    ))  # fmt: skip
    refuse_other_pages()
    assert starlette_websocket._is_origin_allowed(origin, host) is let_in


@pytest.mark.slow
def test_the_command_itself_lets_in_its_own_pages_alone(outputs):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    port = free_port("127.0.0.1", 0)
    command = [sys.executable, "-m", "textclf.app", "--outputs", str(outputs), "--port", str(port)]
    app = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert app.stdout is not None
        assert str(port) in app.stdout.readline()
        own = f"localhost:{port}"
        for origin, let_in in ((f"http://{own}", True), (None, True), ("http://localhost:9999", False)):
            ends = nullcontext() if let_in else pytest.raises(InvalidStatus, match="403")
            with (
                ends,
                connect(f"ws://{own}/_stcore/stream", origin=origin, subprotocols=["streamlit"], open_timeout=30),
            ):
                pass
    finally:
        app.terminate()
        app.wait(30)
