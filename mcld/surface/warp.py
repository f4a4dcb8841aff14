"""Texture maps warped onto the body of an IUV map, and what photos do not show, guessed."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.surface.charts import (
    find_texels,
    smpl_inner,
    smpl_labels,
    smpl_mirror,
    smpl_rings,
)
from mcld.surface.limb_charts import GRID
from mcld.surface.parts import CHAINS, FEET, HANDS, HEAD


def warp_texture(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture map warped onto the body of an IUV map: uint8 [H, W, 3] RGB.

    iuv: uint8 [H, W, 3] (I, U, V); texture: uint8 [512, 512, 3] RGB, 0 where it has a hole. The
    picture is 0 there, too, and around the body.
    """
    colours = texture.reshape(-1, 3)[find_texels(iuv)]
    return np.asarray(np.where(iuv[..., :1] > 0, colours, 0), np.uint8)


_DARKENED = 15
"""Levels by which a border must be darker than what is inside to be taken for darkened."""
_SPREAD = 1.0
"""Standard deviation, in rings, of the blur over the colours of rings."""
_FEWEST = 3.0
"""Texels of a ring and its neighbours that must be seen to tell its colour."""


def complete_texture(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture map, uint8 [512, 512, 3] RGB, with what it does not show guessed.

    Where a chart's border is darker than its inside, the inside stands for it: inpainting mixes
    black into it. Of head, hands and feet the other side stands for a hole: people are nearly
    symmetric. Of trunk, legs and arms the mean of what is seen of the ring around them, front and
    back, left and right: sleeves and trousers go around; and where nothing of a ring is seen, the
    nearest ring's. What nothing tells of stays black.
    """
    completed = _mend_borders(texture)
    hole = ~completed.any(axis=-1)
    mirrored = hole & np.isin(smpl_labels(), (*HEAD, *HANDS, *FEET))
    completed[mirrored] = completed.reshape(-1, 3)[smpl_mirror()[mirrored]]
    rings = smpl_rings()
    around = hole & (rings >= 0)
    completed[around] = _find_ring_colours(completed, ~hole & (rings >= 0))[rings[around]]
    return completed


def _mend_borders(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy without the black that inpainting mixes into borders; holes stay 0."""
    inside = texture.reshape(-1, 3)[smpl_inner()]
    lighter = texture.sum(-1, dtype=int) + 3 * _DARKENED < inside.sum(-1, dtype=int)
    return np.where((lighter & texture.any(axis=-1))[..., None], inside, texture)


def _find_ring_colours(texture: NDArray[np.uint8], seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The colour of every ring, uint8 [R, 3]; black where nothing is seen of a whole chain."""
    rings = smpl_rings()[seen]
    total = GRID * sum(len(chain) for chain in CHAINS)
    colours = np.zeros((total, 3), np.uint8)
    sums = np.zeros((total, 4), np.float32)
    for channel in range(3):
        sums[:, channel] = np.bincount(rings, texture[seen][:, channel], total)
    sums[:, 3] = np.bincount(rings, minlength=total)
    start = 0
    for chain in CHAINS:
        part = slice(start, start := start + GRID * len(chain))
        near = cv2.GaussianBlur(sums[part], (1, 9), 0, sigmaY=_SPREAD)
        told = np.flatnonzero(near[:, 3] * _SPREAD * np.sqrt(2 * np.pi) > _FEWEST)
        if len(told):
            nearest = np.abs(np.arange(len(near))[:, None] - told).argmin(axis=1)
            means = near[told, :3] / near[told, 3:]
            colours[part] = np.clip(np.rint(means), 1, 255).astype(np.uint8)[nearest]
    return colours
