"""From one person to another."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mcld.conditions import FocalConditions
from mcld.edit.texture import GROUPS, Texture, fill_group, trim_rims


def blend_textures(start: Texture, end: Texture, amounts: Sequence[float]) -> list[Texture]:
    """Texture maps on the way from one to another.

    The holes of each are filled first where it can be; where only one shows something, that is
    taken. At 0 it is `start` as it is.
    """
    a, b = (_fill_all(texture) for texture in (start, end))
    a_seen, b_seen = (texture.any(axis=-1, keepdims=True) for texture in (a, b))
    found: list[Texture] = []
    for amount in amounts:
        weight = amount * (a_seen & b_seen) + 1.0 * (b_seen & ~a_seen)
        mixed = (a + (b.astype(float) - a) * weight).round().astype(a.dtype)
        found.append(start if amount == 0 else mixed)
    return found


def _fill_all(texture: Texture) -> Texture:
    texture = trim_rims(texture)
    for group in GROUPS:
        texture = fill_group(texture, group)
    return texture


def blend_conditions(
    start: FocalConditions, end: FocalConditions, midway: FocalConditions, amount: float
) -> FocalConditions:
    """The conditions of one picture between two people, one row each.

    Embeddings (source, texture, face) move on the sphere; what ReferenceNet and the pose guider
    see comes from `midway`, the conditions of the texture map in between; all have one pose.
    """
    if amount == 0:
        return start
    return replace(
        midway,
        **{
            name: slerp(getattr(start, name), getattr(end, name), amount)
            for name in ("source", "texture", "face")
        },
    )


def slerp(start: Tensor, end: Tensor, amount: float) -> Tensor:
    """Between vectors, along the last dimension: directions on the sphere, norms on the line.

    Where one is zero, or the two point opposite ways, the straight line.
    """
    if start.device.type == "mps":  # Apple's GPUs have no float64
        return slerp(start.cpu(), end.cpu(), amount).to(start.device)
    a, b = start.double(), end.double()
    lengths = [x.norm(dim=-1, keepdim=True) for x in (a, b)]
    cosine = (a * b).sum(-1, keepdim=True) / (lengths[0] * lengths[1])
    angle = cosine.clamp(-1, 1).arccos()
    usual = (cosine.abs() < 1 - 1e-6).expand_as(a)  # false for NaN, too
    direction = ((1 - amount) * angle).sin() / angle.sin() * a / lengths[0] + (
        amount * angle
    ).sin() / angle.sin() * b / lengths[1]
    arc = direction * ((1 - amount) * lengths[0] + amount * lengths[1])
    return torch.where(usual, arc, a + (b - a) * amount).to(start.dtype)
