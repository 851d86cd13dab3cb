"""A loopback Hub for the tests: serves a folder of repositories as the client libraries expect it."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "5" * 40
REFUSED = {
    "refused/private": (401, "RepoNotFound", "Invalid username or password."),
    "refused/bad-token": (401, "", "Invalid credentials in Authorization header"),
    "refused/gated": (403, "GatedRepo", "Access to it is restricted and you are not in the authorized list."),
    "refused/missing": (404, "RepoNotFound", "Repository not found"),
    "refused/often": (429, "", "We had to rate limit you"),
    "refused/failing": (500, "", "Internal Server Error"),
    "refused/forbidden": (403, "", "Forbidden"),
}
"""Repositories that are not served, with the status, code and message that are answered."""


class LoopbackHub(BaseHTTPRequestHandler):
    """Repositories lie at `root/{models,datasets,spaces}/owner/name`."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and content in one packet: a client waits 40 ms for the second of two
    root: Path

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        refused = next((name for name in REFUSED if f"/{name}/" in f"/{'/'.join(parts)}/"), None)
        if refused is not None:
            status, code, message = REFUSED[refused]
            return self.answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": message})
        if "nosuch" in parts:
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if parts[:1] == ["api"] and len(parts) >= 4:
            return self.answer_api(parts[1], "/".join(parts[2:4]), parts[4:])
        kind = parts.pop(0) if parts[0] in ("datasets", "spaces") else "models"
        if len(parts) >= 5 and parts[2] == "resolve":
            return self.answer_file(kind, "/".join(parts[:2]), "/".join(parts[4:]))
        self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})

    def answer_api(self, kind, name, rest):
        repo = self.root / kind / name
        if not repo.is_dir():
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        files = sorted(path for path in repo.rglob("*") if path.is_file())
        if rest[:1] == ["tree"]:
            below = repo.joinpath(*rest[2:])
            if not below.is_dir():
                return self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            deep = "recursive=true" in self.path.lower()
            entries = [self.entry(repo, path) for path in sorted(below.rglob("*") if deep else below.iterdir())]
            return self.answer(200, json.dumps(entries).encode())
        names = [{"rfilename": str(path.relative_to(repo))} for path in files]
        content = {"id": name, "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "siblings": names}
        self.answer(200, json.dumps(content).encode())

    @staticmethod
    def entry(repo, path):
        if path.is_dir():
            return {"type": "directory", "path": str(path.relative_to(repo)), "size": 0, "oid": "0" * 40}
        oid = hashlib.sha1(path.read_bytes()).hexdigest()
        return {"type": "file", "path": str(path.relative_to(repo)), "size": path.stat().st_size, "oid": oid}

    def answer_file(self, kind, name, inner):
        path = self.root / kind / name / inner
        if not path.is_file():
            code = "EntryNotFound" if (self.root / kind / name).is_dir() else "RepoNotFound"
            return self.answer(404, b"", {"X-Error-Code": code})
        content = path.read_bytes()
        self.answer(200, content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT})

    def answer(self, status, content, headers=None):
        self.send_response(status)
        for key, value in {"Content-Length": len(content), **(headers or {})}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@contextmanager
def serving(root):
    """Serve a folder of repositories on a free loopback port, and yield its address."""
    handler = type("Handler", (LoopbackHub,), {"root": Path(root)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
