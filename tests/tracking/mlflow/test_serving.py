"""A packed classifier, read again and asked through MLflow's own server application, in this process."""

import io
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.pyfunc import scoring_server
from starlette.testclient import TestClient

from tests.set_run import EVERY, PLAIN
from tests.tracking.mlflow.serving_factory import classical, finished_run, transformer
from textclf.models.classical.pipeline import ClassicalClassifier
from textclf.models.options import Truncation
from textclf.tracking.mlflow import serving
from textclf.tracking.mlflow.model import pack, requirements

TEXT = "it is a lovely film"


def uploaded(model):
    """Return what a store holds of a packed model: files in place of the links."""
    return Path(shutil.copytree(model, model.with_name("uploaded")))


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The run of a classifier of single texts, and its MLflow model."""
    root = tmp_path_factory.mktemp("single")
    return uploaded(pack(finished_run(root / "run", classical()), root / "model"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    return uploaded(pack(finished_run(root / "run", classical(pairs=True)), root / "model"))


@pytest.fixture
def ask(monkeypatch):
    """Return what asks a model as a client asks the server."""

    def start(folder):
        for name in ("invocations", "infer_and_parse_data"):
            monkeypatch.setattr(scoring_server, name, getattr(scoring_server, name))
        monkeypatch.setenv(scoring_server._SERVER_MODEL_PATH, str(folder))
        app = scoring_server.init(mlflow.pyfunc.load_model(str(folder)))
        client = TestClient(app, raise_server_exceptions=False, base_url="http://127.0.0.1")

        def post(body, kind="application/json"):
            data = body if isinstance(body, bytes) else json.dumps(body)
            return client.post("/invocations", content=data, headers={"content-type": kind} if kind else {})

        return post

    return start


def test_the_folder_says_what_it_takes_gives_and_needs(single, pairs):
    for folder, names in ((single, ["text"]), (pairs, ["text", "text_pair"])):
        model = mlflow.models.Model.load(str(folder))
        assert model.signature.inputs.input_names() == names
        assert {str(kind) for kind in model.signature.inputs.input_types()} == {"DataType.string"}
        assert model.signature.outputs.input_names() == ["label", "score", "probabilities"]
        assert [param.name for param in model.signature.params] == ["threshold"]
        assert model.model_size_bytes > (folder / "artifacts" / "classifier" / "pipeline.skops").stat().st_size
    assert not [path for path in single.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert {"classifier", "run.json", "predictions.parquet"} == {path.name for path in (single / "artifacts").iterdir()}
    needed = (single / "requirements.txt").read_text().split("\n")
    assert all("==" in line for line in needed)
    assert not {"torch", "transformers", "torchvision", "datasets"} & {line.partition("==")[0] for line in needed}


def test_a_transformer_needs_the_public_version_of_torch(tmp_path, tiny_checkpoint):
    classifier = transformer(tiny_checkpoint)
    classifier.save(tmp_path / "classifier")
    (line,) = [line for line in requirements(tmp_path / "classifier") if line.startswith("torch==")]
    assert "+" not in line
    assert not any(line.startswith(("scikit-learn", "ftfy")) for line in requirements(tmp_path / "classifier"))


FORMS = [
    {"inputs": [TEXT, "dull"]},
    {"instances": [TEXT, "dull"]},
    {"inputs": {"text": [TEXT, "dull"]}},
    {"inputs": [{"text": TEXT, "id": 1}, {"text": "dull", "other": None}]},
    {"instances": [{"text": TEXT, "id": 1}, {"text": "dull"}]},
    {"dataframe_records": [{"text": TEXT, "id": 1}, {"text": "dull"}]},
    {"dataframe_split": {"columns": ["id", "text"], "data": [[1, TEXT], [2, "dull"]]}},
]


def test_every_form_of_a_request_has_the_same_answer(single, ask):
    post = ask(single)
    expected = mlflow.pyfunc.load_model(str(single)).unwrap_python_model().classifier.predict([TEXT, "dull"])
    for form in FORMS:
        answer = post(form)
        assert answer.status_code == 200, (form, answer.text)
        rows = answer.json()["predictions"]
        assert [row["label"] for row in rows] == [one.label for one in expected], form
        assert [row["probabilities"] for row in rows] == [one.probabilities for one in expected], form
    assert post(b"text\n" + TEXT.encode() + b"\n", "text/csv").json()["predictions"][0]["label"] == expected[0].label


@pytest.mark.parametrize("empty", [{"inputs": []}, {"instances": []}, {"dataframe_records": []}])
def test_nothing_is_answered_with_nothing(single, pairs, ask, empty):
    for folder in (single, pairs):
        answer = ask(folder)(empty)
        assert (answer.status_code, answer.json()) == (200, {"predictions": []})


BAD = [
    ({"inputs": [None]}, "text of row 0 must be a string, got null"),
    ({"inputs": [TEXT, 5]}, "text of row 1 must be a string, got int 5"),
    ({"inputs": {"text": 5}}, "got int 5"),
    ({"inputs": [TEXT, ""]}, "text of row 1 is an empty text"),
    ({"dataframe_records": [{"text": " "}]}, "text of row 0 is an empty text"),
    ({"inputs": [[TEXT, "b"]]}, "got list"),
    ({"inputs": 5}, "inputs must be a list or a table, got int"),
    ({"instances": [{"text": None}]}, "got null"),
    ({"instances": [{"text": TEXT}, {"txt": TEXT}]}, "text of row 1 must be a string, got null"),
    ({"instances": [{"txt": TEXT}]}, "missing inputs ['text']"),
    ({"dataframe_records": [{"txt": TEXT}]}, "missing inputs ['text']"),
    ({"dataframe_records": [{"text": None}]}, "got null"),
    ({"dataframe_records": [{"text": TEXT}, {"text": 5}]}, "text of row 1 must be a string, got int 5"),
    ({"dataframe_split": {"columns": ["text"], "data": [[None]]}}, "got null"),
    ({"inputs": ["half \ud800"]}, "half of a surrogate pair at character 5"),
    ({"inputs": [TEXT], "params": {"threshold": 2}}, "must lie between 0 and 1, got 2.0"),
    ({"inputs": [TEXT], "params": {"threshold": "x"}}, "threshold"),
    ({"text": TEXT}, "exactly one of the input fields"),
    ([TEXT], "Received a list"),
    (b"nonsense", "valid JSON"),
    (b"\xff", "valid JSON"),
    (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    (b'{"inputs": ' + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"}", "nested too deeply"),
    (b'{"inputs": [' + b"9" * 5000 + b"]}", "more than 4,300 digits"),
    (b'{"inputs": ["fine"], "params": {"threshold": -' + b"9" * 5000 + b"}}", "more than 4,300 digits"),
    (b'{"inputs": ["fine"], "params": {"threshold": ' + b"9" * 400 + b"}}", "threshold"),
    (b'{"inputs": ["fine"], "params": {"threshold": NaN}}', "must lie between 0 and 1, got nan"),
    (b'{"inputs": ["fine"], "params": {"threshold": -Infinity}}', "must lie between 0 and 1, got -inf"),
    (b'{"inputs": [NaN, 1e999]}', "text of row 0 must be a string"),
    (b'{"inputs": [' + b"9" * 400 + b"]}", "text of row 0 must be a string"),
    ({"inputs": ["fine"], "params": [1]}, "Parameters must be a dictionary"),
    ({"inputs": ["fine"], "params": {"threshold": [0.5]}}, "threshold"),
    ({"dataframe_split": 5}, "split format must be a dictionary"),
    ({"dataframe_split": {"columns": 5, "data": [[1]]}}, ""),
    ({"dataframe_split": {"columns": ["text", "text"], "data": [["a", "b"]]}}, ""),
    ({"dataframe_records": "text"}, ""),
    ({"dataframe_records": [5]}, ""),
    ({"dataframe_records": [[[[]]]]}, ""),
    ({"messages": [{"role": "user", "content": "fine"}]}, ""),
    ({"input": "fine"}, ""),
]


def test_bad_requests_are_the_clients_fault_and_say_what_is_wrong(single, ask):
    post = ask(single)
    for body, said in BAD:
        answer = post(body)
        assert (answer.status_code, said in answer.json()["message"]) == (400, True), (body, answer.text)
    assert post(b"{}", "application/xml").status_code == 415
    unnamed = post({"inputs": [TEXT]}, None)
    assert (unnamed.status_code, "Content-Type" in unnamed.text) == (415, True)


def parquet(**columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, store_schema=False, compression="zstd")
    return out.getvalue()


def test_of_parquet_the_texts_alone_are_read(single, ask, monkeypatch):
    post = ask(single)
    one = {"inputs": [TEXT, "dull"]}
    other = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["x" * 200_000])  # 4 GB
    for name, texts in (("other", pa.array(["fine"] * 20_000)), ("text", None)):
        data = parquet(**({"text": texts} if texts is not None else {}), **{name: other})
        assert len(data) < 20_000
        before = pa.total_allocated_bytes()
        answer = post(data, scoring_server.CONTENT_TYPE_PARQUET)
        assert pa.total_allocated_bytes() - before < 100_000_000
        if texts is None:
            assert (answer.status_code, "more than 200 MB" in answer.text) == (400, True)
        else:
            assert (answer.status_code, len(answer.json()["predictions"])) == (200, 20_000)
    assert post(parquet(id=[1, 2], text=[TEXT, "dull"]), scoring_server.CONTENT_TYPE_PARQUET).json() == post(one).json()
    for data, said in ((parquet(id=[1]), "missing inputs"), (b"PAR1", "cannot be read"), (b"", "cannot be read")):
        answer = post(data, scoring_server.CONTENT_TYPE_PARQUET)
        assert (answer.status_code, said in answer.json()["message"]) == (400, True), answer.text


@pytest.mark.parametrize("body", [b"", b"\x00", b"text\n\x00\n", b'"', b"text,text\na,b\n", b"text\n" + b'"' * 9])
def test_no_csv_makes_the_server_fail(single, ask, body):
    assert ask(single)(body, "text/csv").status_code in (200, 400)


def test_pairs_need_both_texts(pairs, ask):
    post = ask(pairs)
    rows = [{"text": TEXT, "text_pair": "it is positive"}]
    assert len(post({"instances": rows}).json()["predictions"]) == 1
    for body, said in (
        ({"inputs": [{"text": TEXT}]}, "missing inputs ['text_pair']"),
        ({"inputs": [TEXT]}, "columns text, text_pair by name"),
        ({"inputs": {"text": [TEXT], "text_pair": ["a", "b"]}}, "unequal length"),
        ({"dataframe_records": [*rows, {"text": TEXT}]}, "text_pair of row 1 must be a string, got null"),
    ):
        answer = post(body)
        assert (answer.status_code, said in answer.json()["message"]) == (400, True), (body, answer.text)


def test_the_threshold_abstains_and_unicode_and_long_texts_are_texts(single, ask):
    post = ask(single)
    body = {"inputs": ["日本語 🎬 \u0000 ﷽", "?", "good " * 200_000]}
    assert [row["label"] for row in post(body).json()["predictions"]] != []
    (row,) = post({"inputs": [TEXT], "params": {"threshold": 0.999}}).json()["predictions"]
    assert row["label"] == "abstain"
    assert row["score"] == max(row["probabilities"].values())


def test_the_servers_own_fault_is_no_fault_of_the_client(single, ask, monkeypatch):
    predict = ClassicalClassifier.uncalibrated_proba

    def fail(self, texts, pairs):
        if TEXT in texts:
            raise RuntimeError("out of paper, in /secret/place")
        return predict(self, texts, pairs)

    monkeypatch.setattr(ClassicalClassifier, "uncalibrated_proba", fail)
    answer = ask(single)({"inputs": [TEXT]})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "RuntimeError" in answer.json()["message"]


def test_nothing_of_mlflow_is_replaced_where_no_server_runs(single, monkeypatch):
    monkeypatch.delenv(scoring_server._SERVER_MODEL_PATH, raising=False)
    model = mlflow.pyfunc.load_model(str(single))
    assert scoring_server.invocations is serving._answer
    found = model.predict(pd.DataFrame({"text": [TEXT], "more": [1]}), params={"threshold": 0.0})
    assert list(found.columns) == ["label", "score", "probabilities"]


def test_predictions_keep_the_index_of_their_rows(single):
    model = mlflow.pyfunc.load_model(str(single))
    frame = pd.DataFrame({"text": [TEXT, "an awful, dull lamp", "?", TEXT]}, index=[3, 1, 9, 4])
    part = frame[frame["text"] != "?"].sort_index().copy()
    part["prediction"] = model.predict(part)["label"]
    expected = model.unwrap_python_model().classifier.predict(part)
    assert part["prediction"].tolist() == [one.label for one in expected]
    assert model.predict(part["text"]).index.tolist() == [1, 3, 4]


def test_texts_alone_are_taken_in_process_too(single, pairs):
    model = mlflow.pyfunc.load_model(str(single))
    expected = model.predict(pd.DataFrame({"text": [TEXT, "dull"]}))
    for given in ([TEXT, "dull"], (TEXT, "dull"), np.array([TEXT, "dull"]), pd.Series([TEXT, "dull"], name="review"),
                  [{"text": TEXT}, {"text": "dull"}]):  # fmt: skip
        pd.testing.assert_frame_equal(model.predict(given), expected)
    for given, said in (([TEXT, None], "text of row 1 must be a string, got null"), ([""], "an empty text")):
        with pytest.raises(mlflow.MlflowException, match=said):
            model.predict(given)
    with pytest.raises(mlflow.MlflowException, match="text_pair"):
        mlflow.pyfunc.load_model(str(pairs)).predict([TEXT])
    assert model.unwrap_python_model().predict(None, [TEXT, "dull"])["label"].tolist() == expected["label"].tolist()


def test_threads_that_share_a_tokenizer_do_not_mix_up_where_it_cuts(tiny_checkpoint):
    """A classifier cuts at the end; another at the beginning, with the same tokenizer."""
    head = transformer(tiny_checkpoint)
    tail = replace(head, lengths=replace(head.lengths, truncation=Truncation.tail))
    texts = [[f"number {i} is a lovely film " + "and it stays that way " * (i % 9 + 5)] for i in range(60)]
    jobs = [(classifier, text) for text in texts for classifier in (head, tail)]
    expected = [classifier.predict_proba(text) for classifier, text in jobs]
    assert not np.allclose(expected[0], expected[1])
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(32) as threads:
            found = list(threads.map(lambda job: job[0].predict_proba(job[1]), jobs))
    finally:
        sys.setswitchinterval(before)
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), atol=1e-6)


ALONE = """
import importlib.abc, sys
root, model, refused = sys.argv[1], sys.argv[2], set(sys.argv[3].split(","))
sys.path = [p for p in sys.path if p != root]
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
try:
    import textclf
    sys.exit(f"textclf is importable from {textclf.__path__} before the model is read") if textclf.__file__ else None
except ImportError:
    pass
sys.modules.pop("textclf", None)
import mlflow.pyfunc
import pandas
found = mlflow.pyfunc.load_model(model).predict(pandas.DataFrame({"text": ["it is a lovely film"]}))
import textclf
assert textclf.__file__.startswith(model), textclf.__file__
print(found["label"][0], sum(found["probabilities"][0].values()))
"""


@pytest.mark.slow
def test_it_is_read_without_textclf_and_without_what_its_family_does_not_need(single, tmp_path):
    refused = "torch,transformers,datasets,huggingface_hub,hydra,captum,evaluate"
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, root, str(single), refused], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    label, total = done.stdout.split()
    assert label == "positive"
    assert float(total) == pytest.approx(1, abs=1e-5)


def test_a_host_is_known_by_address_or_name(monkeypatch):
    from textclf.tracking.mlflow.serving import KnownHosts, _is_on_loopback

    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "models.example, other")
    hosts = KnownHosts(app=None)
    for host in ("localhost", "LOCALHOST:5001", "127.0.0.1:5001", "[::1]:80", "models.example:80", "10.0.0.7"):
        assert hosts.knows(host), host
    for host in ("", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "models.example.evil"):
        assert not hosts.knows(host), host
    assert _is_on_loopback(["uvicorn", "--host", "127.0.0.1"])
    assert _is_on_loopback(["uvicorn"])
    assert not _is_on_loopback(["uvicorn", "--host", "0.0.0.0"])
    assert not _is_on_loopback(["uvicorn", "--host=10.0.0.7"])


def test_sets_of_labels_are_served_by_their_thresholds(set_run, tmp_path, ask):
    folder = uploaded(pack(set_run, tmp_path / "model"))
    signature = mlflow.models.Model.load(str(folder)).signature
    assert signature.outputs.input_names() == ["labels", "probabilities"]
    texts = [EVERY, PLAIN]
    classifier = mlflow.pyfunc.load_model(str(folder)).unwrap_python_model().classifier
    expected = classifier.predict(texts)
    assert [len(one.labels) for one in expected] == [3, 0]
    post = ask(folder)
    for form in ({"inputs": texts}, {"dataframe_records": [{"text": text} for text in texts]}):
        answer = post(form)
        assert answer.status_code == 200, answer.text
        rows = answer.json()["predictions"]
        assert [tuple(row["labels"]) for row in rows] == [one.labels for one in expected]
        assert [row["probabilities"] for row in rows] == [one.probabilities for one in expected]
    none, every = (post({"inputs": [EVERY], "params": {"threshold": at}}).json() for at in (1.0, 0.0))
    assert none["predictions"][0]["labels"] == []
    assert len(every["predictions"][0]["labels"]) == 3
