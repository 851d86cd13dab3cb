"""Bad input in great variety: config overrides and data files, of which only clean errors may come.

Every input is made from a seed alone, which a failure prints: `python -m tests.reliability.torture --replay-input KIND SEED`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import shutil
import string
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.conftest import sentences
from textclf.data.load import load
from textclf.errors import TextclfError

ROOT = Path(__file__).parents[2]
KINDS = ("overrides", "file")
SECONDS = 20
"""No input may take longer."""

_OPTIONS = (
    "seed", "objective", "experiment", "run_name", "save_classifier", "resume", "resume_changed",
    "dataset.train", "dataset.test", "dataset.validation", "dataset.name", "dataset.text_column", "dataset.label_column",
    "dataset.text_pair_column", "dataset.title_column", "dataset.label_names", "dataset.language_column",
    "dataset.train_languages", "dataset.group_column", "dataset.slice_columns", "dataset.unknown_labels",
    "dataset.max_rejected", "dataset.max_text_characters", "dataset.on_leakage", "dataset.validation_fraction",
    "dataset.test_fraction", "dataset.max_train_examples", "dataset.max_eval_examples", "dataset.split_seed", "dataset.metrics",
    "model.name", "model.checkpoint", "model.max_length", "model.text_cleaning", "model.imbalance", "model.focal_gamma",
    "model.calibration", "model.vectorizer", "model.classifier", "model.classifier._target_", "model.dropout",
    "trainer.epochs", "trainer.batch_size", "trainer.gradient_accumulation", "trainer.learning_rate", "trainer.weight_decay",
    "trainer.warmup_fraction", "trainer.schedule", "trainer.max_grad_norm", "trainer.label_smoothing", "trainer.patience",
    "trainer.precision", "trainer.device", "trainer.log_every", "trainer.checkpoint_every",
    "tracker.directory", "tracker.tracking_uri", "tracker.system_metrics", "tracker.log_model",
    "analysis.bins", "analysis.alpha", "analysis.mistakes", "compare.alpha", "nonsense", "trainer.nonsense", "a.b.c",
)  # fmt: skip
_GROUPS = ("dataset", "model", "trainer", "tracker", "study", "compare", "analysis", "hydra/launcher")
_VALUES = (
    "", "null", "true", "-1", "0", "1", "1e308", "-1e-320", "nan", "inf", "-inf", "0x10", "1_000", "99999999999999999999999",
    "[]", "[1,2", "[a,b,a]", "{a:1}", "{", "}", "''", "'a", '"', "\\", "\\'", "${seed}", "${nowhere}", "${oc.env:HOME}",
    "${oc.env:NO_SUCH}", "${now:%Y}", "???", "a=b", "a,b", "range(1,3)", "choice(1,2)", "sort(3,1)", "glob(*)", "str(1)",
    "../../etc/passwd", "/dev/null", "/proc/self/mem", "bundled:../secret", "a\nb", "\u202e", "\ud83d\ude00", "\0", "ключ",
    "os.system", "builtins.eval", "textclf.models.base.Classifier", "10min", "10 min", "-5s", "0", "never", "1h", "min",
    "1e3", "s", "٣", " 5 ", "5.5", "1.5min", "9" * 400, "x" * 5000, "%s%n", "<script>", "sqlite:///x", "file:///", "http://[",
    "'2'", "'0'", "'-3'", "'1e2min'",
)  # fmt: skip
_CHOICES = ("reviews", "files", "hub", "naive_bayes", "transformer", "classical", "torch", "hf", "mlflow", "none", "../x", "no", "", "null",
            "glue/rte", "study/x", "basic", "quickstart", "tune_linear")  # fmt: skip


def overrides_of(seed: int) -> list[str]:
    """Return a few overrides, most of them wrong."""
    draw = random.Random(f"overrides {seed}")
    said = []
    for _ in range(draw.choice([1, 1, 2, 3])):
        sign = draw.choice(["", "", "", "", "+", "++", "~"])
        if draw.random() < 0.15:
            said.append(f"{sign}{draw.choice(_GROUPS)}={draw.choice(_CHOICES)}")
            continue
        value = draw.choice(_VALUES)
        if draw.random() < 0.15:
            value = _garbled(value, draw)
        elif draw.random() < 0.5:
            value = "'" + value.replace("\\", "").replace("'", "\\'") + "'"  # past Hydra's grammar, to the options
        said.append(f"{sign}{draw.choice(_OPTIONS)}{draw.choice(['=', '=', '=', '=', '', '=='])}{value}")
    return said


def _garbled(text: str, draw: random.Random) -> str:
    for _ in range(draw.randint(1, 3)):
        at = draw.randint(0, len(text))
        text = text[:at] + draw.choice(string.printable + "ßé☃\u0000\u2028") + text[at + draw.randint(0, 1) :]
    return text


def try_overrides(seed: int, folder: Path) -> str:
    """Compose and build what a seed says.

    Returns:
        How it ended: `built`, or the first words of the clean error.

    Raises:
        AssertionError: If it ended otherwise than with a result or a paragraph.
    """
    from hydra.core.global_hydra import GlobalHydra

    from textclf.experiment.cli import compose_experiment, explain

    said = overrides_of(seed)
    try:
        compose_experiment(*said)
    except TextclfError as error:
        paragraph = explain(error)
        _check_paragraph(paragraph, said)
        return paragraph[:60]
    except Exception as error:
        raise AssertionError(f"{said!r}: {traceback.format_exc()}") from error
    finally:
        GlobalHydra.instance().clear()
    return "built"


def _check_paragraph(paragraph: str, what: object) -> None:
    problems = [
        (not paragraph.strip(), "says nothing"),
        ("Traceback" in paragraph or 'File "' in paragraph, "shows a traceback"),
        ("\x1b" in paragraph or "\0" in paragraph, "sends control characters to the terminal"),
        (len(paragraph) > 12_000, f"has {len(paragraph):,} characters"),
    ]
    if wrong := [words for holds, words in problems if holds]:
        raise AssertionError(f"{what!r}: the error {' and '.join(wrong)}: {paragraph[:500]}")


# Data files ----------------------------------------------------------------------------------------------------------


def _valid(kind: str) -> bytes:
    rows = [{"text": f"{row['text']} number {n}", "label": row["label"]} for n, row in enumerate(sentences(40))]
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if kind == "parquet":
        import pandas as pd

        out = io.BytesIO()
        pd.DataFrame(rows).to_parquet(out)
        return out.getvalue()
    text = io.StringIO()
    writer = csv.DictWriter(text, ["text", "label"], delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randint(0, len(data))]


def _flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice([1, 3, 30]) if changed else 0):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _splice(data: bytes, draw: random.Random) -> bytes:
    a, b = (draw.randint(0, len(data)) for _ in range(2))
    return data[:a] + data[b:]


def _insert(data: bytes, draw: random.Random) -> bytes:
    at = draw.randint(0, len(data))
    what = draw.choice([b"\0" * 100, b'"', b"\n", b"\r", b"\xff\xfe", b"{" * 50_000, b"[" * 3000, b"," * 10_000, b"x" * 300_000,
                        b"\xed\xa0\x80", b'{"text": 1e999}\n', b'{"label": {}}\n', b"NaN\n", b"\\ud800", b"\x1a\x1b[31m"])  # fmt: skip
    return data[:at] + what + data[at:]


def _encode(data: bytes, draw: random.Random) -> bytes:
    text = data.decode("latin-1").replace("e", "é")
    return text.encode(draw.choice(["utf-16", "utf-32", "latin-1", "utf-16-be", "cp037", "utf-7"]), "replace")


def _names(data: bytes, draw: random.Random) -> bytes:
    return data.replace(
        b"label",
        draw.choice([b"text", b"", b"LABEL", b"te,xt", b'"label', b"example", b"label\0"]),
        draw.choice([1, 100]),
    )


def _labels(data: bytes, draw: random.Random) -> bytes:
    return data.replace(
        b"positive",
        draw.choice([b"", b"1.5", b"nan", b"-1", b"negative", b"null", b"x" * 2000, b"\xff"]),
        draw.choice([1, 5, 1000]),
    )


def _empty(data: bytes, draw: random.Random) -> bytes:
    return draw.choice([b"", b"\n", b" \n\n", b"\xef\xbb\xbf", data[:11], data.split(b"\n")[0]])


def _repeat(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    return b"\n".join([lines[0]] * draw.choice([1, 2, 50]) + draw.sample(lines, len(lines)))


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut, _flip, _splice, _insert, _encode, _names, _labels, _empty, _repeat,
)  # fmt: skip


def file_of(seed: int) -> tuple[str, bytes]:
    """Return the name and the content of a damaged data file."""
    draw = random.Random(f"file {seed}")
    kind = draw.choice(["jsonl", "csv", "tsv", "parquet", "jsonl", "csv"])
    data = _valid(kind)
    for _ in range(draw.randint(1, 2)):
        data = draw.choice(MUTATIONS)(data, draw)
    name = f"bad.{kind}"
    if kind != "parquet" and draw.random() < 0.25:
        packed = gzip.compress(data)
        data, name = (
            (draw.choice([_cut, _flip, _insert])(packed, draw) if draw.random() < 0.6 else packed),
            f"{name}.gz",
        )
    if draw.random() < 0.05:
        name = draw.choice(["bad.csv", "bad.jsonl", "bad.parquet", "bad.tsv.gz", "bad.txt"])
    return name, data


def try_file(seed: int, folder: Path) -> str:
    """Load the file that a seed says, as train or as test, and look at what came of it.

    Raises:
        AssertionError: If it ended otherwise than with sound data or a paragraph.
    """
    from textclf.data.options import FilesDataset
    from textclf.experiment.cli import explain

    name, data = file_of(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    draw = random.Random(f"options {seed}")
    options = {"max_rejected": draw.choice([0.0, 0.01, 1.0])}
    if draw.random() < 0.3:
        (folder / "good.jsonl").write_bytes(_valid("jsonl"))
        options |= {"train": str(folder / "good.jsonl"), "test": str(folder / name)}
    else:
        options |= {"train": str(folder / name)}
    try:
        loaded = load(FilesDataset(**options), out)
    except TextclfError as error:
        _check_paragraph(explain(error), (name, seed))
        _check_left(out)
        return explain(error)[:60]
    except Exception as error:
        raise AssertionError(f"{name} of seed {seed}: {traceback.format_exc()}") from error
    _check_left(out)
    for split in (loaded.train, loaded.validation, loaded.test):
        assert all(isinstance(text, str) for text in split["text"]), f"{name} of seed {seed}: a text is none"
        assert all(0 <= label < len(loaded.label_names) for label in split["label"]), (
            f"{name} of seed {seed}: a label is no class"
        )
    return "loaded"


def _check_left(out: Path) -> None:
    if left := {path.name for path in out.rglob("*")} - {"rejected.jsonl"}:
        raise AssertionError(f"loading left {sorted(left)} behind")


TRIES = {"overrides": try_overrides, "file": try_file}


def try_in_a_process(kind: str, seeds: range, folder: Path) -> list[tuple[int, str]]:
    """Try these seeds in a process of its own, and return what went wrong, by seed.

    Raises:
        RuntimeError: If the process itself ended otherwise than with an answer.
    """
    command = [sys.executable, "-m", "tests.reliability.fuzz", kind, str(seeds.start), str(seeds.stop), str(folder)]
    most = SECONDS * len(seeds)
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=most, errors="replace")
    if ended.returncode:
        raise RuntimeError(f"{kind} {seeds}: exit {ended.returncode}\n{ended.stderr[-3000:]}")
    return [(seed, said) for seed, said in json.loads(ended.stdout.splitlines()[-1])]


def main() -> None:
    """Try the seeds that the command line names, and print what went wrong as JSON."""
    kind, first, after, folder = sys.argv[1:]
    wrong = []
    for seed in range(int(first), int(after)):
        began = time.monotonic()
        try:
            TRIES[kind](seed, Path(folder) / str(seed))
        except AssertionError as error:
            wrong.append((seed, str(error)))
        shutil.rmtree(Path(folder) / str(seed), ignore_errors=True)
        if (seconds := time.monotonic() - began) > SECONDS:
            wrong.append((seed, f"it took {seconds:.0f} s"))
    print("\n" + json.dumps(wrong))


if __name__ == "__main__":
    main()
