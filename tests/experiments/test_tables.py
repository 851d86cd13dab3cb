"""Each table of the benchmarks runs to its end at a tiny size and writes its page, numbers and picture."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.benchmarks import __main__ as command
from experiments.benchmarks import (
    arithmetic,
    classical,
    gpu,
    inference,
    peers,
    rounds,
    scaling,
    startup,
    texts,
    training,
)
from experiments.benchmarks.classical_ways import fasttext_lines
from experiments.benchmarks.memory import Measured
from experiments.benchmarks.page import Settings
from experiments.benchmarks.rounds import Timing
from textclf.errors import ConfigError

from ..conftest import make_data

LONGEST = 32


@pytest.fixture
def tiny(monkeypatch, tiny_checkpoint):
    """Every table on tiny data with a tiny checkpoint, and what would run in a process of its own in this one."""

    def checkpoint(folder, kind, layers=None):
        return shutil.copytree(tiny_checkpoint, folder)

    def data(dataset, train, test):
        return make_data(train=train, evaluation=max(test, 16), pairs=dataset == "glue/rte"), "Texts: tiny."

    def in_this_process(module, function, *arguments, limit_bytes=0):
        work = getattr(sys.modules[f"experiments.benchmarks.{module}"], function)
        return Measured(10**9, 1.0, given=work(*arguments))

    for module in (training, inference, gpu, classical):
        for name, instead in {
            "checkpoint_folder": lambda: str(tiny_checkpoint),
            "random_checkpoint": checkpoint,
            "real_data": data,
            "in_own_process": in_this_process,
            "LONGEST": LONGEST,
        }.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, instead)
    monkeypatch.setattr(peers, "LONGEST", LONGEST)
    monkeypatch.setattr(arithmetic, "LEAST_SECONDS", 0.001)
    monkeypatch.setattr(arithmetic, "PROBE_TOKENS", 8)
    monkeypatch.setattr(rounds.gc, "collect", lambda: 0)
    monkeypatch.setitem(classical.FASTTEXT, "bucket", 100_000)


def run(monkeypatch, capsys, folder, *arguments, name=None):
    """Run the command as from a shell; return the page and the numbers."""
    name = name or arguments[0]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments, "--threads", "1", "--output", str(folder)])
    monkeypatch.setattr("os.environ", dict(command.os.environ))
    command.main()
    page = (folder / f"{name}.md").read_text("utf-8")
    assert capsys.readouterr().out.strip() == page.strip()
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "python -m experiments.benchmarks" in page
    assert str(folder.parent) not in page  # nobody else has these folders
    return page, json.loads((folder / f"{name}.json").read_text("utf-8"))


@pytest.mark.slow
def test_training(tiny, monkeypatch, capsys, tmp_path):
    page, found = run(monkeypatch, capsys, tmp_path / "out", "training", "--rows", "40", "--rounds", "1")
    names = [training.OURS, training.SCRIPT, training.BEST + "sdpa"]
    assert list(found["timings"]) == names
    assert all(name in page for name in names)
    assert all(len(own) == 1 and own[0]["seconds"] > own[0]["loop_seconds"] > 0 for own in found["timings"].values())
    gap = found["accuracy_gaps_points"][training.OURS][training.SCRIPT]
    assert gap["low"] <= gap["points"] <= gap["high"]
    assert found["best_settings"] == names[2]
    assert set(found["peak_bytes"]) == {training.OURS, training.SCRIPT}
    assert found["seeds"] == [1, 2, 3]


@pytest.mark.slow
def test_inference_ways_agree(tiny, monkeypatch, capsys, tmp_path):
    given = ("--rows", "40", "--rounds", "2", "--seeds", "5")
    _, found = run(monkeypatch, capsys, tmp_path / "out", "inference", *given)
    ours = found["timings"][inference.OURS]
    for name in (inference.STOCK, inference.PIPELINE, inference.PIPELINE_BATCHED, inference.OURS_ONNX):
        assert found["timings"][name][0]["agreement"] == 1.0, name
        assert found["timings"][name][0]["accuracy"] == ours[0]["accuracy"]
    single = found["single_text_milliseconds"]
    assert set(single) == {inference.OURS, inference.OURS_ONNX, inference.OURS_INT8, inference.PIPELINE}
    assert all(0 < one["median"] <= one["p95"] and one["texts"] == 60 for one in single.values())


@pytest.mark.slow
def test_pairs_of_texts_are_trained_on_and_predicted_in_every_way(tiny, monkeypatch, capsys, tmp_path):
    given = ("--dataset", "glue/rte", "--rows", "32", "--rounds", "1")
    page, found = run(monkeypatch, capsys, tmp_path / "out", "training", *given, name="training_rte")
    assert page.startswith("# Training: MiniLM on RTE")
    assert {own[0]["accuracy"] > 0 for own in found["timings"].values()} == {True}
    page, found = run(monkeypatch, capsys, tmp_path / "out", "inference", *given, name="inference_rte")
    assert page.startswith("# Prediction: MiniLM on RTE")
    for way in (inference.STOCK, inference.PIPELINE, inference.PIPELINE_BATCHED):
        assert found["timings"][way][0]["agreement"] == 1.0, way


def test_all_tables_are_measured_on_each_dataset_and_their_commands_say_it(monkeypatch):
    measured = []
    monkeypatch.setattr(command, "measure", lambda table, dataset, given: measured.append((table, dataset)))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "all", "--rounds", "3"])
    monkeypatch.setattr("os.environ", dict(command.os.environ))
    command.main()
    assert measured[:4] == [("training", "ag_news"), ("training", "imdb"), ("training", "glue/rte"),
                            ("inference", "ag_news")]  # fmt: skip
    assert measured[-1] == ("scaling", "ag_news")
    assert command._words("training", "imdb") == ["--dataset", "imdb", "--rounds", "3"]
    assert command._words("training", "ag_news") == ["--rounds", "3"]


@pytest.mark.slow
def test_classical_ways_learn_the_same(tiny, monkeypatch, capsys, tmp_path):
    page, found = run(monkeypatch, capsys, tmp_path / "out", "classical", "--rows", "120", "--rounds", "1")
    accuracy = {name: own[0]["accuracy"] for name, own in found["timings"].items()}
    assert accuracy["textclf, tfidf_logreg"] == accuracy["scikit-learn, tfidf_logreg"] == 1.0
    assert accuracy["scikit-learn, nb_svm"] == 1.0
    assert ("fastText" in accuracy) is (classical.WITHOUT_FASTTEXT.partition(":")[0] not in page)


@pytest.mark.slow
def test_scaling_goes_through_all_sizes(tiny, monkeypatch, capsys, tmp_path):
    every = scaling.curves(160, long=False)
    measured = [curve for curve in every if curve.model == scaling.CLASSICAL]
    assert [curve.sizes for curve in measured] == [(20, 80), (32, 128, 512), (2, 20)]
    monkeypatch.setattr(scaling, "curves", lambda rows, long: measured)
    _, found = run(monkeypatch, capsys, tmp_path / "out", "scaling", "--rows", "160", "--rounds", "2")
    assert set(found["exponents"]) == {f"tfidf_logreg, {axis}" for axis in scaling.AXES}
    assert found["curves"]["tfidf_logreg, rows"]["sizes"] == [20, 80]
    slope = found["exponents"]["tfidf_logreg, rows"]["exponent"]
    assert slope["low"] <= slope["median"] <= slope["high"]


def test_the_long_curves_go_to_their_ends():
    sizes = {(curve.model, curve.axis): curve.sizes for curve in scaling.curves(1_000_000, long=True)}
    assert sizes["tfidf_logreg", "rows"][0] == 1000
    assert sizes["tfidf_logreg", "rows"][-1] > 250_000
    assert sizes["minilm", "rows"][::4] == (256, 4096)
    assert sizes["minilm", "length"] == (32, 64, 128, 256, 512)
    assert sizes["tfidf_logreg", "classes"] == (2, 20, 150, 1000)
    assert sizes["hashed_logreg", "rows"] == sizes["tfidf_logreg", "rows"]


@pytest.mark.slow
def test_gpu_on_the_processor(tiny, tmp_path):
    settings = Settings(rows=64, rounds=1, seeds=(1,), threads=1, output=tmp_path)
    result = gpu.measure_on("cpu", settings)
    assert set(result.content["timings"]) == {gpu.OURS, gpu.OURS_HF, gpu.PEER, gpu.PEER_BEST}
    assert result.content["synchronisations_per_step"] == 0
    assert result.content["pipeline_examples_per_second"] > 0
    assert result.content["amazon_hours"] == pytest.approx(
        3_600_000 / result.content["distilbert_examples_per_second"] / 3600
    )


def test_waits_for_the_gpu_are_counted_by_torchs_own_warning():
    def work():
        import warnings

        for _ in range(3):
            warnings.warn("called a synchronizing CUDA operation", UserWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)

    assert gpu.synchronisations(work, "cpu") == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_refuses_in_one_paragraph(tmp_path):
    with pytest.raises(ConfigError, match="needs a CUDA GPU"):
        gpu.measure(Settings(rows=1, rounds=1, seeds=(1,), threads=1, output=tmp_path))


def test_overhead_is_what_is_left_of_a_run():
    facts = {"load_seconds": 1.0, "audit_seconds": 0.5, "fit_seconds": 5.0, "evaluate_seconds": 1.5, "first_step": 4.0}
    timings = {startup.RUN: [Timing(11.0, 9.0, 1e9, facts | {"record_seconds": 0.7})]}
    found = startup.derived(timings, processor_time=False)
    assert found[startup.OVERHEAD].median == 3.0
    assert found[startup.FIRST_STEP].median == 4.0
    assert startup.OVERHEAD not in startup.derived({startup.RUN: [Timing(11.0, 9.0, 1e9)]}, processor_time=False)


def test_the_first_step_of_a_command_is_seen_from_outside(tmp_path):
    code = "import time; print('loading', flush=True); time.sleep(0.2); print('training on cpu'); time.sleep(0.2)"
    ran = startup.run([sys.executable, "-c", code], tmp_path)
    assert 0.2 <= ran.first_step < 0.4
    with pytest.raises(RuntimeError, match="boom"):
        startup.run([sys.executable, "-c", "raise SystemExit('boom')"], tmp_path)


def test_generated_texts_are_as_long_as_asked_and_can_be_learned():
    labels = np.arange(400) % 4
    exact = texts.generated_texts(labels, 17, seed=1, exact=True)
    assert {len(text.split()) for text in exact} == {17}
    drawn = [len(text.split()) for text in texts.generated_texts(labels, 60, seed=1)]
    assert np.mean(drawn) == pytest.approx(60, rel=0.1)
    assert exact == texts.generated_texts(labels, 17, seed=1, exact=True)
    words = [set(" ".join(exact[label::4]).split()) for label in range(4)]
    assert len(words[0] - words[1]) > 10
    chunks = list(texts.generated_chunks(50, 5, seed=1, chunk=20))
    assert [len(own) for own, _ in chunks] == [20, 20, 10]


def test_fasttext_gets_one_line_an_example():
    assert list(fasttext_lines(["Good\nfilm, (really)."], ["very good"])) == [
        "__label__very_good good film , ( really ) .\n"
    ]


@pytest.mark.parametrize("wrong", [["--rows", "0"], ["--dataset", "mnist"], ["--seeds", "one"], ["--rounds", "-1"]])
def test_options_that_cannot_be_are_refused(monkeypatch, capsys, wrong):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "training", *wrong])
    with pytest.raises(SystemExit):
        command.main()
    assert wrong[0] in capsys.readouterr().err


def test_files_are_in_random_order_whatever_the_data_is_in(tmp_path):
    data = make_data(train=60, evaluation=24)
    ordered = replace(data, train=data.train.sort("label"))
    lines = classical.write_files(ordered, tmp_path).fasttext_train.read_text("utf-8").splitlines()
    labels = [line.split()[0] for line in lines]
    assert sorted(labels) != labels
    assert labels.count("__label__positive") == 30
