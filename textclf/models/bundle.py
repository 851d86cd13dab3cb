"""Bundle a saved classifier with the modules of textclf and the libraries that it needs to predict elsewhere."""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from textclf.errors import ArtifactError
from textclf.models.saved import Description

PACKAGE = Path(__file__).resolve().parents[1]
ALWAYS = ("textclf", "textclf.models.families")
FAMILIES = {
    "classical": (
        "textclf.models.classical.pipeline",
        "textclf.models.classical.nb_svm",
        "textclf.models.classical.pipeline",
    ),
    "transformer": ("textclf.models.transformer.classifier",),
    "embeddings": ("textclf.models.embeddings.embeddings_classifier",),
    "zero_shot": ("textclf.models.transformer.entailment", "textclf.models.transformer.classifier"),
    "onnx": ("textclf.models.onnx_folder",),
}
"""What the classifiers of each family are read by; saved pipelines name their own classes too."""
ENCODERS = {
    "sentence": "textclf.models.embeddings.sentence_encoder",
    "static": "textclf.models.embeddings.static_encoder",
}
"""What each kind of encoder of the family `embeddings` is read by."""
ALSO: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("transformer", "embeddings", "zero_shot"), ("tokenizers", "safetensors")
)
"""Libraries that read a family's files without being imported by textclf."""
CLEANING = "textclf.models.cleaning"
DISTRIBUTIONS = {"sklearn": "scikit-learn", "huggingface_hub": "huggingface-hub", "yaml": "pyyaml"}
"""Libraries that are installed under another name than they are imported by."""
LICENSE = "LICENSE"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""Where the builds of torch without GPU code are; those on PyPI for Linux are several times as large."""


def modules_needed(description: Description, also: tuple[str, ...] = ()) -> list[str]:
    """Return the modules of textclf, by dotted name, that a classifier is read by and predicts with.

    They are found by following the imports at the top of each module; those inside functions belong
    to other work (training, other families) and are named here where predicting needs them.

    Args:
        description: The classifier.
        also: Further modules.
    """
    wanted = [*ALWAYS, *also, *_readers(description)]
    wanted += [CLEANING] if description.cleaning else []
    found: dict[str, None] = {}
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = None
        parents = name.split(".")
        wanted += [".".join(parents[:count]) for count in range(1, len(parents))]
        wanted += [module for target in _imports(name) if (module := _own_module(target))]
    return sorted(found)


def _readers(description: Description) -> tuple[str, ...]:
    """Return the modules that a classifier is read by."""
    encoder = ENCODERS.get(str(description.options.get("kind"))) if description.family == "embeddings" else None
    return FAMILIES[description.family] if encoder is None else (*FAMILIES[description.family], encoder)


def libraries_needed(description: Description) -> list[str]:
    """Return the libraries, as pip names them, that those modules import."""
    found = set(ALSO.get(description.family, ()))
    for module in modules_needed(description):
        for target in _imports(module, deep=module in _readers(description)):
            top = target.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "textclf":
                found.add(DISTRIBUTIONS.get(top, top))
    return sorted(found)


def requirement_lines(description: Description, also: tuple[str, ...] = ()) -> list[str]:
    """Return the lines of a `requirements.txt` that pins what is installed here, torch without GPU code.

    Args:
        description: The classifier.
        also: Further libraries.
    """
    lines = []
    for name in sorted({*libraries_needed(description), *also}):
        try:
            pin = version(name).partition("+")[0]
        except PackageNotFoundError:
            lines.append(name)
            continue
        if name == "torch":
            lines.insert(0, f"--extra-index-url {TORCH_INDEX}")
            lines += [f'torch=={pin}+cpu; sys_platform == "linux"', f'torch=={pin}; sys_platform != "linux"']
        else:
            lines.append(f"{name}=={pin}")
    return lines


def copy_code(description: Description, folder: Path, also: tuple[str, ...] = ()) -> None:
    """Copy the modules that a classifier needs, further ones, and their licence, as a package `textclf` to a folder."""
    for name in modules_needed(description, also):
        source = _source(name)
        target = folder / "textclf" / source.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (folder / "textclf" / LICENSE).write_text(license_text(), encoding="utf-8")


def license_text() -> str:
    """Return the licence of textclf's code.

    Raises:
        ArtifactError: If it was taken out of the installation, without which the code must not be passed on.
    """
    beside = PACKAGE.parent / LICENSE
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    try:
        found = distribution("textclf").read_text(f"licenses/{LICENSE}")
    except PackageNotFoundError:
        found = None
    if not found:
        raise ArtifactError(
            f"textclf's {LICENSE} is not installed with it, so its code cannot be copied; reinstall it."
        )
    return found


def _source(name: str) -> Path:
    """Return the file of a module of textclf."""
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _own_module(target: str) -> str | None:
    """Return the module of textclf that an imported name is or belongs to; none for other libraries."""
    if target.partition(".")[0] != "textclf":
        return None
    return target if _source(target).is_file() else target.rpartition(".")[0]


def _imports(name: str, deep: bool = False) -> Iterator[str]:
    """Yield what a module imports when it is imported itself, or anywhere; not what only type checkers read."""
    waiting: list[ast.AST] = [ast.parse(_source(name).read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
        elif deep or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
