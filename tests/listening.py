"""A server on loopback that answers nothing useful and notes what it is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Server:
    """A server on loopback that notes what it is asked, and answers each request with the same status."""

    status: int = 200
    requests: list[str] = field(default_factory=list)
    """Method, path, headers and body of each."""
    url: str = ""


@contextmanager
def listening(status: int = 200) -> Iterator[Server]:
    """Yield a server that listens."""
    noted = Server(status)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            noted.requests.append(f"{self.command} {self.path}\n{self.headers}\n{body!r}")
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"{}")

        do_GET = do_POST = do_HEAD = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    noted.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield noted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
