"""Where people may be: the region proposal network, shared by the five maps of the pyramid."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.detection import anchor_utils
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import batched_nms, clip_boxes_to_image

from mcld.estimators.densepose.backbone import CHANNELS, STRIDES
from mcld.estimators.densepose.precision import check_finite

ANCHOR_SCALE = 8
"""Side of a map's anchors, in its strides."""
RATIOS = (0.5, 1.0, 2.0)
"""Height of an anchor / its width."""
PROPOSALS = 1000
"""That are taken of each map, and kept of all."""
NMS_IOU = 0.7
"""Overlap of two proposals of a map, above which the one with the lower logit is dropped."""


class AnchorGenerator(anchor_utils.AnchorGenerator):  # type: ignore[misc]
    """torchvision's, whose anchors are not rounded to whole pixels."""

    def generate_anchors(
        self,
        scales: list[int],
        aspect_ratios: list[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """The anchors of one place, (left, top, right, bottom) around 0, float [R, 4]."""
        ratios = torch.as_tensor(aspect_ratios, dtype=dtype, device=device)
        sides = torch.as_tensor(scales, dtype=dtype, device=device)
        widths = (sides.square()[None] / ratios[:, None]).sqrt().flatten()
        heights = widths * ratios.repeat_interleave(len(sides))
        return torch.stack([-widths, -heights, widths, heights], 1) / 2


class ProposalNetwork(nn.Module):
    """Logits and deltas of every anchor, and the boxes that the best of them make."""

    def __init__(self) -> None:
        super().__init__()
        self.head = RPNHead(CHANNELS, len(RATIOS))
        self.anchors = AnchorGenerator(
            tuple((ANCHOR_SCALE * stride,) for stride in STRIDES), (RATIOS,) * len(STRIDES)
        )
        self.coder = BoxCoder((1.0, 1.0, 1.0, 1.0))

    def forward(self, maps: list[Tensor], size: tuple[int, int]) -> list[tuple[Tensor, Tensor]]:
        """For each picture its proposals, boxes [P, 4] and logits [P], the highest first.

        maps: p2 to p6, each [N, 256, h, w]. size: height and width of the pictures without padding,
        to which boxes (left, top, right, bottom) are clipped. P is at most 1000.

        Raises FloatingPointError for values too large for the precision: they would take the places
        of the best proposals, and somebody would be missed.
        """
        logits, deltas = self.head(maps)
        check_finite(*logits, *deltas)
        anchors = self._place_anchors(maps)
        return [
            self._choose([x[n] for x in logits], [x[n] for x in deltas], anchors, size)
            for n in range(len(maps[0]))
        ]

    def _place_anchors(self, maps: list[Tensor]) -> list[Tensor]:
        """Of each map, [h * w * 3, 4]: row by row, and at each place one of each ratio."""
        device = maps[0].device
        self.anchors.set_cell_anchors(torch.float32, device)
        strides = [[torch.tensor(stride, device=device)] * 2 for stride in STRIDES]
        anchors: list[Tensor] = self.anchors.grid_anchors([x.shape[-2:] for x in maps], strides)
        return anchors

    def _choose(
        self,
        logits: list[Tensor],
        deltas: list[Tensor],
        anchors: list[Tensor],
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """The proposals of one picture. logits: [3, h, w] of each map; deltas: [12, h, w]."""
        boxes, scores, levels = [], [], []
        for level, (logit, delta, anchor) in enumerate(zip(logits, deltas, anchors, strict=True)):
            flat = logit.permute(1, 2, 0).reshape(-1).float()
            best, index = flat.topk(min(PROPOSALS, len(flat)))
            delta = delta.permute(1, 2, 0).reshape(-1, 4)[index].float()
            boxes.append(self.coder.decode_single(delta, anchor[index]))
            scores.append(best)
            levels.append(torch.full_like(index, level))
        found, score, kind = torch.cat(boxes), torch.cat(scores), torch.cat(levels)
        clipped = clip_boxes_to_image(found, size)
        usable = found.isfinite().all(1) & score.isfinite() & have_area(clipped)
        clipped, score = clipped[usable], score[usable]
        kept = batched_nms(clipped, score, kind[usable], NMS_IOU)[:PROPOSALS]
        return clipped[kept], score[kept]


def have_area(boxes: Tensor) -> Tensor:
    """Which boxes [P, 4] have a width and a height, bool [P]."""
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
