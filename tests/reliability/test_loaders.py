"""No loader that could run code enters the package unseen: the syntax tree of every module is looked through."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "jsonpickle",
    "runpy",
    "code",
}
"""Modules whose very purpose is to read or run code."""
CALLS = {
    "import_module", "exec_module", "load_module", "unsafe_load", "full_load",
    "unsafe_load_all", "full_load_all", "read_pickle", "read_hdf", "load_module_from_file_location", "instantiate",
    "get_class", "get_method", "get_object", "unpack_archive", "extractall", "load_library",
    "register_custom_ops_library", "load_state_dict_from_url", "run_path", "run_module",
    "import_main_class",
}  # fmt: skip
"""Functions that run code, or what a file says, wherever they come from."""
BARE = {"eval", "exec", "compile", "__import__"} | {"os.system", "os.popen"}
"""The same, but only by their whole name: a model's `eval` is another."""
LOADS = {
    "torch",
    "np",
    "numpy",
    "yaml",
    "skops.io",
    "sio",
    "evaluate",
    "torch.hub",
    "torch.jit",
    "torch.package",
    "onnx",
    "mlflow.pyfunc",
}
"""Whose `load` is not to be used."""
ALLOWED = {
    ("textclf/__init__.py", "import_module"),  # of the package's own modules, by a list of them
    ("textclf/__main__.py", "import_module"),  # likewise
    ("textclf/models/classical/pipeline.py", "import_module"),  # of scikit-learn's estimators and textclf's own
    ("textclf/models/classical/pipeline.py", "skops.io.load"),  # with the list of trusted types
    (
        "textclf/models/embeddings/word_vectors.py",
        "np.load",
    ),  # with allow_pickle=False, of a file whose digest is known
    ("textclf/evaluation/metrics.py", "import_main_class"),  # dataset.metrics: of evaluate's own, by full id
}
REMOTE = {"from_pretrained", "load_dataset"}
"""Functions that run code of a repository where they are told to."""


def risks(tree):
    """Yield what a module does that may run what a file holds: a name, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from ((name, node.lineno) for name in names if name.split(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        owner, _, last = name.rpartition(".")
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if last in CALLS or name.removeprefix("builtins.") in BARE:
            yield last, node.lineno
        if last in ("load", "load_all", "load_model") and owner in LOADS:
            yield name, node.lineno
        if None in given and last in REMOTE | {"load"}:
            yield f"{last}(**…)", node.lineno
        for option, safe in (
            ("weights_only", True),
            ("allow_pickle", False),
            ("trust_remote_code", False),
            ("shell", False),
        ):
            value = given.get(option)
            if value is not None and not (isinstance(value, ast.Constant) and value.value is safe):
                yield f"{option}={ast.unparse(value)}", node.lineno
        if last == "from_pretrained" and "trust_remote_code" not in given:
            yield "from_pretrained without trust_remote_code=False", node.lineno


def modules():
    for folder in ("textclf", "hydra_plugins"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_no_module_can_run_what_a_file_holds():
    found = {
        (path.relative_to(ROOT).as_posix(), name): line
        for path in modules()
        for name, line in risks(ast.parse(path.read_text("utf-8")))
    }
    strange = [f"{path}:{line}: {name}" for (path, name), line in found.items() if (path, name) not in ALLOWED]
    assert strange == [], "a file's content could run here; load it as data, or say in ALLOWED why it is safe"
    assert ALLOWED - found.keys() == set(), "no longer used"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "import dill as d", "torch.load(path)", "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)", "np.load(path)", "yaml.load(text, Loader)", "yaml.unsafe_load(text)", "pd.read_pickle(path)",
        "AutoModel.from_pretrained(path)", "AutoModel.from_pretrained(path, trust_remote_code=asked)", "skops.io.load(path)",
        "load_dataset(path, trust_remote_code=True)", "load_dataset(path, **more)", "eval(text)", "importlib.import_module(name)",
        "hydra.utils.instantiate(cfg)", "subprocess.run(line, shell=True)", "os.system(line)", "options.register_custom_ops_library(p)",
        "tarfile.open(path).extractall(folder)", "torch.hub.load(name)", "mlflow.pyfunc.load_model(uri)", "onnx.load(path)",
        "skops.io.load(path, trusted=types)", "__import__(name)", "shutil.unpack_archive(path)",
    ],
)  # fmt: skip
def test_a_new_loader_is_seen(line):
    assert list(risks(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "json.loads(text)", "model.eval()", "re.compile(pattern)", "AutoModel.from_pretrained(path, trust_remote_code=False)",
        "options.dataset.load()", "yaml.safe_load(text)", "subprocess.run(words)", "safetensors.torch.load_file(path)",
    ],
)  # fmt: skip
def test_what_reads_data_is_let_through(line):
    assert not list(risks(ast.parse(line)))
