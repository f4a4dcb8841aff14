"""Post-hoc EMA (Karras et al., 2312.02696, section 3): averages whose length is chosen afterwards.

An average of the weights theta over a run until the time t follows a power function,

    theta_gamma(t) = integral of p(tau) theta(tau),  p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1)

for tau from 0 to t. Its relative width is the standard deviation of the profile p, divided by t.
Time is counted in pictures seen.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcld.machine.processes import gather_whole, place_like
from mcld.machine.tensor_files import write_tensors
from mcld.model import MCLD
from mcld.train.snapshots import Snapshot, name_snapshot

Numbers = NDArray[np.float64]


def gamma_of_width(width: float) -> float:
    """The exponent of the profile of a relative width, which is above 0 and below 12 ** -0.5.

    width^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)), of which one gamma is above 0.
    """
    t = width**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


def decay(gamma: float, images: int, batch: int) -> float:
    """What is left of an average in the step that brings a run from `images - batch` to `images`.

    (1 - 1/t)^(gamma + 1) in steps t of equal size; 0 in the first. The weight of each step is then
    its share of the profile's integral, exactly.
    """
    return float((1 - batch / images) ** (gamma + 1))


def inner_product(t_a: Any, gamma_a: Any, t_b: Any, gamma_b: Any) -> Numbers:
    """The integral of the product of two profiles, elementwise."""
    earlier, later = np.minimum(t_a, t_b), np.maximum(t_a, t_b)
    of_later = np.where(np.less(t_a, t_b), gamma_b, gamma_a)
    factor = (gamma_a + 1) * (gamma_b + 1) / (gamma_a + gamma_b + 1)
    product: Numbers = factor * (earlier / later) ** of_later / later
    return product


def fit_profile(snapshots: Sequence[Snapshot], width: float) -> tuple[Numbers, float]:
    """The weights of the snapshots whose sum comes closest to the average of a relative width.

    The average is that at the time of the newest snapshot. Beside the weights, which sum to 1: the
    error of the profile, its L2 norm as a share of that of the profile that is wanted.
    """
    t = np.array([snapshot.images for snapshot in snapshots], dtype=np.float64)
    t /= t.max()
    gamma = np.array([gamma_of_width(snapshot.width) for snapshot in snapshots])
    wanted = gamma_of_width(width)
    A = inner_product(t[:, None], gamma[:, None], t, gamma)
    b = inner_product(t, gamma, 1.0, wanted)
    c = inner_product(1.0, wanted, 1.0, wanted)
    # The paper's A x = b, with a Lagrange multiplier: of few snapshots, the sum of x would be some
    # percent off 1, and the network's weights too large or too small by as much.
    count = len(snapshots)
    system = np.ones((count + 1, count + 1))
    system[:count, :count], system[count, count] = A, 0
    x = np.linalg.lstsq(system, np.append(b, 1.0), rcond=None)[0][:count]
    error = np.sqrt(max(0.0, float(c - 2 * x @ b + x @ A @ x)) / c)
    return x, float(error)


class PostHocEMA:
    """Power-function averages of what is trained of a network, in float32, one for each width."""

    def __init__(self, network: MCLD, widths: Sequence[float]) -> None:
        self._trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self._averages = {
            width: {name: p.detach().clone() for name, p in self._trained.items()}
            for width in widths
        }

    @torch.no_grad()
    def step(self, images: int, batch: int) -> None:
        """Follow the weights, after a step on `batch` pictures with which `images` were seen."""
        for width, average in self._averages.items():
            follow = 1 - decay(gamma_of_width(width), images, batch)
            for name, parameter in self._trained.items():
                average[name].lerp_(parameter, follow)

    def state_dict(self) -> dict[float, dict[str, Tensor]]:
        """Width -> the averages by the names of the parameters."""
        return self._averages

    @torch.no_grad()
    def load_state_dict(self, saved: dict[float, dict[str, Tensor]]) -> None:
        """Go on from the whole tensors that were saved. Raises KeyError where one is missing."""
        for width, average in self._averages.items():
            for name, tensor in average.items():
                tensor.copy_(place_like(saved[width][name], tensor))

    def save_snapshots(self, output: Path, images: int, *, main: bool) -> None:
        """Write the averages in 16 bits, one file for each width.

        All processes call this together, since each may hold a share; the main one writes.

        Raises MCLDError when they cannot be written or the disk is full.
        """
        for width, average in self._averages.items():
            halves: dict[str, Tensor] = {}
            for name, tensor in average.items():  # one by one: a GPU may have no room for all
                half = gather_whole(tensor.half(), keep=main)
                if main:
                    halves[name] = half.cpu()
            if main:
                write_tensors(name_snapshot(output, images, width), halves)
