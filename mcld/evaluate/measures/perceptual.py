"""LPIPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcld.evaluate.metric import BatchMetric, Column, Numbers, Tools

if TYPE_CHECKING:
    from mcld.evaluate.pairs import Batch


class PerceptualDistance(BatchMetric):
    """Learned perceptual image patch similarity (Zhang et al., 2018)."""

    name = "lpips"
    columns = (Column("lpips", "LPIPS", -1, 4),)
    text = "version 0.1 on AlexNet, inputs in -1..1"
    packages = ("lpips",)
    backbone, net = "alexnet", "alex"
    """Names of the network for `mcld weights`, and for the package lpips."""

    def load(self, tools: Tools) -> None:
        """Its backbone is torchvision's file. Raises MCLDError when that is missing."""
        from mcld.evaluate.networks import LPIPS, find_torchvision_file

        file = find_torchvision_file(self.backbone, tools.settings)
        self.network = LPIPS(file, self.net).to(tools.device)
        self.weights = {self.network.file.name: self.network.sha256}

    def measure(self, batch: Batch) -> list[Numbers]:
        """0 for equal pictures."""
        distances = self.network(batch.generated, *batch.distinct_truths).tolist()
        return [{self.name: distance} for distance in distances]


class PerceptualDistanceVGG(PerceptualDistance):
    """The same on VGG16."""

    name = "lpips_vgg"
    columns = (Column("lpips_vgg", "LPIPS (VGG)", -1, 4),)
    text = "version 0.1 on VGG16, inputs in -1..1"
    backbone, net = "vgg16", "vgg"
