"""The Space runs on what is in its folder, and on the libraries that it names, alone."""

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import metadata_load
from packaging.requirements import Requirement

from tests.browsing import opened
from tests.export.conftest import LABELS, MARK, changed_json, tiny_transformer
from textclf import load_classifier
from textclf.errors import ArtifactError
from textclf.export.space import TEMPLATES, write_space_folder
from textclf.models.bundle import modules_needed, requirement_lines
from textclf.models.options import Cleaning
from textclf.models.saved import read_description
from textclf.tracking.find_runs import resolve_run

READ = """
import sys
sys.path.insert(0, "")
import textclf
from textclf.models.families import load_classifier
print(textclf.__file__)
print(load_classifier("classifier").predict_proba(["a fine day", "so dull a day"]).tolist())
print([name for name in ("transformers", "datasets", "mlflow", "hydra") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def space(wild, tmp_path_factory):
    folder = tmp_path_factory.mktemp("space") / "out"
    write_space_folder(resolve_run(wild / "run"), folder)
    return folder


def run_in(folder, code, python=sys.executable):
    """Run code in a folder, where no other textclf can be imported but what lies in it."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "HF_ENDPOINT")}
    done = subprocess.run([python, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_code_in_it_reads_the_classifier(space, wild):
    where, probabilities, heavy = run_in(space, READ)
    assert Path(where) == space / "textclf" / "__init__.py"
    expected = load_classifier(wild / "run").predict_proba(["a fine day", "so dull a day"])
    np.testing.assert_allclose(json.loads(probabilities), expected, atol=1e-6)
    assert heavy == "[]"


def test_the_front_matter_is_what_the_hub_runs(space):
    data = metadata_load(space / "README.md")
    assert data["sdk"] == "gradio"
    assert data["sdk_version"] == version("gradio")
    assert (space / data["app_file"]).is_file()
    assert data["python_version"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert len(data["short_description"]) <= 60
    assert "license" not in data
    assert {data["colorFrom"], data["colorTo"]} <= {
        "red",
        "yellow",
        "green",
        "blue",
        "indigo",
        "purple",
        "pink",
        "gray",
    }


def test_requirements_are_pinned_and_bring_no_torch_where_none_is_needed(space):
    lines = (space / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if line.startswith(("torch", "transformers", "datasets", "mlflow", "--"))] == []
    for line in lines:
        pinned = Requirement(line)
        assert pinned.specifier.contains(version(pinned.name).partition("+")[0], prereleases=True)
        assert str(pinned.specifier).startswith("==")
    assert {"scikit-learn", "skops", "gradio"} <= {Requirement(line).name for line in lines}


def test_a_transformer_asks_for_torch_without_gpu_code(wild):
    description = replace(read_description(wild / "run" / "classifier"), family="transformer")
    lines = requirement_lines(description, ("gradio",))
    assert lines[0] == "--extra-index-url https://download.pytorch.org/whl/cpu"
    torch = [Requirement(line) for line in lines if line.startswith("torch")]
    assert [str(one.specifier).endswith("+cpu") for one in torch] == [True, False]
    linux = [one.marker.evaluate({"sys_platform": "linux"}) for one in torch]
    assert linux == [True, False]
    assert [one.marker.evaluate({"sys_platform": "darwin"}) for one in torch] == [False, True]


@pytest.mark.parametrize("family", ["classical", "transformer", "onnx"])
def test_no_module_is_left_out_that_one_imports(wild, family):
    plain = replace(read_description(wild / "run" / "classifier"), family=family)
    modules = set(modules_needed(plain))
    assert not [name for name in modules if name.startswith(("textclf.training", "textclf.tracking", "textclf.app"))]
    assert ("textclf.models.transformer.classifier" in modules) == (family == "transformer")
    more = set(modules_needed(replace(plain, temperature=2.0, cleaning=(Cleaning.lowercase,))))
    assert more >= modules | {"textclf.models.cleaning"}


def test_it_holds_nothing_of_the_run(wild_run, tmp_path):
    (wild_run / "classifier" / ".git").mkdir()
    (wild_run / "classifier" / ".git" / "config").write_text("url = https://me:pw@host")
    write_space_folder(resolve_run(wild_run), tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.md", "app.py", "classifier", "requirements.txt", "space.json", "textclf"}
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_symlink()
        assert path.suffix not in (".jsonl", ".pyc", ".parquet", ".log")
        if path.is_file() and path.suffix != ".skops" and path.name != "vocabularies.json":
            content = path.read_text(encoding="utf-8")
            assert MARK not in content
            assert str(tmp_path) not in content
    assert "Apache License" in (tmp_path / "out" / "textclf" / "LICENSE").read_text()
    assert {path.name for path in (tmp_path / "out" / "classifier").iterdir()} == {
        "classifier.json",
        "pipeline.skops",
        "vocabularies.json",
    }


def test_texts_are_shown_of_data_that_anyone_has_or_where_they_were_asked_for(wild_run, tmp_path):
    def about(run, name, **options):
        write_space_folder(resolve_run(run), tmp_path / name, **options)
        return json.loads((tmp_path / name / "space.json").read_text())

    assert "examples" not in about(wild_run, "kept")
    found = about(wild_run, "asked", with_texts=True)["examples"]
    assert 1 <= len(found) <= 3
    assert all(one["text"].startswith(MARK) for one in found)
    record = json.loads((wild_run / "run.json").read_text())
    record["config"]["dataset"] |= {"train": "bundled:reviews/train.jsonl"}
    changed_json(wild_run / "run.json", config=record["config"])
    assert about(wild_run, "bundled")["examples"] == found
    record["config"]["dataset"] |= {"extra_train": str(tmp_path / "said.jsonl")}
    changed_json(wild_run / "run.json", config=record["config"])
    assert "examples" not in about(wild_run, "extra")


def test_beside_the_percentages_stands_what_they_are_worth(wild_run, tmp_path):
    analysis = json.loads((wild_run / "analysis.json").read_text())
    bins = [{"low": 0.9, "high": 1.0, "count": 100, "confidence": 0.95, "accuracy": 0.6}]
    off = {"ece": 0.35, "by_chance": 0.05, "brier": 0.5, "log_loss": 1.0, "bins": bins}
    changed_json(wild_run / "analysis.json", calibration=off)
    write_space_folder(resolve_run(wild_run), tmp_path / "off")
    said = json.loads((tmp_path / "off" / "space.json").read_text())["note"]
    assert said == (
        "This classifier's probabilities are too sure: 95 % means about 60 % here (measured on its own test examples)."
    )
    changed_json(wild_run / "analysis.json", calibration=analysis["calibration"] | {"ece": 0.0})
    write_space_folder(resolve_run(wild_run), tmp_path / "fine")
    assert json.loads((tmp_path / "fine" / "space.json").read_text())["note"] == ""


def test_an_unknown_family_and_a_full_folder_are_refused(wild_run, tmp_path):
    located = resolve_run(wild_run)
    changed_json(wild_run / "classifier" / "classifier.json", family="oracle")
    with pytest.raises(ArtifactError, match=r"family 'oracle'.*classical"):
        write_space_folder(located, tmp_path / "out")
    with pytest.raises(ArtifactError, match="not empty"):
        write_space_folder(located, wild_run)


def test_the_page_asks_for_no_share_link_and_names_no_address():
    launch = next(
        node for node in ast.walk(ast.parse((TEMPLATES / "app.py").read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "launch"
    )  # fmt: skip
    given = {keyword.arg: getattr(keyword.value, "value", ...) for keyword in launch.keywords}
    assert given["share"] is False
    assert given["run_history"] is False
    assert "server_name" not in given, "Spaces and people set it through GRADIO_SERVER_NAME"


def isolated_python(requirements, folder):
    """Make an environment with the installed files of these requirements, and of what they require, alone."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python3*/site-packages"))
    waiting = [Requirement(line) for line in requirements.read_text().splitlines() if not line.startswith("-")]
    seen = set()
    while waiting:
        one = waiting.pop()
        if one.marker is not None and not any(one.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
            continue
        if (one.name, frozenset(one.extras)) in seen:
            continue
        seen.add((one.name, frozenset(one.extras)))
        try:
            found = distribution(one.name)
        except PackageNotFoundError:
            continue
        for top in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(found.locate_file(top)).resolve())
        for text in found.requires or []:
            required = Requirement(text)
            if required.marker is None or any(required.marker.evaluate({"extra": e}) for e in ("", *one.extras)):
                required.marker = None
                waiting.append(required)
    return folder / "bin" / "python"


@contextmanager
def started(folder, python):
    """Run `python app.py` in a folder, and yield its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "HF_", "GRADIO_"))}
    environment |= {"GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    log = folder.parent / "app.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [python, "app.py"], cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        for _ in range(900):
            assert process.poll() is None, log.read_text()
            if "Running on local URL" in log.read_text():
                break
            time.sleep(0.2)
        else:
            raise AssertionError(f"it did not start: {log.read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_it_starts_and_answers_as_the_classifier_does(space, wild, tmp_path):
    from gradio_client import Client

    folder = shutil.copytree(space, tmp_path / "alone")
    python = isolated_python(folder / "requirements.txt", tmp_path / "environment")
    assert not list((tmp_path / "environment").glob("lib/*/site-packages/torch"))
    expected = load_classifier(wild / "run").predict(["so dull"])[0].probabilities
    with started(folder, python) as address:
        client = Client(address, verbose=False)
        assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/classify"]
        said = client.predict("so dull", api_name="/classify")
        assert {one["label"]: one["confidence"] for one in said["confidences"]} == pytest.approx(expected)
        for bad in ("", "  ", "x" * 10_001, None):
            with pytest.raises(Exception, match="Type a text first|10,000 characters"):
                client.predict(bad, api_name="/classify")
        picture_of(address, tmp_path)


def picture_of(address, folder):
    """Use the page in a browser: labels and texts are shown as they are, and nothing is fetched from elsewhere."""
    with opened() as browser:
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 900})
            alerts, elsewhere = [], []
            page.on("dialog", lambda dialog, alerts=alerts: (alerts.append(dialog.message), dialog.dismiss()))
            page.on("request", lambda asked, elsewhere=elsewhere: elsewhere.append(asked.url))
            page.goto(address, timeout=60_000)
            page.get_by_label("Text", exact=True).fill("<img src=x onerror=alert(2)> so dull")
            page.get_by_role("button", name="Classify").click()
            page.get_by_test_id("label-output-value").wait_for(timeout=60_000)
            page.wait_for_timeout(500)
            page.locator(".words span").first.wait_for()
            assert page.locator(".words").inner_text() == "<img src=x onerror=alert(2)> so dull"
            page.screenshot(path=folder / f"page_{width}.png", full_page=True)
            axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
            bad = [
                one for one in axe.Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")
            ]
            assert bad == []
            shown = page.inner_text("body")
            assert LABELS[0] in shown
            assert "**bold**" in shown
            assert page.locator("img[src='x'], a[href^='javascript']").count() == 0
            assert not alerts
            assert not [url for url in elsewhere if not url.startswith((address, "data:", "blob:"))]
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [False, True])
def test_a_transformer_starts_too(tiny_checkpoint, tmp_path, pairs):
    from gradio_client import Client

    located = tiny_transformer(tiny_checkpoint, tmp_path / "classifier", pairs)
    folder = tmp_path / "out"
    write_space_folder(located, folder)
    python = isolated_python(folder / "requirements.txt", tmp_path / "environment")
    given = ["it is a poor lamp", "it is dull"][: 1 + pairs]
    expected = located.load().predict(*[[text] for text in given])[0].probabilities
    with started(folder, python) as address:
        said = Client(address, verbose=False).predict(*given, api_name="/classify")
    assert {one["label"]: one["confidence"] for one in said["confidences"]} == pytest.approx(expected, abs=1e-5)
