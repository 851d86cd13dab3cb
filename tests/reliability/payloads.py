"""Payloads that make a file where they run, in each form that some loader somewhere would run."""

import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@dataclass(frozen=True)
class Marker:
    """The folder that a payload makes."""

    path: Path

    def fired(self):
        """Say whether a payload has run, and take its trace away."""
        there = self.path.exists()
        if there:
            self.path.rmdir()
        return there


def pickled(marker):
    return pickle.dumps(Runs(marker.path))


def pickled_as_text(marker):
    return pickle.dumps(Runs(marker.path), protocol=0)


def yaml_object(marker):
    return f"!!python/object/apply:os.mkdir [{json.dumps(str(marker.path))}]\n".encode()


def target(marker):
    """JSON, and YAML as well, as Hydra and the likes of it instantiate."""
    return json.dumps({"_target_": "os.mkdir", "_args_": [str(marker.path)]}).encode()


def source(marker):
    return f"__import__('os').mkdir({str(marker.path)!r})\n".encode()


def torch_archive(marker, path):
    import torch

    torch.save({"weight": Runs(marker.path)}, path)


def array_archive(marker, path):
    import numpy as np

    np.save(path, np.array([Runs(marker.path)], dtype=object), allow_pickle=True)


class Wakes:
    """Makes a file when its state is set, as skops does for a type that it is told to trust."""

    def __init__(self, marker):
        self.marker = marker

    def __getstate__(self):
        return {"marker": self.marker}

    def __setstate__(self, state):
        os.mkdir(state["marker"])


def skops_archive(marker, path):
    import skops.io

    skops.io.dump(Wakes(str(marker.path)), path)


CONTENTS = {
    "pickle": pickled,
    "pickle in text": pickled_as_text,
    "YAML object": yaml_object,
    "target": target,
    "source": source,
}
"""What is written in place of a file of any kind."""
ARCHIVES = {"torch": torch_archive, "numpy": array_archive, "skops": skops_archive}
