"""Texture maps warped onto the body of an IUV map."""

import numpy as np
from numpy.typing import NDArray

from mcld.surface.charts import find_texels, smpl_inner, smpl_mirror
from mcld.surface.parts import HEAD


def warp_texture(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture map warped onto the body of an IUV map: uint8 [H, W, 3] RGB.

    iuv: uint8 [H, W, 3] (I, U, V); texture: uint8 [512, 512, 3] RGB, 0 where it has a hole. The
    picture is 0 there, too, and around the body.
    """
    colours = texture.reshape(-1, 3)[find_texels(iuv)]
    return np.asarray(np.where(iuv[..., :1] > 0, colours, 0), np.uint8)


_DARKENED = 15
"""Levels by which a border must be darker than what is inside to be taken for darkened."""


def warp_mended(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As `warp_texture`, without what a texture map's making leaves in it, and with a whole head.

    Where a chart's border is darker than its inside, the inside stands for it: inpainting mixes
    black into it. Where the head has a hole, its other side stands for it: faces are nearly
    symmetric.
    """
    colours = warp_texture(iuv, texture)
    pixels = texture.reshape(-1, 3)
    inside = pixels[smpl_inner().ravel()[find_texels(iuv)]]
    seen = colours.any(axis=-1)
    darkened = seen & (colours.sum(-1, dtype=int) + 3 * _DARKENED < inside.sum(-1, dtype=int))
    colours[darkened] = inside[darkened]
    unseen = np.isin(iuv[..., 0], HEAD) & ~seen
    colours[unseen] = pixels[smpl_mirror().ravel()[find_texels(iuv[unseen])]]
    return colours
