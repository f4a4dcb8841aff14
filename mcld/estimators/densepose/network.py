"""The whole network, Generalized R-CNN of DensePose (arXiv 1802.00434), part by part."""

from __future__ import annotations

from torch import Tensor, nn

from mcld.estimators.densepose.backbone import STRIDES, make_backbone
from mcld.estimators.densepose.boxes import BoxHead, Detections
from mcld.estimators.densepose.dense import DenseHead
from mcld.estimators.densepose.precision import check_finite
from mcld.estimators.densepose.proposals import ProposalNetwork


class DensePoseRCNN(nn.Module):
    """R_101_FPN_DL_s1x. `weights.load_network` makes one of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = make_backbone()
        self.proposals = ProposalNetwork()
        self.box_head = BoxHead()
        self.dense_head = DenseHead()

    def extract_features(self, pixels: Tensor) -> list[Tensor]:
        """The pyramid p2 to p6 of pictures [N, 3, H, W], as `transform.normalise` makes them.

        [N, 256, h, w] each. Here and below FloatingPointError says that values were too large for
        the precision that is computed in.
        """
        features = list(self.backbone(pixels).values())
        check_finite(*features)
        return features

    def detect(self, features: list[Tensor], size: tuple[int, int]) -> list[Detections]:
        """The people of each picture. size: height and width without padding."""
        proposals = [boxes for boxes, _ in self.proposals(features, size)]
        logits, deltas = self.box_head(self.box_head.pool_boxes(features, proposals))
        check_finite(logits, deltas)
        counts = [len(boxes) for boxes in proposals]
        return [
            self.box_head.detect(*rows, size)
            for rows in zip(logits.split(counts), deltas.split(counts), proposals, strict=True)
        ]

    def describe_body(self, features: list[Tensor], rois: Tensor) -> Tensor:
        """Maps [R, 77, 112, 112] of boxes [R, 5], as `DenseHead` has them."""
        cropped, corner = _crop_around(features[:4], rois)
        decoded = self.dense_head.decoder(cropped)
        maps: Tensor = self.dense_head(self.dense_head.pool(decoded, rois - corner))
        check_finite(maps)
        return maps


HALO = 4
"""Cells of p5 around a box that its decoded features depend on: 112 pixels, at 32 a cell."""


def _crop_around(features: list[Tensor], rois: Tensor) -> tuple[list[Tensor], Tensor]:
    """What the decoder needs of p2 to p5 for some boxes [R, 5].

    And the corner that it begins at, [5] as the boxes are, in pixels.
    """
    coarsest = STRIDES[len(features) - 1]
    left, top = ((rois[:, 1:3].amin(0) / coarsest).floor() - HALO).clamp(min=0).int().tolist()
    right, bottom = ((rois[:, 3:5].amax(0) / coarsest).ceil() + HALO).int().tolist()
    cropped = []
    for x, stride in zip(features, STRIDES, strict=False):
        cells = coarsest // stride
        cropped.append(x[..., top * cells : bottom * cells, left * cells : right * cells])
    return cropped, coarsest * rois.new_tensor([0, left, top, left, top])
