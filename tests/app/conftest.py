"""Finished runs to show: one that was really run, copies of it that differ, and classifiers by themselves."""

import json
import shutil
from dataclasses import replace

import pytest

from tests.conftest import make_data
from textclf.app.settings import Settings
from textclf.data.options import HubDataset
from textclf.evaluation.options import AnalysisOptions
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.models.options import ClassicalModel
from textclf.system.files import write_manifest
from textclf.tracking.run_folder import NOT_VOUCHED_FOR
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

IMAGE = "<img src=x onerror=\"document.title='hacked'\">"
"""What must never become an element."""
MARKDOWN = ":red[no] **bold** $x^2$ [x](javascript:alert(1))"
MODEL = ClassicalModel(
    name="naive_bayes",
    vectorizer={"_target_": "sklearn.feature_extraction.text.CountVectorizer"},
    classifier={"_target_": "sklearn.naive_bayes.MultinomialNB"},
)


def edited_copy(source, target, **changes):
    """Copy a run folder with other values in its record, and a manifest that says so."""
    shutil.copytree(source, target)
    record = json.loads((target / "run.json").read_text(encoding="utf-8")) | changes
    (target / "run.json").write_text(json.dumps(record), encoding="utf-8")
    write_manifest(target, NOT_VOUCHED_FOR)
    return target


@pytest.fixture(scope="session")
def outputs(hub, tmp_path_factory):
    """A folder with finished runs: two systems, one damaged run, and one without its classifier."""
    folder = tmp_path_factory.mktemp("app") / "outputs"
    experiment = Experiment(
        dataset=HubDataset(name="reviews", path="tests/reviews"), model=MODEL, analysis=AnalysisOptions(attributions=0)
    )
    first = folder / "runs" / "first"
    record = run_experiment(experiment, first, "python -m textclf.run model=naive_bayes")
    model = f"other {IMAGE} {MARKDOWN}"
    config = record.config | {"model": record.config["model"] | {"name": model}}
    edited_copy(
        first,
        folder / "runs" / "second",
        model=model,
        name=f"reviews/{model}/seed1",
        config=config,
        started="2020-01-01T00:00:00+00:00",
    )
    bare = edited_copy(first, folder / "runs" / "bare", started="2019-01-01T00:00:00+00:00", seed=7)
    shutil.rmtree(bare / "classifier")
    broken = folder / "runs" / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    return folder


@pytest.fixture(scope="session")
def pair_classifier(tmp_path_factory):
    """A classifier of pairs whose labels are markup."""
    data = replace(make_data(pairs=True), label_names=(IMAGE, MARKDOWN))
    classifier, _ = fit(MODEL, data, TorchTrainer(), RunContext())
    folder = tmp_path_factory.mktemp("pairs") / "pair_classifier"
    classifier.save(folder)
    return folder


@pytest.fixture
def settings(outputs, tmp_path, monkeypatch):
    """Return what sets the app's settings; feedback and events go to this test's own folder."""

    def use(**changes):
        known = {
            "outputs": str(outputs),
            "feedback": str(tmp_path / "feedback.jsonl"),
            "events": str(tmp_path / "events.jsonl"),
        }
        found = Settings(**known | changes)
        for name, value in found.as_environment().items():
            monkeypatch.setenv(name, value)
        return found

    use()
    return use
