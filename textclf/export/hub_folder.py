"""The folder of a classifier as a person pushes it to the Hub."""

from __future__ import annotations

from pathlib import Path

from textclf.documents.document import Picture
from textclf.errors import ArtifactError
from textclf.export.card import model_card
from textclf.export.contents import copy_classifier, copy_file
from textclf.export.evidence import gather
from textclf.export.push import push_folder
from textclf.system.files import write_text
from textclf.tracking.find_runs import RunReference
from textclf.tracking.record import FIGURES

__all__ = ["push_folder", "write_hub_folder"]

README = "README.md"
PICTURES = {
    "confusion_matrix": "How often each true class was taken for each other, on the test split",
    "reliability": "Share that is right over the top probability; on the dotted line they are equal",
}
"""Pictures of a run that a card shows: they hold scores and names of classes, nothing of the data."""
PNG = b"\x89PNG\r\n\x1a\n"


def write_hub_folder(located: RunReference, output: Path, repo_id: str | None = None) -> None:
    """Write a classifier's files and its model card.

    Args:
        located: What is exported.
        output: A fresh folder; made where it is not there.
        repo_id: `owner/name` that the code in the card names; none leaves a placeholder.

    Raises:
        ArtifactError: If the classifier is damaged, or the folder holds something.
    """
    refuse_full(output)
    evidence = gather(located)
    copy_classifier(located, output)
    write_text(output / README, model_card(evidence, _pictures(located, output), repo_id))


def refuse_full(output: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        ArtifactError: If it does.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ArtifactError(f"{output} is not empty, and nothing is overwritten; name another folder.")


def _pictures(located: RunReference, output: Path) -> list[Picture]:
    """Copy the pictures of the run that the card shows, and return them by their place in the folder."""
    found = []
    for name, caption in PICTURES.items():
        source = (located.folder or located.classifier) / FIGURES / f"{name}.png"
        if located.folder is None or not source.is_file():
            continue
        target = output / FIGURES / source.name
        target.parent.mkdir(exist_ok=True)
        copy_file(source, target, located.folder)
        if not target.read_bytes().startswith(PNG):
            raise ArtifactError(f"{source} is no picture (PNG), so it was not exported.")
        found.append(Picture(Path(FIGURES) / source.name, caption, name.replace("_", " ")))
    return found
