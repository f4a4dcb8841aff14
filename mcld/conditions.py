"""What one batch is conditioned on: the currency of the house."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

FOCAL_CONDITIONS = ["source", "texture", "face"]
"""The conditions that ablations leave out."""


@dataclass(frozen=True)
class FocalConditions:
    """The focal conditions of B people and the poses to show them in (paper, section 3.2).

    All are floating-point tensors with the batch first. D is the UNets' cross-attention width,
    C the number of latent channels, h x w the size of the latents, H x W that of the picture.
    """

    source: Tensor
    """[B, 1, D] image-encoder embedding of the source photo."""
    texture: Tensor
    """[B, 1, D] image-encoder embedding of the texture map."""
    reference_latents: Tensor
    """[B, C, h, w] scaled VAE latents of what ReferenceNet sees: the texture map (paper)."""
    face: Tensor
    """[B, 512] face embedding; zeros where no face was found."""
    pose: Tensor
    """[B, 3, H, W] target IUV map in the channel order of its file, (V, U, I) / 255, in 0..1."""
    warped: Tensor | None = None
    """[B, 3, H, W] the texture map warped onto the pose, RGB / 255, 0 where nothing is seen; None
    for a network whose pose guider looks at the pose alone. It goes where `texture` goes."""
    fine_pose: Tensor | None = None
    """[B, 3, sH, sW] as `pose`, at the size that a refiner enlarges pictures to, s times; None
    without a refiner."""
    fine_warped: Tensor | None = None
    """[B, 4, sH, sW] the photo's pixels warped onto `fine_pose` (`mcld.surface.atlas`), RGB / 255,
    and 1 where they are seen rather than guessed; 0 where nothing is known. None without one."""

    def __getitem__(self, rows: slice) -> FocalConditions:
        """The conditions of some of the people."""
        return self._map(lambda tensor: tensor[rows])

    @classmethod
    def cat(cls, conditions: list[FocalConditions]) -> FocalConditions:
        """Join the conditions of several groups of people into one batch."""
        parts = ([getattr(c, f.name) for c in conditions] for f in fields(cls))
        joined: list[Any] = [None if part[0] is None else torch.cat(part) for part in parts]
        return cls(*joined)

    def keep(self, names: Sequence[str]) -> FocalConditions:
        """The same with zeros for each of source, texture and face that is not in `names`.

        Without the texture nothing of it is warped onto the pose either.
        """
        left_out = set(FOCAL_CONDITIONS).difference(names)
        kept = replace(self, **{name: torch.zeros_like(getattr(self, name)) for name in left_out})
        return kept if "texture" in names else kept.drop_warped(len(self.pose))

    def drop_warped(self, count: int) -> FocalConditions:
        """The same with nothing warped onto the first `count` poses."""
        dropped = {}
        for name in ("warped", "fine_warped"):
            warped = getattr(self, name)
            if warped is not None and count:
                nothing = torch.zeros_like(warped[:count])
                dropped[name] = torch.cat([nothing, warped[count:]])
        return replace(self, **dropped)

    def to(self, *args: Any) -> FocalConditions:
        """The same conditions on another device or in another dtype, as `Tensor.to` reads it."""
        return self._map(lambda tensor: tensor.to(*args))

    def _map(self, change: Callable[[Tensor], Any]) -> FocalConditions:
        tensors = (getattr(self, f.name) for f in fields(self))
        changed: list[Any] = [None if t is None else change(t) for t in tensors]
        return FocalConditions(*changed)


def scale_iuv(iuv: Tensor) -> Tensor:
    """An IUV map as networks read it.

    uint8 [B, 3, H, W] (I, U, V) -> float32 [B, 3, H, W], (V, U, I) / 255, on the same device.
    """
    return iuv.flip(1).float() / 255
