"""Texture maps warped onto the body of an IUV map, and what photos do not show, guessed."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.surface.charts import (
    CHART_SIZE,
    LIMB_GRID,
    TEXTURE_SIZE,
    find_texels,
    smpl_gather,
    smpl_inner,
    smpl_labels,
    smpl_mirror,
    smpl_rings,
)
from mcld.surface.parts import CHAINS, FEET, HANDS, HEAD, LEFT_HEAD, LEGS


def warp_texture(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture map warped onto the body of an IUV map: uint8 [H, W, C].

    iuv: uint8 [H, W, 3] (I, U, V); texture: uint8 [512, 512, C], usually RGB, 0 where it has a
    hole. The picture is 0 there, too, and around the body.
    """
    colours = texture.reshape(-1, texture.shape[-1])[find_texels(iuv)]
    return np.asarray(np.where(iuv[..., :1] > 0, colours, 0), np.uint8)


def mark_shown(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture map of any size, uint8 RGB, as [512, 512, 4]: RGB, and 255 where it shows anything.

    It is (0, 0, 0) where it has a hole.
    """
    square = TEXTURE_SIZE, TEXTURE_SIZE
    if texture.shape[:2] != square:
        resized = Image.fromarray(texture).resize(square, Image.Resampling.NEAREST)
        texture = np.asarray(resized)
    return np.dstack([texture, texture.any(axis=-1).astype(np.uint8) * 255])


def mark_completed(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture map as `mark_shown` has it, with what it does not show guessed, but not marked."""
    marked = mark_shown(texture)
    return np.dstack([complete_texture(marked[..., :3]), marked[..., 3]])


_DARKENED = 15
"""Levels by which a border must be darker than what is inside to be taken for darkened."""
_SPREAD = 1.0
"""Standard deviation, in rings, of the blur over the colours of rings."""
_FEWEST = 3.0
"""Texels of a ring and its neighbours that must be seen to tell its colour."""
_NAPE, _CHEEKS, _FOREHEAD, _SIDE = 0.37, (0.45, 0.56), 0.72, 0.53
"""How high on the head, from the neck, its back begins, cheeks are, above any beard, and hair may
begin above the face; and how far from the middle of the face the back is. Shares of the charts."""
_UNLIKE_SKIN = 60.0
"""Levels by which hair differs from cheeks, in all channels together."""
_LOCK = 20
"""Texels of hair above the face that must be seen to tell its colour."""
_WELL_INSIDE = 5
"""Texels across that must all be seen around one: at outlines they have the colour of what is
behind."""


def complete_texture(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture map, uint8 [512, 512, 3] RGB, with what it does not show guessed.

    Where a chart's border is darker than its inside, the inside stands for it: inpainting mixes
    black into it. Of head, hands and feet the other side stands for a hole: people are nearly
    symmetric; and the back of a head is hair of the colour above the forehead. Of trunk, legs and
    arms the mean of what is seen of the ring around them, front and back, left and right: sleeves
    and trousers go around; and where nothing of a ring is seen, the nearest ring's, of legs and
    arms that are not seen at all the trunk's. What nothing tells of stays black.
    """
    completed = _mend_borders(texture)
    hole = ~completed.any(axis=-1)
    mirrored = hole & np.isin(smpl_labels(), (*HEAD, *HANDS, *FEET))
    completed[mirrored] = completed.reshape(-1, 3)[smpl_mirror()[mirrored]]
    _fill_hair(completed, np.asarray(~hole))
    rings = smpl_rings()
    around = hole & (rings >= 0)
    completed[around] = _find_ring_colours(completed, ~hole & (rings >= 0))[rings[around]]
    return completed


def _fill_hair(texture: NDArray[np.uint8], seen: NDArray[np.bool_]) -> None:
    """Fill the back of the head, in place, where face and hair above it are seen."""
    cheeks, crown, back = _find_hair()
    inside = cv2.erode(seen.astype(np.uint8), np.ones((_WELL_INSIDE,) * 2, np.uint8)) > 0
    if not (cheeks & inside).any():
        return
    skin = np.median(texture[cheeks & inside], axis=0)
    above = texture[crown & inside].astype(float)
    hair = above[np.linalg.norm(above - skin, axis=1) > _UNLIKE_SKIN]
    if len(hair) > _LOCK:
        unseen = back & ~texture.any(axis=-1)
        texture[unseen] = np.clip(np.median(hair, axis=0), 1, 255).astype(np.uint8)


@cache
def _find_hair() -> tuple[NDArray[np.bool_], ...]:
    """Where cheeks, forehead and crown, and the back of the head lie: bool [512, 512] each.

    On the charts of the head U runs from the middle of the face to that of the back, or back, and V
    from the neck to the top.
    """
    row, column = np.divmod(smpl_gather() % CHART_SIZE**2, CHART_SIZE)
    labels, last = smpl_labels(), CHART_SIZE - 1
    away = np.where(labels == LEFT_HEAD, column, last - column) / last
    height = 1 - row / last
    head = np.isin(labels, HEAD)
    cheeks = head & (height > _CHEEKS[0]) & (height < _CHEEKS[1]) & (away < _SIDE / 2)
    crown = head & (height > _FOREHEAD) & (away < _SIDE)
    return cheeks, crown, head & (height > _NAPE) & (away > _SIDE)


def _mend_borders(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy without the black that inpainting mixes into borders; holes stay 0."""
    inside = texture.reshape(-1, 3)[smpl_inner()]
    lighter = texture.sum(-1, dtype=int) + 3 * _DARKENED < inside.sum(-1, dtype=int)
    return np.where((lighter & texture.any(axis=-1))[..., None], inside, texture)


def _find_ring_colours(texture: NDArray[np.uint8], seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The colour of every ring, uint8 [R, 3]; black where nothing is seen of a whole chain."""
    rings = smpl_rings()[seen]
    total = LIMB_GRID * sum(len(chain) for chain in CHAINS)
    colours = np.zeros((total, 3), np.uint8)
    sums = np.zeros((total, 4), np.float32)
    for channel in range(3):
        sums[:, channel] = np.bincount(rings, texture[seen][:, channel], total)
    sums[:, 3] = np.bincount(rings, minlength=total)
    start = 0
    for chain in CHAINS:
        part = slice(start, start := start + LIMB_GRID * len(chain))
        near = cv2.GaussianBlur(sums[part], (1, 9), 0, sigmaY=_SPREAD)
        told = np.flatnonzero(near[:, 3] * _SPREAD * np.sqrt(2 * np.pi) > _FEWEST)
        if len(told):
            nearest = np.abs(np.arange(len(near))[:, None] - told).argmin(axis=1)
            means = near[told, :3] / near[told, 3:]
            colours[part] = np.clip(np.rint(means), 1, 255).astype(np.uint8)[nearest]
        else:  # legs as the trunk's last ring, arms as its first
            colours[part] = colours[LIMB_GRID - 1 if LEGS[0] in chain[0] else 0]
    return colours
