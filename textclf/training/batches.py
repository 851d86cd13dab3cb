"""The batches of training, the same for both engines: bucketed by length, seeded, cut into parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from textclf.data.dataset import TextData, texts_of, truth_of
from textclf.data.label_sets import rarest_label
from textclf.errors import ConfigError
from textclf.models.options import Balance, Imbalance
from textclf.models.transformer.classifier import TransformerClassifier
from textclf.models.transformer.encoded import TokenizedTexts
from textclf.models.transformer.tokenizer import pad
from textclf.training.imbalance import balanced_rows
from textclf.training.options import TrainerOptions

POOL = 50
"""Batches whose examples are sorted by length together."""


@dataclass(frozen=True)
class ProcessGroup:
    """The data-parallel processes of a run, seen from one of them: each has random numbers and sums of its own."""

    rank: int = 0
    size: int = 1
    gather: Callable[[torch.Tensor], torch.Tensor] = lambda value: value[None]
    """Takes a tensor, and returns those of all processes stacked, on the CPU."""


class BatchPlan(Sampler[list[int]]):
    """Which examples make each micro-batch of an epoch.

    Each epoch draws a new order from (seed, epoch). With bucketing, pools of `POOL` batches are
    sorted by length and cut into batches, whose order is then shuffled. Every example occurs
    once. An incomplete batch comes last, so that only the last step of an epoch has fewer
    examples or fewer micro-batches than the others. With `balanced`, an epoch has as many examples as
    there are, but draws each class equally often, in each epoch afresh. Where the options say how many steps are taken,
    the last epoch ends after the last of them.
    """

    def __init__(
        self,
        lengths: NDArray[np.int64],
        options: TrainerOptions,
        seed: int,
        processes: ProcessGroup | None = None,
        balanced: NDArray[np.int64] | None = None,
    ):
        """Plan for n texts.

        Args:
            lengths: Tokens of each text, int64 (n,).
            options: Sizes of batches and parts, and whether to bucket.
            seed: Seed of the order.
            processes: The processes that share each micro-batch; none for one alone.
            balanced: Labels by which each class is drawn equally often, int64 (n,), of sets the rarest of each example;
                none takes every example once.

        Raises:
            ConfigError: If the micro-batches cannot be shared out evenly.
        """
        self.lengths = lengths
        self.options = options
        self.seed = seed
        self.processes = processes or ProcessGroup()
        self.balanced = balanced
        self.epoch = 0
        """Set before each epoch, counted from 1."""
        self.done = 0
        """Optimizer steps of the epoch that were taken before, which iterating leaves out."""
        self.micro_batch_size = options.micro_batch_size
        """Most examples in one forward pass, over all processes; a multiple of their number."""
        if options.micro_batch_size % self.processes.size:
            raise ConfigError(
                f"trainer.batch_size / gradient_accumulation ({options.micro_batch_size}) must be a multiple of the "
                f"number of processes ({self.processes.size}), which share each micro-batch."
            )

    @property
    def examples(self) -> int:
        """Examples of an epoch; up to one fewer than the processes are left out to share the rest evenly."""
        return len(self.lengths) - len(self.lengths) % self.processes.size

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch."""
        return -(-self.examples // self.options.batch_size)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole training, if it is not stopped early."""
        return self.options.max_steps or self.steps * self.options.planned_epochs(self.steps)

    @property
    def epochs(self) -> int:
        """Epochs of the whole training, the last of which may be cut short."""
        return -(-self.total_steps // self.steps)

    def steps_of(self, epoch: int) -> int:
        """Return the optimizer steps of an epoch, counted from 1."""
        if self.options.max_steps is None:
            return self.steps
        return min(self.steps, self.total_steps - (max(epoch, 1) - 1) * self.steps)

    @property
    def parts_per_step(self) -> int:
        """Micro-batches of a whole optimizer step."""
        return -(-self.options.batch_size // self.micro_batch_size)

    def __len__(self) -> int:
        """Micro-batches of what is left of the epoch."""
        size = self.options.batch_size
        examples = min(self.examples, self.steps_of(self.epoch) * size)
        whole, rest = divmod(examples - self.done * size, size)
        return whole * self.parts_per_step + -(-rest // self.micro_batch_size)

    def examples_of(self, step: int) -> int:
        """Return how many examples an optimizer step of an epoch has, over all processes; the first is step 0."""
        return min(self.options.batch_size, self.examples - step * self.options.batch_size)

    def batches(self) -> list[NDArray[np.int64]]:
        """Return the examples of each optimizer step of this epoch, over all processes."""
        size = self.options.batch_size
        generator = np.random.default_rng([self.seed, self.epoch])
        if self.balanced is None:
            order = generator.permutation(len(self.lengths))[: self.examples]
        else:
            order = balanced_rows(self.balanced, self.examples, generator)
        if self.options.length_bucketing:
            pools = [order[start : start + POOL * size] for start in range(0, len(order), POOL * size)]
            order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
            # The incomplete batch is cut from anywhere, lest it always hold the longest texts of the last pool.
            rest = len(order) % size
            start = size * int(generator.integers(len(order) // size + 1))
            order = np.concatenate([order[:start], order[start + rest :], order[start : start + rest]])
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        whole = [batch for batch in batches if len(batch) == size]
        generator.shuffle(whole)
        return (whole + [batch for batch in batches if len(batch) < size])[: self.steps_of(self.epoch)]

    def parts(self, batch: NDArray[np.int64]) -> Iterator[list[int]]:
        """Yield this process's part of each micro-batch of an optimizer step.

        The examples of a step are decided before, so that its gradient is the same however it is cut.
        """
        for start in range(0, len(batch), self.micro_batch_size):
            part = batch[start : start + self.micro_batch_size]
            yield part[self.processes.rank :: self.processes.size].tolist()

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's part of each micro-batch that is left of the epoch."""
        for batch in self.batches()[self.done :]:
            yield from self.parts(batch)


class TokenizedDataset(Dataset[int]):
    """Examples by number; `collate` makes the batch, so nothing is padded twice."""

    def __init__(
        self,
        classifier: TransformerClassifier,
        tokens: TokenizedTexts,
        labels: NDArray,
    ):
        """Take the examples.

        Args:
            classifier: Whose tokenizer pads them.
            tokens: The n texts.
            labels: int64 (n,), or of sets of labels bool (n, num_labels).
        """
        self.classifier = classifier
        self.tokens = tokens
        self.labels = torch.tensor(labels)
        self.pins = classifier.device.type == "cuda"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, rows: list[int]) -> dict[str, torch.Tensor]:
        """Return the padded inputs of the model, int64 (rows, tokens), and `labels`.

        They are int64 (rows,), or of sets of labels float32 (rows, num_labels).
        """
        batch = pad(self.classifier.tokenizer, self.tokens, rows, self.classifier.pad_length)
        labels = self.labels[rows]
        return {**batch, "labels": labels.float() if labels.ndim == 2 else labels}

    def on_its_way(self, rows: list[int]) -> dict[str, torch.Tensor]:
        """Return a batch on the device of the classifier; on GPUs it may still be being copied."""
        batch = self.collate(rows)
        if self.pins:
            batch = {name: values.pin_memory() for name, values in batch.items()}
        return {name: values.to(self.classifier.device, non_blocking=True) for name, values in batch.items()}


@dataclass(frozen=True)
class TrainingBatches:
    """The training split, ready to be trained on."""

    plan: BatchPlan
    dataset: TokenizedDataset

    @property
    def tokens(self) -> TokenizedTexts:
        """Its texts as tokens."""
        return self.dataset.tokens

    @property
    def truncated_share(self) -> float:
        """Share of its texts of which tokens were left out, 0 to 1."""
        return self.tokens.num_cut / len(self.tokens)

    def loader(self) -> DataLoader:
        """Return the micro-batches that are left of the epoch of the plan, anew each time it is iterated."""
        return DataLoader(
            self.dataset,
            batch_sampler=self.plan,
            collate_fn=self.dataset.collate,
            pin_memory=self.dataset.pins,
            generator=torch.Generator(),  # its own, so that iterating leaves dropout's random numbers alone
        )


def training_batches(
    classifier: TransformerClassifier,
    data: TextData,
    options: TrainerOptions,
    seed: int,
    balance: Balance,
    processes: ProcessGroup | None = None,
) -> TrainingBatches:
    """Clean and tokenise the training split, and plan its batches."""
    texts, pairs = texts_of(data.train)
    tokens = classifier.tokenize(classifier.clean(texts), None if pairs is None else classifier.clean(pairs))
    labels = truth_of(data.train, data.num_labels)
    balanced = None
    if balance.imbalance is Imbalance.oversample:
        balanced = rarest_label(labels) if data.has_sets else labels
    plan = BatchPlan(tokens.lengths, options, seed, processes, balanced)
    return TrainingBatches(plan, TokenizedDataset(classifier, tokens, labels))
