"""Finding a pretrained checkpoint: on the Hub, in its cache, a folder or an installed package; its configuration."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig
from transformers.utils import cached_file

from textclf.errors import ArtifactError, TextclfError, first_line
from textclf.models.options import PretrainedModel
from textclf.models.packaged import BUNDLED, PACKAGED, PackagedCheckpoint, no_such_folder
from textclf.models.transformer import transformers_logging  # noqa: F401  (makes transformers quiet)
from textclf.models.transformer.containment import ADAPTER, check_config, check_folder
from textclf.models.transformer.skeleton import check_size
from textclf.system.hub import HubAccess, Repository, explain, hub_or_cache, local_folder, names_a_folder, ways_on


def locate(options: PretrainedModel) -> str:
    """Return the folder that holds the checkpoint, or its name on the Hub."""
    packaged = PACKAGED.get(options.checkpoint)
    if packaged is not None and options.revision is None:
        spec = importlib.util.find_spec(packaged.package)  # finds the package without running it
        if spec is not None and spec.submodule_search_locations:
            folder = Path(spec.submodule_search_locations[0]) / packaged.folder
            _check_digest(folder / "model.safetensors", packaged)
            return str(folder)
    name = options.checkpoint
    folder = local_folder(name, "model.checkpoint")
    if names_a_folder(name) and folder is None:
        raise ArtifactError(no_such_folder(name))
    return name if folder is None else str(folder)


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


def access_to(source: str, options: PretrainedModel) -> AbstractContextManager[HubAccess]:
    """Return the way to a checkpoint: a local folder, or the Hub or its cache."""
    if Path(source).is_dir():
        return nullcontext(HubAccess(online=True))
    return hub_or_cache(Repository("model", source, options.revision))


def refusal(options: PretrainedModel, access: HubAccess, error: Exception) -> str:
    """Return why a checkpoint was not loaded."""
    checkpoint = options.checkpoint
    said = explain(Repository("model", checkpoint, options.revision), access, error)
    if said is not None:
        return said
    if isinstance(error, OSError) and not access.online:
        return ways_on(f"Checkpoint {checkpoint!r}", "model.checkpoint", BUNDLED)
    if type(error).__name__ == "UnpicklingError":  # its own text tells how to run the code all the same
        return (
            f"Checkpoint {checkpoint!r} was not loaded: its weights are a pickle (.bin) that holds more than tensors "
            f"or is damaged, and code in it is never run. Use a checkpoint with model.safetensors."
        )
    if "tiktoken" in str(error):  # the last reader that transformers tries, whatever the file is
        return (
            f"Checkpoint {checkpoint!r} was not loaded: it has no tokenizer.json, and its vocabulary (spm.model, "
            f"sentencepiece.bpe.model or the like) is missing or damaged. Fetch it again, or save its tokenizer beside "
            f"the weights with AutoTokenizer.from_pretrained(…).save_pretrained(FOLDER)."
        )
    return f"Checkpoint {checkpoint!r} could not be loaded: {' '.join(str(error).split()) or type(error).__name__}"


def read_config(source: str, options: PretrainedModel) -> PretrainedConfig:
    """Return a checkpoint's configuration, which is small, once nothing in it leads elsewhere.

    Args:
        source: A local folder, or `owner/name` on the Hub.
        options: The checkpoint as it was asked for.

    Raises:
        ArtifactError: If there is no such checkpoint, or it cannot be reached or trusted.
    """
    what = f"Checkpoint {options.checkpoint!r}"
    local = Path(source).is_dir()
    if local:
        check_folder(Path(source))
    with access_to(source, options) as access:
        try:
            config = AutoConfig.from_pretrained(source, revision=options.revision, trust_remote_code=False)
        except (TextclfError, MemoryError):
            raise
        except Exception as error:  # of the classes of configurations, each of which checks its options in its own way
            _refuse_adapter(source, options)
            if local:
                raise ArtifactError(f"{what} has no usable config.json: {first_line(error)}") from error
            said = explain(Repository("model", source, options.revision), access, error)
            if said is not None:
                raise ArtifactError(said) from error
            if not access.online:
                raise ArtifactError(ways_on(what, "model.checkpoint", BUNDLED)) from error
            raise ArtifactError(
                f"{what} could not be read from the Hub: {first_line(error)} Check model.checkpoint (owner/name, or "
                f"a local folder with a / or . in front) and model.revision."
            ) from error
    check_config(config, what)
    check_size(config)
    return config


def _refuse_adapter(source: str, options: PretrainedModel) -> None:
    """Refuse a folder or repository that holds a PEFT adapter and no model, where that is what it holds."""
    try:
        found = cached_file(source, ADAPTER, revision=options.revision)
    except OSError:
        return
    if found is None:
        return
    try:
        base = json.loads(Path(found).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        base = None
    raise ArtifactError(
        f"Checkpoint {options.checkpoint!r} is a PEFT adapter ({ADAPTER}): changes to {base or 'another model'}, not a "
        f"model by itself. Put both together once, with the library peft "
        f"(AutoPeftModelForSequenceClassification.from_pretrained(…).merge_and_unload().save_pretrained(FOLDER), and "
        f"the tokenizer saved beside it), and set model.checkpoint=FOLDER; or start from the base model."
    )
