"""The texture focus: what a photo shows of the body's surface, unrolled to one square map.

MCLD, section 3.2: the visible pixels are laid into the DensePose atlas, small holes between them
are inpainted, and the atlas is rearranged into the SMPL layout.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.dataset.charts import CHART_SIZE, NOWHERE, PARTS, chart_masks, smpl_gather
from mcld.prepare.inpaint import inpaint

_ROW_OF_V = ((255 - np.arange(256)) * (CHART_SIZE - 1) // 255).astype(np.intp)
_COLUMN_OF_U = (np.arange(256) * (CHART_SIZE - 1) // 255).astype(np.intp)

_REACH = np.ones((10, 10), np.uint8)
# Telea's method fills from the seen pixels outwards; what lies beyond this is filled too late to
# touch what `_REACH` keeps.
_WORTH_FILLING = np.ones((18, 18), np.uint8)


def extract_texture(image: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The texture map of a picture, uint8 [512, 512, 3] RGB in the SMPL layout.

    image: uint8 [H, W, 3] RGB. iuv: uint8 [H, W, 3] (I, U, V), part labels 0..24, of the same
    height and width. What the picture does not show stays black (0, 0, 0).

    Every colour comes out one level darker than in the picture, as in the maps that the authors
    made and trained on: their conversion to 8 bits rounds down once too often.

    Raises ValueError when the two do not match in shape.
    """
    if image.shape != iuv.shape or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image {image.shape} and iuv {iuv.shape} must both be [H, W, 3]")
    atlas, seen = _scattered(image, iuv)
    for colours, shown, chart in zip(atlas, seen, chart_masks(), strict=True):
        _fill_holes(colours, shown, chart)
    colours_and_nothing = np.concatenate([atlas.reshape(-1, 3), np.zeros((1, 3), np.uint8)])
    texture: NDArray[np.uint8] = colours_and_nothing[smpl_gather()]
    return np.maximum(texture, 1) - np.uint8(1)


def _scattered(
    image: NDArray[np.uint8], iuv: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Lay the body's pixels into the atlas: uint8 [24, 200, 200, 3], and 1 where one fell.

    Of several pixels that fall on one place, the last in scan order stays.
    """
    body = np.flatnonzero(iuv[..., 0])
    labels, u, v = iuv.reshape(-1, 3)[body].T
    place = (labels.astype(np.intp) - 1) * CHART_SIZE
    place = (place + _ROW_OF_V[v]) * CHART_SIZE + _COLUMN_OF_U[u]
    atlas = np.zeros((NOWHERE, 3), np.uint8)
    atlas[place] = image.reshape(-1, 3)[body]
    seen = np.zeros(NOWHERE, np.uint8)
    seen[place] = 1
    charts = (PARTS, CHART_SIZE, CHART_SIZE)
    return atlas.reshape(*charts, 3), seen.reshape(charts)


def _fill_holes(
    colours: NDArray[np.uint8], seen: NDArray[np.uint8], chart: NDArray[np.bool_]
) -> None:
    """Inpaint one part's chart [200, 200, 3] in place, as far as `_REACH` carries from seen pixels.

    Colours outside the chart count as known and black, as in the authors' maps.
    """
    if not seen.any():
        return
    holes = chart & (seen == 0)
    inpaint(colours, holes, cv2.dilate(seen, _WORTH_FILLING) > 0)
    colours[holes & (cv2.dilate(seen, _REACH) == 0)] = 0
