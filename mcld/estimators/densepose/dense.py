"""The dense head: of one box, which part of the body each place shows, and where on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.ops import Conv2dNormActivation, roi_align

from mcld.estimators.densepose.backbone import CHANNELS, STRIDES
from mcld.surface.parts import PARTS

POOLED = 28
WIDTH = 512
LAYERS = 8
NORM_GROUPS = 32
DILATIONS = (6, 12, 56)
MAPS = {"ann_index": 2, "index_uv": PARTS + 1, "u": PARTS + 1, "v": PARTS + 1}
"""Channels of the head's answer: background or body; which label, 0 is the background; U and V of
each label."""


class Decoder(nn.Module):
    """One map at stride 4 of the pyramid's p2 to p5: each brought to that stride, summed."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_make_level(k) for k in range(4))
        self.predictor = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """maps: p2 to p5, each [N, 256, h, w]. Returns [N, 256, h, w] of p2's size."""
        brought = [level(x) for level, x in zip(self.levels, maps, strict=True)]
        out: Tensor = self.predictor(brought[0] + brought[1] + brought[2] + brought[3])
        return out


def _make_level(doublings: int) -> nn.Sequential:
    """A convolution for each time that the map is doubled, and at least one."""
    layers: list[nn.Module] = []
    for _ in range(max(doublings, 1)):
        layers.append(Conv2dNormActivation(CHANNELS, CHANNELS, 3, norm_layer=None))
        if doublings:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling, as in DeepLab v3, with group norms."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                _make_convolution(CHANNELS, CHANNELS, 1),
                *(_make_convolution(CHANNELS, CHANNELS, 3, rate) for rate in DILATIONS),
                nn.Sequential(nn.AdaptiveAvgPool2d(1), *_make_convolution(CHANNELS, CHANNELS, 1)),
            ]
        )
        self.project = nn.Conv2d(len(self.branches) * CHANNELS, CHANNELS, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 256, h, w] to the same."""
        branches = [branch(x) for branch in self.branches]
        branches[-1] = branches[-1].expand_as(branches[0])
        return nn.functional.relu(self.project(torch.cat(branches, 1)))


def _make_convolution(inputs: int, outputs: int, size: int, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(
        inputs, outputs, size, padding=size // 2 * dilation, dilation=dilation, bias=False
    )
    return nn.Sequential(convolution, nn.GroupNorm(NORM_GROUPS, outputs), nn.ReLU())


class DenseHead(nn.Module):
    """DensePose's DeepLab head."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = Decoder()
        self.aspp = ASPP()
        self.layers = nn.Sequential(
            _make_convolution(CHANNELS, WIDTH, 3),
            *(_make_convolution(WIDTH, WIDTH, 3) for _ in range(LAYERS - 1)),
        )
        self.predictors = nn.ModuleDict(
            {name: nn.ConvTranspose2d(WIDTH, n, 4, 2, 1) for name, n in MAPS.items()}
        )

    def pool(self, decoded: Tensor, rois: Tensor) -> Tensor:
        """Features [R, 256, 28, 28] of boxes.

        decoded: of the decoder, [N, 256, h, w]. rois: [R, 5], each the number of its picture and
        (left, top, right, bottom) in pixels of the resized picture.
        """
        pooled: Tensor = roi_align(
            decoded.float(), rois, POOLED, spatial_scale=1 / STRIDES[0], sampling_ratio=2
        )
        return pooled

    def forward(self, pooled: Tensor) -> Tensor:
        """Maps [R, 77, 112, 112] of pooled features.

        Channels as in `MAPS`; the first 27 are logits, U and V are about 0..1.
        """
        hidden = self.layers(self.aspp(pooled))
        low = torch.cat([predict(hidden) for predict in self.predictors.values()], 1)
        return interpolate(low.float(), scale_factor=2, mode="bilinear", align_corners=False)
