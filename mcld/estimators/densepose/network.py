"""The whole network, Generalized R-CNN of DensePose (arXiv 1802.00434), part by part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from mcld.estimators.densepose.backbone import STRIDES, make_backbone
from mcld.estimators.densepose.boxes import BoxHead, Detections
from mcld.estimators.densepose.dense import DenseHead
from mcld.estimators.densepose.proposals import ProposalNetwork


class DensePoseRCNN(nn.Module):
    """R_101_FPN_DL_s1x. `weights.load_network` makes one of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = make_backbone()
        self.proposals = ProposalNetwork()
        self.box_head = BoxHead()
        self.dense_head = DenseHead()

    def extract_features(self, pixels: Tensor) -> dict[str, Tensor]:
        """The pyramid of pictures [N, 3, H, W], as `transform.normalise` makes them."""
        features: dict[str, Tensor] = self.backbone(pixels)
        return features

    def detect(self, features: dict[str, Tensor], size: tuple[int, int]) -> list[Detections]:
        """The people of each picture. size: height and width without padding."""
        maps = list(features.values())
        proposals = [boxes for boxes, _ in self.proposals(maps, size)]
        pooled = self.pool_boxes(features, proposals)
        logits, shifts = self.box_head(pooled)
        counts = [len(boxes) for boxes in proposals]
        return [
            self.box_head.detect(*rows, size)
            for rows in zip(logits.split(counts), shifts.split(counts), proposals, strict=True)
        ]

    def pool_boxes(self, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
        """Features [P, 256, 7, 7] of all pictures' boxes, each from the map that fits its size."""
        maps = {name: x.float() for name, x in features.items()}
        height, width = maps["0"].shape[-2:]
        padded = (4 * height, 4 * width)
        pooled: Tensor = self.box_head.pool(maps, boxes, [padded] * len(boxes))
        return pooled

    def describe_body(self, features: dict[str, Tensor], rois: Tensor) -> Tensor:
        """Maps [R, 77, 112, 112] of boxes [R, 5], as `DenseHead` has them."""
        levels = list(features.values())[:4]
        window, corner = _find_window(levels[-1], rois)
        decoded = self.dense_head.decoder(
            [level[window(scale)] for level, scale in zip(levels, (8, 4, 2, 1), strict=True)]
        )
        maps: Tensor = self.dense_head(self.dense_head.pool(decoded, rois - corner))
        return maps


HALO = 4
"""Cells of p5 around a box that its decoded features depend on: 112 pixels, at 32 a cell."""


def _find_window(coarsest: Tensor, rois: Tensor) -> tuple[Callable[[int], tuple[Any, ...]], Tensor]:
    """What part of the maps the boxes [R, 5] need, and its corner, [5], in pixels.

    coarsest: p5, [N, 256, h, w]. The first is a function of how many times finer a map is.
    """
    height, width = coarsest.shape[-2:]
    stride = STRIDES[3]
    left, top = ((rois[:, 1:3].amin(0) / stride).floor().long() - HALO).clamp(min=0).tolist()
    right, bottom = ((rois[:, 3:5].amax(0) / stride).ceil().long() + HALO).tolist()

    def cut(scale: int) -> tuple[Any, ...]:
        rows = slice(top * scale, min(bottom, height) * scale)
        return ..., rows, slice(left * scale, min(right, width) * scale)

    corner = [0, left, top, left, top]
    return cut, rois.new_tensor(corner) * stride
