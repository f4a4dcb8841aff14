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

    def load(self, tools: Tools) -> None:
        """Its backbone is torchvision's file. Raises MCLDError when that is missing."""
        from mcld.evaluate.networks import LPIPS, find_torchvision_file

        self.network = LPIPS(find_torchvision_file("alexnet", tools.settings)).to(tools.device)
        self.weights = {self.network.file.name: self.network.sha256}

    def measure(self, batch: Batch) -> list[Numbers]:
        """0 for equal pictures."""
        distances = self.network(batch.generated, batch.truth).tolist()
        return [{"lpips": distance} for distance in distances]
