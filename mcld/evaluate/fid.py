"""The Fréchet distance of generated pictures to all training pictures (Heusel et al., 2017)."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce as reduced
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.image.fid import FrechetInceptionDistance
from torchvision.models import inception_v3

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.results import RESULT_SIZES
from mcld.evaluate.networks import check_finite, exactly, load_torchvision
from mcld.machine.files import sha256_of, written_whole
from mcld.machine.processes import run_on_main

FEATURES = 2048
FEWEST = 2
"""Pictures that a Fréchet distance needs, of both kinds."""


class Inception(nn.Module):
    """The 2048 pooled features of torchvision's Inception v3, as pose-transfer papers take them.

    That is the network of IMAGENET1K_V1, not the TensorFlow port that pytorch-fid uses, and its
    input is scaled as if it had been normalised for ImageNet, which it has not.

    weights: torchvision's file. Raises WeightsError when it is damaged or of another network.
    """

    num_features = FEATURES

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.file, self.sha256 = weights, sha256_of(weights)
        with warnings.catch_warnings():  # of how long it takes to draw random weights
            warnings.simplefilter("ignore")
            self.network = inception_v3(weights=None, transform_input=True, init_weights=False)
        load_torchvision(self.network, weights)
        self.network.fc = nn.Identity()
        self.network.AuxLogits = None
        self.eval()

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..1, on any device -> [B, 2048].

        Raises WeightsError when a feature is not finite.
        """
        pictures = pictures.to(next(self.parameters()).device)
        resized = functional.interpolate(pictures, (299, 299), mode="bilinear", align_corners=False)
        with exactly():
            features: Tensor = self.network(resized)
        check_finite(features, self.file)
        return features


@dataclass(frozen=True)
class Training:
    """The training pictures of a dataset, as they lie on the disk."""

    dataset: Path
    listed: int
    """How many the dataset's list names."""
    stamps: list[tuple[str, int, int]]
    """Name, bytes and time of last change, in ns, of those that are there."""

    @classmethod
    def of(cls, dataset: Path) -> Self:
        """Look for them. Raises InputError when the dataset has no list of them."""
        layout = DatasetLayout(dataset)
        names = list(dict.fromkeys(layout.names("train")))
        stamps = []
        for name in names:
            try:
                there = layout.image("train", Path(name).stem).stat()
            except OSError:
                continue
            stamps.append((name, there.st_size, there.st_mtime_ns))
        return cls(dataset, len(names), stamps)

    def files(self) -> list[Path]:
        """Those that are there, in the order of the list."""
        layout = DatasetLayout(self.dataset)
        return [layout.image("train", Path(name).stem) for name, _, _ in self.stamps]

    def cache_file(self, folder: str, weights: str) -> Path:
        """Where their statistics are kept; folder: 256 or 512; weights: the network's sha256."""
        what = json.dumps([weights, RESULT_SIZES[folder], self.stamps])
        key = hashlib.sha256(what.encode()).hexdigest()[:16]
        return self.dataset / "cache" / f"fid-{folder}-{key}.npz"


@dataclass(frozen=True)
class Statistics:
    """All that the distance needs of training pictures."""

    total: NDArray[np.float64]
    """[2048], the sum of their features."""
    products: NDArray[np.float64]
    """[2048, 2048], the sum of the products of their features."""
    count: int
    enlarged: int
    """Of `count`, those that were smaller than they are compared at."""

    @classmethod
    def read(cls, path: Path, count: int) -> Self | None:
        """What was kept of `count` pictures; None when that is missing or damaged."""
        try:
            with np.load(path) as file:
                total, products = file["total"], file["products"]
                found, enlarged = int(file["count"]), int(file["enlarged"])
        except Exception:  # noqa: BLE001 - a flipped bit raises almost anything; it is made anew
            return None
        right = total.shape == (FEATURES,) and products.shape == (FEATURES, FEATURES)
        right = right and total.dtype == products.dtype == np.float64 and found == count
        if not (right and np.isfinite(total).all() and np.isfinite(products).all()):
            return None
        return cls(total, products, found, enlarged)

    def write(self, path: Path) -> None:
        """Keep it. Raises MCLDError when it cannot be written."""
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                total=self.total,
                products=self.products,
                count=self.count,
                enlarged=self.enlarged,
            )


class FrechetDistance:
    """The distance between two sets of pictures, whose parts several processes may see.

    All processes call `training` and `value` together.
    """

    def __init__(self, inception: nn.Module, state: PartialState) -> None:
        self._state = state
        device = next((p.device for p in inception.parameters()), torch.device("cpu"))
        self._metric = FrechetInceptionDistance(inception, sync_on_compute=False).to(device)
        # It learns this from its first picture, which a process with an empty share never sees.
        self._metric.orig_dtype = torch.float32

    def add(self, pictures: Tensor, *, training: bool) -> None:
        """See generated or training pictures, float32 [B, 3, H, W] in 0..1."""
        self._metric.update(pictures, real=training)

    def training(self, enlarged: int) -> Statistics:
        """What all processes have seen of training pictures; enlarged: of this one."""
        total, products, count = self._all("real")
        return Statistics(
            total.numpy(),
            products.numpy(),
            int(count),
            int(self._added_up(torch.tensor(enlarged))),
        )

    def refer_to(self, known: Statistics) -> None:
        """Measure from these training pictures; it is the main process that needs them."""
        sums = (torch.from_numpy(known.total), torch.from_numpy(known.products))
        self._set("real", *sums, torch.tensor(known.count))

    def value(self) -> float:
        """The distance, told to all processes; to be asked for once."""
        self._set("fake", *self._all("fake"))
        return run_on_main(self._state, lambda: float(self._metric.compute()))

    def _all(self, kind: str) -> tuple[Tensor, Tensor, Tensor]:
        """Sum, sum of products and number of features in all processes, on the CPU."""
        total, products, count = (
            self._added_up(getattr(self._metric, f"{kind}_features_{what}"))
            for what in ("sum", "cov_sum", "num_samples")
        )
        return total, products, count

    def _set(self, kind: str, total: Tensor, products: Tensor, count: Tensor) -> None:
        device = self._metric.device
        for what, value in (("sum", total), ("cov_sum", products), ("num_samples", count)):
            setattr(self._metric, f"{kind}_features_{what}", value.to(device))

    def _added_up(self, share: Tensor) -> Tensor:
        if self._state.num_processes > 1:  # whose GPUs add up what lies on GPUs alone
            share = reduced(share.to(self._state.device), "sum")
        return share.cpu()
