"""Secrets do not pass, whatever they stand in; and what is none is left alone."""

import html
import json
import logging
import re
import shlex
import sys
from urllib.parse import quote

import pytest
import yaml

from tests.reliability.attacks import AWKWARD, password_of
from textclf.system import redact
from textclf.system.redact import MASK, LogFormatter, names_secret, redact_files, redacted, redacted_tree

PASSWORD = "correct-horse-battery"
TOKEN = "hf_" + "Ab1" * 12


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://me:{PASSWORD}@db.example/mlflow",
        f"http://me:a@{PASSWORD}@host/x",
        f"https://{TOKEN}@huggingface.co/x",
        f"https://{PASSWORD}@host/x",
        f"GET /x?token={PASSWORD}&a=1",
        f"GET /x?X-Amz-Signature={PASSWORD}",
        f"Authorization: Bearer {PASSWORD}",
        f"run tracker.password={PASSWORD} x=1",
        f"run +dataset.token='{PASSWORD}'",
        f"run --hf-token {PASSWORD}",
        f"HF_TOKEN={PASSWORD} python -m textclf.run",
        f'{{"api_key": "{PASSWORD}", "x": 1}}',
        f"client_secret: {PASSWORD}",
        f"the key {TOKEN}.",
        "-----BEGIN PRIVATE KEY-----\n" + PASSWORD,  # pragma: allowlist secret
    ],
)
def test_secrets_do_not_pass(text):
    assert MASK in redacted(text)
    assert PASSWORD not in redacted(text)
    assert TOKEN not in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "unknown token: film",
        "tokenizer=fast max_tokens=128",
        "vectorizer.token_pattern=(?u)\\b\\w+\\b",
        'pad_token="<|endoftext|>"',
        "sqlite:////tmp/a@b/mlflow.db",
        "http://127.0.0.1:5000/#/experiments/1",
        "the secret of this film is that it has no password",
        "macro F1 0.912 (key: value)",
    ],
)
def test_what_is_no_secret_is_left_alone(text):
    assert redacted(text) == text


def test_values_of_the_environment_do_not_pass(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"{PASSWORD} & co")
    monkeypatch.setenv("TINY_TOKEN", "ab")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false-as-ever")
    for text in (f"x {PASSWORD} & co y", "correct-horse-battery%20%26%20co"):
        assert PASSWORD not in redacted(text)
    assert redacted("ab false-as-ever") == "ab false-as-ever"


def test_a_record_keeps_its_shape():
    content = {
        "label_names": ["secret", "token"], "n": 3, "password": PASSWORD, "none": None, "f": 0.5,
        "tracker": {"tracking_uri": f"http://me:{PASSWORD}@h", "hf_token": None}, "more": [TOKEN, {"api_key": PASSWORD}],
    }  # fmt: skip
    found = redacted_tree(content)
    assert PASSWORD not in json.dumps(found)
    assert TOKEN not in json.dumps(found)
    assert found["label_names"] == ["secret", "token"]
    assert (found["n"], found["none"], found["f"], found["tracker"]["hf_token"]) == (3, None, 0.5, None)
    assert list(found) == list(content)


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_a_redacted_file_is_still_one_of_its_kind(write, tmp_path):
    file = tmp_path / "config"
    file.write_text(write({"password": PASSWORD, "uri": f"http://me:{PASSWORD}@h/x", "a": [f"x.token={PASSWORD}"]}))
    redact_files(file, tmp_path / "not there")
    assert yaml.safe_load(file.read_text()) == {
        "password": MASK,
        "uri": f"http://me:{MASK}@h/x",
        "a": [f"x.token={MASK}"],
    }


def test_a_log_line_has_neither_secrets_nor_orders_for_a_terminal():
    try:
        raise ValueError(f"http://me:{PASSWORD}@h \x1b]0;title\x07")
    except ValueError:
        import sys

        record = logging.LogRecord("x", 40, "f", 1, "failed \x1b[31m %s", (f"token={PASSWORD}",), sys.exc_info())
    said = LogFormatter("%(message)s").format(record)
    assert PASSWORD not in said
    assert "\x1b" not in said
    assert "Traceback" in said


@pytest.mark.parametrize("name", ["HF_TOKEN", "db.password", "clientSecret", "AWS_SECRET_ACCESS_KEY", "api-key"])
def test_names_of_secrets(name):
    assert names_secret(name)


@pytest.mark.parametrize(
    "name", ["PWD", "cls_token", "token_pattern", "max_tokens", "HF_TOKEN_PATH", "keyword", "compat"]
)
def test_names_of_no_secrets(name):
    assert not names_secret(name)


@pytest.mark.parametrize(
    "text", ["a." * 200_000, "password" * 50_000, "token=" * 50_000, '"' * 200_000, "http://a:" * 50_000]
)
def test_no_text_takes_long(text):
    import time

    begun = time.process_time()
    redacted(text)
    assert time.process_time() - begun < 3


@pytest.fixture
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(redact, "_remembered", set())


@pytest.mark.parametrize("seed", range(len(AWKWARD)))
def test_a_password_with_any_sign_in_it_is_hidden_however_it_is_written(seed, nothing_remembered):
    password = password_of(seed)
    address = f"http://bob:{password}@host:5000/x?y=z"
    assert redact.without_login(address) == "http://host:5000/x?y=z"
    pieces = re.findall(r"[a-zA-Z0-9]{7,}", password)
    shown = [
        address, repr(address), json.dumps({"uri": address}), yaml.safe_dump({"uri": address}, width=30), shlex.quote(address),
        html.escape(address), quote(address), f"no host bob:{pieces[0]}", f"path {password[9:]}@host", repr([repr(address)]),
    ]  # fmt: skip
    for text in shown:
        assert not [piece for piece in pieces if piece in redacted(text)], text


def test_what_the_command_line_gives_is_known_before_anything_is_composed(nothing_remembered, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run", r"tracker.tracking_uri='http://bob:it\'s a#secret word@host'"])
    assert redacted("cannot resolve bob:it's a#secret") == "cannot resolve bob:it's a#REDACTED"
    assert "secret" not in redacted(r"tracker.tracking_uri='http://bob:it\'s a#secret word@host' refused")


def test_addresses_without_a_password_stay(nothing_remembered):
    for address in (
        "sqlite:////home/a@b.db",
        "http://127.0.0.1:5000/#/runs/a@b",
        "models:/name@champion",
        "mail me@host",
    ):
        assert redacted(f"see {address} there") == f"see {address} there"
    assert (
        redact.redacted_tree({"text": "not an address, but see http://bob:reviews@host", "name": "reviews"})["name"]
        == "reviews"
    )
