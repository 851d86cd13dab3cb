"""Places that a checkpoint leads transformers to: no file outside of its folder, and no code from elsewhere.

The files are looked at before transformers reads them, and what it made of `config.json` afterwards, whichever file
and spelling that came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedTokenizerBase
from transformers.utils import is_peft_available

from textclf.errors import ArtifactError, cut, listed
from textclf.system.paths import MEGABYTE, is_plain_name, read_object, refuse_larger, refuse_links_out

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
ADAPTER = "adapter_config.json"
"""The file by which an adapter of the library peft is known."""
INDEX = ".index.json"
"""The end of the names of files that say which file holds which weights."""
WEIGHTS = "transformers_weights"
"""The option of a configuration that names a file of weights, or their index."""
MOST_OF_AN_INDEX = 64 * MEGABYTE
MOST_OF_A_TOKENIZER = 256 * MEGABYTE
"""The largest of published models have 35 MB."""
IMPLEMENTATIONS = {
    "attn_implementation": ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"),
    "experts_implementation": ("eager", "batched_mm", "grouped_mm"),
}
"""Options by which a configuration chooses how it is computed, and what comes with torch or the model. Any other name
is that of kernels, which are code from the Hub."""
VERSIONED = {CONFIG: "configuration_files", TOKENIZER_CONFIG: "fast_tokenizer_files"}
"""Options that name further files, which are read in place of the first by some versions of transformers."""
NOT_READ = ("name_or_path", "special_tokens_map_file")
"""Options of a tokenizer that say where it was found once; no file is read by them."""
FILES = re.compile(r"_(file|path)$|^(vocab|merges)$")
"""Options of a tokenizer that as a string are the name of a file, beside it or wherever the command was started."""


def check_folder(folder: Path) -> None:
    """Refuse a local checkpoint whose files lead out of its folder, to code from elsewhere, or are too large to be it.

    Raises:
        ArtifactError: With the file, and what it asks for.
    """
    refuse_links_out(folder)
    try:
        _check_config_file(folder / CONFIG)
        tokenizer = folder / TOKENIZER_CONFIG
        check_tokenizer(read_object(tokenizer), str(tokenizer), folder)
    except RecursionError as error:
        raise ArtifactError(f"{folder / CONFIG} is nested too deeply to be read; it was not loaded.") from error
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.endswith(INDEX):
            files = read_object(path, MOST_OF_AN_INDEX).get("weight_map", {})
            for file in files.values() if isinstance(files, dict) else ():
                if not is_plain_name(file):
                    raise ArtifactError(
                        f"{path} names the weights {file!r}, which lie outside of its folder; it was not loaded."
                    )
        elif not path.name.endswith((".safetensors", ".bin")):
            refuse_larger(path, MOST_OF_A_TOKENIZER)
    if (folder / ADAPTER).is_file() and (folder / CONFIG).is_file() and is_peft_available():
        raise ArtifactError(
            f"{folder} holds a model and an adapter of peft for it ({ADAPTER}), which would be loaded over it from "
            f"wherever it says. Take {ADAPTER} out to use the model as it is, or put both together first "
            f"(merge_and_unload)."
        )


def _check_config_file(path: Path) -> None:
    """Refuse a `config.json` that names other files or other code."""
    content = read_object(path)
    _refuse_other_files(CONFIG, content, str(path))
    _check_weights(content.get(WEIGHTS), str(path))
    for name, value in _options_in(content):
        _check_implementation(name, value, str(path))


def check_tokenizer(content: dict[str, Any], what: str, folder: Path | None = None) -> None:
    """Refuse the options of a tokenizer that name files elsewhere.

    Args:
        content: What `tokenizer_config.json` holds.
        what: The checkpoint or the file, for the message.
        folder: Where the checkpoint is; none where it is on the Hub.

    Raises:
        ArtifactError: With the option, and what it asks for.
    """
    _refuse_other_files(TOKENIZER_CONFIG, content, what)
    for name in ("init_inputs", "gguf_file"):
        if content.get(name):
            raise ArtifactError(f"{what} gives its tokenizer {name}, which may name any file; it was not loaded.")
    for name, value in _options_in(content):
        if isinstance(value, str) and name not in NOT_READ and _is_file_elsewhere(name, value, folder):
            raise ArtifactError(
                f"{what} names {cut(value)!r} as {name}, a file outside of its folder; it was not loaded. Take the "
                f"line out if you trust the rest."
            )


def check_tokenizer_files(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Refuse a tokenizer that transformers made of nothing, which knows its special tokens alone.

    Args:
        tokenizer: What was loaded.
        folder: Where it was loaded from; one that is not there is on the Hub, of which no files are asked for.

    Raises:
        ArtifactError: If none of the files of its kind is there, or there are no words in it.
    """
    kind = type(tokenizer)
    names = {name for name in kind.vocab_files_names.values() if name}
    if not names:
        return  # it reads characters or bytes, and needs no files
    there = not folder.is_dir() or any((folder / name).is_file() for name in names) or _other_words(folder)
    if not there or len(tokenizer) <= len(set(tokenizer.all_special_tokens)):
        raise ArtifactError(
            f"{folder} has no tokenizer: a {kind.__name__} is read from {listed(sorted(names))}, and without words of "
            f"its own it would answer all the same. Copy the whole folder again, or save its tokenizer beside the "
            f"weights (AutoTokenizer.from_pretrained(…).save_pretrained(FOLDER))."
        )


def _other_words(folder: Path) -> bool:
    """Whether a folder has words under a name that several kinds of tokenizers take."""
    return any(path.name.startswith(("tokenizer.", "tekken.", "tiktoken.")) for path in folder.iterdir())


def _refuse_other_files(name: str, content: dict[str, Any], what: str) -> None:
    """Refuse a file that leads on to others which are not beside it."""
    others = content.get(VERSIONED[name])
    if others is None:
        return
    if not isinstance(others, list) or not all(map(is_plain_name, others)):
        raise ArtifactError(
            f"{what} names {cut(repr(others))} as {VERSIONED[name]}, which lie outside of its folder; not loaded."
        )


def _is_file_elsewhere(name: str, value: str, folder: Path | None) -> bool:
    """Whether an option is the way to a file that is there and lies outside of a folder."""
    if not value or (is_plain_name(value) and not FILES.search(name)) or "\0" in value or "\n" in value:
        return False
    try:
        path = Path(value).expanduser()
        return path.is_file() and not (folder and path.resolve().is_relative_to(folder.resolve()))
    except (OSError, ValueError, RuntimeError):
        return False


def _options_in(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield every option in plain values, however nested, by its own name."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield name, value
            yield from _options_in(value)
    elif isinstance(content, list):
        for value in content:
            yield from _options_in(value)


def check_config(config: PretrainedConfig, what: str) -> None:
    """Refuse a configuration that transformers has read, if it leads to weights or to code from elsewhere.

    What is left chooses nothing: the implementation of attention is that of the options, or the model's first.

    Args:
        config: The configuration, with all those within it; changed in place.
        what: The checkpoint, for the message.

    Raises:
        ArtifactError: With the option, and what it asks for.
    """
    for part in _parts(config, set()):
        _check_weights(getattr(part, WEIGHTS, None), what)
        for name in IMPLEMENTATIONS:
            _check_implementation(name, getattr(part, f"_{name}", None), what)
    config._attn_implementation = None


def _parts(config: PretrainedConfig, seen: set[int]) -> Iterator[PretrainedConfig]:
    """Yield a configuration and those within it."""
    if id(config) in seen:
        return
    seen.add(id(config))
    yield config
    for value in vars(config).values():
        if isinstance(value, PretrainedConfig):
            yield from _parts(value, seen)


def _check_weights(asked: Any, what: str) -> None:
    """Refuse weights that do not lie beside the configuration."""
    if asked is not None and not is_plain_name(asked):
        raise ArtifactError(
            f"{what} names the weights {cut(repr(asked))}, which lie outside of its folder; it was not loaded."
        )


def _check_implementation(name: str, value: Any, what: str) -> None:
    """Refuse an implementation that does not come with torch or the model."""
    known = IMPLEMENTATIONS.get(name.removeprefix("_").removesuffix("_internal"))
    if known is None or value is None or (isinstance(value, str) and value in known):
        return
    if isinstance(value, dict):  # one for each part of the model
        for part in value.values():
            _check_implementation(name, part, what)
        return
    raise ArtifactError(
        f"{what} asks for {cut(repr(value))} as {name}, which is code from elsewhere; it was not loaded. Take the line "
        f"out if you trust the rest."
    )
