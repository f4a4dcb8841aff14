"""The Fréchet distance of generated pictures to all training pictures (Heusel et al., 2017)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import inception_v3
from torchvision.models.inception import BasicConv2d

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import READING
from mcld.dataset.results import RESULT_SIZES
from mcld.evaluate.networks import check_finite, load_torchvision, without_tf32
from mcld.machine.files import hash_file, write_whole

FEATURES = 2048


class Inception(nn.Module):
    """The 2048 pooled features of torchvision's Inception v3, as pose-transfer papers take them.

    That is the network of IMAGENET1K_V1, not the TensorFlow port that pytorch-fid uses, and its
    input is scaled as if it had been normalised for ImageNet, which it has not.

    weights: torchvision's file. Raises WeightsError when it is damaged or of another network.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.file, self.sha256 = weights, hash_file(weights)
        with torch.device("meta"):  # where no random weights are drawn
            self.network = inception_v3(weights=None, transform_input=True, init_weights=False)
        load_torchvision(self.network, weights)
        # On a CPU with the normalisations in the convolutions' weights, and channels last, it takes
        # two thirds of the time; features differ by a few ten-millionths.
        for layer in self.network.modules():
            if isinstance(layer, BasicConv2d):
                layer.conv = fuse_conv_bn_eval(layer.eval().conv, layer.bn)
                layer.bn = nn.Identity()
        self.network.to(memory_format=torch.channels_last)
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
        with without_tf32():
            features: Tensor = self.network(resized)
        check_finite(features, self.file)
        return features


@dataclass(frozen=True)
class TrainingPictures:
    """The training pictures of a dataset that are on the disk."""

    dataset: Path
    listed: int
    """How many the dataset's list names."""
    stamps: list[tuple[str, int, int]]
    """Name, bytes and time of last change, in ns, of those on the disk."""
    split: str = "train"

    @classmethod
    def find(cls, dataset: Path, split: str = "train") -> Self:
        """Look for them. Raises InputError when the dataset has no list of them."""
        layout = DatasetLayout(dataset)
        names = list(dict.fromkeys(layout.names(split)))
        stamps = []
        for name in names:
            try:
                status = layout.image(split, Path(name).stem).stat()
            except OSError:
                continue
            stamps.append((name, status.st_size, status.st_mtime_ns))
        return cls(dataset, len(names), stamps, split)

    def files(self) -> list[Path]:
        """Those on the disk, in the order of the list."""
        layout = DatasetLayout(self.dataset)
        return [layout.image(self.split, Path(name).stem) for name, _, _ in self.stamps]

    def list_names(self) -> list[str]:
        """Under which features of theirs are kept, in that order."""
        return [f"{size}:{changed} {name}" for name, size, changed in self.stamps]

    def cache_file(self, folder: str, weights: str, features: str = "inception") -> Path:
        """The file of their FeatureSums; folder: 256 or 512; weights: the network's sha256.

        features: the network's name; of Inception the file is called after FID.
        """
        content = json.dumps([READING, weights, RESULT_SIZES[folder], self.stamps])
        key = hashlib.sha256(content.encode()).hexdigest()[:16]
        kind = "fid" if features == "inception" else f"sums-{features}"
        return self.dataset / "cache" / f"{kind}-{folder}-{key}.npz"


@dataclass
class FeatureSums:
    """Sums over the features of pictures, from which their mean and covariance follow."""

    total: Tensor
    """float64 [D], the sum of the features."""
    products: Tensor
    """float64 [D, D], the sum of the features' outer products."""
    count: int = 0
    """Pictures."""
    enlarged: int = 0
    """Of `count`, those that were smaller than the size they are compared at."""

    @classmethod
    def zeros(cls, features: int, device: torch.device) -> Self:
        """Of no picture; features: D."""
        total = torch.zeros(features, dtype=torch.float64, device=device)
        return cls(total, torch.outer(total, total))

    def add(self, features: Tensor, enlarged: int = 0) -> None:
        """Add the features [B, D] of more pictures, `enlarged` of which were."""
        features = features.double()
        self.total += features.sum(dim=0)
        self.products += features.T @ features
        self.count += len(features)
        self.enlarged += enlarged

    def reduce(self, state: PartialState) -> Self:
        """The sums of all processes, which call this together."""
        if state.num_processes == 1:
            return self
        counts = torch.tensor([self.count, self.enlarged])
        # GPUs can only add up what lies on them, wherever the features were computed.
        total, products, counts = (
            reduce(share.to(state.device), "sum") for share in (self.total, self.products, counts)
        )
        count, enlarged = counts.tolist()
        return type(self)(total, products, count, enlarged)

    def compute_moments(self) -> tuple[Tensor, Tensor]:
        """The features' mean [D] and sample covariance [D, D]; of at least two pictures."""
        mean = self.total / self.count
        centred = torch.addr(self.products, mean, mean, alpha=-float(self.count))
        return mean, centred.div_(self.count - 1)

    @classmethod
    def read(cls, path: Path, count: int, width: int = FEATURES) -> Self | None:
        """The sums over `count` pictures in a file, on the CPU; None if it is absent or damaged.

        width: features of a picture.
        """
        try:
            with np.load(path) as file:
                total, products = (torch.from_numpy(file[name]) for name in ("total", "products"))
                sums = cls(total, products, int(file["count"]), int(file["enlarged"]))
        except Exception:  # noqa: BLE001 - a flipped bit raises almost anything; it is made anew
            return None
        valid = total.shape == (width,) and products.shape == (width, width)
        valid = valid and total.dtype == products.dtype == torch.float64 and sums.count == count
        return sums if valid and (total.isfinite().all() and products.isfinite().all()) else None

    def write(self, path: Path) -> None:
        """Write them to a file. Raises MCLDError when it cannot be written."""
        with write_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                total=self.total.cpu().numpy(),
                products=self.products.cpu().numpy(),
                count=self.count,
                enlarged=self.enlarged,
            )


def frechet_distance(
    first: FeatureSums, second: FeatureSums, rows: NDArray[np.float32] | None = None
) -> float:
    """The Fréchet distance of two sets of at least two pictures, computed where `second` is.

    |m1 - m2|^2 + tr(C1 + C2 - 2 sqrt(C1 C2)). With C2 = A A^T the root's trace is the sum of the
    roots of the eigenvalues of A^T C1 A, which is symmetric.

    rows: the features of `second`, [N, D], which are A but for their mean: of fewer pictures than
    features, A^T C1 A is small, and C2 need not be taken apart.
    """
    (m1, c1), (m2, c2) = first.compute_moments(), second.compute_moments()
    m1, c1 = m1.to(m2.device), c1.to(m2.device)
    if rows is not None and len(rows) < len(m2):
        centred = torch.from_numpy(np.asarray(rows)).to(m2.device).double() - m2
        half = centred.T / (len(rows) - 1) ** 0.5
    else:
        variances, axes = torch.linalg.eigh(c2)
        kept = variances > variances.max() * torch.finfo(variances.dtype).eps * len(variances)
        half = axes[:, kept] * variances[kept].sqrt()
    roots = torch.linalg.eigvalsh(half.T @ c1 @ half).clamp(min=0).sqrt()
    return float((m1 - m2).square().sum() + c1.trace() + c2.trace() - 2 * roots.sum())
