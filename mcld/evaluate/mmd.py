"""Maximum mean discrepancies of two sets of pictures: CMMD and KID.

Kernels are summed in blocks: memory grows with the number of pictures, not with its square.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from mcld.evaluate.measures.kernels import SUBSET_SIZE, SUBSETS

SIGMA, SCALE = 10, 1000
"""Width of CMMD's Gaussian kernel, and what the discrepancy is multiplied by to be legible."""
DEGREE = 3
"""Of KID's polynomial kernel."""
_BLOCK = 256
"""Rows and columns of a kernel that are computed at once."""

_Kernel = Callable[[Tensor, Tensor], Tensor]
"""[A, D], [B, D] -> [A, B]."""


def compute_cmmd(first: Tensor, second: Tensor) -> float:
    """The CLIP maximum mean discrepancy (Jayasumana et al., 2024) of two sets of embeddings.

    first, second: [N, D] and [M, D], of norm 1. It is the biased estimate, over all pairs, those of
    a picture with itself included: 1000 (mean k(x, x') + mean k(y, y') - 2 mean k(x, y)) with
    k(a, b) = exp(-|a - b|^2 / 200). 0 for equal sets; of few pictures it is too large.
    """
    own = sum(_sum_own_kernel(_gaussian, x) / len(x) ** 2 for x in (first, second))
    across = _sum_kernel(_gaussian, first, second) / (len(first) * len(second))
    return SCALE * (own - 2 * across)


def compute_kid(first: Tensor, second: Tensor) -> float:
    """The kernel Inception distance (Binkowski et al., 2018) of two sets of features.

    first, second: [N, D] and [M, D], of at least two pictures each. The unbiased estimate of the
    squared discrepancy with the kernel (a b / D + 1)^3, which can be a little below 0: the mean
    over `SUBSETS` subsets of `SUBSET_SIZE` pictures of either set, drawn without replacement and
    always the same ones; where a set has fewer, subsets are as large as the smaller set.
    """
    size = min(SUBSET_SIZE, len(first), len(second))
    if size == len(first) == len(second):
        return _unbiased_discrepancy(first, second)
    generator = torch.Generator().manual_seed(0)

    def draw(features: Tensor) -> Tensor:
        rows = torch.randperm(len(features), generator=generator)[:size]
        return features[rows.to(features.device)]

    estimates = [_unbiased_discrepancy(draw(first), draw(second)) for _ in range(SUBSETS)]
    return sum(estimates) / SUBSETS


def _unbiased_discrepancy(x: Tensor, y: Tensor) -> float:
    """Of two sets; pairs of a picture with itself do not count."""
    own = sum(
        (_sum_own_kernel(_polynomial, s) - _sum_diagonal(s)) / (len(s) * (len(s) - 1))
        for s in (x, y)
    )
    return own - 2 * _sum_kernel(_polynomial, x, y) / (len(x) * len(y))


def _sum_diagonal(x: Tensor) -> float:
    """The sum of the polynomial kernel of each picture with itself."""
    squares = (block.double().square().mean(1) for block in torch.split(x, _BLOCK))
    return sum((float((square + 1).pow(DEGREE).sum()) for square in squares), 0.0)


def _gaussian(x: Tensor, y: Tensor) -> Tensor:
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T
    return (-squares / (2 * SIGMA**2)).exp()


def _polynomial(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** DEGREE


def _sum_kernel(kernel: _Kernel, x: Tensor, y: Tensor) -> float:
    """The sum of a kernel over all pairs of two sets."""
    blocks = itertools.product(torch.split(x, _BLOCK), torch.split(y, _BLOCK))
    return sum((float(kernel(a.double(), b.double()).sum()) for a, b in blocks), 0.0)


def _sum_own_kernel(kernel: _Kernel, x: Tensor) -> float:
    """The same over all pairs of one set, of which each kernel is that of two."""
    blocks = torch.split(x, _BLOCK)
    beside = itertools.combinations(blocks, 2)
    across = sum((float(kernel(a.double(), b.double()).sum()) for a, b in beside), 0.0)
    own = (block.double() for block in blocks)
    return 2 * across + sum((float(kernel(a, a).sum()) for a in own), 0.0)
