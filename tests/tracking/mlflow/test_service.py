"""`mlflow models serve` of a registered model, asked over loopback."""

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import BAD, GOOD, THINGS
from tests.tracking.mlflow.server import serving
from tests.tracking.mlflow.serving_factory import classical, finished_run, transformer
from textclf.export.registry import register
from textclf.tracking.options import MlflowTracker
from textclf.tracking.start import start_run

pytestmark = pytest.mark.slow

CLIENTS = 32
REQUESTS = 8


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    with start_run(MlflowTracker(directory=str(root / "mlruns"), system_metrics=False), "served", "r", {}):
        return root, f"sqlite:///{root / 'mlruns' / 'mlflow.db'}"


@pytest.fixture(scope="module", params=["classical", "transformer"])
def service(request, store, tiny_checkpoint):
    """A classifier of single texts, and what asks its server."""
    root, uri = store
    classifier = classical() if request.param == "classical" else transformer(tiny_checkpoint)
    register(finished_run(root / request.param, classifier), request.param, tracking_uri=uri)
    with serving(f"models:/{request.param}@champion", uri, root / f"{request.param}.log") as ask:
        yield classifier, ask


def texts(count, seed):
    draw = random.Random(seed)
    return [
        f"number {draw.randrange(10**6)} is a {draw.choice(GOOD + BAD)} {draw.choice(THINGS)} " * draw.randint(1, 9)
        for _ in range(count)
    ]


def probabilities(answer):
    return np.array([list(row["probabilities"].values()) for row in answer["predictions"]])


def test_batches_unicode_and_a_megabyte(service):
    classifier, ask = service
    for batch in (texts(1, 0), texts(500, 1), ["日本語 🎬 \u0000 é", "."], ["lovely " * 150_000]):
        status, answer = ask({"inputs": batch})
        assert status == 200, answer
        np.testing.assert_allclose(probabilities(answer), classifier.predict_proba(batch), atol=1e-5)
    assert ask({"inputs": []}) == (200, {"predictions": []})


def test_bad_requests_are_refused_and_the_server_lives(service):
    _, ask = service
    for body, said in (
        ({"dataframe_records": [{"txt": "a"}]}, "missing inputs ['text']"),
        ({"dataframe_records": [{"text": None}]}, "got null"),
        ({"instances": [{"text": 5}]}, "got int 5"),
        ({"inputs": [None]}, "got null"),
        ({"inputs": ["fine", " "]}, "text of row 1 is an empty text"),
        (b"nonsense", "valid JSON"),
    ):
        status, answer = ask(body)
        assert (status, said in answer) == (400, True), (body, answer)
    assert ask({"inputs": ["fine"]})[0] == 200


def test_only_names_of_this_machine_are_answered(service):
    _, ask = service
    body = {"inputs": ["fine"]}
    for host in ("evil.example", "evil.example:5001", "127.0.0.1.evil.example", ""):
        assert ask(body, host=host)[0] == 403, host
    for host in ("localhost", "127.0.0.1:5001", "[::1]:5001"):
        assert ask(body, host=host)[0] == 200, host


def test_32_clients_at_once_each_get_the_answers_to_their_own_texts(service):
    classifier, ask = service

    def client(number):
        found = []
        for turn in range(REQUESTS):
            own = texts(number % 7 + 1, number * 1000 + turn)
            found.append((own, *ask({"inputs": own})))
        return found

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = [answer for found in clients.map(client, range(CLIENTS)) for answer in found]
    assert len(answers) == CLIENTS * REQUESTS
    for own, status, answer in answers:
        assert status == 200, answer
        np.testing.assert_allclose(probabilities(answer), classifier.predict_proba(own), atol=1e-5)


def test_a_pair_model(store):
    root, uri = store
    classifier = classical(pairs=True)
    register(finished_run(root / "pairs", classifier), "pairs", tracking_uri=uri)
    with serving("models:/pairs@champion", uri, root / "pairs.log") as ask:
        rows = [{"text": "it is a lovely film", "text_pair": "it is positive"}, {"text": "dull", "text_pair": "dull"}]
        status, answer = ask({"dataframe_records": rows})
        assert status == 200, answer
        expected = classifier.predict_proba([row["text"] for row in rows], [row["text_pair"] for row in rows])
        np.testing.assert_allclose(probabilities(answer), expected, atol=1e-5)
        assert ask({"inputs": [{"text": "alone"}]})[0] == 400


def test_the_dockerfile_holds_the_model_and_what_it_needs(store, tmp_path):
    root, uri = store
    register(finished_run(root / "docker", classical()), "docker", tracking_uri=uri)
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": uri,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = ["mlflow", "models", "generate-dockerfile", "-m", "models:/docker@champion", "-d", str(tmp_path / "d")]
    done = subprocess.run([*command, "--env-manager", "local"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    files = {path.name for path in (tmp_path / "d").rglob("*")}
    assert {"Dockerfile", "MLmodel", "requirements.txt", "pipeline.skops", "entry.py"} <= files
    assert not [path for path in (tmp_path / "d").rglob("*") if path.is_symlink()]
