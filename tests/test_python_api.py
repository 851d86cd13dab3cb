"""What programs import from textclf: light, known to type checkers, and at home beside a program's own Hydra and MLflow."""

import json
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import textclf
from textclf.errors import ConfigError

ROOT = Path(__file__).parents[1]
LIGHT = """
import sys
import textclf
assert not {"torch", "transformers", "datasets", "sklearn", "mlflow", "pandas", "numpy", "hydra"} & set(sys.modules)
assert set(textclf.__all__) <= set(dir(textclf))
from textclf import compare, compose_experiment
import textclf.compare.options
from textclf import compare as again
assert compare is again and callable(compare)
from textclf.compare import compare_runs
assert callable(textclf.compare) and textclf.compare.compare_runs is compare_runs
assert not {"torch", "mlflow"} & set(sys.modules), "the others load what they need"
"""
PROGRAM = """
import hydra, sys
from omegaconf import DictConfig
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from textclf import compose_experiment, run_experiment, InMemoryDataset

ConfigStore.instance().store(group="model", name="transformer", node={"mine": 1})
ConfigStore.instance().store(name="config", node={"defaults": [{"model": "transformer"}], "lr": 3})

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(cfg: DictConfig) -> None:
    rows = [{"text": f"a {w} {t}", "label": l} for l, ws in {"n": ["bad", "poor"], "p": ["fine", "good"]}.items()
            for w in ws for t in range(20)]
    experiment = compose_experiment("model=naive_bayes", "tracker=none", dataset=InMemoryDataset(train=rows))
    record = run_experiment(experiment, "mine")
    assert cfg.model.mine == 1 and cfg.lr == 3
    assert HydraConfig.get().job.name == "program"
    assert hydra.compose("config").model.mine == 1
    print("accuracy", record.metrics["test/accuracy"])

main()
"""


def test_importing_it_is_light():
    subprocess.run([sys.executable, "-c", LIGHT], check=True)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'composed'"):
        textclf.composed  # noqa: B018


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text("utf-8"), re.DOTALL)
    exec(compile(code, "python.md", "exec"), {"__name__": "example"})
    out = capsys.readouterr().out
    assert "things/naive_bayes/seed1 1.0" in out
    assert "['negative', 'negative', 'negative', 'negative', 'negative']" in out
    assert (tmp_path / "outputs" / "comparison" / "report.html").is_file()


@pytest.mark.slow
def test_type_checkers_know_the_names(tmp_path):
    (tmp_path / "program.py").write_text(
        "from textclf import InMemoryDataset, compare, compose_experiment, load_classifier, run_experiment\n"
        "record = run_experiment(compose_experiment('model=bert', dataset=InMemoryDataset(train=[])))\n"
        "score: float = record.metrics['test/accuracy']\n"
        "verdicts: str = compare('outputs', output='here').verdicts\n"
        "label: str = load_classifier('latest').predict(['x'])[0].label\n"
        "wrong: int = load_classifier('latest').predict(['x'])[0].label\n"
    )
    settings = {"extraPaths": [str(ROOT)], "venvPath": str(Path(sys.prefix).parent), "venv": Path(sys.prefix).name}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "-p", str(tmp_path)], capture_output=True, text=True
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    assert [one["range"]["start"]["line"] for one in found if one["severity"] == "error"] == [5], found


def test_mistakes_are_errors_of_ours():
    with pytest.raises(ConfigError, match="model=brt: there is no such choice"):
        textclf.compose_experiment("model=brt")
    assert textclf.compose_experiment(["model=bert", "seed=7"]).seed == 7


def test_a_programs_own_hydra_is_left_as_it_was(tmp_path):
    (tmp_path / "config.yaml").write_text("lr: 3\n")
    store = ConfigStore.instance()
    before = json.dumps(sorted(store.repo))
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        mine = GlobalHydra.instance().hydra
        assert textclf.compose_experiment("model=naive_bayes").model.name == "naive_bayes"
        assert GlobalHydra.instance().hydra is mine
        assert compose("config").lr == 3
    assert not GlobalHydra.instance().is_initialized()
    assert json.dumps(sorted(store.repo)) == before
    assert HydraConfig.instance().cfg is None


@pytest.mark.slow
def test_it_works_inside_a_program_of_hydra(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "accuracy 1.0" in done.stdout


def test_a_persons_own_mlflow_run_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/own.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    rows = [
        {"text": f"a {word} {n}", "label": label} for label, word in (("n", "bad"), ("p", "fine")) for n in range(40)
    ]
    try:
        with mlflow.start_run() as own:
            mlflow.log_param("mine", 1)
            experiment = textclf.compose_experiment(
                "model=naive_bayes", f"tracker.directory={tmp_path}/theirs", "tracker.system_metrics=false",
                dataset=textclf.InMemoryDataset(train=rows),
            )  # fmt: skip
            record = textclf.run_experiment(experiment, tmp_path / "run")
            assert mlflow.active_run().info.run_id == own.info.run_id
            mlflow.log_param("after", 2)
        found = mlflow.get_run(own.info.run_id)
        assert (found.data.params, found.data.metrics) == ({"mine": "1", "after": "2"}, {})
        assert found.info.status == "FINISHED"
        theirs = mlflow.MlflowClient(f"sqlite:///{tmp_path}/theirs/mlflow.db").get_run(record.tracking["run_id"])
        assert theirs.data.metrics["test/accuracy"] == round(record.metrics["test/accuracy"], 4)
        assert "mlflow.parentRunId" not in theirs.data.tags
    finally:
        mlflow.set_tracking_uri(before)
