"""LPIPS and DINOv2's similarity inside parts of the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcld.evaluate.measures.encoders import DINO_TEXT
from mcld.evaluate.metric import BatchMetric, Column, Numbers, Tools

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mcld.evaluate.pairs import Batch

REGIONS = ("head", "torso", "arms", "legs")
"""Arms with hands, legs with feet: together the whole body."""
_TEXT = (
    "head (DensePose's parts 23, 24), torso (1, 2), arms (3, 4, 15-22), legs (5-14) of the target's"
    " map, cut out of result and truth: what the map gives to another part or to none is grey (128)"
    " in both, the bounding box is made a square with grey and resized to 128x128"
)


class RegionDistance(BatchMetric):
    """LPIPS of each region."""

    name = "lpips_parts"
    columns = tuple(Column(f"lpips_{name}", f"LPIPS {name}", -1, 4) for name in REGIONS)
    text = f"LPIPS, version 0.1 on AlexNet; {_TEXT}"
    needs = ("target_iuv",)
    packages = ("lpips",)

    def load(self, tools: Tools) -> None:
        """Its backbone is torchvision's file. Raises MCLDError when that is missing."""
        from mcld.evaluate.networks import LPIPS, find_torchvision_file

        self.network = LPIPS(find_torchvision_file("alexnet", tools.settings)).to(tools.device)
        self.weights = {self.network.file.name: self.network.sha256}

    def measure(self, batch: Batch) -> list[Numbers]:
        """Of the regions that the target shows."""
        from mcld.evaluate.pairs import to_tensor

        rows: list[Numbers] = [{} for _ in batch.pairs]
        for region in REGIONS:
            where, generated, truth = _cut(region, batch)
            if where:
                pictures = (to_tensor(some, batch.device) for some in (generated, truth))
                distances = self.network(*pictures).tolist()
                for row, distance in zip(where, distances, strict=True):
                    rows[row][f"lpips_{region}"] = distance
        return rows


class RegionSimilarity(BatchMetric):
    """DINOv2's cosine of each region."""

    name = "dino_parts"
    columns = tuple(Column(f"dino_{name}", f"DINO {name}", 1, 4, share=True) for name in REGIONS)
    text = f"cosine to the truth of {DINO_TEXT}; {_TEXT}"
    needs = ("target_iuv",)
    packages = ("transformers",)

    def load(self, tools: Tools) -> None:
        """The Hub's files. Raises MCLDError when they are missing."""
        from mcld.evaluate.encoders import Dino, share_encoder

        self.network = share_encoder(Dino, tools.settings, tools.device)
        self.weights = {self.network.file.name: self.network.sha256}

    def measure(self, batch: Batch) -> list[Numbers]:
        """Of the regions that the target shows."""
        from torch.nn.functional import cosine_similarity

        rows: list[Numbers] = [{} for _ in batch.pairs]
        for region in REGIONS:
            where, generated, truth = _cut(region, batch)
            if where:
                cosines = cosine_similarity(self.network(generated), self.network(truth)).tolist()
                for row, cosine in zip(where, cosines, strict=True):
                    rows[row][f"dino_{region}"] = cosine
        return rows


def _cut(region: str, batch: Batch) -> tuple[list[int], list[NDArray[Any]], list[NDArray[Any]]]:
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
