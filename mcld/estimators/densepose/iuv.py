"""The dense head's maps of one box, laid into the photo as an IUV map."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mcld.estimators.densepose.dense import MAPS

_ROWS = 64
"""Rows of a box that are enlarged at once: 77 maps of a large photo would not fit into memory."""


def make_iuv(maps: Tensor, box: list[float], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The IUV map of a photo, uint8 [H, W, 3] (I, U, V), of the person in one box.

    maps: [77, 112, 112], as `DenseHead` has them. box: (left, top, right, bottom) in pixels of the
    photo. shape: (H, W, ...) of the photo.

    The maps are enlarged to the box before the most probable label is taken of each pixel.
    """
    width, height = max(int(box[2] - box[0]), 1), max(int(box[3] - box[1]), 1)
    chart = torch.empty(height, width, 3, dtype=torch.uint8, device=maps.device)
    side = maps.shape[-2]
    wide = interpolate(maps[None], (side, width), mode="bilinear", align_corners=False)[0]
    places = ((torch.arange(height, device=maps.device) + 0.5) * (side / height) - 0.5).clamp(0)
    upper = places.long()
    lower, share = (upper + 1).clamp(max=side - 1), (places - upper)[:, None]
    for start in range(0, height, _ROWS):
        rows = slice(start, start + _ROWS)
        chart[rows] = _read_rows(wide, upper[rows], lower[rows], share[rows])
    return lay_chart(chart.cpu().numpy(), box, shape)


def _read_rows(wide: Tensor, upper: Tensor, lower: Tensor, share: Tensor) -> Tensor:
    """Some rows of the chart, uint8 [h, w, 3], each between two of the maps [77, 112, w]."""
    coarse, fine, *uv = torch.split(wide, list(MAPS.values()))
    body, label = (
        torch.lerp(logits[:, upper], logits[:, lower], share).max(0).indices
        for logits in (coarse, fine)
    )
    label = label * body
    column = torch.arange(wide.shape[-1], device=wide.device)
    values = [
        torch.lerp(maps[label, upper[:, None], column], maps[label, lower[:, None], column], share)
        for maps in uv
    ]
    levels = torch.stack(values, -1).clamp(0, 1) * 255
    return torch.cat([label[..., None], levels], -1).to(torch.uint8)


def lay_chart(
    chart: NDArray[np.uint8], box: list[float], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Lay a box's chart, uint8 [h, w, 3] (I, U, V), into an empty IUV map of the photo's size.

    box: (left, top, right, bottom) in pixels, of which whole pixels are taken. shape: (H, W, ...)
    of the photo. What lies beyond it is cut off; U and V are 0 where the label is.
    """
    iuv = np.zeros((*shape[:2], 3), np.uint8)
    left, top = max(int(box[0]), 0), max(int(box[1]), 0)
    target = iuv[top : top + chart.shape[0], left : left + chart.shape[1]]
    target[:] = chart[: target.shape[0], : target.shape[1]]
    target[target[..., 0] == 0] = 0
    return iuv
