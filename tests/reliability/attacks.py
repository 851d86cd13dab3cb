"""What strangers may try: files and folders that reach for more than they are, each given to the real command.

The scene of an attack is a folder of its own, with a private file beside it, credentials in the environment and a server
of the attacker's that notes every request. A command may refuse or do harmless work; it has failed where a
request arrives, the private text is written anywhere, planted code runs, or a traceback is shown.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import string
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import write_jsonl
from tests.listening import Server, listening
from tests.reliability.payloads import Marker, source
from tests.reliability.world import World

ROOT = Path(__file__).parents[2]
SECONDS = 120
"""No command may take longer."""
PRIVATE = "qzxprivateword"
"""A word of the private file; it would be a token of any vocabulary that is made of it."""
IN_ENVIRONMENT = "qzxenvironmentvalue"
CREDENTIALS = {
    "MLFLOW_TRACKING_USERNAME": "qzxusername",
    "MLFLOW_TRACKING_PASSWORD": "qzxtrackingpassword",
    "HF_TOKEN": "hf_qzxtokenqzxtokenqzxtokenqzx",
    "QZX_VALUE": IN_ENVIRONMENT,
}
UNCLEAN = "Traceback (most recent call last)"
QUICK = ("analysis.attributions=1", "analysis.attributed_words=4")
FAST = (*QUICK, "tracker=none")


@dataclass(frozen=True)
class Scene:
    """Where an attack takes place."""

    folder: Path
    """The working folder of the command."""
    run: Path
    """A finished run in it, of a classical classifier, tracked by the store of the folder."""
    saved: Path
    """A saved transformer."""
    checkpoint: Path
    """A checkpoint that has no head yet."""
    train: Path
    """Labelled texts."""
    private: Path
    """A file outside of the folder, in the form of labelled texts, whose content nobody asked for."""
    server: Server
    marker: Marker
    """What planted code makes."""

    def edit(self, path: Path, change: Callable[[Any], None]) -> None:
        """Change a JSON file; a manifest that vouches for it is written again, as a careful attacker would."""
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")
        self.vouch()

    def vouch(self) -> None:
        """Write the run's manifest, and the digests in its classifier, anew."""
        from textclf.system import files
        from textclf.tracking.run_folder import NOT_VOUCHED_FOR

        files.write_manifest(self.run, NOT_VOUCHED_FOR)

    def predict(self, classifier: Path, text: str = "a good film") -> list[str]:
        """Return the arguments that predict one text."""
        return ["textclf.predict", str(classifier), text]

    def train_on(self, *more: str) -> list[str]:
        """Return the arguments of a small run."""
        return ["textclf.run", "model=naive_bayes", *FAST, *more]

    def files_dataset(self) -> list[str]:
        """Return the overrides that name the labelled texts."""
        return ["dataset=files", "dataset.train=reviews.jsonl", "dataset.name=small"]


@dataclass(frozen=True)
class Attack:
    """Something a stranger may try."""

    name: str
    prepare: Callable[[Scene], list[str]]
    """Makes the files, and returns a module and its arguments."""
    refused: bool = False
    """Whether doing the harmless part would be wrong too: the command must fail."""


ATTACKS: dict[str, Attack] = {}


def attack(refused: bool = False) -> Callable[[Callable[[Scene], list[str]]], Callable[[Scene], list[str]]]:
    """Add a function to the attacks."""

    def add(prepare: Callable[[Scene], list[str]]) -> Callable[[Scene], list[str]]:
        ATTACKS[prepare.__name__] = Attack(prepare.__name__, prepare, refused)
        return prepare

    return add


@attack(refused=True)
def sync_to_a_strangers_server(scene: Scene) -> list[str]:
    _journal_of(scene, address=scene.server.url)
    return ["textclf.sync", str(scene.run)]


@attack(refused=True)
def sync_to_a_store_outside(scene: Scene) -> list[str]:
    outside = scene.folder.parent / "outside"
    _journal_of(scene, address=f"sqlite:///{outside}/mlflow.db", directory=str(outside))
    return ["textclf.sync", str(scene.run)]


def _journal_of(scene: Scene, **changes: str) -> None:
    """Let the run's journal name another store, where nothing of it is yet."""
    path = scene.run / "tracking.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line["kind"] not in ("sent", "opened")]
    lines[0].update(changes)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@attack(refused=True)
def rerun_to_a_strangers_server(scene: Scene) -> list[str]:
    scene.edit(scene.run / "run.json", lambda record: record["config"]["tracker"].update(tracking_uri=scene.server.url))
    return ["textclf.run", "--from-run", str(scene.run)]


@attack()
def rerun_with_its_group_chosen_again(scene: Scene) -> list[str]:
    scene.edit(scene.run / "run.json", lambda record: record["config"]["tracker"].update(tracking_uri=scene.server.url))
    return ["textclf.run", "--from-run", str(scene.run), "tracker=mlflow", *QUICK]


@attack(refused=True)
def sync_to_a_store_that_leads_outside(scene: Scene) -> list[str]:
    store = scene.folder / "mlruns" / "mlflow.db"
    shutil.copyfile(store, scene.run / "mine.db")
    outside = scene.folder.parent / "outside"
    with closing(sqlite3.connect(scene.run / "mine.db")) as opened, opened:
        opened.execute("UPDATE experiments SET artifact_location = ?", (str(outside),))
        opened.execute("DELETE FROM runs")
    _journal_of(scene, address=f"sqlite:///{scene.run}/mine.db", directory=str(scene.run))
    return ["textclf.sync", str(scene.run)]


@attack(refused=True)
def sync_to_a_store_in_escapes(scene: Scene) -> list[str]:
    place = "sqlite:///%2e%2e/outside.db"
    _journal_of(scene, address=place, directory=str(scene.run))
    return ["textclf.sync", str(scene.run)]


@attack(refused=True)
def sync_of_a_journal_that_is_a_link(scene: Scene) -> list[str]:
    store = scene.folder / "mlruns"
    _journal_of(scene, address=f"sqlite:///{store}/mlflow.db", directory=str(store))
    path = scene.run / "tracking.jsonl"
    moved = scene.folder.parent / "outside.jsonl"
    path.rename(moved)
    path.symlink_to(moved)
    return ["textclf.sync", str(scene.run)]


@attack(refused=True)
def rerun_on_a_private_file(scene: Scene) -> list[str]:
    scene.edit(scene.run / "run.json", lambda record: record["config"]["dataset"].update(train=str(scene.private)))
    return ["textclf.run", "--from-run", str(scene.run), *QUICK]


@attack()
def rerun_with_a_lookup_as_key(scene: Scene) -> list[str]:
    names = {"good:${oc.env:QZX_VALUE},bad": "good"}  # it closes the pair, and begins another
    scene.edit(scene.run / "run.json", lambda record: record["config"]["dataset"].update(label_map=names))
    return ["textclf.run", "--from-run", str(scene.run), *QUICK]


@attack(refused=True)
def rerun_from_an_address(scene: Scene) -> list[str]:
    address = f"{scene.server.url}/rows.jsonl"
    scene.edit(scene.run / "run.json", lambda record: record["config"]["dataset"].update(train=address))
    return ["textclf.run", "--from-run", str(scene.run), *QUICK]


def _plant(scene: Scene, *names: str) -> None:
    """Put code beside the command, under the names that a library might look for."""
    for name in names:
        (scene.folder / name).mkdir()
        (scene.folder / name / f"{name}.py").write_bytes(source(scene.marker))


@attack()
def a_metric_beside_the_command(scene: Scene) -> list[str]:
    _plant(scene, "mine")
    return scene.train_on(*scene.files_dataset(), "dataset.metrics=[mine]")


@attack()
def a_known_metric_beside_the_command(scene: Scene) -> list[str]:
    _plant(scene, "mcc", "accuracy")
    return scene.train_on(*scene.files_dataset(), "dataset.metrics=[mcc]")


@attack()
def a_dataset_script_beside_the_command(scene: Scene) -> list[str]:
    _plant(scene, "imdb")
    return scene.train_on("dataset=hub", "dataset.path=imdb", "dataset.name=x")


@attack(refused=True)
def a_pipeline_that_opens_files(scene: Scene) -> list[str]:
    _vectorizer_with(scene, input="filename")
    return scene.predict(scene.run, str(scene.private))


def _vectorizer_with(scene: Scene, **options: Any) -> None:
    import skops.io

    path = scene.run / "classifier" / "pipeline.skops"
    pipeline = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    pipeline.steps[0][1].set_params(**options)
    skops.io.dump(pipeline, path)
    _forget_digests(scene.run / "classifier")
    scene.vouch()


def _forget_digests(classifier: Path) -> None:
    """Take the digests of its files out of a classifier's description, as one from before there were any."""
    path = classifier / "classifier.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("files", None)
    path.write_text(json.dumps(content), encoding="utf-8")


@attack(refused=True)
def a_dataset_folder_that_names_a_private_file(scene: Scene) -> list[str]:
    return _dataset_card(scene, os.path.relpath(scene.private, scene.folder / "data"))


@attack(refused=True)
def a_dataset_folder_that_names_an_absolute_file(scene: Scene) -> list[str]:
    return _dataset_card(scene, str(scene.private))


@attack(refused=True)
def a_dataset_folder_that_names_an_address(scene: Scene) -> list[str]:
    return _dataset_card(scene, f"{scene.server.url}/rows.jsonl")


@attack(refused=True)
def a_dataset_folder_with_a_link(scene: Scene) -> list[str]:
    (scene.folder / "data").mkdir()
    (scene.folder / "data" / "train.jsonl").symlink_to(scene.private)
    return scene.train_on("dataset=hub", "dataset.path=./data", "dataset.name=x")


def _dataset_card(scene: Scene, file: str) -> list[str]:
    data = scene.folder / "data"
    data.mkdir()
    shutil.copyfile(scene.train, data / "train.jsonl")
    (data / "README.md").write_text(
        f"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {json.dumps(file)}\n---\n"
    )
    return scene.train_on("dataset=hub", "dataset.path=./data", "dataset.name=x")


def _described(name: str, change: Callable[[dict[str, Any]], Any], refused: bool = True) -> None:
    """Add an attack that edits a classifier's description; a classifier of each family is predicted with."""

    def classical(scene: Scene) -> list[str]:
        scene.edit(scene.run / "classifier" / "classifier.json", change)
        return scene.predict(scene.run)

    def transformer(scene: Scene) -> list[str]:
        scene.edit(scene.saved / "classifier.json", change)
        return scene.predict(scene.saved)

    for family in (classical, transformer):
        family.__name__ = f"{family.__name__}_{name}"
        attack(refused)(family)


_described("temperature_zero", lambda said: said.update(temperature=0))
_described("temperature_nan", lambda said: said.update(temperature=float("nan")))
_described("a_label_too_many", lambda said: said["label_names"].append("third"))
_described("labels_twice", lambda said: said.update(label_names=["same"] * len(said["label_names"])))
_described("a_million_labels", lambda said: said.update(label_names=[str(i) for i in range(1_000_000)]))
_described("options_no_mapping", lambda said: said.update(options=[1]))
_described("deep_nesting", lambda said: said.update(options=_nested(900)), refused=False)


def _nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": found}
    return found


@attack(refused=True)
def a_saved_classifier_of_huge_length(scene: Scene) -> list[str]:
    scene.edit(scene.saved / "classifier.json", lambda said: said["options"].update(max_length=10**9))
    return scene.predict(scene.saved)


@attack(refused=True)
def a_saved_classifier_without_its_tokenizer(scene: Scene) -> list[str]:
    for path in scene.saved.iterdir():
        if path.name.startswith(("tokenizer", "vocab", "special_tokens")):
            path.unlink()
    return scene.predict(scene.saved)


@attack(refused=True)
def vocabularies_too_short(scene: Scene) -> list[str]:
    path = scene.run / "classifier" / "vocabularies.json"
    path.write_text(json.dumps([words[:3] for words in json.loads(path.read_text())]))
    _forget_digests(scene.run / "classifier")
    scene.vouch()
    return scene.predict(scene.run)


@attack(refused=True)
def weights_named_outside(scene: Scene) -> list[str]:
    _weights_outside(scene, "other.index.json")
    scene.edit(scene.saved / "config.json", lambda config: config.update(transformers_weights="other.index.json"))
    return scene.predict(scene.saved)


@attack(refused=True)
def weights_linked_outside(scene: Scene) -> list[str]:
    outside = _moved_outside(scene)
    (scene.saved / "model.safetensors").symlink_to(outside)
    return scene.predict(scene.saved)


@attack(refused=True)
def an_index_that_leads_outside(scene: Scene) -> list[str]:
    _weights_outside(scene, "model.safetensors.index.json")
    return scene.predict(scene.saved)


def _moved_outside(scene: Scene) -> Path:
    outside = scene.folder.parent / "outside"
    outside.mkdir()
    shutil.move(scene.saved / "model.safetensors", outside / "secret.safetensors")
    _forget_digests(scene.saved)
    return outside / "secret.safetensors"


def _weights_outside(scene: Scene, index: str) -> None:
    from safetensors import safe_open

    outside = _moved_outside(scene)
    with safe_open(outside, "pt") as weights:
        place = os.path.relpath(outside, scene.saved)
        named = dict.fromkeys(weights.keys(), place)
    (scene.saved / index).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": named}))


def _configured(name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Add an attack that edits the config of a saved transformer, and one that edits that of a checkpoint."""

    def saved(scene: Scene) -> list[str]:
        _forget_digests(scene.saved)
        scene.edit(scene.saved / "config.json", change)
        return scene.predict(scene.saved)

    def checkpoint(scene: Scene) -> list[str]:
        scene.edit(scene.checkpoint / "config.json", change)
        wanted = [*scene.files_dataset(), "model=transformer", "model.name=x", "model.checkpoint=./checkpoint"]
        return ["textclf.run", *wanted, "trainer.max_steps=1", *FAST]

    for kind in (saved, checkpoint):
        kind.__name__ = f"{kind.__name__}_{name}"
        attack(refused=True)(kind)


_configured("kernel_from_the_hub", lambda said: said.update(_attn_implementation="somebody/kernel"))
_configured("kernels_in_a_list", lambda said: said.update(_attn_implementation=["somebody/kernel"]))
_configured("kernels_in_a_mapping", lambda said: said.update(attn_implementation={"": "somebody/kernel"}))
_configured("many_layers", lambda said: said.update(num_hidden_layers=100_000))


def _encode(scene: Scene, *more: str) -> list[str]:
    """Return the command that would fit a head to the checkpoint's embeddings."""
    chosen = ["model=embeddings", "model.name=x", "model.checkpoint=./checkpoint"]
    return ["textclf.run", *scene.files_dataset(), *chosen, *more, *FAST]


def _encoder_with(scene: Scene, **part: str) -> list[str]:
    """Make the checkpoint one of sentence-transformers, with a part after the transformer, and return the command."""
    modules = [{"name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}, {"name": "1", **part}]
    (scene.checkpoint / "modules.json").write_text(json.dumps(modules))
    return _encode(scene)


@attack(refused=True)
def an_encoder_whose_part_is_outside(scene: Scene) -> list[str]:
    outside = scene.folder.parent / "outside"
    outside.mkdir()
    (outside / "config.json").write_text(json.dumps({"pooling_mode": PRIVATE}))
    return _encoder_with(scene, path="../../outside", type="sentence_transformers.models.Pooling")


@attack()
def an_encoder_whose_part_is_code(scene: Scene) -> list[str]:
    for folder in (scene.folder, scene.checkpoint):
        (folder / "evil.py").write_bytes(source(scene.marker))
    return _encoder_with(scene, path="", type="evil.Pooling")


@attack(refused=True)
def an_encoder_whose_weights_are_a_link(scene: Scene) -> list[str]:
    outside = scene.folder.parent / "outside"
    outside.mkdir()
    shutil.move(scene.checkpoint / "model.safetensors", outside / "secret.safetensors")
    (scene.checkpoint / "model.safetensors").symlink_to(outside / "secret.safetensors")
    return _encode(scene, "model.pooling=mean")


@attack(refused=True)
def a_row_nested_too_deep(scene: Scene) -> list[str]:
    path = scene.folder / "rows.jsonl"
    path.write_text('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    return ["textclf.predict", str(scene.run), "--input", str(path), "--output", "out.jsonl"]


@attack(refused=True)
def a_number_of_many_digits(scene: Scene) -> list[str]:
    path = scene.folder / "rows.jsonl"
    path.write_text('{"text": "a film", "n": ' + "7" * 5_000 + "}\n")
    return ["textclf.predict", str(scene.run), "--input", str(path), "--output", "out.jsonl"]


class Attacker:
    """Tries attacks, each in a fresh scene.

    Args:
        world: Data and a checkpoint.
        scratch: Where it happens.
    """

    def __init__(self, world: World, scratch: Path):
        self.world, self.scratch = world, scratch
        self.said: dict[str, str] = {}
        """What the command of each attack said."""
        scratch.mkdir(parents=True, exist_ok=True)

    def run(self, folder: Path, arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a module in a fresh process."""
        mine = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200",
                "HF_HOME": str(self.scratch / "hf_home"), "TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "HF_"))}
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=folder, env={**kept, **mine, **environment}, text=True,
            capture_output=True, timeout=SECONDS, errors="replace", stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def prepare(self) -> Path:
        """Make, once, what each scene is a copy of."""
        made = self.scratch / "made"
        if not made.exists():
            made.mkdir()
            shutil.copyfile(self.world.train, made / "reviews.jsonl")
            data = ["dataset=files", "dataset.train=reviews.jsonl", "dataset.name=small"]
            ended = self.run(made, ["textclf.run", *data, "model=naive_bayes", *QUICK, "hydra.run.dir=run"])
            assert ended.returncode == 0, ended.stdout + ended.stderr
            trained = self.world.transformer("torch", "trainer.epochs=1", "hydra.run.dir=trained")
            ended = self.run(made, ["textclf.run", *trained])
            assert ended.returncode == 0, ended.stdout + ended.stderr
        return made

    def attempt(self, attack: Attack) -> list[str]:
        """Return in words what an attack has reached; nothing where it failed, as it must."""
        made = self.prepare()
        home = self.scratch / attack.name
        folder = home / "work"
        shutil.copytree(made, folder)
        shutil.copytree(folder / "trained" / "classifier", folder / "saved")
        shutil.rmtree(folder / "trained")
        shutil.copytree(self.world.folder / "tiny-bert", folder / "checkpoint")
        private = home / "private.jsonl"
        rows = [{"text": f"{PRIVATE} {word} {i}", "label": word} for i in range(40) for word in ("good", "bad")]
        write_jsonl(private, rows)
        with listening() as server:
            scene = Scene(
                folder, folder / "run", folder / "saved", folder / "checkpoint", folder / "reviews.jsonl", private, server,
                Marker(home / "code-ran"),
            )  # fmt: skip
            arguments = attack.prepare(scene)
            before, beside = _holding(home, PRIVATE), _beside(folder)
            try:
                ended = self.run(folder, arguments, **CREDENTIALS)
            except subprocess.TimeoutExpired:
                return [f"{attack.name}: no answer within {SECONDS} s"]
            problems = [f"a request reached the stranger's server:\n{request[:600]}" for request in server.requests[:1]]
        said = self.said[attack.name] = ended.stdout + ended.stderr
        problems += [f"{path} was written" for path in _beside(folder) - beside if path != scene.marker.path]
        problems += ["planted code was run"] * scene.marker.fired()
        problems += [f"the private text is in {path}" for path in _holding(home, PRIVATE) - before]
        problems += ["the private text is on the screen"] * (PRIVATE in said.replace(str(home), ""))
        problems += [
            f"{name} is in {path}" for name, value in CREDENTIALS.items() for path in sorted(_holding(home, value))
        ]
        problems += [f"{name} is on the screen" for name, value in CREDENTIALS.items() if value in said]
        problems += ["a traceback is on the screen"] * (UNCLEAN in said)
        problems += ["an answer is no number"] * ("nan" in ended.stdout and not ended.returncode)
        if attack.refused and ended.returncode == 0:
            problems.append("the command did as it was told")
        if ended.returncode not in (0, 1, 2, 3):
            problems.append(f"exit status {ended.returncode}")
        if not problems:
            shutil.rmtree(home)
            return []
        return [f"{attack.name}: {problem}" for problem in problems] + [
            f"{attack.name}: it said: {said[-1500:]}; the folder is {home}"
        ]


def _beside(folder: Path) -> set[Path]:
    """Return what there is beside the working folder, and below that."""
    return {path for path in folder.parent.rglob("*") if folder not in (path, *path.parents)}


def _holding(folder: Path, text: str) -> set[Path]:
    """Return the files below a folder that hold a text, in their bytes or their names."""
    wanted = text.encode()
    return {
        path
        for path in folder.rglob("*")
        if text in path.name or (path.is_file() and not path.is_symlink() and wanted in path.read_bytes())
    }


AWKWARD = "'\"/ #?@:%\\&+=;,!*()[]{}<>|^~`ü"
"""Characters that end or escape something somewhere."""


def password_of(seed: int) -> str:
    """Return a generated password: three runs of letters and digits, two awkward characters between."""
    draw = random.Random(f"password {seed}")
    parts = ["".join(draw.choices(string.ascii_letters + string.digits, k=7)) for _ in range(3)]
    return parts[0] + draw.choice(AWKWARD) + parts[1] + AWKWARD[seed % len(AWKWARD)] + parts[2]


def leaks(attacker: Attacker, seed: int) -> list[str]:
    """Return where a generated password was written or shown that a person gave in the address of a tracker.

    Even seeds give it in percent escapes, as it should be; others as it is.

    Args:
        attacker: What runs the command.
        seed: Seed of the password.
    """
    password = password_of(seed)
    given = password if seed % 2 else urllib.parse.quote(password, safe="")
    home = attacker.scratch / f"password{seed}"
    home.mkdir(parents=True)
    with listening(500) as server:
        host = server.url.removeprefix("http://")
        address = f"http://bob:{given}@{host}".replace("\\", "\\\\").replace("'", "\\'")
        arguments = ["textclf.run", *attacker.world.data(), "model=naive_bayes", *QUICK, "hydra.run.dir=run",
                     f"tracker.tracking_uri='{address}'", "tracker.patience_seconds=0"]  # fmt: skip
        ended = attacker.run(home, arguments, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    said = ended.stdout + ended.stderr
    pieces = re.findall(r"[a-zA-Z0-9]{7,}", password)  # any of them gives part of it away
    problems = [f"{piece!r} of {given!r} is on the screen" for piece in pieces if piece in said]
    problems += [f"{piece!r} of {given!r} is in {path}" for piece in pieces for path in sorted(_holding(home, piece))]
    problems += [f"{given!r}: a traceback on the screen"] * (UNCLEAN in said)
    if not problems:
        shutil.rmtree(home)
    return problems
