"""Which proposals are people, and where exactly."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.ops import MultiScaleRoIAlign, clip_boxes_to_image, nms

from mcld.estimators.densepose.backbone import CHANNELS, STRIDES
from mcld.estimators.densepose.proposals import have_area

POOLED = 7
WIDTH = 1024
SCORE_THRESHOLD = 0.05
"""Probability that a box shows a person, up to which it is dropped."""
NMS_IOU = 0.5
"""Overlap of two boxes, above which the less probable is dropped."""
DETECTIONS = 100
"""People of a picture."""


class Detections(NamedTuple):
    """The people of one picture, the most probable first."""

    boxes: Tensor
    """float32 [P, 4], (left, top, right, bottom) in pixels of the resized picture."""
    scores: Tensor
    """float32 [P], probabilities."""


class BoxHead(nn.Module):
    """Two layers on each proposal's features: person or not, and the box's correction."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = MultiScaleRoIAlign(["0", "1", "2", "3"], POOLED, sampling_ratio=2)
        self.layers = TwoMLPHead(CHANNELS * POOLED**2, WIDTH)
        self.cls_score = nn.Linear(WIDTH, 2)  # person, background
        self.bbox_pred = nn.Linear(WIDTH, 4)
        self.coder = BoxCoder((10.0, 10.0, 5.0, 5.0))

    def pool_boxes(self, features: list[Tensor], boxes: list[Tensor]) -> Tensor:
        """Features [P, 256, 7, 7] of all pictures' boxes, each of the map that fits its size.

        features: p2 to p6, each [N, 256, h, w]. boxes: of each picture [P, 4].
        """
        height, width = features[0].shape[-2:]
        padded = STRIDES[0] * height, STRIDES[0] * width
        maps = {str(k): x.float() for k, x in enumerate(features[:4])}
        pooled: Tensor = self.pool(maps, boxes, [padded] * len(boxes))
        return pooled

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [P, 2] (person, background) and deltas [P, 4] of features [P, 256, 7, 7]."""
        hidden = self.layers(pooled)
        return self.cls_score(hidden), self.bbox_pred(hidden)

    def detect(
        self, logits: Tensor, deltas: Tensor, proposals: Tensor, size: tuple[int, int]
    ) -> Detections:
        """The people among one picture's proposals [P, 4]; size: as for the proposals."""
        scores = logits.float().softmax(1)[:, 0]
        boxes = clip_boxes_to_image(self.coder.decode_single(deltas.float(), proposals), size)
        usable = (scores > SCORE_THRESHOLD) & boxes.isfinite().all(1) & have_area(boxes)
        boxes, scores = boxes[usable], scores[usable]
        kept = nms(boxes, scores, NMS_IOU)[:DETECTIONS]
        return Detections(boxes[kept], scores[kept])


def scale_boxes(boxes: Tensor, resized: tuple[int, int], photo: tuple[int, int]) -> Tensor:
    """Boxes [P, 4] in pixels of the photo, clipped to it; sizes are (height, width)."""
    scale = [photo[1] / resized[1], photo[0] / resized[0]] * 2
    clipped: Tensor = clip_boxes_to_image(boxes * torch.tensor(scale, device=boxes.device), photo)
    return clipped
