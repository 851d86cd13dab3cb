"""Write the folder of a Gradio Space: a page, the classifier, the code that reads it, its requirements."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from platform import python_version

from huggingface_hub import SpaceCardData

from textclf.documents.document import Block, Code, Heading, Paragraph, Quote, to_markdown
from textclf.errors import ArtifactError, listed
from textclf.export.card import TASK, caveat_blocks, checked, describe_classifier, title_of, verdict, with_front_matter
from textclf.export.contents import copy_classifier
from textclf.export.evidence import Evidence, gather
from textclf.export.hub_folder import README, refuse_full
from textclf.models.bundle import FAMILIES, copy_code, requirement_lines
from textclf.system.environment import version_of
from textclf.system.files import write_json, write_text
from textclf.tracking.find_runs import RunReference
from textclf.tracking.record import CLASSIFIER

APP = "app.py"
TEMPLATES = Path(__file__).parent / "templates"
SETTINGS = "space.json"
REQUIREMENTS = "requirements.txt"
COLOURS = ("blue", "indigo")
TESTED_GRADIO = "6.31.0"
"""The version that the page was tried with, named where none is installed."""
MOST_CHARACTERS = 60
"""Longest short description that the Hub takes."""


def write_space_folder(located: RunReference, output: Path) -> None:
    """Write a Space: `app.py`, `requirements.txt`, `README.md`, the classifier, and the part of textclf that reads it.

    Args:
        located: What is exported, of any family.
        output: A fresh folder; made where it is not there.

    Raises:
        ArtifactError: If the classifier is damaged or of an unknown family, or the folder holds something.
    """
    refuse_full(output)
    evidence = gather(located)
    description = evidence.description
    if description.family not in FAMILIES:
        raise ArtifactError(f"{located.said} is of family {description.family!r}; known: {listed(FAMILIES)}.")
    copy_classifier(located, output / CLASSIFIER)
    copy_code(description, output)
    shutil.copyfile(TEMPLATES / APP, output / APP)
    write_json(output / SETTINGS, {"title": title_of(evidence), "description": _description(evidence)})
    gradio = version_of("gradio") or TESTED_GRADIO
    lines = [line for line in requirement_lines(description) if not line.startswith("gradio")]
    write_text(output / REQUIREMENTS, "\n".join([*lines, f"gradio=={gradio}"]) + "\n")
    write_text(output / README, space_card(evidence, gradio))


def space_card(evidence: Evidence, gradio: str) -> str:
    """Return the `README.md` of a Space, whose front matter says how the Hub runs it.

    Args:
        evidence: What is known of the classifier.
        gradio: The version of gradio to run it with.
    """
    short = f"Try {title_of(evidence)}"
    data = SpaceCardData(
        title=re.sub(r"[^\w .,+=()\[\]-]+", " ", title_of(evidence)).strip() or "A text classifier",
        sdk="gradio",
        sdk_version=gradio,
        python_version=".".join(python_version().split(".")[:2]),
        app_file=APP,
        tags=[TASK, "textclf"],
        colorFrom=COLOURS[0],
        colorTo=COLOURS[1],
        pinned=False,
        short_description=short if len(short) <= MOST_CHARACTERS else "Try a text classifier",
    )
    blocks: list[Block] = [
        Heading(1, title_of(evidence)),
        Quote(verdict(evidence)),
        Paragraph(describe_classifier(evidence)),
        Paragraph("What is typed on the page is sent to the server that runs it, and not kept by it."),
        Heading(2, "On your own machine"),
        Code(f"pip install -r {REQUIREMENTS}\npython {APP}"),
        Heading(2, "Caveats"),
        *caveat_blocks(evidence),
    ]
    return checked(with_front_matter(data.to_yaml(), to_markdown(blocks, Path())))


def _description(evidence: Evidence) -> str:
    """Return what stands above the page."""
    names = evidence.description.label_names
    what = "a pair of texts" if evidence.description.has_pairs else "a text"
    does = f"Puts {what} into one of {len(names)} classes"
    if evidence.description.thresholds is not None:
        does = f"Says which of {len(names)} labels {what} has"
    return f"{does}: {listed(names)}. {verdict(evidence)}"
