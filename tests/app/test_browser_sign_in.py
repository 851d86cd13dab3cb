"""Signing in for real: an identity provider on loopback, the real server, a real browser."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.app.test_browser import ask, choose
from tests.browsing import opened
from textclf.app.server import free_port

pytestmark = pytest.mark.slow
pytest.importorskip("authlib", reason="Authlib is not installed")
CLIENT = "textclf-tests"


def url64(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Provider(ThreadingHTTPServer):
    """An OpenID Connect provider that lets everybody in, as `who`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        from cryptography.hazmat.primitives.asymmetric import rsa

        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.nonces = {}
        self.who = {}
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def signed(self, claims):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        head = url64(json.dumps({"alg": "RS256", "kid": "one", "typ": "JWT"}).encode())
        body = f"{head}.{url64(json.dumps(claims).encode())}"
        return f"{body}.{url64(self.key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def keys(self):
        public = self.key.public_key().public_numbers()
        numbers = {"n": public.n, "e": public.e}
        encoded = {name: url64(value.to_bytes((value.bit_length() + 7) // 8, "big")) for name, value in numbers.items()}
        return {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", **encoded}]}


class Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self):
        path, asked = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path.endswith("openid-configuration"):
            address = self.server.address
            self.answer(
                {
                    "issuer": address,
                    "authorization_endpoint": f"{address}/authorize",
                    "token_endpoint": f"{address}/token",
                    "jwks_uri": f"{address}/keys",
                    "response_types_supported": ["code"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                }
            )
        elif path == "/keys":
            self.answer(self.server.keys())
        elif path == "/authorize":
            code = str(len(self.server.nonces))
            self.server.nonces[code] = asked.get("nonce", [None])[0]
            self.send_response(302)
            back = urlencode({"code": code, "state": asked["state"][0]})
            self.send_header("Location", f"{asked['redirect_uri'][0]}?{back}")
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self):
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        now = int(time.time())
        claims = {"iss": self.server.address, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 600}
        claims |= {"nonce": self.server.nonces.pop(asked["code"][0])} | self.server.who
        self.answer({"access_token": "a", "token_type": "Bearer", "id_token": self.server.signed(claims)})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def served(outputs, tmp_path):
    """The provider, the app's address, and the folder that it runs in."""
    provider, port = Provider(), free_port("127.0.0.1", 0)
    address = f"http://127.0.0.1:{port}"
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "secrets.toml").write_text(
        f'[auth]\nredirect_uri = "{address}/oauth2callback"\ncookie_secret = "only for this test, only for this test"\n'
        f'client_id = "{CLIENT}"\nclient_secret = "secret"\n'
        f'server_metadata_url = "{provider.address}/.well-known/openid-configuration"\n'
    )
    command = [
        sys.executable, "-m", "textclf.app", str(outputs / "runs" / "first"), "--outputs", str(outputs), "--port", str(port),
        "--feedback", "feedback.jsonl", "--events", "events.jsonl", "--sign-in", "--allow", "@example.com",
    ]  # fmt: skip
    environment = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.getcwd(),
        "AUTHLIB_INSECURE_TRANSPORT": "1",
    }
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=environment)
    try:
        for _ in range(120):
            assert process.poll() is None, (tmp_path / "log").read_text()
            if address in (tmp_path / "log").read_text():
                break
            time.sleep(0.5)
        yield provider, address, tmp_path
    finally:
        process.terminate()
        process.wait(20)
        provider.shutdown()


def test_only_who_is_allowed_comes_in_and_feedback_bears_their_name(served):
    provider, address, folder = served
    with opened() as browser:

        def visit():
            page = browser.new_context().new_page()
            page.set_default_timeout(30_000)
            page.goto(address)
            page.get_by_role("button", name="Sign in").wait_for()
            assert page.get_by_label("Text", exact=True).count() == 0, "a page is shown before sign-in"
            page.get_by_role("button", name="Sign in").click()
            return page

        provider.who = {"email": "mallory@elsewhere.org", "email_verified": True}
        page = visit()
        page.get_by_text("mallory@elsewhere.org may not see this app").wait_for()
        assert page.get_by_label("Text", exact=True).count() == 0

        provider.who = {"email": "ada@example.com", "email_verified": True}
        page = visit()
        page.get_by_text("Signed in as ada@example.com").wait_for()
        ask(page, "it is a lovely film")
        choose(page, "It should be", "negative")
        page.get_by_role("button", name="Save feedback").click()
        for _ in range(60):
            if (folder / "feedback.jsonl").exists():
                break
            time.sleep(0.25)
        row = json.loads((folder / "feedback.jsonl").read_text())
        assert (row["text"], row["label"], row["user"]) == ("it is a lovely film", "negative", "ada@example.com")

        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in").wait_for()
        assert page.get_by_label("Text", exact=True).count() == 0
    assert "ada@example.com" in (folder / "events.jsonl").read_text()
