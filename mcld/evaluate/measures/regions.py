"""LPIPS and DINOv2's similarity inside parts of the body."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from mcld.evaluate.measures.encoders import DINO_TEXT, Encoded
from mcld.evaluate.metric import BatchMetric, Column, Numbers, Tools

if TYPE_CHECKING:
    from torch import Tensor

    from mcld.evaluate.pairs import Batch, Pixels

REGIONS = ("head", "torso", "arms", "legs")
"""Arms with hands, legs with feet: together the whole body."""
_TEXT = (
    "head (DensePose's parts 23, 24), torso (1, 2), arms (3, 4, 15-22), legs (5-14) of the target's"
    " map, cut out of result and truth: what the map gives to another part or to none is grey (128)"
    " in both, the bounding box is made a square with grey and resized to 128x128"
)


class _RegionMetric(BatchMetric):
    """Compares each region of the result with the truth's."""

    prefix: ClassVar[str]
    """How its columns begin."""
    needs = ("target_iuv",)

    def measure(self, batch: Batch) -> list[Numbers]:
        """Of the regions that the target shows."""
        rows: list[Numbers] = [{} for _ in batch.pairs]
        for region in REGIONS:
            where, generated, truth = _cut(region, batch)
            if where:
                numbers = self.compare(generated, truth, batch).tolist()
                for row, number in zip(where, numbers, strict=True):
                    rows[row][f"{self.prefix}_{region}"] = number
        return rows

    @abstractmethod
    def compare(self, generated: list[Pixels], truth: list[Pixels], batch: Batch) -> Tensor:
        """N regions, uint8 [128, 128, 3], and those of the truth -> [N]."""


class RegionDistance(_RegionMetric):
    """LPIPS of each region."""

    name = "lpips_parts"
    prefix = "lpips"
    columns = tuple(Column(f"lpips_{name}", f"LPIPS {name}", -1, 4) for name in REGIONS)
    text = f"LPIPS, version 0.1 on AlexNet; {_TEXT}"
    packages = ("lpips",)

    def load(self, tools: Tools) -> None:
        """Its backbone is torchvision's file. Raises MCLDError when that is missing."""
        from mcld.evaluate.networks import LPIPS, find_torchvision_file

        self.network = LPIPS(find_torchvision_file("alexnet", tools.settings)).to(tools.device)
        self.weights = {self.network.file.name: self.network.sha256}

    def compare(self, generated: list[Pixels], truth: list[Pixels], batch: Batch) -> Tensor:
        """Distances."""
        from mcld.evaluate.pairs import to_tensor

        pictures = (to_tensor(some, batch.device) for some in (generated, truth))
        distances: Tensor = self.network(*pictures)
        return distances


class RegionSimilarity(Encoded, _RegionMetric):
    """DINOv2's cosine of each region."""

    name, encoder = "dino_parts", "Dino"
    prefix = "dino"
    columns = tuple(Column(f"dino_{name}", f"DINO {name}", 1, 4, share=True) for name in REGIONS)
    text = f"cosine to the truth of {DINO_TEXT}; {_TEXT}"

    def compare(self, generated: list[Pixels], truth: list[Pixels], batch: Batch) -> Tensor:
        """Cosines."""
        from torch.nn.functional import cosine_similarity

        del batch
        return cosine_similarity(self.network(generated), self.network(truth))


def _cut(region: str, batch: Batch) -> tuple[list[int], list[Pixels], list[Pixels]]:
    """The rows of the pairs that show a region, and it in their results and truths."""
    from mcld.evaluate.regions import cut_region

    where, generated, truth = [], [], []
    for row, pair in enumerate(batch.pairs):
        cut = cut_region(region, pair.target_iuv, pair.generated, pair.truth)
        if cut is not None:
            where.append(row)
            generated.append(cut[0])
            truth.append(cut[1])
    return where, generated, truth
