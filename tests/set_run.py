"""A finished run with sets of labels, whose labels are marks to HTML and Markdown too."""

from __future__ import annotations

from tests.conftest import write_jsonl
from textclf.data.options import FilesDataset
from textclf.experiment.experiment import run_experiment
from textclf.experiment.options import Experiment
from textclf.models.options import ClassicalModel

BUG, REFUND, MARKUP = "bug", "refund", "**x** <img src=x onerror=alert(1)>"
CUES = {BUG: "crash", REFUND: "money", MARKUP: "parcel"}
PLAIN = "hello on monday"
EVERY = "the crash and the parcel and the money"


def set_rows(count):
    """Return texts with none to all three labels, and every ninth with one label too few."""
    rows = []
    for i in range(count):
        labels = [name for k, name in enumerate(CUES) if i >> k & 1]
        text = " ".join(
            ["hello", *(CUES[name] for name in labels), "on", ("monday", "friday")[i % 5 % 2], f"n{i % 11}"]
        )
        rows.append({"text": text, "labels": labels[1:] if i % 9 == 0 else labels})
    return rows


def make_set_run(folder, weight=10.0):
    """Run a small logistic regression on them, and return the run folder."""
    model = ClassicalModel(
        name=f"logreg C={weight:g}",
        vectorizer={"_target_": "sklearn.feature_extraction.text.TfidfVectorizer"},
        classifier={"_target_": "sklearn.linear_model.LogisticRegression", "C": weight},
    )
    train = write_jsonl(folder / "tickets.jsonl", set_rows(240))
    dataset = FilesDataset(name="tickets", train=str(train))
    run_experiment(Experiment(dataset=dataset, model=model), folder / "run", "python -m textclf.run model=tfidf_logreg")
    return folder / "run"
