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
    texels = find_texels(iuv)
    colours = _look_up_mended(texture, texels)
    unseen = np.isin(iuv[..., 0], HEAD) & ~colours.any(axis=-1)
    colours[unseen] = _look_up_mended(texture, smpl_mirror().ravel()[texels[unseen]])
    return np.asarray(np.where(iuv[..., :1] > 0, colours, 0), np.uint8)


def _look_up_mended(texture: NDArray[np.uint8], texels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The colours of pixels of the SMPL layout, uint8 [..., 3]; holes stay 0."""
    pixels = texture.reshape(-1, 3)
    colours, inside = pixels[texels], pixels[smpl_inner().ravel()[texels]]
    lighter = colours.sum(-1, dtype=int) + 3 * _DARKENED < inside.sum(-1, dtype=int)
    darkened = lighter & colours.any(axis=-1)
    colours[darkened] = inside[darkened]
    return colours
