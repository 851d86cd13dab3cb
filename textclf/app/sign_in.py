"""Sign-in: the users that may see the pages, where the app was started with `--sign-in`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from textclf.errors import ConfigError

REQUIRED = ("redirect_uri", "cookie_secret")
PROVIDER = ("client_id", "client_secret", "server_metadata_url")
AUTHLIB = (1, 3, 2)
"""The oldest version that Streamlit works with."""
_EXAMPLE = (
    'redirect_uri = "http://localhost:8501/oauth2callback", cookie_secret (a long random text), client_id, '
    "client_secret and server_metadata_url of your identity provider"
)


def secrets_files() -> list[Path]:
    """Return the files that Streamlit reads secrets from, the one of this folder first."""
    return [folder / ".streamlit" / "secrets.toml" for folder in (Path.cwd(), Path.home())]


def check_sign_in(files: Sequence[Path]) -> None:
    """Refuse to begin where nobody could sign in, or anybody would be let in.

    Args:
        files: Where the secrets may be.

    Raises:
        ConfigError: If no file has a whole `[auth]`, or Authlib is missing or too old.
    """
    where = " or ".join(map(str, files))
    there = [path for path in files if path.is_file()]
    auth: Mapping[str, Any] = {}
    for path in reversed(there):
        try:
            auth = {**auth, **tomllib.loads(path.read_text(encoding="utf-8")).get("auth", {})}
        except (OSError, ValueError) as error:
            raise ConfigError(f"--sign-in: {path} cannot be read: {error}") from error
    if not auth:
        raise ConfigError(
            f"--sign-in needs an identity provider: write a section [auth] into {where}, with {_EXAMPLE}."
        )
    missing = [name for name in REQUIRED if not auth.get(name)]
    if missing or not providers(auth):
        lacking = missing or [name for name in PROVIDER if not auth.get(name)]
        raise ConfigError(f"--sign-in: [auth] in {where} lacks {', '.join(lacking)}. It needs {_EXAMPLE}.")
    try:
        found = version("authlib")
    except PackageNotFoundError as error:
        raise ConfigError('--sign-in needs Authlib, which is not installed: pip install "Authlib>=1.3.2".') from error
    if tuple(int(part) for part in found.split(".")[:3] if part.isdigit()) < AUTHLIB:
        raise ConfigError(f'--sign-in needs Authlib 1.3.2 or later, got {found}: pip install -U "Authlib>=1.3.2".')


def providers(auth: Mapping[str, Any]) -> list[str | None]:
    """Return the names of the identity providers of `[auth]`; none stands for the one that has no name."""
    named: list[str | None] = [name for name, own in auth.items() if isinstance(own, Mapping) and _is_whole(own)]
    return ([None] if _is_whole(auth) else []) + named


def _is_whole(section: Mapping[str, Any]) -> bool:
    return all(section.get(name) for name in PROVIDER)


def is_allowed(user: Mapping[str, Any], allowed: Sequence[str]) -> bool:
    """Whether who signed in may come in.

    Args:
        user: What the provider says of them.
        allowed: Addresses, and domains as `@example.com`; none lets everybody in whom the provider lets in.
    """
    if not allowed:
        return True
    address = str(user.get("email") or "").strip().lower()
    if "@" not in address or user.get("email_verified") is False:
        return False
    domain = "@" + address.rpartition("@")[2]
    return any(who.strip().lower() in (address, domain) for who in allowed)


def name_of(user: Mapping[str, Any]) -> str | None:
    """Return what a person is called in feedback and events: their address, else their name or the provider's id."""
    return next((str(user[key]) for key in ("email", "preferred_username", "name", "sub") if user.get(key)), None)
