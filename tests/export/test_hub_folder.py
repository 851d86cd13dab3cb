"""The folder for the Hub is read by transformers and by textclf alike; a push says what went wrong, and never the token."""

import json
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from huggingface_hub import metadata_load

from tests.conftest import unlisted
from tests.export.conftest import MARK, TOKEN, changed_json, tiny_transformer
from textclf import load_classifier
from textclf.errors import ArtifactError, ConfigError
from textclf.export.hub_folder import push_folder, write_hub_folder
from textclf.tracking.find_runs import resolve_run

TEXTS = ["it is a great film", "dull", "it is a poor chair " * 20, "<b>broken</b> | é 😀"]


def test_it_holds_what_is_read_and_nothing_else(wild_run, tmp_path):
    classifier = wild_run / "classifier"
    for name in (
        ".git/config",
        "token",
        ".env",
        "config.yaml",
        "optimizer.pt",
        "pytorch_model.bin",
        "model.pkl",
        "x.py",
    ):
        (classifier / name).parent.mkdir(exist_ok=True)
        (classifier / name).write_text(TOKEN)
    output = tmp_path / "out"
    write_hub_folder(resolve_run(wild_run), output)
    held = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    assert held == {
        "README.md", "classifier.json", "pipeline.skops", "vocabularies.json", "figures/confusion_matrix.png", "figures/reliability.png"
    }  # fmt: skip
    for path in output.rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()
    assert MARK not in (output / "README.md").read_text() + (output / "classifier.json").read_text()
    assert metadata_load(output / "README.md")["tags"] == ["text-classification", "scikit-learn", "skops", "textclf"]
    np.testing.assert_array_equal(
        load_classifier(output).predict_proba(TEXTS), load_classifier(wild_run).predict_proba(TEXTS)
    )


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("truncation", ["head", "tail"])
def test_transformers_and_textclf_say_the_same(tiny_checkpoint, tmp_path, pairs, truncation):
    from transformers import pipeline

    from textclf.models.options import Truncation

    names = ("no|<i>", "yes\nsir", "maybe")
    located = tiny_transformer(tiny_checkpoint, tmp_path / "a", pairs, names, truncation=Truncation(truncation))
    unlisted(located.classifier)
    changed_json(located.classifier / "config.json", _name_or_path=str(tiny_checkpoint))
    changed_json(located.classifier / "tokenizer_config.json", name_or_path=str(tiny_checkpoint))
    output = tmp_path / "out"
    write_hub_folder(located, output, "somebody/mine")
    for path in output.glob("*.json"):
        assert str(tiny_checkpoint) not in path.read_text()
    seconds = TEXTS[::-1] if pairs else None
    expected = load_classifier(output).predict(TEXTS, seconds)
    given = [{"text": a, "text_pair": b} for a, b in zip(TEXTS, seconds, strict=True)] if pairs else TEXTS
    plain = pipeline("text-classification", model=str(output), top_k=None)
    for said, one in zip(plain(given, truncation=True), expected, strict=True):
        assert {row["label"]: row["score"] for row in said} == pytest.approx(one.probabilities, abs=2e-6)
    original = load_classifier(located.classifier).predict_proba(TEXTS, seconds)
    np.testing.assert_allclose(load_classifier(output).predict_proba(TEXTS, seconds), original, atol=1e-6)


def test_the_code_in_the_card_works(tiny_checkpoint, tmp_path, monkeypatch, capsys):
    located = tiny_transformer(tiny_checkpoint, tmp_path / "a", pairs=True)
    write_hub_folder(located, tmp_path / "out", "somebody/mine")
    card = (tmp_path / "out" / "README.md").read_text()
    for number, code in enumerate(card.split("```\n")[1:4:2]):
        told = code.replace('snapshot_download("somebody/mine")', f'"{tmp_path / "out"}"')
        told = told.replace('"somebody/mine"', f'"{tmp_path / "out"}"')
        assert told != code
        exec(compile(told, f"card {number}", "exec"), {})
        assert "positive" in capsys.readouterr().out


def test_pairs_are_told_where_only_the_run_knew(wild_run, tmp_path):
    changed_json(wild_run / "classifier" / "classifier.json", pairs=None)
    write_hub_folder(resolve_run(wild_run), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "classifier.json").read_text())["pairs"] is False


@pytest.mark.parametrize("name", ["classifier/pipeline.skops", "figures/reliability.png", "classifier/classifier.json"])
def test_a_link_out_of_the_run_is_not_followed(wild_run, tmp_path, name):
    secret = tmp_path / "secret"
    shutil.copy(wild_run / name, secret)
    (wild_run / name).unlink()
    (wild_run / name).symlink_to(secret)
    with pytest.raises(ArtifactError, match="leads out of"):
        write_hub_folder(resolve_run(wild_run), tmp_path / "out")


def test_a_link_inside_the_run_is_followed(wild_run, tmp_path):
    (wild_run / "classifier" / "pipeline.skops").rename(wild_run / "weights")
    (wild_run / "classifier" / "pipeline.skops").symlink_to("../weights")
    write_hub_folder(resolve_run(wild_run), tmp_path / "out")
    assert not (tmp_path / "out" / "pipeline.skops").is_symlink()


def test_what_is_damaged_is_not_exported(wild_run, tiny_checkpoint, tmp_path):
    located = tiny_transformer(tiny_checkpoint, tmp_path / "a")
    unlisted(tmp_path / "a")
    changed_json(tmp_path / "a" / "config.json", id2label={"0": "a", "1": "b", "2": "c"})
    with pytest.raises(ArtifactError, match="3 classes against 2"):
        write_hub_folder(located, tmp_path / "out1")
    (wild_run / "figures" / "reliability.png").write_text("<svg onload=alert(1)>")
    with pytest.raises(ArtifactError, match="no picture"):
        write_hub_folder(resolve_run(wild_run), tmp_path / "out2")
    (wild_run / "classifier" / "pipeline.skops").unlink()
    with pytest.raises(ArtifactError, match="lacks pipeline.skops"):
        write_hub_folder(resolve_run(wild_run), tmp_path / "out3")


def test_a_full_folder_is_left_alone(wild, tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ArtifactError, match="not empty"):
        write_hub_folder(resolve_run(wild / "run"), tmp_path)


@contextmanager
def receiving_hub(refuse=0, files=()):
    """A Hub that takes commits, and keeps what it was asked; or refuses with a status."""
    asked, held = [], list(files)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def answer(self, status, content):
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            asked.append((self.path, b""))
            if not held:
                return self.answer(404, {})
            if "/tree/" in self.path:
                return self.answer(200, [{"type": "file", "path": f, "size": 1, "oid": "0" * 40} for f in held])
            siblings = [{"rfilename": f} for f in held]
            self.answer(200, {"id": "me/mine", "sha": "5" * 40, "private": True, "siblings": siblings})

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.path, body))
            if refuse:
                return self.answer(refuse, {"error": f"no, {self.headers['Authorization']}"})
            if self.path == "/api/repos/create" and not held:
                held.append(".gitattributes")
            if self.path.endswith("preupload/main"):
                wanted = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in json.loads(body)["files"]
                ]
                return self.answer(200, {"files": wanted})
            url = f"http://127.0.0.1:{self.server.server_port}/me/mine"
            self.answer(200, {"url": url, "commitUrl": f"{url}/commit/{'5' * 40}", "commitOid": "5" * 40, "success": True,
                              "errors": [], "warnings": []})  # fmt: skip

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "export"
    made.mkdir()
    (made / "README.md").write_text("---\ntags: [x]\n---\nhello")
    (made / "classifier.json").write_text("{}")
    return made


@pytest.mark.parametrize("kind", ["model", "space"])
def test_a_push_makes_the_repository_and_commits_the_folder(folder, kind):
    with receiving_hub() as (endpoint, asked):
        address = push_folder(folder, "me/mine", kind, True, TOKEN, endpoint)
    assert address == f"{endpoint}/{'spaces/' if kind == 'space' else ''}me/mine"
    made = json.loads(next(body for path, body in asked if path == "/api/repos/create"))
    assert made["name"] == "mine"
    assert made["visibility"] == "private"
    assert made.get("sdk") == ("gradio" if kind == "space" else None)
    commit = next(body for path, body in asked if "/commit/" in path)
    sent = [json.loads(line)["value"].get("path") for line in commit.splitlines()]
    assert {"README.md", "classifier.json"} <= set(sent)


def test_a_second_push_removes_the_former_classifier(folder):
    files = ["classifier.json", "model.safetensors", "notes.txt", ".gitattributes"]
    with receiving_hub(files=files) as (endpoint, asked):
        push_folder(folder, "me/mine", "model", True, TOKEN, endpoint)
    commit = next(body for path, body in asked if "/commit/" in path)
    gone = [json.loads(line)["value"]["path"] for line in commit.splitlines() if b"deleted" in line.split(b",")[0]]
    assert gone == ["model.safetensors"]


def test_somebody_elses_repository_is_left_alone(folder):
    others = ["README.md", "model.safetensors"]
    refused = pytest.raises(ArtifactError, match="did not come from textclf")
    with receiving_hub(files=others) as (endpoint, asked), refused:
        push_folder(folder, "me/mine", "model", True, TOKEN, endpoint)
    assert not [path for path, _ in asked if "commit" in path or "create" in path]


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "not valid"), (403, "may not write"), (402, "plan"), (500, "try again later"), (418, "answered 418")],
)
def test_a_refusal_is_said_without_the_token(folder, status, said, caplog, capsys):
    with receiving_hub(refuse=status) as (endpoint, _), pytest.raises(ArtifactError, match=said) as caught:
        push_folder(folder, "me/mine", "model", True, TOKEN, endpoint)
    assert "me/mine" in str(caught.value)
    told = "".join(capsys.readouterr()) + caplog.text + str(caught.value) + repr(caught.value.__cause__)
    assert TOKEN not in told


def test_no_token_no_network_no_name(folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(ArtifactError, match=r"access token.*HF_TOKEN.*hf auth login"):
        push_folder(folder, "me/mine", "model", True)
    with pytest.raises(ArtifactError, match="cannot be reached") as caught:
        push_folder(folder, "me/mine", "model", True, TOKEN, "http://127.0.0.1:9")
    assert TOKEN not in str(caught.value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ArtifactError, match="HF_HUB_OFFLINE"):
        push_folder(folder, "me/mine", "model", True, TOKEN)
    for name in ("mine", "a/b/c", "../x", "me/mi ne", ""):
        with pytest.raises(ConfigError, match="owner/name"):
            push_folder(folder, name, "model", True, TOKEN)


def test_a_bare_classifier_has_an_honest_card(wild_run, tmp_path):
    bare = shutil.copytree(wild_run / "classifier", tmp_path / "bare")
    write_hub_folder(replace(resolve_run(bare), said="bare"), tmp_path / "out")
    assert "not known here" in (tmp_path / "out" / "README.md").read_text()
    assert not (tmp_path / "out" / "figures").exists()
