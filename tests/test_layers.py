"""Imports point down only, and the config side stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "textclf"
LAYERS = [  # options hold no work, so they lie below everything that does
    {"errors", "escape", "redact", "durable", "stopping", "ending", "importing", "phases", "hub", "memory", "gpus"}
    | {"out_of_memory", "disk", "reporting", "evaluation.metric_names"},
    {"data.options", "training.options", "training.every", "tracking.options", "compare.options", "evaluation.options"}
    | {"models.base", "models.options", "models.prediction"},
    {"data", "evaluation"},
    {"models"},
    {"training", "tracking", "records", "schema", "locate", "serving"},
    {"keeping.lease", "keeping.started"},
    {"keeping.found", "keeping.former", "keeping.folder", "keeping.again"},
    {"build", "report", "results", "provenance", "fitting", "experiment", "command", "sweep", "compare", "predict"}
    | {"export", "sync"}
    | {"audit", "serving.champion", "serving.register"},
    {"progress", "resuming"},
    {"planned"},
    {"open_sweep"},
    {"run", "callbacks", "register", "app"},
]
KNOWS = {
    "hydra": {"run", "command", "schema", "callbacks", "planned"},
    "mlflow": {f"tracking.{name}" for name in ("mlflow_run", "store", "delivery", "machine", "artifacts", "registry")}
    | {f"serving.{name}" for name in ("entry", "guard", "model", "package", "logged", "register")},
}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            yield name, ast.parse(path.read_text("utf-8"))


def imports(tree):
    """Yield the modules that a file imports when it runs; not those for type checkers."""
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(map(id, ast.walk(node)))
        elif isinstance(node, ast.FunctionDef):  # an options object imports its work when that starts
            skipped.update(id(inner) for inner in ast.walk(node) if isinstance(inner, ast.ImportFrom))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(name):
    candidates = [name.rsplit(".", drop)[0] if drop else name for drop in range(name.count(".") + 1)]
    for candidate in candidates:
        for height, members in enumerate(LAYERS):
            if candidate in members:
                return height
    return None


@pytest.mark.parametrize(("name", "tree"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_down(name, tree):
    if len(tree.body) == 1:
        return  # a package's own docstring
    height = layer(name)
    assert height is not None, f"textclf.{name} belongs to no layer: name it in LAYERS"
    for target in imports(tree):
        if target.startswith("textclf."):
            below = layer(target.removeprefix("textclf."))
            assert below is None or below <= height, f"textclf.{name} imports {target}, which lies above it"


@pytest.mark.parametrize("library", KNOWS)
def test_only_a_few_know_hydra_and_mlflow(library):
    knowing = {name for name, tree in modules() if any(t.split(".")[0] == library for t in imports(tree))}
    assert knowing == KNOWS[library]


def test_composing_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from textclf import schema, run, command\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'mlflow', 'pandas', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


COMMANDS = ("run", "predict", "compare", "export", "audit", "app", "register", "sync")


@pytest.mark.parametrize("arguments", [*([name, "--help"] for name in COMMANDS), ["run", "--cfg", "job"]], ids=" ".join)
def test_help_and_config_load_no_library_of_the_work(arguments):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['textclf', *{arguments[1:]!r}]\n"
        "try:\n"
        f"    runpy.run_module('textclf.{arguments[0]}', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'scipy', 'mlflow', 'pandas', 'pyarrow', 'matplotlib'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "loaded: []", done.stdout[-200:]


def test_modules_stay_small():
    long = {
        path.name: count for path in PACKAGE.rglob("*.py") if (count := len(path.read_text("utf-8").splitlines())) > 300
    }
    assert not long
