"""Bulk dropout: the rate, independence and gradients of dropout, reproducible by PyTorch's seed."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from textclf.training.speedups.dropout import bulk_dropout


def dropped(shape, p, seed=0):
    """Return which of many ones were dropped, as 0 and 1."""
    torch.manual_seed(seed)
    with bulk_dropout():
        return (functional.dropout(torch.ones(shape), p) == 0).numpy().astype(int)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_the_rate_is_that_asked_for(p):
    n = 2_000_000
    test = stats.binomtest(int(dropped(n, p).sum()), n, p)
    assert test.pvalue > 1e-4, f"{test.statistic} of {n}"


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 64, 384])
def test_elements_are_dropped_independently_of_each_other(lag):
    """Four elements share one draw of 64 bits, so lags of 1 to 4 look within a draw and across two."""
    found = dropped(4_000_000, 0.1)
    table = np.histogram2d(found[:-lag], found[lag:], bins=2)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_calls_are_independent_of_each_other():
    torch.manual_seed(0)
    with bulk_dropout():
        one, two = (functional.dropout(torch.ones(2_000_000), 0.1) == 0 for _ in range(2))
    assert stats.chi2_contingency(np.histogram2d(one.int(), two.int(), bins=2)[0]).pvalue > 1e-4


def test_how_many_are_dropped_of_a_row_varies_as_it_should():
    found = dropped((20_000, 384), 0.1).sum(axis=1)
    expected = stats.binom(384, 0.1)
    assert found.mean() == pytest.approx(expected.mean(), rel=0.005)
    assert found.var() == pytest.approx(expected.var(), rel=0.05)


def test_a_seed_gives_the_same_again_and_another_seed_another():
    assert (dropped(1003, 0.3, seed=5) == dropped(1003, 0.3, seed=5)).all()
    assert (dropped(1003, 0.3, seed=5) != dropped(1003, 0.3, seed=6)).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_kept_is_scaled_and_the_gradient_follows(dtype):
    values = torch.full((50, 41), 3.0, dtype=dtype, requires_grad=True)
    with bulk_dropout():
        out = nn.Dropout(0.25)(values)
    out.float().sum().backward()
    assert out.dtype is dtype
    assert out.detach().float().unique().tolist() == [0.0, pytest.approx(4.0, rel=1e-2)]
    torch.testing.assert_close(out.detach(), 3 * values.grad, rtol=1e-2, atol=0)


def test_bfloat16_is_rounded_once():
    """A scale that is rounded before would make all that is kept a sixth of a percent too small, on average."""
    values = torch.ones(1000, dtype=torch.bfloat16) * 1.75
    with bulk_dropout():
        kept = functional.dropout(values, 0.1)
    scale = 65536 / (65536 - round(0.1 * 65536))
    assert set(kept.tolist()) == {0.0, torch.tensor(1.75 * scale).to(torch.bfloat16).item()}


def test_tensors_that_are_not_contiguous_keep_their_elements():
    values = torch.arange(1.0, 7.0).reshape(2, 3).T
    torch.manual_seed(0)
    with bulk_dropout():
        out = functional.dropout(values, 0.3)
    kept = out != 0
    torch.testing.assert_close(out[kept], values[kept] / 0.7, rtol=1e-4, atol=0)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_all_or_nothing_is_left_to_pytorch(p):
    with bulk_dropout():
        assert functional.dropout(torch.ones(5), p).tolist() == [1.0 - p] * 5


def test_nothing_is_dropped_in_evaluation():
    with bulk_dropout():
        assert nn.Dropout(0.5).eval()(torch.ones(100)).sum() == 100
