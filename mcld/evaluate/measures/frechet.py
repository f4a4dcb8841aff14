"""FID."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mcld.evaluate.measures.encoders import DINO_TEXT, DinoFeatures
from mcld.evaluate.metric import Column, Features, Numbers, SetMetric, Tools
from mcld.evaluate.protocol import Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from mcld.evaluate.features import FeatureSet
    from mcld.evaluate.pairs import Pictures


class InceptionFeatures(Features):
    """The 2048 pooled features of torchvision's Inception v3."""

    name = "inception"
    width = 2048

    def load(self, tools: Tools) -> None:
        """Torchvision's file. Raises MCLDError when it is missing."""
        import torch

        from mcld.evaluate.fid import Inception
        from mcld.evaluate.networks import find_torchvision_file

        # Apple's GPUs have no float64, in which features are added up.
        device = torch.device("cpu") if tools.device.type == "mps" else tools.device
        self.network = Inception(find_torchvision_file("inception", tools.settings)).to(device)
        self.weights = {self.network.file.name: self.network.sha256}

    def extract(self, pictures: Pictures) -> Tensor:
        """Of pictures of any size."""
        features: Tensor = self.network(pictures.tensor)
        return features


class FID(SetMetric):
    """The Fréchet distance of the features of two sets (Heusel et al., 2017)."""

    name = "fid"
    columns = (Column("fid", "FID", -1, 3, per_picture=False),)
    text = (
        "all {0} pictures of the dataset, made as the truth is, against the generated"
        " ones; 2048 pooled features of torchvision's Inception v3 (IMAGENET1K_V1), inputs"
        " bilinearly resized to 299x299 without antialiasing: as pose-transfer papers report it,"
        " not pytorch-fid"
    )
    features: ClassVar[type[Features]] = InceptionFeatures
    knobs = ("real",)
    full_rank = 2048
    """Pictures below which the covariance of the features cannot have full rank."""

    @classmethod
    def describe(cls, protocol: Protocol) -> str:
        """With which real pictures."""
        return cls.text.format(protocol.real_name)

    def compare(self, generated: FeatureSet, real: FeatureSet) -> Numbers:
        """Of the means and covariances."""
        from mcld.evaluate.fid import frechet_distance

        rows = generated.rows if generated.count < self.features.width else None
        return {self.name: frechet_distance(real.sums, generated.sums, rows)}

    @classmethod
    def list_notes(cls, generated: int, real: int, protocol: Protocol) -> list[str]:
        """Whether a covariance lacks rank."""
        if min(generated, real) >= cls.full_rank:
            return []
        note = (
            f"{cls.columns[0].title} is of {generated:,} generated and {real:,}"
            f" {protocol.real_name} pictures: with fewer than {cls.full_rank:,} of either, its"
            " covariance has not full rank, and it is no measure to cite"
        )
        return [note]


class FDDinov2(FID):
    """The Fréchet distance of DINOv2's class tokens (Stein et al., 2023)."""

    name = "fd_dinov2"
    columns = (Column("fd_dinov2", "FD-DINOv2", -1, 2, per_picture=False),)
    text = (
        "all {0} pictures of the dataset, made as the truth is, against the generated ones; "
        + DINO_TEXT
    )
    features = DinoFeatures
    full_rank = 1024
    packages = ("transformers",)
