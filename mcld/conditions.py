"""What one batch is conditioned on: the currency of the house."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

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
    """[B, 3, H, W] target IUV map in the channel order of its file, (V, U, I) / 255, in 0..1.

    For a textured pose guider, and decoder, [B, 6, H, W]: then the texture map warped onto it,
    (R, G, B) / 255.
    """

    def __getitem__(self, rows: slice) -> FocalConditions:
        """The conditions of some of the people."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def cat(cls, conditions: list[FocalConditions]) -> FocalConditions:
        """Join the conditions of several groups of people into one batch."""
        return cls(*(torch.cat([getattr(c, f.name) for c in conditions]) for f in fields(cls)))

    def keep(self, names: Sequence[str]) -> FocalConditions:
        """The same with zeros for each of source, texture and face that is not in `names`."""
        left_out = set(FOCAL_CONDITIONS).difference(names)
        return replace(self, **{name: torch.zeros_like(getattr(self, name)) for name in left_out})

    def to(self, *args: torch.device | torch.dtype | str) -> FocalConditions:
        """The same conditions on another device or in another dtype, as `Tensor.to` reads it."""
        return replace(self, **{f.name: getattr(self, f.name).to(*args) for f in fields(self)})
