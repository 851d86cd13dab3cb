"""The runs that can be picked, the newest first, and how each is called on the pages."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textclf.app.settings import Settings
from textclf.errors import ArtifactError
from textclf.models.saved import DESCRIPTION
from textclf.tracking.record import CLASSIFIER, RunRecord, read_record, run_folders

UNNAMED = "classifier"


@dataclass(frozen=True)
class Choice:
    """A run, or a classifier by itself, that can be picked."""

    folder: Path
    """The run folder; of a classifier by itself, its own."""
    classifier: Path | None
    """The folder of the classifier; none where the run did not keep it."""
    record: RunRecord | None
    """What the run says of itself; none of a classifier by itself."""

    @property
    def key(self) -> str:
        """What tells it from the others."""
        return str(self.folder)

    @property
    def name(self) -> str:
        """The run's name, such as `imdb/bert/seed1`."""
        return self.record.name if self.record is not None else self.folder.name

    @property
    def dataset(self) -> str:
        """Name of the dataset, without the size of a subset."""
        if self.record is None:
            return UNNAMED
        return str(self.record.config.get("dataset", {}).get("name") or self.record.dataset)

    @property
    def title(self) -> str:
        """A line that tells a person which run it is: dataset, model, seed, score and date."""
        record = self.record
        if record is None:
            return f"{self.folder.name}: a classifier without its run"
        parts = [record.dataset, record.model, f"seed {record.seed}"]
        if score := score_words(record):
            parts.append(score)
        parts.append(record.started[:16].replace("T", " "))
        return " · ".join(parts) + ("" if self.classifier else " (no classifier kept)")

    @property
    def version(self) -> float:
        """Changes when the classifier is rewritten."""
        try:
            return (self.classifier / DESCRIPTION).stat().st_mtime if self.classifier else 0.0
        except OSError:
            return 0.0


@dataclass(frozen=True)
class Found:
    """What there is to pick."""

    choices: tuple[Choice, ...]
    """The newest first."""
    problems: tuple[str, ...] = ()
    """Run folders that cannot be read, a sentence each."""

    @property
    def predicting(self) -> tuple[Choice, ...]:
        """Those that kept their classifier."""
        return tuple(choice for choice in self.choices if choice.classifier is not None)

    @property
    def recorded(self) -> tuple[Choice, ...]:
        """Those with a run to tell of."""
        return tuple(choice for choice in self.choices if choice.record is not None)


def score_words(record: RunRecord) -> str:
    """Return the test score by what the run was selected by, such as `macro F1 0.912`; nothing where it has none."""
    from textclf.evaluation.metric_names import metric_label

    metric = record.objective.partition("/")[2]
    score = record.metrics.get(f"test/{metric}")
    return "" if score is None else f"{metric_label(metric)} {score:.3f}"


def find_choices(settings: Settings) -> Found:
    """Return the finished runs under the outputs folder, and the run that the app was started with."""
    folders = run_folders(settings.outputs_folder) if settings.outputs_folder.is_dir() else []
    choices: list[Choice] = []
    problems: list[str] = []
    given = [Path(settings.run)] if settings.run else []
    for folder in sorted({path.resolve() for path in (*given, *folders)}):
        try:
            choices.append(read_choice(folder))
        except ArtifactError as error:
            problems.append(str(error))
    choices.sort(key=lambda choice: choice.record.started if choice.record else "", reverse=True)
    return Found(tuple(choices), tuple(problems))


def read_choice(folder: Path) -> Choice:
    """Return a run folder, or a folder with a classifier alone, as something to pick.

    Raises:
        ArtifactError: If it is neither, or its record is damaged.
    """
    if (folder / DESCRIPTION).is_file():
        return Choice(folder, folder, None)
    record = read_record(folder)
    kept = folder / CLASSIFIER
    return Choice(folder, kept if (kept / DESCRIPTION).is_file() else None, record)


def titles_of(choices: Sequence[Choice]) -> dict[str, str]:
    """Return each choice's title by its key; equal titles get what tells their folders apart, and no more of a path."""
    alike: dict[str, list[Choice]] = {}
    for choice in choices:
        alike.setdefault(choice.title, []).append(choice)
    found = {}
    for choice in choices:
        folders = [one.folder for one in alike[choice.title]]
        above = Path(os.path.commonpath(folders))
        inner = os.path.relpath(choice.folder, above.parent if above in folders else above)
        found[choice.key] = choice.title if len(folders) == 1 else f"{choice.title} · {Path(inner).as_posix()}"
    return found


def place_of(choices: Sequence[Choice], key: str | None) -> int:
    """Return the place of the choice with this key; of none such, 0."""
    return next((place for place, choice in enumerate(choices) if choice.key == key), 0)
