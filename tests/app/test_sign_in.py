import importlib.metadata

import pytest

from textclf.app import sign_in
from textclf.errors import ConfigError

WHOLE = """
[auth]
redirect_uri = "http://localhost:8501/oauth2callback"
cookie_secret = "a long random text"
client_id = "app"
client_secret = "hidden"
server_metadata_url = "https://example.com/.well-known/openid-configuration"
"""
NAMED = WHOLE.replace("client_id", "[auth.example]\nclient_id")


@pytest.fixture
def authlib(monkeypatch):
    monkeypatch.setattr(sign_in, "version", lambda name: "1.6.0")


@pytest.mark.parametrize("text", [WHOLE, NAMED])
def test_a_whole_section_is_accepted(text, tmp_path, authlib):
    path = tmp_path / "secrets.toml"
    path.write_text(text)
    sign_in.check_sign_in([tmp_path / "none.toml", path])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "write a section"),
        ("[other]\nx = 1\n", "write a section"),
        (WHOLE.replace("cookie_secret", "cookie"), "lacks cookie_secret"),
        (WHOLE.replace("client_secret", "secret"), "lacks client_secret"),
        ("[auth", "cannot be read"),
    ],
)
def test_what_nobody_could_sign_in_with_is_refused(text, said, tmp_path, authlib):
    path = tmp_path / "secrets.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        sign_in.check_sign_in([path])
    assert "hidden" not in str(caught.value)


def test_authlib_is_needed(tmp_path, monkeypatch):
    path = tmp_path / "secrets.toml"
    path.write_text(WHOLE)

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(sign_in, "version", missing)
    with pytest.raises(ConfigError, match="pip install"):
        sign_in.check_sign_in([path])
    monkeypatch.setattr(sign_in, "version", lambda name: "1.3.1")
    with pytest.raises(ConfigError, match="got 1.3.1"):
        sign_in.check_sign_in([path])


@pytest.mark.parametrize(
    ("user", "is_in"),
    [
        ({"email": "Ann@Example.com"}, True),
        ({"email": "bob@other.org"}, True),
        ({"email": "bob@example.com.evil.org"}, False),
        ({"email": "example.com"}, False),
        ({"email": "eve@other.org"}, False),
        ({"email": "ann@example.com", "email_verified": False}, False),
        ({"name": "ann@example.com"}, False),
        ({}, False),
    ],
)
def test_only_who_is_named_may_come_in(user, is_in):
    assert sign_in.is_allowed(user, ["@example.com", "bob@other.org"]) is is_in
    assert sign_in.is_allowed(user, [])
