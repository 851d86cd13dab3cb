"""A disk without room: asked before training, and a paragraph where it runs out after all."""

import errno
import logging
from collections import namedtuple

import pytest
from safetensors import SafetensorError

from tests.conftest import make_data
from textclf.errors import ArtifactError, ResourceError
from textclf.experiment.cli import explain
from textclf.models.options import TransformerModel
from textclf.system import disk
from textclf.training.fit import fit
from textclf.training.options import TorchTrainer
from textclf.training.result import RunContext

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def free(monkeypatch):
    def has(count):
        monkeypatch.setattr("textclf.system.disk.shutil.disk_usage", lambda path: Usage(1 << 40, 0, count))

    return has


def test_what_cannot_hold_the_classifier_is_refused_before_training(free, tmp_path, tiny_checkpoint):
    free(disk.RESULTS_BYTES - 1)
    model = TransformerModel(name="tiny", checkpoint=str(tiny_checkpoint), max_length=32)
    with pytest.raises(ResourceError, match=r"has 20 MB free, and the classifier .* need about 20 MB") as caught:
        fit(model, make_data(8), TorchTrainer(), RunContext(1, checkpoints=tmp_path / "run" / "checkpoints"))
    assert "hydra.run.dir=" in str(caught.value)


def test_checkpoints_that_will_not_fit_are_warned_of_and_others_not(free, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    weights = 100_000_000
    free(weights + disk.RESULTS_BYTES)
    disk.check_disk(tmp_path, weights, weights, keeps_checkpoints=False)
    assert not caplog.records
    disk.check_disk(tmp_path, weights, weights, keeps_checkpoints=True)
    assert "has 120 MB free; with its checkpoints the run may need 1,320 MB" in caplog.text
    caplog.clear()
    free(13 * weights + disk.RESULTS_BYTES)
    disk.check_disk(tmp_path, weights, weights, keeps_checkpoints=True)
    assert not caplog.records


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/run/x"), "The disk is full (/data/run/x)"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "a quota"),
        (OSError(errno.EIO, "Input/output error"), "The disk fails"),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), "is full"),
    ],
)
def test_a_full_disk_is_told_with_what_is_kept_and_the_way_on(error, what):
    said = explain(error)
    assert what in said
    assert "is kept" in said
    assert "resume=true" in said


def test_it_is_known_behind_another_error_and_not_seen_in_others():
    behind = ArtifactError("could not be saved")
    behind.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "resume=true" in explain(behind)
    assert disk.disk_trouble(OSError(errno.ENOENT, "No such file")) is None
