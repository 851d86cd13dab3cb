"""A payload in every file that textclf loads: none runs, and the outcome is harmless or a plain refusal."""

import contextlib
import gzip
import json
import pickle
import shutil

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import skops.io
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import save_file

from tests.conftest import make_data, unlisted, write_jsonl
from tests.reliability.payloads import ARCHIVES, CONTENTS, Marker, pickled, source, target
from tests.tracking.mlflow.serving_factory import classical, finished_run, transformer
from textclf.app import facts, uploads
from textclf.audit import gate
from textclf.compare.runs import find_runs
from textclf.data.load import load as load_data
from textclf.data.options import FilesDataset, HubDataset
from textclf.data.readers import arrow
from textclf.data.rejected import RejectedRows
from textclf.errors import ConfigError, TextclfError
from textclf.experiment.cli import compose_experiment, composed
from textclf.experiment.config import build
from textclf.experiment.rerun import overrides_of, value_said
from textclf.experiment.sweep.status import read_statuses, read_sweep
from textclf.export import evidence
from textclf.models.embeddings.vector_cache import VECTORS
from textclf.models.families import load_classifier
from textclf.models.options import TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.models.transformer.token_cache import TOKENS
from textclf.predict.inputs import TextColumns, WantedTexts
from textclf.predict.rows import Kind, kind_of_name, read_batches
from textclf.system import text_cache
from textclf.system.appending import append_line
from textclf.system.files import manifest_problem, write_manifest
from textclf.tracking.find_runs import resolve_run
from textclf.tracking.lease import at_work
from textclf.tracking.mlflow.journal import read_state
from textclf.tracking.record import read_record
from textclf.tracking.run_folder import NOT_VOUCHED_FOR
from textclf.tracking.run_start import read_started
from textclf.training.checkpoints.storage import newest_checkpoint

ROWS = [{"text": f"it is {word} {i}", "label": word} for i in range(12) for word in ("good", "bad")]


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_checkpoint):
    """One of each thing that can be spoiled."""
    root = tmp_path_factory.mktemp("payloads")
    finished_run(root / "run", classical())
    run = root / "run"
    for name in (
        "status.json",
        "sweep.json",
        "started.json",
        "lease.json",
        "tracking.jsonl",
        "analysis.json",
        "export.json",
    ):
        (run / name).write_text("{}\n")
    write_manifest(run, NOT_VOUCHED_FOR)
    transformer(tiny_checkpoint).save(root / "transformer")
    unlisted(root / "transformer")  # as a stranger would, so that what is spoiled is read and not only found changed
    unlisted(run / "classifier")
    shutil.copytree(tiny_checkpoint, root / "checkpoint")
    write_onnx(root / "onnx", "weights.bin")
    step = root / "checkpoints" / "step-00000001"
    step.mkdir(parents=True)
    save_file({"w": torch.zeros(2)}, step / "model.safetensors")
    (step / "state.json").write_text(
        json.dumps({"format": 1, "tensors": {"model": 1}, "identity": {}, "environment": {}})
    )
    write_manifest(step)
    data = root / "data"
    data.mkdir()
    write_jsonl(data / "rows.jsonl", ROWS)
    text = "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in ROWS)
    (data / "rows.csv").write_text(text)
    (data / "rows.tsv").write_text(text.replace(",", "\t"))
    (data / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
    pq.write_table(pa.Table.from_pylist(ROWS), data / "rows.parquet")
    (root / "conf" / "model").mkdir(parents=True)
    (root / "conf" / "model" / "given.yaml").write_text("defaults: [transformer]\nname: x\n")
    return root


def write_onnx(folder, location):
    """Write a classifier whose graph takes weights from another file."""
    folder.mkdir()
    weights = onnx.TensorProto(name="w", data_type=1, dims=[1, 2], data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "8")):
        weights.external_data.add(key=key, value=value)
    make, values = onnx.helper, onnx.helper.make_tensor_value_info
    nodes = [make.make_node("Identity", ["w"], ["probabilities"])]
    graph = make.make_graph(nodes, "g", [values("x", 8, [None, 1])], [values("probabilities", 1, [1, 2])], [weights])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    np.full(2, 0.5, np.float32).tofile(folder / "weights.bin")
    (folder / "tokenizer.json").write_text("{}")
    options = {"kind": "pipeline", "lowercase": True, "features": 2}
    about = {"format": 1, "family": "onnx", "label_names": ["a", "b"], "options": options}
    (folder / "classifier.json").write_text(json.dumps(about))


def train_on(file):
    return load_data(FilesDataset(name="rows", train=str(file)))


def predict(file):
    return list(read_batches(file, kind_of_name(file.name), WantedTexts(TextColumns("text")), 100, file.name))


def upload(file):
    return uploads.read_rows(file.read_bytes(), Kind.csv, file.name, TextColumns("text"), 1000)


def checkpoint(file):
    options = TransformerModel(name="x", checkpoint=str(file.parent), max_length=32)
    return load_checkpoint(options, ("a", "b"), seed=1)


def config(file):
    return compose_experiment(f"hydra.searchpath=[file://{file.parents[1]}]", "model=given")


def training(file):
    """Read a checkpoint of training as it is, and as somebody who has made its manifest anew left it."""
    newest_checkpoint(file.parents[1])
    write_manifest(file.parent)
    return newest_checkpoint(file.parents[1])


def sealed(read, up=0):
    """Read a run as somebody left it who has made its manifest anew, so that it is not refused for that."""

    def read_sealed(file):
        write_manifest(file.parents[up], NOT_VOUCHED_FOR)
        return read(file)

    return read_sealed


LOADERS = {
    "run/run.json": sealed(lambda file: overrides_of(resolve_run(file.parent).record)),
    "run/status.json": lambda file: read_statuses(file.parent),
    "run/sweep.json": lambda file: read_sweep(file.parent),
    "run/started.json": lambda file: read_started(file.parent),
    "run/manifest.json": lambda file: manifest_problem(file.parent),
    "run/lease.json": lambda file: at_work(file.parent),
    "run/tracking.jsonl": lambda file: read_state(file.parent),
    "run/analysis.json": lambda file: facts.read_analysis(file.parent),
    "run/export.json": sealed(lambda file: evidence.gather(resolve_run(file.parent))),
    "run/predictions.parquet": sealed(lambda file: find_runs([file.parent])),
    "run/classifier/classifier.json": sealed(lambda file: load_classifier(file.parents[1]), 1),
    "run/classifier/pipeline.skops": sealed(lambda file: load_classifier(file.parents[1]), 1),
    "run/classifier/vocabularies.json": sealed(lambda file: load_classifier(file.parents[1]), 1),
    "transformer/config.json": lambda file: load_classifier(file.parent),
    "transformer/tokenizer.json": lambda file: load_classifier(file.parent),
    "transformer/tokenizer_config.json": lambda file: load_classifier(file.parent),
    "transformer/model.safetensors": lambda file: load_classifier(file.parent),
    "checkpoint/config.json": checkpoint,
    "checkpoint/tokenizer_config.json": checkpoint,
    "checkpoint/vocab.txt": checkpoint,
    "checkpoint/model.safetensors": checkpoint,
    "checkpoint/pytorch_model.bin": checkpoint,
    "onnx/model.onnx": lambda file: load_classifier(file.parent),
    "onnx/weights.bin": lambda file: load_classifier(file.parent),
    "onnx/classifier.json": lambda file: load_classifier(file.parent),
    "checkpoints/step-00000001/state.json": training,
    "checkpoints/step-00000001/manifest.json": training,
    "checkpoints/step-00000001/model.safetensors": training,
    "data/rows.jsonl": train_on,
    "data/rows.csv": train_on,
    "data/rows.tsv": train_on,
    "data/rows.csv.gz": train_on,
    "data/rows.parquet": train_on,
    "data/label/rows.txt": lambda file: train_on(file.parents[1]),
    "data/predict.jsonl": predict,
    "data/predict.csv": predict,
    "data/predict.parquet": predict,
    "data/predict.csv.gz": predict,
    "data/upload.csv": upload,
    "data/feedback.jsonl": lambda file: append_line(file, {"text": "x"}),
    "conf/model/given.yaml": config,
}
"""What reads each kind of file, as the commands do."""


@pytest.fixture
def marker(tmp_path):
    return Marker(tmp_path / "the payload has run")


def load(name, folder, spoil, marker):
    """Spoil one file in a copy of what it belongs to, load that, and return what was refused; nothing may have run."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.name == "pytorch_model.bin":
        file.with_name("model.safetensors").unlink()
    spoil(file)
    refused = None
    try:
        LOADERS[name](file)
    except TextclfError as error:
        refused = str(error)
    assert not marker.fired(), f"the payload in {name} has run"
    return refused


@pytest.fixture
def copied(world, tmp_path):
    """Copies what a file belongs to."""

    def copy(name):
        part = name.split("/")[0]
        shutil.copytree(world / part, tmp_path / part)
        return tmp_path

    return copy


@pytest.mark.parametrize("name", LOADERS)
def test_no_payload_runs(name, copied, marker):
    folder = copied(name)
    whole = {path: path.read_bytes() for path in (folder / name).parent.glob("*") if path.is_file()}
    for content in CONTENTS.values():
        load(name, folder, lambda file, content=content: file.write_bytes(content(marker)), marker)
        for path, before in whole.items():
            path.write_bytes(before)
    for archive in ARCHIVES.values():
        load(name, folder, lambda file, archive=archive: write_archive(archive, marker, file), marker)
        for path, before in whole.items():
            path.write_bytes(before)


def write_archive(archive, marker, file):
    with file.open("wb") as out:
        archive(marker, out)


FIRES = {
    "pickle": lambda file: pickle.loads(file.read_bytes()),
    "pickle in text": lambda file: pickle.loads(file.read_bytes()),
    "YAML object": lambda file: yaml.unsafe_load(file.read_bytes()),
    "target": lambda file: instantiate(yaml.safe_load(file.read_bytes())),
    "source": lambda file: exec(file.read_bytes()),
    "torch": lambda file: torch.load(file, weights_only=False),
    "numpy": lambda file: np.load(file, allow_pickle=True),
    "skops": lambda file: skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file)),
}
"""What each payload is made for: textclf does none of it."""


@pytest.mark.parametrize("kind", FIRES)
def test_every_payload_runs_where_a_loader_trusts_it(kind, marker, tmp_path):
    file = tmp_path / "payload"
    if kind in CONTENTS:
        file.write_bytes(CONTENTS[kind](marker))
    else:
        write_archive(ARCHIVES[kind], marker, file)
    FIRES[kind](file)
    assert marker.fired()


def test_the_check_fails_where_a_payload_runs(copied, marker, monkeypatch):
    monkeypatch.setitem(LOADERS, "run/status.json", lambda file: pickle.loads(file.read_bytes()))
    with pytest.raises(AssertionError, match="has run"):
        load("run/status.json", copied("run/status.json"), lambda file: file.write_bytes(pickled(marker)), marker)


def test_whole_files_are_read(world):
    """The loaders read what they are named after, so that the refusals above are those of the spoiled file."""
    for name in (
        "run/run.json",
        "run/predictions.parquet",
        "transformer/config.json",
        "data/rows.csv.gz",
        "onnx/model.onnx",
    ):
        if name != "run/run.json":
            LOADERS[name](world / name)
    assert read_record(world / "run").name
    assert newest_checkpoint(world / "checkpoints") is not None


def code_of_its_own(folder, marker):
    """Let a checkpoint ask for code of its own in each way that there is."""
    (folder / "evil.py").write_bytes(source(marker) + b"class C: pass\nclass M: pass\nclass T: pass\n")
    for name, own in (
        ("config.json", {"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["evil.T", None]}),
    ):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": own}))


@pytest.mark.parametrize("model_type", ["bert", "evil"])
@pytest.mark.parametrize("part", ["checkpoint", "transformer"])
def test_code_beside_a_checkpoint_never_runs(part, model_type, copied, marker):
    from transformers import AutoConfig

    folder = copied(f"{part}/x") / part
    code_of_its_own(folder, marker)
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": model_type}))
    refused = ""
    try:
        (load_classifier if part == "transformer" else lambda folder: checkpoint(folder / "x"))(folder)
    except TextclfError as error:
        refused = str(error)
    assert ("custom code" in refused) == (model_type == "evil")
    assert not marker.fired()
    if model_type == "evil" and part == "checkpoint":
        with contextlib.suppress(Exception):  # the class is no config, but its module has run by then
            AutoConfig.from_pretrained(folder, trust_remote_code=True)
        assert marker.fired()


def test_a_pickled_checkpoint_ends_in_a_paragraph(copied, marker):
    folder = copied("checkpoint/x")
    said = load("checkpoint/pytorch_model.bin", folder, lambda file: ARCHIVES["torch"](marker, file), marker)
    assert "is never run" in said
    assert "weights_only" not in said, "torch's own text tells how to run the code all the same"


def test_a_pipeline_of_untrusted_types_is_refused_by_name(copied, marker):
    folder = copied("run/x")
    said = load("run/classifier/pipeline.skops", folder, lambda file: ARCHIVES["skops"](marker, file), marker)
    assert "not trusted (tests.reliability.payloads.Wakes)" in said


@pytest.mark.parametrize("where", ["../secret.bin", "{root}/secret.bin", "link.bin", "linked/secret.bin"])
def test_weights_outside_of_their_folder_are_not_read(where, tmp_path, copied):
    np.ones(2, np.float32).tofile(tmp_path / "secret.bin")
    write_onnx(tmp_path / "onnx", where.format(root=tmp_path))
    (tmp_path / "onnx" / "link.bin").symlink_to(tmp_path / "secret.bin")
    (tmp_path / "onnx" / "linked").symlink_to(tmp_path)
    with pytest.raises(TextclfError, match=r"no usable graph|is a link to"):
        load_classifier(tmp_path / "onnx")
    for part in ("checkpoint", "transformer"):
        folder = copied(f"{part}/x") / part
        (folder / "model.safetensors").rename(tmp_path / "secret.bin")
        index = {"metadata": {}, "weight_map": {"w": where.format(root=tmp_path)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
        (folder / "linked").symlink_to(tmp_path)
        with pytest.raises(TextclfError, match="outside of its folder"):
            (load_classifier if part == "transformer" else lambda folder: checkpoint(folder / "x"))(folder)


def test_a_state_of_training_names_no_file_elsewhere(copied, marker):
    step = copied("checkpoints/x") / "checkpoints" / "step-00000001"
    shutil.copy(step / "model.safetensors", step.parents[1] / "other.safetensors")
    state = json.loads((step / "state.json").read_text())
    (step / "state.json").write_text(json.dumps(state | {"tensors": {"../../other": 1}}))
    write_manifest(step)
    assert newest_checkpoint(step.parent) is None


def test_a_dataset_with_a_script_is_not_run(tmp_path, marker):
    folder = tmp_path / "scripted"
    write_jsonl(folder / "train.jsonl", ROWS)
    (folder / "scripted.py").write_bytes(source(marker))
    refused = "not run"  # datasets may as well leave the script alone and read the file beside it
    try:
        load_data(HubDataset(name="x", path=str(folder)))
    except TextclfError as error:
        refused = str(error)
    assert "not run" in refused
    assert not marker.fired()


@pytest.mark.parametrize("content", CONTENTS)
def test_caches_are_made_anew_where_they_are_spoiled(content, marker, tmp_path, monkeypatch):
    data, payload = make_data(), CONTENTS[content](marker)
    monkeypatch.setattr(gate, "cache_path", lambda data: tmp_path / "audit.json")
    monkeypatch.setattr(text_cache.constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(arrow.config, "HF_DATASETS_CACHE", str(tmp_path))
    gate.cache_path(data).write_bytes(payload)
    assert gate.brief_audit(data).examples == {"train": 64, "validation": 24, "test": 24}
    for cache in (TOKENS, VECTORS):
        cache.folder.mkdir(parents=True)
        (cache.folder / "key.safetensors").write_bytes(payload)
        assert cache.read("key", 3) is None

    def read():
        batch = pa.RecordBatch.from_pydict({"text": ["a"]})
        return arrow.cached("key", [batch], batch.schema, "train", RejectedRows(0.0), arrow.ReadRows())

    assert read()["text"][:] == ["a"]
    for file in (tmp_path / "textclf").iterdir():
        kept = file.read_bytes()
        file.write_bytes(payload)
        assert read()["text"][:] == ["a"]
        file.write_bytes(kept)
    assert not marker.fired()


def test_a_config_chooses_no_code(marker):
    cfg = composed([])
    call = {"_target_": "os.mkdir", "_args_": [str(marker.path)]}
    for group in ("dataset", "model", "trainer", "tracker", "analysis", "compare"):
        for node in (OmegaConf.create(call), OmegaConf.create({**cfg[group], **call}), cfg[group]):
            OmegaConf.set_struct(node, False)
            OmegaConf.update(node, "_target_", "os.mkdir", force_add=True)
            with pytest.raises(ConfigError, match="_target_"):
                build(OmegaConf.create({group: node}), group)
    assert not marker.fired()


@pytest.mark.parametrize("part", ["vectorizer", "classifier"])
@pytest.mark.parametrize(
    "name", ["os.mkdir", "sklearn.utils.os.mkdir", "textclf.models.saved.Path", "sklearn..os.mkdir"]
)
def test_a_pipeline_is_made_of_estimators_alone(part, name, marker):
    from textclf.models.classical.pipeline import make_parts
    from textclf.models.options import ClassicalModel

    fine = {
        "vectorizer": "sklearn.feature_extraction.text.TfidfVectorizer",
        "classifier": "sklearn.naive_bayes.MultinomialNB",
    }
    nodes = {key: {"_target_": value} for key, value in fine.items()} | {
        part: {"_target_": name, "path": str(marker.path)}
    }
    with pytest.raises(ConfigError, match=f"model.{part}"):
        make_parts(ClassicalModel(name="x", **nodes))
    assert not marker.fired()


@pytest.mark.parametrize("key", ["hydra.launcher", "hydra.sweeper"])
def test_hydra_starts_no_launcher_or_sweeper_from_elsewhere(key, marker):
    from hydra.core.plugins import Plugins

    node = OmegaConf.create({"_target_": "os.mkdir", "path": str(marker.path)})
    with pytest.raises(RuntimeError, match="Invalid plugin"):
        Plugins.instance()._instantiate(node)
    assert not marker.fired()


def test_a_record_that_names_code_is_not_run_again(copied, marker):
    folder = copied("run/x") / "run"
    content = json.loads((folder / "run.json").read_text())
    content["config"] = {"model": json.loads(target(marker))}
    (folder / "run.json").write_text(json.dumps(content))
    write_manifest(folder, NOT_VOUCHED_FOR)
    with pytest.raises(TextclfError, match=r"os\.mkdir"):
        overrides_of(read_record(folder))
    assert not marker.fired()


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "\\${oc.env:HOME}", "a\\\\${oc.env:HOME} 'b'", "${x", "plain"])
def test_nothing_that_a_record_says_is_looked_up(value):
    cfg = composed([f"++dataset.name={value_said(value)}"])
    assert OmegaConf.to_container(cfg.dataset, resolve=True)["name"] == value


def test_a_journal_sends_nothing_but_its_own_run(copied, tmp_path):
    from textclf.tracking.mlflow.upload import RefusedError, RunUpload

    folder = copied("run/x") / "run"
    (tmp_path / "private.txt").write_text("private")
    (folder / "link.txt").symlink_to(tmp_path / "private.txt")
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "deep.png").symlink_to(tmp_path / "private.txt")
    upload = RunUpload(None, "", "", "", folder, False)  # type: ignore[arg-type]
    for where, name in (("", "../private.txt"), ("..", "private.txt"), (str(tmp_path), "private.txt"), ("", "link.txt"),
                        ("", "figures"), ("", "C:x"), ("", "a\0b")):  # fmt: skip
        with pytest.raises(RefusedError, match="not in the run folder"):
            upload._own(where, name)
    assert upload._own("", "run.json") == folder / "run.json"
    assert upload._own("", "classifier").is_dir()


def test_what_is_bundled_stays_in_the_bundle():
    with pytest.raises(TextclfError, match="only what comes with textclf"):
        load_data(FilesDataset(name="x", train="bundled:../../../README.jsonl"))
