"""Runs to export: one whose labels, texts, paths and command are as bad as they can be, and a tiny transformer."""

import json
import shutil

import pytest

from tests.conftest import GOOD, write_jsonl
from textclf.data.options import FilesDataset
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.models.options import ClassicalModel
from textclf.tracking.find_runs import resolve_run

MARK = "zebrafinch"
"""Stands in every text, and must stand in no card."""
LABELS = ("a|b <img src=x onerror=alert(1)>", "**bold**\n# new [x](javascript:alert(1)) `c`")
TOKEN = "hf_" + "Ab1" * 12
COMMAND = (
    "python -m textclf.run dataset=files dataset.train={train} 'tracker.tracking_uri=http://me:pw@host:5000' "
    "hydra.run.dir={root}/runs '+dataset.token=" + TOKEN + "' model=tfidf_logreg seed=3"
)


def tfidf(**options):
    return ClassicalModel(
        name="logreg",
        vectorizer={"_target_": "sklearn.feature_extraction.text.TfidfVectorizer", "token_pattern": r"(?u)\b\w+\b"},
        classifier={"_target_": "sklearn.linear_model.LogisticRegression"},
        **options,
    )


@pytest.fixture(scope="session")
def wild(tmp_path_factory):
    """A run on texts, labels and paths that no card may show as they are."""
    root = tmp_path_factory.mktemp("home-of-somebody")
    rows = [
        {
            "text": f"{MARK} {GOOD[i % 4] if (i % 2) != (i % 11 == 0) else 'dull'} {i % 9}",
            "label": LABELS[i % 2],
            "author": f"author{i % 2}",
        }
        for i in range(400)
    ]
    train = write_jsonl(root / "private" / "patients.jsonl", rows)
    dataset = FilesDataset(train=str(train), slice_columns=["author"])
    command = COMMAND.format(train=train, root=root)
    run_experiment(Experiment(dataset=dataset, model=tfidf(), seed=3), root / "run", command)
    return root


@pytest.fixture
def wild_run(wild, tmp_path):
    """A copy of that run without its manifest, to be spoiled."""
    unsealed = shutil.ignore_patterns("manifest.json", "started.json")
    return shutil.copytree(wild / "run", tmp_path / "somewhere" / "run", ignore=unsealed)


def tiny_transformer(tiny_checkpoint, folder, pairs=False, names=("negative", "positive"), **lengths):
    """Write a classifier folder with the random BERT, and return its place."""
    from textclf.models.options import TransformerModel
    from textclf.models.transformer.loading import load_checkpoint

    options = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=16, **lengths)
    classifier = load_checkpoint(options, names, seed=1)
    classifier.has_pairs = pairs
    classifier.save(folder)
    return resolve_run(folder)


def changed_json(path, **changes):
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
