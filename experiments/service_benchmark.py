"""How fast a served classifier answers, beside the same classifier in one process.

python experiments/service_benchmark.py outputs/runs/logreg outputs/runs/minilm --write experiments/results/service.md

Each run is registered in a temporary store and served by `mlflow models serve` on loopback. Clients on the same
machine send the run's own test texts, one request after the other. The base of the ratio is `predict_proba` on
the same batches without a server, timed before and after each measurement.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from textclf.export.registry import register
from textclf.models.base import Classifier
from textclf.system.environment import machine
from textclf.system.files import write_text
from textclf.system.quiet import MLFLOW_ENVIRONMENT
from textclf.tracking.find_runs import RunReference, resolve_run
from textclf.tracking.record import PREDICTIONS_FILE

STARTS_WITHIN_SECONDS = 180


@dataclass(frozen=True)
class Load:
    """How a server answered so many clients."""

    clients: int
    batch: int
    """Texts in a request."""
    p50: float
    """Median seconds of a request."""
    p95: float
    requests_per_second: float
    ratio: float
    """Requests a second, divided by the batches a second of `predict_proba` without a server."""
    failures: int


def batches_of(texts: Sequence[str], size: int) -> list[list[str]]:
    """Return texts in batches of one size, the same every time."""
    repeated = list(itertools.islice(itertools.cycle(texts), max(len(texts), size)))
    return [repeated[start : start + size] for start in range(0, len(repeated) - size + 1, size)]


def in_process(classifier: Classifier, batches: list[list[str]], seconds: float) -> float:
    """Return the batches a second of `predict_proba` in this process, which does nothing else meanwhile."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or done < 2:
        classifier.predict_proba(batches[done % len(batches)])
        done += 1
    return done / (time.perf_counter() - start)


@contextmanager
def served(model: str, tracking_uri: str, log: Path) -> Iterator[int]:
    """Serve a registered model, and yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--port", str(port)]
    with log.open("w") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
    try:
        end = time.monotonic() + STARTS_WITHIN_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}") from None
                time.sleep(0.2)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def measure(port: int, batches: list[list[str]], clients: int, seconds: float) -> Load:
    """Return how a server answers clients that send one request after the other."""
    bodies = [json.dumps({"inputs": batch}).encode() for batch in batches]
    latencies: list[list[float]] = [[] for _ in range(clients)]
    failures = [0] * clients
    start = time.perf_counter()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        turn = number
        while time.perf_counter() - start < seconds:
            sent = time.perf_counter()
            connection.request("POST", "/invocations", bodies[turn % len(bodies)], {"Content-Type": "application/json"})
            answer = connection.getresponse()
            rows = json.loads(answer.read()).get("predictions", [])
            latencies[number].append(time.perf_counter() - sent)
            failures[number] += answer.status != 200 or len(rows) != len(batches[0])
            turn += clients

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    found = np.concatenate([np.array(own) for own in latencies])
    p50, p95 = np.quantile(found, [0.5, 0.95])
    return Load(clients, len(batches[0]), float(p50), float(p95), len(found) / took, float("nan"), sum(failures))


def benchmark(run: RunReference, clients: Sequence[int], sizes: Sequence[int], seconds: float) -> list[Load]:
    """Return how a run's classifier is served, for each size of a request and number of clients."""
    if run.folder is None or run.record is None:
        raise SystemExit(f"error: {run.said} is no run folder, so it has no test texts to send.")
    table = pd.read_parquet(run.folder / PREDICTIONS_FILE, columns=["text"])
    with tempfile.TemporaryDirectory(prefix="textclf-service-") as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        os.chdir(folder)  # where a store without a place of its own keeps its files
        done = register(run.folder, "benchmark", tracking_uri=uri)
        batches = {size: batches_of(table["text"].tolist(), size) for size in sizes}
        classifier = run.load()
        loads = []
        with served(done.model, uri, Path(folder) / "server.log") as port:
            measure(port, batches[sizes[0]], 1, 1.0)  # warm
            in_process(classifier, batches[sizes[0]], 1.0)
            for size, count in itertools.product(sizes, clients):
                before = in_process(classifier, batches[size], seconds / 2)
                found = measure(port, batches[size], count, seconds)
                after = in_process(classifier, batches[size], seconds / 2)
                loads.append(replace(found, ratio=2 * found.requests_per_second / (before + after)))
    return loads


def main() -> None:
    """Measure the runs that the command line names, and print or write the tables."""
    parser = argparse.ArgumentParser(description="Latency and throughput of served classifiers.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or what else names a run")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32], help="texts in a request")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the tables here")
    given = parser.parse_args()
    os.environ.update(MLFLOW_ENVIRONMENT)
    target = given.write.resolve() if given.write else None
    found = [resolve_run(run) for run in given.runs]
    lines = [
        "# What serving costs",
        "",
        f"Made by `{shlex.join(['python', 'experiments/service_benchmark.py', *sys.argv[1:]])}` on {machine()}.",
        "",
        "`mlflow models serve` on loopback, clients on the same machine. The ratio is requests a second, divided by "
        "those of `predict_proba` on the same batches in one process without a server: it tells what the server "
        "itself costs, and unlike the times it carries over to other machines.",
    ]
    for run in [RunReference(x.said, x.classifier.resolve(), x.folder and x.folder.resolve(), x.record) for x in found]:
        loads = benchmark(run, given.clients, given.batches, given.seconds)
        lines += [
            "",
            f"## {run.record.model if run.record else run.said}",
            "",
            "| texts in a request | clients | p50 ms | p95 ms | requests/s | ratio | failures |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        lines += [
            f"| {x.batch} | {x.clients} | {x.p50 * 1000:.0f} | {x.p95 * 1000:.0f} | {x.requests_per_second:.1f} | "
            f"{x.ratio:.2f} | {x.failures} |"
            for x in loads
        ]
    text = "\n".join(lines) + "\n"
    print(text)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, text)


if __name__ == "__main__":
    main()
