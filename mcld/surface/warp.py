"""Texture maps warped onto the body of an IUV map."""

import numpy as np
from numpy.typing import NDArray

from mcld.surface.charts import find_texels, smpl_mirror
from mcld.surface.parts import HEAD


def warp_texture(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture map warped onto the body of an IUV map: uint8 [H, W, 3] RGB.

    iuv: uint8 [H, W, 3] (I, U, V); texture: uint8 [512, 512, 3] RGB, 0 where it has a hole. The
    picture is 0 there, too, and around the body.
    """
    colours = texture.reshape(-1, 3)[find_texels(iuv)]
    return np.asarray(np.where(iuv[..., :1] > 0, colours, 0), np.uint8)


def warp_with_mirrored_head(
    iuv: NDArray[np.uint8], texture: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """As `warp_texture`, with the side of the head that is seen in place of the other.

    Faces are nearly symmetric: what the photo shows of one side stands in where the other has a
    hole.
    """
    colours = warp_texture(iuv, texture)
    unseen = np.isin(iuv[..., 0], HEAD) & ~colours.any(axis=-1)
    mirrored = smpl_mirror().ravel()[find_texels(iuv[unseen])]
    colours[unseen] = texture.reshape(-1, 3)[mirrored]
    return colours
