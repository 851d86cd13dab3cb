"""The same command in processes that share nothing: other hashes, addresses, locale, time zone, umask and home.

The other tests of reliability fork one process, whose children have the same hashes and the same objects at the same
places.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.reliability.comparing import contents, differences
from tests.reliability.world import make_world

SETTINGS = (
    {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC", "COLUMNS": "200"},
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "LANG": "C", "TZ": "Asia/Kathmandu", "COLUMNS": "61"},
)
"""Two machines' worth of difference; the second has no home that can be written either."""
UMASKS = (0o022, 0o077)
OWN_WORDS = "+model.vectorizer.stop_words=english"
"""Lets scikit-learn fit and check the vectorizer itself."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def started(number, module, arguments, folder):
    """Start a command on one of the two machines, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "COV_"))}
    environment = {**kept, **SETTINGS[number], "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    if number:
        home = folder / "home"
        home.mkdir(mode=0o555, exist_ok=True)
        for name in ("MPLCONFIGDIR", "XDG_CACHE_HOME"):
            environment.pop(name, None)
        home = "/dev/null/home" if os.access(home, os.W_OK) else str(home)  # root may write anywhere
        environment |= {"HOME": home, "HF_HOME": f"{home}/hf"}
        environment = {"LOTS_OF": "room" * 5000, **environment}  # which moves the stack
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=folder, env=environment, umask=UMASKS[number], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ended(*processes, status=0):
    """Wait for commands, and return what they said."""
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [status] * len(processes), "\n".join(said)
    return said


def on_both(folder, module, arguments):
    """Run a command on both machines; what it names as HERE is the folder of each."""
    ended(*(
        started(number, module, [str(word).replace("HERE", str(folder / name)) for word in arguments], folder / name)
        for number, name in enumerate("ab")
    ))  # fmt: skip


@pytest.mark.slow  # test_trials.py holds its own against a fresh process each time
def test_a_run_is_the_same_on_both_machines(world, tmp_path):
    arguments = world.classical(OWN_WORDS, "hydra.run.dir=HERE/run")
    on_both(tmp_path, "textclf.run", arguments)
    assert differences(contents(tmp_path / "a" / "run"), tmp_path / "b" / "run") == []


@pytest.mark.slow
@pytest.mark.parametrize("model", ["tfidf_logreg", "tfidf_svm", "nb_svm", "hashed_logreg", "naive_bayes", "majority"])
def test_each_classical_model_is_the_same_on_both_machines(world, tmp_path, model):
    arguments = [*world.data(), f"model={model}", "tracker=mlflow", "hydra.run.dir=HERE/run"]
    on_both(tmp_path, "textclf.run", arguments)
    assert differences(contents(tmp_path / "a" / "run"), tmp_path / "b" / "run") == []


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("engine", ["torch", "hf"])
def test_training_is_the_same_on_both_machines_and_if_it_moves_from_one_to_the_other(
    world, tmp_path, engine, precision
):
    arguments = world.transformer(
        engine, f"trainer.precision={precision}", "trainer.epochs=4", "hydra.run.dir=HERE/run"
    )
    on_both(tmp_path, "textclf.run", arguments)
    expected = contents(tmp_path / "a" / "run")
    assert differences(expected, tmp_path / "b" / "run") == []
    moved = [word.replace("HERE", str(tmp_path / "c")) for word in arguments]
    killed_after_a_checkpoint(started(1, "textclf.run", moved, tmp_path / "c"), tmp_path / "c" / "run")
    (said,) = ended(started(0, "textclf.run", [*moved, "resume=true"], tmp_path / "c"))
    assert "training resumes after step" in said
    assert differences(expected, tmp_path / "c" / "run") == []


def killed_after_a_checkpoint(process, run):
    """Kill a run as soon as it has a checkpoint."""
    while not list(run.glob("checkpoints/[!.]*")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["classical", "transformer"])
def test_what_is_made_of_a_run_is_the_same_on_both_machines(world, tmp_path, family):
    overrides = world.classical() if family == "classical" else world.transformer("torch")
    run = tmp_path / "run"
    ended(started(0, "textclf.run", [*overrides, f"hydra.run.dir={run}"], tmp_path / "first"))
    forms = ("onnx", "hub", "space", *(("onnx-int8", "safetensors") if family == "transformer" else ()))
    for form in forms:
        on_both(tmp_path, "textclf.export", [run, "--to", form, "--output", f"HERE/made/{form}", "--force"])
    for kind in ("parquet", "csv", "jsonl.gz"):
        on_both(tmp_path, "textclf.predict", [run, "--input", world.train, "--output", f"HERE/made/predicted.{kind}"])
    on_both(tmp_path, "textclf.predict", [
        run, "--input", world.train, "--output", "HERE/made/again.csv", "--report", "HERE/made/report"
    ])  # fmt: skip
    assert made(tmp_path / "a") == made(tmp_path / "b")


def made(folder):
    """Return what was made in a folder, but for the place in its commands, and how fast an export was."""
    place = str(folder).encode()
    return {
        str(path.relative_to(folder)): re.sub(
            rb'"(texts_per_second|single_seconds)": [0-9.e-]+', rb"\1", path.read_bytes().replace(place, b"HERE")
        )
        for path in sorted((folder / "made").rglob("*"))
        if path.is_file()
    }
