"""Capture the state of training between two steps, and restore it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from textclf.training.batches import BatchPlan, ProcessGroup
from textclf.training.monitor import TrainingMonitor
from textclf.training.result import EpochResult
from textclf.training.speedups.embeddings import TrimmedEmbedding

Tensors = dict[str, dict[str, torch.Tensor]]


@dataclass
class TrainingState:
    """Everything in a training run that has state."""

    monitor: TrainingMonitor
    plan: BatchPlan
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    seen: TrimmedEmbedding | None = None
    scaler: torch.amp.GradScaler | None = None
    """Of float16 alone."""


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the state of torch's random numbers, uint8 tensors by where they are drawn."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        found["mps"] = torch.mps.get_rng_state()
    return found


def set_random_state(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Draw random numbers as from the moment of `random_state`; those of another kind of device are left alone."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def capture(training: TrainingState, processes: ProcessGroup) -> tuple[dict[str, Any], Tensors]:
    """Return the state of training between two steps: what JSON can hold, and the tensors by file and name.

    Nothing is copied, so it is to be written before the next step. Frozen weights are left out: they are those that
    training starts from.
    """
    monitor = training.monitor
    states = training.optimizer.state_dict()["state"]
    probabilities = monitor.best_probabilities
    best = {} if probabilities is None else {"probabilities": torch.from_numpy(probabilities)}
    everyones = {f"random.{name}": state for name, state in random_state(monitor.classifier.device).items()}
    everyones["epoch_loss"] = monitor.epoch_loss
    tensors: Tensors = {
        "model": monitor.trained(),
        "course": {**{name: processes.gather(value) for name, value in everyones.items()}, **best},
    }
    if not monitor.has_best:
        tensors["optimizer"] = {
            f"{number}.{name}": value for number, state in states.items() for name, value in state.items()
        }
        tensors["best"] = monitor.best_weights
    plain = {
        "step": monitor.step,
        "steps_done": monitor.steps_done,
        "epochs": [asdict(epoch) for epoch in monitor.epochs],
        "best_epoch": None if monitor.best is None else monitor.best.epoch,
        "has_best": monitor.has_best,
        "step_losses": monitor.step_losses,
        "points": monitor.points,
        "train_examples": monitor.train_examples,
        "epoch_examples": monitor.epoch_examples,
        "epoch_seconds": monitor.seconds_so_far() if monitor.steps_done else 0.0,
        "resumed_at": monitor.resumed_at,
        "warnings": monitor.warnings,
        "turns": monitor.stability.plain(),
        "micro_batch_size": training.plan.micro_batch_size,
        "learning_rates": [float(group["lr"]) for group in training.optimizer.param_groups],
        "schedule": training.schedule.state_dict(),
        "scaler": None if training.scaler is None else training.scaler.state_dict(),
        "decayed": None if training.seen is None else training.seen.decayed,
    }
    return plain, tensors


def restore(training: TrainingState, processes: ProcessGroup, plain: dict[str, Any], tensors: Tensors) -> None:
    """Bring training to where it was when its state was captured.

    Raises:
        RuntimeError: If the state does not fit the model.
    """
    monitor = training.monitor
    device, course = monitor.classifier.device, tensors["course"]
    monitor.take(tensors["model"])
    if training.seen is not None:
        training.seen.decayed = plain["decayed"]
    if "optimizer" in tensors:
        _restore_optimizer(training, plain, tensors["optimizer"])
        training.schedule.load_state_dict(plain["schedule"])
    if training.scaler is not None and plain["scaler"]:
        training.scaler.load_state_dict(plain["scaler"])
    training.plan.micro_batch_size = plain["micro_batch_size"]

    monitor.step, monitor.steps_done = plain["step"], plain["steps_done"]
    monitor.epochs = [EpochResult(**epoch) for epoch in plain["epochs"]]
    monitor.best = next((epoch for epoch in monitor.epochs if epoch.epoch == plain["best_epoch"]), None)
    monitor.has_best = plain["has_best"]
    monitor.best_weights = {name: weight.clone() for name, weight in tensors.get("best", {}).items()}
    monitor.best_probabilities = course["probabilities"].numpy().copy() if "probabilities" in course else None
    monitor.step_losses = [(step, loss) for step, loss in plain["step_losses"]]
    monitor.points = [(step, metrics) for step, metrics in plain["points"]]
    monitor.train_examples, monitor.epoch_examples = plain["train_examples"], plain["epoch_examples"]
    monitor.epoch_seconds = plain["epoch_seconds"]
    monitor.resumed_at, monitor.warnings = plain["resumed_at"], plain["warnings"]
    monitor.stability.take(plain["turns"])

    sums = course["epoch_loss"]
    mine = sums[processes.rank] if len(sums) == processes.size else sums.sum() / processes.size
    monitor.epoch_loss = mine.clone().to(device)
    states = {name.removeprefix("random."): state for name, state in course.items() if name.startswith("random.")}
    if len(states["cpu"]) == processes.size:
        set_random_state({name: state[processes.rank].clone() for name, state in states.items()}, device)


def _restore_optimizer(training: TrainingState, plain: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Restore the optimizer's moments and rates; torch moves each to where its weight is."""
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        states.setdefault(int(number), {})[key] = value.clone()  # a file's memory is none to compute in
    groups = training.optimizer.state_dict()["param_groups"]
    for group, rate in zip(groups, plain["learning_rates"], strict=True):
        group["lr"] = rate
    training.optimizer.load_state_dict({"state": states, "param_groups": groups})
