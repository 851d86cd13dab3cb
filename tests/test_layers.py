"""The house: rooms in order, imports that point down only, names that occur once, and a config side that stays light.

Every import counts, also those inside functions and those for type checkers.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "textclf"
ROOMS = [  # from the bottom up; a room may import those before it
    *("errors", "documents", "system", "data", "models", "audit", "evaluation", "tracking", "training", "compare"),
    *("experiment", "recommending", "predict", "label", "export", "app"),
]
DOORS = (
    "__init__",
    "run",
    "recommend",
    "register",
    "sync",
    "ui",
)  # and each room's __main__: they read arguments and call a room
TWICE = {"__init__", "__main__", "options", "report", "plots"}
LONG = 500
KNOWS = {"hydra": {"experiment", "doors"}, "mlflow": {"tracking"}}
SMALL = 60
LIBRARIES = ("datasets", "pandas", "pyarrow", "numpy", "textclf")
ONE_OF_A_KIND = ("app.pages.", "data.readers.")  # a page each, a format each


@cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of each module, by its dotted name below textclf."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name] = ast.parse(path.read_text("utf-8"))
    return found


def room(name: str) -> str:
    """Return the room that a module lies in; `doors` for those at the top."""
    return "doors" if name in DOORS or name.endswith("__main__") else name.split(".")[0]


def height(name: str) -> int:
    return len(ROOMS) if room(name) == "doors" else ROOMS.index(room(name))


def imported(tree: ast.AST):
    """Yield the full names that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not followed"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_module(target: str) -> str | None:
    """Return the module of textclf that an imported name is, or lies in; none for a package and other libraries."""
    if target.partition(".")[0] != "textclf":
        return None
    name = target.partition(".")[2]
    for candidate in (name, name.rpartition(".")[0]):
        if candidate in modules():
            return candidate
        if f"{candidate}.__init__" in modules():
            return f"{candidate}.__init__"
    return "__init__"


@cache
def graph() -> dict[str, set[str]]:
    """Return the modules of textclf that each module imports."""
    return {
        name: {found for target in imported(tree) if (found := own_module(target)) is not None} - {name}
        for name, tree in modules().items()
    }


def test_imports_point_down():
    up = {name: {target for target in targets if height(target) > height(name)} for name, targets in graph().items()}
    assert not {name: sorted(targets) for name, targets in up.items() if targets}, "these import what lies above them"


def test_no_imports_form_a_circle():
    left = {name: set(targets) for name, targets in graph().items()}
    while leaves := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in leaves:
            del left[name]
    reached = {target for targets in left.values() for target in targets}  # what is in a circle is reached again
    assert not (circles := sorted(left.keys() & reached)), f"in circles, or between them: {', '.join(circles)}"


def test_every_room_is_in_the_list_and_nothing_else_lies_at_the_top():
    here = {path.stem if path.suffix == ".py" else path.name for path in PACKAGE.iterdir() if path.name[:2] != "__"}
    assert here - {"py.typed"} == {*ROOMS, *DOORS} - {"__init__"}


def test_no_two_modules_share_a_base_name():
    count = Counter(name.rpartition(".")[2] for name in modules())
    assert not {name for name, times in count.items() if times > 1} - TWICE


def test_no_name_is_defined_twice_in_a_module():
    """The second would stand in place of the first, which linters let pass."""
    count = Counter()
    for name, tree in modules().items():
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                count[name, node.name] += 1
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                if isinstance(target, ast.Name):
                    count[name, target.id] += 1
    assert not {defined for defined, times in count.items() if times > 1}


def test_the_first_sentence_names_the_subject():
    said = {name: ast.get_docstring(tree) or "" for name, tree in modules().items()}
    assert not {name for name, text in said.items() if not text}, "these say nothing of themselves"
    questions = re.compile(r"(What|Which|How|Whether|Where|Why|When|Who)\b")
    assert not {name: text.split("\n")[0] for name, text in said.items() if questions.match(text)}


def test_a_module_is_split_by_idea_and_not_by_size():
    long = {name for name in modules() if lines(name) > LONG}
    importers = Counter(target for targets in graph().values() for target in targets)
    small = {
        name
        for name, tree in modules().items()
        if lines(name) < SMALL and importers[name] == 1 and name.rpartition(".")[2] not in TWICE
        if not name.startswith(ONE_OF_A_KIND)
        and "import" not in (ast.get_docstring(tree) or "")  # it says which heavy import it keeps apart
    }
    assert not long, f"longer than {LONG} lines; does each still have one idea? {sorted(long)}"
    assert not small, f"with one importer, so part of that: {sorted(small)}"


def lines(name: str) -> int:
    return len(PACKAGE.joinpath(*name.split(".")).with_suffix(".py").read_text("utf-8").splitlines())


@pytest.mark.parametrize("library", KNOWS)
def test_only_one_room_knows_hydra_and_mlflow(library):
    knowing = {
        room(name) for name, tree in modules().items() if any(t.split(".")[0] == library for t in imported(tree))
    }
    assert knowing <= KNOWS[library]


def test_scipy_is_imported_before_the_libraries_that_skops_would_look_through():
    """A second of a small run of a classical model; a sorter of imports would put it behind them."""
    order = list(imported(modules()["data.dataset"]))
    assert order.index("scipy.special") < min(k for k, name in enumerate(order) if name.split(".")[0] in LIBRARIES)


def test_options_hold_no_verbs():
    """An options object is read; what is done with it stands in one visible function of its room."""
    verbs = {"load", "fit", "start", "start_sweep", "open", "run"}
    for name, tree in modules().items():
        if name.rpartition(".")[2] == "options":
            defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert not defined & verbs, name


def test_composing_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from textclf import run\n"
        "from textclf.experiment import cli, config\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'mlflow', 'pandas', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


COMMANDS = ("run", "recommend", "predict", "label", "compare", "export", "audit", "app", "register", "sync", "ui")


@pytest.mark.parametrize(
    "arguments",
    [*([name, "--help"] for name in COMMANDS), ["run", "--help-all"], ["run", "--cfg", "job"]],
    ids=" ".join,
)
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


def test_the_statistics_know_arrays_alone():
    """They could be lifted out as a package."""
    allowed = {"__future__", "bisect", "collections", "dataclasses", "itertools", "numpy", "scipy", "statsmodels"}
    for name, tree in modules().items():
        if name.startswith("compare.statistics"):
            strange = {t for t in imported(tree) if t.split(".")[0] not in allowed}
            assert all(t.startswith("textclf.compare.statistics.") for t in strange), (name, strange)
