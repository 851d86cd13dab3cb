import pytest

from tests.evaluation.test_plots import is_drawn
from textclf.training import plots
from textclf.training.result import EpochResult, FitResult

pytestmark = pytest.mark.drawn


def test_training_curves(tmp_path):
    epochs = tuple(
        EpochResult(e, e * 10, 1 / e, {"validation/log_loss": 0.5, "validation/macro_f1": 0.7}, 1.0) for e in (1, 2)
    )
    fit = FitResult(1, 2.0, 20, "cpu", "fp32", epochs, best_epoch=1, step_losses=((1, 0.9), (10, 0.5)))
    assert plots.plot_training_curves(fit, "validation/macro_f1", tmp_path / "p.png")
    assert is_drawn(tmp_path / "p.png")
    assert not plots.plot_training_curves(FitResult(1, 2.0, 20, "cpu", "fp64"), "x", tmp_path / "q.png")
