"""What a photo shows of the body, on DensePose's charts as they are: closer than a texture map.

The SMPL layout of 512x512 gives each chart about a third of the atlas's pixels. Who needs a photo's
own pixels, such as a refiner, looks them up here; a texture map stands for what is not seen.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.surface.charts import CHART_SIZE, NOWHERE, locate_uv
from mcld.surface.parts import PARTS
from mcld.surface.warp import warp_texture

_WIDEST = 17
"""Gaps between the pixels of a photo that are filled, atlas pixels across, at most."""
_NEAR, _FAR, _RATIO = 2.0, 6.0, 1e-2
"""Standard deviations of the two blurs that fill them, and the weight of the wider one: it counts
where nothing is near."""
_AROUND = np.ones((_WIDEST, _WIDEST), np.uint8)


def lay_atlas(photo: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A photo laid onto the charts: uint8 [24, 200, 200, 4], RGB, and 255 where the photo shows it.

    photo: uint8 [H, W, 3] RGB; iuv: uint8 [H, W, 3] (I, U, V), as high and wide. Of several pixels
    that fall on one place, the mean; gaps between pixels of a small photo are blended from around
    them. All four are 0 where nothing near is seen.
    """
    body = iuv[..., 0] > 0
    places, pixels = find_places(iuv[body]), photo[body]
    count = np.bincount(places, minlength=NOWHERE).astype(np.float32)
    laid = np.zeros((NOWHERE, 4), np.float32)
    seen = np.flatnonzero(count)
    for channel in range(3):
        laid[seen, channel] = np.bincount(places, pixels[:, channel], NOWHERE)[seen] / count[seen]
    laid[seen, 3] = 255
    atlas = np.zeros((PARTS, CHART_SIZE, CHART_SIZE, 4), np.uint8)
    for chart, filled in zip(laid.reshape(atlas.shape), atlas, strict=True):
        here = chart[..., 3] > 0
        if here.any():
            closed = cv2.morphologyEx(here.view("u1"), cv2.MORPH_CLOSE, _AROUND)
            gap = ~here & (closed > 0)
            near, far = (cv2.GaussianBlur(chart, (0, 0), s)[gap] for s in (_NEAR, _FAR))
            around = near + _RATIO * far
            chart[gap] = around * (255 / around[:, 3:])
            shown = here | gap
            filled[shown] = np.rint(chart[shown])
            # What is shown is never black, as which texture maps have their holes.
            filled[shown, :3] = np.maximum(filled[shown, :3], 1)
    return atlas


def warp_atlas(
    iuv: NDArray[np.uint8], atlas: NDArray[np.uint8] | None, completed: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """An atlas warped onto the body of an IUV map: uint8 [H, W, 4], 0 around the body.

    What it does not show is the texture map's, and so is what that has as a hole, for it was erased
    there; without an atlas all is.

    Args:
        iuv: uint8 [H, W, 3] (I, U, V).
        atlas: uint8 [24, 200, 200, 4] as `lay_atlas` makes it, or None.
        completed: the texture map, uint8 [512, 512, 4] in the SMPL layout, RGB, and 255 where it is
            shown rather than guessed.
    """
    by_map = warp_texture(iuv, completed)
    if atlas is None:
        return by_map
    closer: NDArray[np.uint8] = atlas.reshape(-1, 4)[find_places(iuv)]
    shown = (closer[..., 3:] > 0) & (by_map[..., 3:] > 0)
    return np.where(shown, closer, by_map)


def find_places(iuv: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Where in the atlas each pixel of an IUV map lies, counted row by row: int64 [...].

    iuv: uint8 [..., 3] (I, U, V). Where the map has no body (label 0) the places mean nothing.
    """
    part, u, v = np.moveaxis(iuv.astype(np.int64), -1, 0)
    row, column = locate_uv(u, v)
    return np.asarray((np.maximum(part, 1) - 1) * CHART_SIZE**2 + row * CHART_SIZE + column)
