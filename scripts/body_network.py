"""The network that says which part of the body each place shows, and where on its chart.

It sees no picture: only the landmarks, drawn as bones, and the silhouette. So it can learn from
rendered mannequins and be used on photos, which differ in all else.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcld.estimators.body.frame import INPUT_SIZE
from mcld.surface.parts import PARTS

BONES = (
    *((11, 13), (12, 14), (13, 15), (14, 16)),  # arms
    *((15, 19), (16, 20), (15, 17), (16, 18)),  # hands
    *((23, 25), (24, 26), (25, 27), (26, 28), (29, 31), (30, 32)),  # legs and feet
    *((11, 12), (23, 24), (11, 23), (12, 24)),  # trunk
    *((0, 7), (0, 8), (7, 8)),  # head
)
"""Pairs of BlazePose's landmarks."""
BONE_CHANNELS = 5
_WIDTHS = (48, 64, 96, 128)


class BodyTensors(NamedTuple):
    """`BodyInput` of N bodies, as tensors."""

    places: Tensor
    visibility: Tensor
    silhouette: Tensor
    inside: Tensor


def draw_bones(body: BodyTensors, size: int) -> Tensor:
    """Each bone as a soft line, and on it how far along and beside it a place is, its depth, and
    whether it is seen: [N, BONES * BONE_CHANNELS, size, size].
    """
    ends = torch.tensor(BONES, device=body.places.device)
    a, b = body.places[:, ends[:, 0]], body.places[:, ends[:, 1]]  # [N, bones, 3]
    seen = body.visibility[:, ends].amin(2)[..., None, None]
    known = (seen >= 0).to(a.dtype)
    axis = (torch.arange(size, device=a.device, dtype=a.dtype) + 0.5) / size
    x, y = axis[None, None, None, :], axis[None, None, :, None]
    ax, ay, az = (a[..., k, None, None] for k in range(3))
    dx, dy, dz = (b[..., k, None, None] - a[..., k, None, None] for k in range(3))
    length = (dx.square() + dy.square()).clamp(min=1e-6)
    along = ((x - ax) * dx + (y - ay) * dy) / length
    on = along.clamp(0, 1)
    beside = ((x - ax) * dy - (y - ay) * dx) / length.sqrt()
    distance = (x - ax - on * dx).square() + (y - ay - on * dy).square()
    width = measure_bodies(body)[:, None, None, None] * 0.25
    line = torch.exp(-distance / (2 * width.square())) * known
    depth = (az + on * dz) / (4 * width)
    drawn = torch.stack(
        [
            line,
            line * (along.clamp(-1, 2) - 0.5),
            line * (beside / width).clamp(-2, 2),
            line * depth.clamp(-2, 2),
            line * seen,
        ],
        2,
    )
    return drawn.flatten(1, 2)


def measure_bodies(body: BodyTensors) -> Tensor:
    """How large bodies are, [N], frame widths: the longest distance of shoulders and hips, or,
    where no two of them are known, the longest bone.
    """
    known = body.visibility >= 0
    pairs = torch.tensor([*itertools.combinations((11, 12, 23, 24), 2), *BONES])
    a, b = pairs.to(known.device).unbind(1)
    lengths = (body.places[:, a, :2] - body.places[:, b, :2]).norm(dim=2) * (
        known[:, a] & known[:, b]
    )
    trunk, bones = lengths[:, :6].amax(1), lengths[:, 6:].amax(1)
    return torch.where(trunk > 0, trunk, bones).clamp(min=0.02)


class _Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class BodyNetwork(nn.Module):
    """A U-Net over bones (at half size) and silhouette."""

    def __init__(self) -> None:
        super().__init__()
        first, *_ = _WIDTHS
        self.edge = _Block(2, 16)
        self.shape = _Block(16, 24, 2)
        self.merge = nn.Conv2d(len(BONES) * BONE_CHANNELS + 24, first, 1)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        for k, width in enumerate(_WIDTHS):
            before = _WIDTHS[max(k - 1, 0)]
            self.down.append(
                nn.Sequential(_Block(before, width, 1 if k == 0 else 2), _Block(width, width))
            )
        for below, width in zip(_WIDTHS[:0:-1], _WIDTHS[-2::-1], strict=True):
            self.up.append(nn.Sequential(_Block(below + width, width), _Block(width, width)))
        self.narrow = nn.Conv2d(first, 24, 1)
        self.last = _Block(24 + 16, 32)
        self.head = nn.Conv2d(32, 1 + PARTS * 3, 1)

    def forward(
        self, places: Tensor, visibility: Tensor, silhouette: Tensor, inside: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`BodyInput` of N bodies -> labels and uv of `BodyMaps`."""
        body = BodyTensors(places, visibility, silhouette, inside)
        fine = self.edge(torch.cat([body.silhouette, body.inside], 1) * 2 - 1)
        x = self.merge(torch.cat([draw_bones(body, INPUT_SIZE // 2), self.shape(fine)], 1))
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for block, level in zip(self.up, levels[-2::-1], strict=True):
            x = block(torch.cat([_enlarge(x), level], 1))
        maps = self.head(self.last(torch.cat([_enlarge(self.narrow(x)), fine], 1)))
        uv = maps[:, 1 + PARTS :].unflatten(1, (PARTS, 2))
        return maps[:, : 1 + PARTS], uv * 0.5 + 0.5


def _enlarge(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
