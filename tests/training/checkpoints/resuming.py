"""What the tests of checkpoints share: a fit that can be cut off, and what of it must be the same to the digit.

As a command it fits in a process of its own: python -m tests.training.checkpoints.resuming ENGINE CHECKPOINT FOLDER OUT [STEP]
"""

import os
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import make_data
from textclf.models.options import TransformerModel
from textclf.models.transformer.loading import load_checkpoint
from textclf.system import signals
from textclf.system.files import write_json
from textclf.training import options as engines
from textclf.training.fit import train
from textclf.training.monitor import TrainingMonitor
from textclf.training.options import Precision
from textclf.training.result import RunContext

FAST = {"epochs": 3, "batch_size": 16, "learning_rate": 3e-3, "log_every": 1, "precision": Precision.fp32}


@contextmanager
def stopped_after(step):
    """Let the process be asked to stop while it takes this optimizer step of a fit."""
    end_step = TrainingMonitor.end_step

    def asked(self, *args, **kwargs):
        end_step(self, *args, **kwargs)
        if self.step == step:
            signals.ask("a test")

    with pytest.MonkeyPatch.context() as patch, signals.stoppable():
        patch.setattr(TrainingMonitor, "end_step", asked)
        yield


def tiny(checkpoint, data):
    """Return the tiny BERT with a fresh head."""
    model = TransformerModel(name="tiny", checkpoint=str(checkpoint), max_length=32)
    return load_checkpoint(model, data.label_names, seed=1, sets=data.has_sets)


def fit(
    engine,
    checkpoint,
    folder=None,
    data=None,
    accept_changes=False,
    imbalance=None,
    make=tiny,
    main=True,
    context=None,
    **options,
):
    """Fit a small model, with checkpoints in a folder; return the classifier, the result and what was logged."""
    data = data or make_data(train=70)
    classifier = make(checkpoint, data)
    logged = {}

    def log_metrics(values, step):
        logged.update({(name, step): value for name, value in values.items()})  # as a tracker does, by name and step

    said = {"checkpoints": folder, "accept_changes": accept_changes, "is_main": main, **(context or {})}
    context = RunContext(log_metrics=log_metrics, **said)
    balance = TransformerModel(name="tiny", **({} if imbalance is None else {"imbalance": imbalance})).balance
    return classifier, train(engine(**FAST | options), classifier, data, context, balance), logged


def cut_off(engine, checkpoint, folder, step, **options):
    """Fit until the process is asked to stop in a step, which leaves a checkpoint."""
    with stopped_after(step), pytest.raises(signals.Stopped):
        fit(engine, checkpoint, folder, **options)


def timeless(result):
    """Return a result without times, and as if nothing had interrupted it."""
    epochs = tuple(replace(epoch, seconds=0.0) for epoch in result.epochs)
    return replace(result, epochs=epochs, train_seconds=0.0, began=None, resumed_at=())


def differences(one, other):
    """Return the names of what differs between two fits, but for times and whether they were interrupted."""
    (a, first, logged), (b, second, again) = one, other
    weights, others = a.model.state_dict(), b.model.state_dict()
    assert list(weights) == list(others)
    found = [name for name, weight in weights.items() if not torch.equal(weight, others[name])]
    found += [] if timeless(first) == timeless(second) else ["result"]
    found += (
        [] if np.array_equal(first.validation_probabilities, second.validation_probabilities) else ["probabilities"]
    )
    found += [] if logged == again else ["logged"]
    texts = ["a lovely lamp", "a broken tent and it stays that way"]
    return found + ([] if np.array_equal(a.predict_proba(texts), b.predict_proba(texts)) else ["predictions"])


def main(engine, checkpoint, folder, out, step=None):
    """Fit, slowly enough to be killed, and write how it ended; each of several processes has a file of its own."""
    rank = int(os.environ.get("RANK", "0"))
    with stopped_after(int(step)) if step else nullcontext():
        classifier, result, _ = fit(
            getattr(engines, engine),
            checkpoint,
            Path(folder) if rank == 0 else None,
            data=make_data(train=128),
            epochs=6,
            checkpoint_every="5",
            main=rank == 0,
        )
    weights = {name: weight.tolist() for name, weight in classifier.model.state_dict().items()}
    write_json(
        Path(out + str(rank)),
        {"weights": weights, "result": asdict(replace(timeless(result), validation_probabilities=None))}
        | {"probabilities": result.validation_probabilities.tolist()},
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
