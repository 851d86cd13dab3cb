"""Write the folder of a Gradio Space: a page, the classifier, the code that reads it, its requirements."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from platform import python_version

from huggingface_hub import SpaceCardData

from textclf.documents.document import Block, Code, Heading, Paragraph, Quote, to_markdown
from textclf.errors import ArtifactError, listed
from textclf.evaluation.calibration import trust_words
from textclf.export.card import TASK, caveat_blocks, checked, describe_classifier, title_of, verdict, with_front_matter
from textclf.export.contents import BUNDLED, FILES, copy_classifier
from textclf.export.evidence import Evidence, gather
from textclf.export.hub_folder import README, refuse_full
from textclf.models.bundle import FAMILIES, copy_code, requirement_lines
from textclf.models.saved import Description
from textclf.predict.examples_to_try import examples
from textclf.system.environment import version_of
from textclf.system.files import write_json, write_text
from textclf.tracking.find_runs import RunReference
from textclf.tracking.record import CLASSIFIER, RunRecord

APP = "app.py"
TEMPLATES = Path(__file__).parent / "templates"
SETTINGS = "space.json"
REQUIREMENTS = "requirements.txt"
WORDS = "textclf.evaluation.words"
"""What the page weighs words with."""
COLOURS = ("blue", "indigo")
TESTED_GRADIO = "6.31.0"
"""The version that the page was tried with, named where none is installed."""
MOST_CHARACTERS = 60
"""Longest short description that the Hub takes."""


def write_space_folder(located: RunReference, output: Path, with_texts: bool = False) -> None:
    """Write a Space: `app.py`, `requirements.txt`, `README.md`, the classifier, and the part of textclf that reads it.

    Args:
        located: What is exported, of any family.
        output: A fresh folder; made where it is not there.
        with_texts: Offer short test texts of the run as examples, whatever data they are of; otherwise only those of
            data that comes with textclf, which anyone has.

    Raises:
        ArtifactError: If the classifier is damaged or of an unknown family, or the folder holds something.
    """
    refuse_full(output)
    evidence = gather(located)
    description = evidence.description
    if description.family not in FAMILIES:
        raise ArtifactError(f"{located.said} is of family {description.family!r}; known: {listed(FAMILIES)}.")
    copy_classifier(located, output / CLASSIFIER)
    copy_code(description, output, (WORDS,))
    shutil.copyfile(TEMPLATES / APP, output / APP)
    texts = {"examples": offered} if (offered := _examples(located, description, with_texts)) else {}
    about = {"title": title_of(evidence), "description": _description(evidence), "note": _trust(evidence)}
    write_json(output / SETTINGS, about | texts)
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
        tags=[
            TASK,
            *(["multi-label-classification"] if evidence.description.thresholds is not None else []),
            "textclf",
        ],
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


def _trust(evidence: Evidence) -> str:
    """Return in a sentence that the probabilities are not what they say; empty where they are, or it is not known."""
    if evidence.analysis is None:
        return ""
    effect = evidence.analysis.temperature
    if effect is None or evidence.analysis.calibration is None:
        return ""
    said = trust_words(evidence.analysis.calibration, None if effect.is_applied else effect.after)
    said = said.partition(";")[0]  # without the remedy, which is for who trains
    return f"This classifier's {said} (measured on its own test examples)." if said else ""


def _examples(located: RunReference, description: Description, with_texts: bool) -> list[dict[str, str]]:
    """Return test texts of the run that may be shown to anyone."""
    if located.folder is None or located.record is None or not (with_texts or _is_bundled(located.record)):
        return []
    found = examples(located.folder)
    if description.has_pairs is not None:
        found = [one for one in found if (one.text_pair is not None) == description.has_pairs]
    return [{"text": one.text} | ({"text_pair": one.text_pair} if one.text_pair else {}) for one in found]


def _is_bundled(record: RunRecord) -> bool:
    """Whether every text that a run can have tested comes with textclf."""
    dataset = record.config.get("dataset", {})
    given = [dataset.get(name) for name in FILES if dataset.get(name)]
    return bool(given) and all(isinstance(one, str) and one.startswith(BUNDLED) for one in given)


def _description(evidence: Evidence) -> str:
    """Return what stands above the page."""
    names = evidence.description.label_names
    what = "a pair of texts" if evidence.description.has_pairs else "a text"
    if evidence.description.thresholds is not None:
        out_of = f"out of {len(names)}: {listed(names)}"
        return f"Gives {what} a set of labels, which may be empty, {out_of}. {verdict(evidence)}"
    return f"Puts {what} into one of {len(names)} classes: {listed(names)}. {verdict(evidence)}"
