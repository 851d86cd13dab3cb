"""Export a classifier: write it under a temporary name, check it, and only then give it its own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from textclf.documents.wording import percent
from textclf.errors import ArtifactError, ConfigError, refuse_unless
from textclf.export.check import Check, compare_classifiers, examples_of
from textclf.export.contents import public_command
from textclf.models.base import Classifier
from textclf.models.families import load_classifier
from textclf.models.saved import read_description, refuse_asked
from textclf.system.environment import environment
from textclf.system.files import write_json
from textclf.system.unfinished import claimed
from textclf.tracking.find_runs import OUTPUTS, RunReference
from textclf.tracking.record import predict_command

REPORT = "export.json"
"""How the folder was made and checked."""
TOLERANCE = 1e-3
"""Largest difference in a probability that rounding explains."""


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export."""

    to: str
    """`onnx`, `onnx-int8`, `safetensors`, `space` or `hub`."""
    output: Path | None = None
    """The folder to write, which must not be there; none names it after the run."""
    max_loss: float = 1.0
    """Points of macro F1 that 8-bit weights may cost."""
    examples: int = 1000
    """Most test examples to check on."""
    force: bool = False
    """Keep an export that fails its check, or cannot be checked."""
    push: str | None = None
    """The repository, `owner/name`, to push the folder to."""
    private: bool = True
    """Whether a repository that is made for it is private."""
    with_texts: bool = False
    """Offer short test texts of the run in a Space, for anyone to read, whatever data they are of."""
    command: str = ""
    """What a person types to export again."""

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        refuse_unless(
            (self.max_loss >= 0, f"--max-loss is in points and must be 0 or more, got {self.max_loss}."),
            (self.examples >= 1, f"--examples must be at least 1, got {self.examples}."),
            (
                self.push is None or self.to in ("hub", "space"),
                f"--push goes with --to hub or --to space, not with --to {self.to}.",
            ),
            (
                self.push is None or re.fullmatch(r"[\w.-]+/[\w.-]+", self.push) is not None,
                f"--push must name a repository as owner/name, got {self.push!r}.",
            ),
        )


def export(located: RunReference, options: ExportOptions) -> Path:
    """Export the classifier of a run, print its check, and return the folder.

    Raises:
        ArtifactError: If the folder is there already or is being written, the classifier has no such form, or the
            check fails.
        ConfigError: If pushing is asked for and not possible.
    """
    refuse_asked(located.classifier, f"--to {options.to}")
    output = options.output or OUTPUTS / "exports" / f"{_slug(located)}-{options.to}"
    _refuse_what_is_there(output)
    with _whole_or_not_at_all(output) as folder:
        if options.to in ("onnx", "onnx-int8"):
            _export_onnx(located, options, folder)
        elif options.to == "safetensors":
            _export_safetensors(located, options, folder)
        else:
            _writer(options)(located, folder)
    print(f"written to {output}")
    print(_next_step(options, output, bool(read_description(located.classifier).has_pairs)))
    if options.push:
        from textclf.export.hub_folder import push_folder

        kind = "space" if options.to == "space" else "model"
        print(f"pushed to {push_folder(output, options.push, kind, options.private)}")
    return output


def _next_step(options: ExportOptions, output: Path, pairs: bool) -> str:
    """Return what a person does with an export, and the command."""
    if options.to == "space":
        return f"try it here (needs gradio): python {shlex.quote(str(output / 'app.py'))}"
    if options.to == "hub":
        return f"read its card: {shlex.quote(str(output / 'README.md'))}; --push owner/name publishes it"
    return f"predict with it: {predict_command(str(output), pairs)}"


def _writer(options: ExportOptions) -> Callable[[RunReference, Path], None]:
    """Return what writes the folder of a Space or of a model repository."""
    if options.to == "space":
        from textclf.export.space import write_space_folder

        return partial(write_space_folder, with_texts=options.with_texts)
    from textclf.export.hub_folder import write_hub_folder

    return write_hub_folder


def _export_onnx(located: RunReference, options: ExportOptions, folder: Path) -> None:
    """Write a graph, and refuse one that predicts something else than the original."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f'--to {options.to} needs {error.name}, which is not installed: pip install "textclf[onnx]".'
        ) from error
    family = read_description(located.classifier).family
    classifier = located.load()
    _write_graph(classifier, family, options, folder)
    exported = load_classifier(folder)
    examples = examples_of(located, classifier.label_names, options.examples)
    check = None
    if examples is not None:
        check = compare_classifiers(classifier, exported, (located.classifier, folder), examples)
        print(check.table())
        print(check.summary())
    _refuse_or_warn(check, options)
    _write_report(located, options, folder, check)


def _write_graph(classifier: Classifier, family: str, options: ExportOptions, folder: Path) -> None:
    """Write the graph of a classifier, whichever family it is of."""
    if family == "transformer":
        from textclf.export.onnx import quantise, write_transformer

        classifier.autocast = None  # type: ignore[attr-defined]  # the graph is float32, and so is what it is held against
        write_transformer(classifier, folder)  # type: ignore[arg-type]
        if options.to == "onnx-int8":
            quantise(folder)
    elif family == "embeddings":
        from textclf.export.onnx import quantise, write_embeddings

        classifier.encoder.precision = "fp32"  # type: ignore[attr-defined]  # as above
        write_embeddings(classifier, folder)  # type: ignore[arg-type]
        if options.to == "onnx-int8":
            quantise(folder)
    elif family == "classical" and options.to == "onnx":
        from textclf.export.onnx import write_pipeline

        write_pipeline(classifier, folder)  # type: ignore[arg-type]
    elif family == "zero_shot":
        raise ArtifactError(
            "A zero-shot classifier reads each text with every label, which is no single ONNX graph. Keep the run's "
            "own classifier/, which predicts wherever textclf is installed, or use --to space."
        )
    elif family == "classical":
        raise ArtifactError(
            "A classical pipeline gains nothing from 8-bit weights, since most of its work is on words; use --to onnx."
        )
    else:
        raise ArtifactError("This is an exported classifier already; export the run that it came from.")


def _refuse_or_warn(check: Check | None, options: ExportOptions) -> None:
    """Refuse an export that is too far from the original, unless that is forced."""
    problem = None
    if check is None:
        problem = (
            "The export could not be checked, since no test examples lie beside this classifier. Name its run folder"
        )
    elif options.to == "onnx-int8" and check.loss_points > options.max_loss:
        problem = (
            f"8-bit weights cost {check.loss_points:.2f} points of macro F1 on {check.examples:,} test examples, more "
            f"than the {options.max_loss:g} allowed. Use --to onnx, allow more with --max-loss"
        )
    elif options.to == "onnx" and check.difference > TOLERANCE:
        problem = (
            f"The graph does not predict what the original predicts: {percent(1 - check.agreement)} of the "
            f"{'sets of ' if check.sets else ''}labels differ, and a probability by {check.difference:.2g}, where "
            f"rounding explains {TOLERANCE:g}"
        )
    if problem is None:
        return
    if not options.force:
        raise ArtifactError(f"{problem}; --force keeps it all the same. Nothing was written.")
    print(f"kept by --force: {problem}.")


def _export_safetensors(located: RunReference, options: ExportOptions, folder: Path) -> None:
    """Write a transformer's weights, tokenizer and description, which transformers reads too."""
    family = read_description(located.classifier).family
    if family != "transformer":
        raise ArtifactError(
            f"--to safetensors writes the weights of transformers, and this classifier is of the family {family!r}, "
            f"whose files are in {located.classifier} as they are. Use --to onnx, space or hub."
        )
    located.load().save(folder)
    _write_report(located, options, folder, None)


def _write_report(located: RunReference, options: ExportOptions, folder: Path, check: Check | None) -> None:
    """Write where the export came from and how it was checked."""
    record = located.record
    source = None if record is None else {"run": record.name, "dataset": record.dataset, "model": record.model}
    write_json(
        folder / REPORT,
        {
            "to": options.to,
            "source": source,
            "command": public_command(options.command),
            "check": None if check is None else asdict(check) | {"loss_points": check.loss_points},
            "environment": environment(),
        },
    )


def _refuse_what_is_there(output: Path) -> None:
    if output.exists():
        raise ArtifactError(f"{output} is there already and is never overwritten; name another with --output.")


@contextmanager
def _whole_or_not_at_all(output: Path) -> Iterator[Path]:
    """Give a folder to write to, which gets its name when all is done and vanishes when it fails."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with claimed(output, folder=True) as unfinished:
        _refuse_what_is_there(output)
        yield unfinished
        _refuse_what_is_there(output)
        unfinished.rename(output)


def _slug(located: RunReference) -> str:
    """Return a file name for the run."""
    name = located.record.name if located.record is not None else located.classifier.resolve().name
    return re.sub(r"[^\w.=-]+", "-", name).strip("-.") or "classifier"
