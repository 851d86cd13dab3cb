"""Shards in, shards out: every file of a pattern predicted into a folder, by one process or by many.

A process takes the next shard that is neither finished nor being written, until none is left. So the same command may
be given again after it was killed, and several times at once, also on several machines that share a drive.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path

from textclf.errors import ConfigError, DataError
from textclf.models.prediction import check_threshold
from textclf.predict.inputs import TextColumns
from textclf.predict.options import PredictOptions
from textclf.predict.predict_file import (
    PIPE,
    Ends,
    OpenRun,
    progress_bar,
    shares_said,
)
from textclf.predict.shard_worker import LOOK_SECONDS, Fate, Job, Outcome, ShardWorker
from textclf.predict.shards import (
    Finished,
    Shard,
    begin_ledger,
    digest_of_classifier,
    shards_of,
)
from textclf.predict.stream import Tell
from textclf.predict.texts import found_run
from textclf.system import signals
from textclf.system.files import plain
from textclf.system.unfinished import writer_of
from textclf.tracking.find_runs import RunReference

log = logging.getLogger(__name__)

SHOWN = 5
"""Shards that could not be predicted that are named."""


class Engine(Enum):
    """What hands out the shards."""

    local = "local"
    """This process, which predicts them one after another."""
    ray = "ray"
    """Ray, to a process for each core or GPU of this machine or of a cluster."""


@dataclass
class ShardsDone:
    """What was predicted: all shards that are finished, whoever predicted them and when."""

    folder: Path
    shards: int = 0
    """Finished ones."""
    before: int = 0
    """Those of them that were finished when the command was given."""
    rows: int = 0
    bad_rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    own_rows: int = 0
    """Rows that this command has predicted itself."""
    seconds: float = 0.0
    """How long it took."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why shards could not be predicted, by name."""
    strangers: list[str] = field(default_factory=list)
    """Outputs in the folder whose inputs the command does not name."""


Work = Callable[[Job, Sequence[Shard], Callable[[Outcome], None], bool], None]
"""Predicts shards; takes what is told of the outcome of each, and whether a progress bar is shown."""


def predict_shards(
    run: str,
    inputs: Sequence[str],
    ends: Ends,
    asked: TextColumns,
    options: PredictOptions,
    device: str = "auto",
    progress: bool = False,
    engine: Engine = Engine.local,
) -> ShardsDone:
    """Predict every row of many files into a folder, a file for each; what is finished there is passed over.

    Args:
        run: A run folder, an MLflow run id, `models:/NAME@ALIAS`, `latest`, or `best:DATASET`.
        inputs: Files and patterns.
        ends: The output folder, and how inputs and outputs are written; its input is not looked at.
        asked: The columns that hold the texts, where a person names them.
        options: What is written of each prediction.
        device: Where a transformer computes: `cpu`, `cuda`, `mps`, or `auto` for the fastest that is there.
        progress: Show a progress bar on stderr.
        engine: What hands out the shards.

    Raises:
        TextclfError: With what is wrong. What is wrong with single shards is in the answer, and raises nothing.
    """
    if ends.output == PIPE:
        raise ConfigError("--output -: several inputs are written to a folder, a file for each; name one.")
    base, shards = shards_of(inputs, Path(ends.output), ends.input_kind, ends.output_kind)
    located = found_run(run)
    opened = OpenRun(located, device)
    description = opened.description
    check_threshold(options.threshold, description.label_names if description.thresholds is None else ())
    work = _predict_in_turn
    if engine is Engine.ray:
        from textclf.predict.ray_engine import predict_with_ray

        work = predict_with_ray
    folder = Path(ends.output).absolute()
    ledger = begin_ledger(folder, _asked(located, base, ends, asked, options), shards, ends.force)
    located = replace(located, classifier=located.classifier.absolute())
    job = Job(located, folder, ledger.token, ends, asked, options, device)
    begun = time.perf_counter()
    answer = ShardsDone(folder, before=sum(map(ledger.is_finished, shards)))

    def note(outcome: Outcome) -> None:
        answer.own_rows += outcome.rows
        if outcome.fate is Fate.failed:
            answer.failed[outcome.name] = outcome.said

    work(job, [shard for shard in shards if not ledger.is_finished(shard)], note, progress)
    answer.seconds = time.perf_counter() - begun
    own = {shard.name: shard for shard in shards}
    for name, done in ledger.finished().items():
        if name not in own:
            answer.strangers.append(name)
        elif ledger.is_finished(own[name]):
            _add(answer, done)
            answer.failed.pop(name, None)  # finished by another process
    return answer


def _asked(
    located: RunReference, base: Path, ends: Ends, asked: TextColumns, options: PredictOptions
) -> dict[str, object]:
    """Return what decides the outputs, as plain values by name."""
    formats = {"input_format": ends.input_kind, "output_format": ends.output_kind, **asdict(ends.form)}
    return {
        "run": digest_of_classifier(located.classifier),
        "input": str(base),
        **{name: plain(value) for name, value in formats.items()},
        "spreadsheet": ends.spreadsheet,
        "columns": asdict(asked),
        **plain(asdict(options)),
    }


def _add(answer: ShardsDone, done: Finished) -> None:
    answer.shards += 1
    answer.rows += done.rows
    answer.bad_rows += done.bad_rows
    answer.labels.update(done.labels)


def _predict_in_turn(job: Job, shards: Sequence[Shard], note: Callable[[Outcome], None], progress: bool) -> None:
    """Predict shards in this process; those that others are writing are waited for."""
    worker = ShardWorker(job)
    sizes = {shard.name: max(shard.input.stat().st_size, 1) for shard in shards}
    past, whole = 0, sum(sizes.values())
    left, is_told = list(shards), False
    with progress_bar(progress) as told:
        while left:
            busy: list[Shard] = []
            for shard in left:
                signals.check()
                outcome = worker.predict(shard, _within(told, past / whole, sizes[shard.name] / whole))
                if outcome.fate is Fate.busy:
                    busy.append(shard)
                else:
                    past += sizes[shard.name]
                    note(outcome)
            if busy and len(busy) == len(left):
                if not is_told:
                    log.warning(
                        "waiting for %s shards that other processes write, such as %s (%s)",
                        f"{len(busy):,}",
                        busy[0].output,
                        writer_of(busy[0].output) or "done by now",
                    )
                    is_told = True
                time.sleep(LOOK_SECONDS)
            left = busy


def _within(tell: Tell | None, before: float, share: float) -> Tell:
    """Return what is told of the rows of a shard, and tells of them as a part of all.

    Args:
        tell: Told of all; none is told nothing.
        before: The share of all that is done, 0 to 1.
        share: The shard's own share of all.
    """

    def told(rows: int, done: float | None) -> None:
        if tell is not None:
            tell(rows, None if done is None else before + done * share)

    return told


def summary_of_shards(done: ShardsDone) -> list[str]:
    """Return lines on what was predicted, for a person."""
    speed = f", {done.own_rows / done.seconds:,.0f} a second" if done.own_rows and done.seconds > 0 else ""
    before = f", {done.before:,} of them finished before" if done.before else ""
    shards = f"{done.shards:,} shard{'s' * (done.shards != 1)}"
    said = [
        f"{done.folder}: {done.rows:,} rows in {shards}{before}; {done.own_rows:,} rows now in "
        f"{done.seconds:,.1f} s{speed}{shares_said(done.labels, done.rows)}"
    ]
    if done.strangers:
        more = f" (and {len(done.strangers) - 1:,} more)" if done.strangers[1:] else ""
        said.append(
            f"warning: {done.folder} also holds {done.strangers[0]}{more} of an earlier command, whose input this one "
            f"does not name"
        )
    return said


def refuse_failed(done: ShardsDone) -> None:
    """Raise where shards could not be predicted.

    Raises:
        DataError: With the shards, and why.
    """
    if not done.failed:
        return
    count = len(done.failed)
    named = "\n".join(f"  {said}" for said in list(done.failed.values())[:SHOWN])
    more = f"\n  and {count - SHOWN:,} more" if count > SHOWN else ""
    these = "it" if count == 1 else "these"
    raise DataError(
        f"{count:,} shard{'s' * (count > 1)} could not be predicted; all others are finished. Mend {these} and give "
        f"the same command again, which predicts only what is left.\n{named}{more}"
    )
