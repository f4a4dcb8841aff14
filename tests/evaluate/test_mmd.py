"""CMMD and KID are those of the closed forms and torchmetrics, and need little memory."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchmetrics.image.kid import KernelInceptionDistance

from mcld.evaluate import mmd
from mcld.evaluate.mmd import compute_cmmd, compute_kid


def draw(count: int, features: int, shift: float = 0.0, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(seed).normal(shift, 1, (count, features)).astype(np.float32)
    )


def test_cmmd_is_the_closed_form_over_all_pairs_whatever_the_blocks(monkeypatch):
    first, second = (torch.nn.functional.normalize(draw(n, 8, n / 50, n)) for n in (23, 17))

    def mean(x: torch.Tensor, y: torch.Tensor) -> float:
        far = x.numpy()[:, None].astype(float) - y.numpy()[None]
        return float(np.exp(-np.square(far).sum(-1) / (2 * 10**2)).mean())

    expected = 1000 * (mean(first, first) + mean(second, second) - 2 * mean(first, second))
    assert expected > 0.1
    assert compute_cmmd(first, second) == pytest.approx(expected, rel=1e-6)
    monkeypatch.setattr(mmd, "_BLOCK", 5)
    assert compute_cmmd(first, second) == pytest.approx(expected, rel=1e-6)
    assert compute_cmmd(first, first) == pytest.approx(0, abs=1e-9)


class Identity(torch.nn.Identity):
    """Features that are given as they are."""


@pytest.mark.parametrize(("counts", "shift"), [((40, 40), 0.5), ((40, 40), 0.0)])
@pytest.mark.filterwarnings("ignore:Metric `Kernel")
def test_kid_of_whole_sets_is_that_of_torchmetrics(counts, shift):
    first, second = draw(counts[0], 16), draw(counts[1], 16, shift, seed=1)
    theirs = KernelInceptionDistance(Identity(), subsets=1, subset_size=40)
    theirs.update(first, real=True)
    theirs.update(second, real=False)
    expected = theirs.compute()[0].item()
    assert compute_kid(first, second) == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("ignore:Metric `Kernel")
def test_kid_of_large_sets_is_the_mean_over_subsets_the_same_every_time(monkeypatch):
    monkeypatch.setattr(mmd, "SUBSET_SIZE", 50)
    first, second = draw(120, 16), draw(90, 16, 0.3, seed=1)
    ours = compute_kid(first, second)
    assert compute_kid(first, second) == ours
    theirs = KernelInceptionDistance(Identity(), subsets=100, subset_size=50)
    theirs.update(first, real=True)
    theirs.update(second, real=False)
    mean, spread = (float(number) for number in theirs.compute())
    assert ours == pytest.approx(mean, abs=4 * spread / 10)  # of means over 100 other subsets
    assert mean > 4 * spread / 10


@pytest.mark.filterwarnings("ignore:Metric `Kernel")
def test_kid_of_equal_distributions_is_around_zero_and_may_be_below():
    values = [compute_kid(draw(30, 4, seed=2 * k), draw(30, 4, seed=2 * k + 1)) for k in range(40)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


class Largest(TorchDispatchMode):
    """The most numbers in one tensor that anything computed."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("compute", [compute_cmmd, compute_kid])
def test_no_kernel_of_all_pairs_is_ever_in_memory(compute, monkeypatch):
    monkeypatch.setattr(mmd, "SUBSET_SIZE", 3000)
    first, second = draw(3000, 4), draw(3000, 4, 1)
    with Largest() as largest:
        compute(first, second)
    assert largest.numbers <= max(first.numel(), 256 * 256)
