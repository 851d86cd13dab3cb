"""A small world for the tests: a loopback Hub, a random two-layer BERT, a few texts. No network."""

import atexit
import gc
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.browsing import opened
from tests.hub import serving

# The client libraries read these when they are imported, so they are set before anything else.
_WORLD = tempfile.TemporaryDirectory(prefix="textclf-tests-")
WORLD = Path(_WORLD.name)
HUB = WORLD / "hub"
_SERVING = serving(HUB)
atexit.register(_SERVING.__exit__, None, None, None)  # also after an argument that pytest refuses
os.environ.update(
    HF_ENDPOINT=_SERVING.__enter__(),
    HF_HOME=str(WORLD / "hf_home"),
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    OMP_NUM_THREADS="1",  # two workers of the suite would wait for each other's threads
    MLFLOW_DISABLE_TELEMETRY="true",
    MPLCONFIGDIR=str(WORLD / "matplotlib"),
    TOKENIZERS_PARALLELISM="false",
)
for name in (
    "PYTHONDONTWRITEBYTECODE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_CACHE",
    "HF_DATASETS_CACHE",
    "MLFLOW_TRACKING_URI",
):
    os.environ.pop(name, None)

# Large libraries are imported where they are needed: the process that shares tests out to workers needs none of them,
# and the workers do not start before it has read this file.

GOOD = ["lovely", "great", "fine", "superb"]
BAD = ["awful", "poor", "dull", "broken"]
THINGS = ["film", "kettle", "song", "chair", "book", "lamp", "tent"]


def sentences(count, start=0):
    """Return `count` short texts with their labels; every second one is positive."""
    rows = []
    for i in range(start, start + count):
        words = GOOD if i % 2 else BAD
        extra = " and it stays that way" * (i % 4)
        text = f"it is a {words[i // 2 % 4]} {THINGS[i % 7]}{extra}"
        rows.append({"text": text, "label": "positive" if i % 2 else "negative"})
    return rows


def write_jsonl(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def unlisted(folder):
    """Take the list of files out of a saved classifier, as it was before there was one, or as a stranger would."""
    path = Path(folder) / "classifier.json"
    about = json.loads(path.read_text())
    about.pop("files", None)
    path.write_text(json.dumps(about))
    return folder


def make_tiny_bert(folder):
    """Write a random two-layer BERT with a tokenizer of letters and a few words."""
    import torch
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [str(d) for d in range(10)]
    words = [*GOOD, *BAD, *THINGS, "number", "is", "and", "it", "stays", "that", "way"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(dict.fromkeys(vocabulary)), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, initializer_range=0.15,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def pytest_pycollect_makemodule():
    """Before the first module of tests is imported: scipy comes first, as in textclf.data.dataset."""
    import scipy.special  # noqa: F401

    gc.disable()  # what is imported is no garbage


def pytest_collection_finish(session):
    """Spare what was imported from the collections of garbage, and have fewer: they took an eighth of the suite."""
    if hasattr(session.config, "workerinput"):  # a worker, which runs tests of all rooms
        from tests.reliability.zygote import IMPORTED, OF_TRANSFORMERS, import_all

        import_all((*IMPORTED, *OF_TRANSFORMERS))
    else:
        gc.collect()
        gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def kept():
    """What a module's tests have imported and cached stays: every training collects garbage, and would look through it."""
    yield
    gc.freeze()


@pytest.fixture(autouse=True)
def pictures(request, monkeypatch):
    """Pictures are of one pixel, but in modules marked `drawn`: drawing takes a third of a small run."""
    if request.node.get_closest_marker("drawn"):
        from tests import sparing
        from textclf.documents import plotting

        monkeypatch.setattr(plotting, "_write", sparing.DRAW)
        monkeypatch.setattr(plotting, "_svg", sparing.SKETCH)


@pytest.fixture(autouse=True)
def measurements(request, mlflow_environment, monkeypatch):  # in this order, so that the environment is restored last
    """Speed is measured a few times, but in modules marked `measured`: it takes a fifth of a small run."""
    if not request.node.get_closest_marker("measured"):
        from textclf.evaluation import evaluate

        monkeypatch.setattr(evaluate, "SINGLES", 3)
        monkeypatch.setattr(evaluate, "MOST_REPEATS", 1)


@pytest.fixture(scope="module")
def browser():
    """A real browser, for the modules that ask for one."""
    with opened() as found:
        yield found


@pytest.fixture(scope="session")
def made_store(tmp_path_factory):
    """The database of a new MLflow store: making one takes seconds."""
    from textclf.tracking.mlflow.store import open_store
    from textclf.tracking.options import MlflowTracker

    root = tmp_path_factory.mktemp("made")
    open_store(MlflowTracker(directory=str(root)))
    return root / "mlflow.db"


@pytest.fixture
def stored(tmp_path, made_store):
    """An MLflow store in the test's folder, as an earlier run would have left it."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(made_store, tmp_path / "mlruns" / "mlflow.db")
    return tmp_path / "mlruns"


@pytest.fixture(autouse=True)
def mlflow_environment():
    """`mlflow.set_experiment` and `mlflow.set_tracking_uri` leave theirs in the environment, where textclf heeds it."""
    names = ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI")
    before = {name: os.environ.get(name) for name in names}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session", autouse=True)
def hub():
    """The repositories of the loopback Hub: a checkpoint, a dataset with and one without validation."""
    import datasets

    from tests import sparing

    datasets.disable_progress_bars()
    sparing.draw_pixels()
    sparing.make_one_store(WORLD)
    make_tiny_bert(HUB / "models" / "tests" / "tiny-bert")
    full = HUB / "datasets" / "tests" / "reviews" / "data"
    for split, rows in {"train": sentences(80), "validation": sentences(20, 80), "test": sentences(40, 100)}.items():
        write_jsonl(full / f"{split}.jsonl", rows)
    hidden = HUB / "datasets" / "tests" / "pairs" / "data"
    pairs = [{"first": row["text"], "second": row["text"][:9], "label": i % 2} for i, row in enumerate(sentences(60))]
    write_jsonl(hidden / "train.jsonl", pairs)
    write_jsonl(hidden / "validation.jsonl", pairs[:20])
    write_jsonl(hidden / "test.jsonl", [row | {"label": -1} for row in pairs[:10]])
    return HUB


@pytest.fixture(scope="session")
def set_run(tmp_path_factory):
    """The folder of a finished run with sets of labels."""
    from tests.set_run import make_set_run

    return make_set_run(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="session")
def tiny_checkpoint(hub):
    """Folder of the random BERT."""
    return hub / "models" / "tests" / "tiny-bert"


def make_data(train=64, evaluation=24, pairs=False):
    """Return a small `TextData` of two classes."""
    import pyarrow as pa

    from textclf.data.arrow_tables import dataset_of
    from textclf.data.dataset import TextData

    def split(count, start):
        rows = sentences(count, start)
        columns = {"example": list(range(count)), "text": [row["text"] for row in rows]}
        if pairs:
            columns["text_pair"] = [f"it is {row['label']}" for row in rows]
        columns["label"] = [int(row["label"] == "positive") for row in rows]
        return dataset_of(pa.table(columns))

    parts = {"train": split(train, 0), "validation": split(evaluation, 1000), "test": split(evaluation, 2000)}
    return TextData("tiny", label_names=("negative", "positive"), source="tests", **parts)


SET_NAMES = ("good", "seat", "light")


def make_set_data(train=70, evaluation=48):
    """Return a small `TextData` of sets of three labels, some of them empty: is it good, is it a seat, is it a light."""
    import pyarrow as pa

    from textclf.data.arrow_tables import dataset_of
    from textclf.data.dataset import TextData

    def split(count, start):
        texts = [row["text"] for row in sentences(count, start)]
        tests = (
            lambda words: words[3] in GOOD,
            lambda words: words[4] in ("chair", "tent"),
            lambda words: words[4] == "lamp",
        )
        labels = [[k for k, test in enumerate(tests) if test(text.split())] for text in texts]
        coded = pa.array(labels, pa.list_(pa.int64()))
        return dataset_of(pa.table({"example": list(range(count)), "text": texts, "label": coded}))

    parts = {"train": split(train, 0), "validation": split(evaluation, 1000), "test": split(evaluation, 2000)}
    return TextData("tiny-sets", label_names=SET_NAMES, source="tests", **parts)


@pytest.fixture
def tiny_data():
    return make_data()
