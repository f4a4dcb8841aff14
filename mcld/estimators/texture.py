"""The texture focus: what a photo shows of the body's surface, unrolled to one square map.

MCLD, section 3.2: the visible pixels are laid into the DensePose atlas, small holes between them
are inpainted, and the atlas is rearranged into the SMPL layout.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.estimators.inpaint import RADIUS, inpaint
from mcld.machine.jit import jit
from mcld.surface.charts import CHART_SIZE, NOWHERE, chart_masks, locate_uv, smpl_gather
from mcld.surface.parts import PARTS

_ROW_OF_V, _COLUMN_OF_U = locate_uv(np.arange(256), np.arange(256))

_REACH = np.ones((10, 10), np.uint8)
# Telea's method fills from the seen pixels outwards; what lies beyond this is filled too late to
# touch what `_REACH` keeps.
_WORTH_FILLING = np.ones((18, 18), np.uint8)
_THREADS = 2
"""That fill the charts of one picture; of many, each process has a core of its own anyway."""
_MARGIN = _WORTH_FILLING.shape[0] // 2 + RADIUS + 1


def extract_texture(image: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The texture map of a picture, uint8 [512, 512, 3] RGB in the SMPL layout.

    image: uint8 [H, W, 3] RGB. iuv: uint8 [H, W, 3] (I, U, V), part labels 0..24, of the same
    height and width. What the picture does not show stays black (0, 0, 0).

    Every colour comes out one level darker than in the picture, as in the maps that the authors
    made and trained on: their conversion to 8 bits rounds down once too often.

    Raises ValueError when the two do not match in shape, or a label is above 24.
    """
    if image.shape != iuv.shape or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image {image.shape} and iuv {iuv.shape} must both be [H, W, 3]")
    atlas = np.zeros(NOWHERE + 1, np.uint32)
    highest = _scatter(image, iuv, _ROW_OF_V, _COLUMN_OF_U, atlas)
    if highest > PARTS:
        raise ValueError(f"the IUV map has part label {highest}; labels end at {PARTS}")
    charts = atlas[:NOWHERE].reshape(PARTS, CHART_SIZE, CHART_SIZE)

    def fill_share(first: int) -> None:
        shares = charts[first::_THREADS], chart_masks()[first::_THREADS]
        for pixels, chart in zip(*shares, strict=True):
            _fill_holes(pixels, chart)

    with ThreadPoolExecutor(_THREADS) as pool:  # to hand out charts one by one takes a tenth longer
        list(pool.map(fill_share, range(_THREADS)))
    texture = atlas[smpl_gather()].view(np.uint8).reshape(*smpl_gather().shape, 4)
    rgb = cv2.cvtColor(texture, cv2.COLOR_RGBA2RGB)  # slicing would leave every fourth byte between
    one = (1, 1, 1, 0)  # a colour, which OpenCV's stubs do not know here; what is 0 stays so
    return np.asarray(cv2.subtract(rgb, one), np.uint8)  # type: ignore[call-overload]


@cache
def load_compiled() -> None:
    """Load what is compiled, a third of a second, which the first picture otherwise waits for."""
    pixel = np.full((1, 1, 3), PARTS, np.uint8)
    extract_texture(pixel, pixel)


@jit()
def _scatter(image: Any, iuv: Any, row_of_v: Any, column_of_u: Any, atlas: Any) -> int:
    """Lay the body's pixels into the empty atlas, uint32 [24 * 200 * 200 + 1]; the highest label.

    An entry's four bytes are R, G, B and 255; it stays 0 where no pixel fell. Of several pixels
    that fall on one place, the last in scan order stays.
    """
    highest = 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            label = iuv[y, x, 0]
            if label == 0:
                continue
            highest = max(highest, label)
            if highest > PARTS:
                return int(highest)
            place = (label - 1) * CHART_SIZE + row_of_v[iuv[y, x, 2]]
            place = place * CHART_SIZE + column_of_u[iuv[y, x, 1]]
            atlas[place] = image[y, x, 0] | image[y, x, 1] << 8 | image[y, x, 2] << 16 | 0xFF << 24
    return int(highest)


def _fill_holes(pixels: NDArray[np.uint32], chart: NDArray[np.bool_]) -> None:
    """Inpaint one part's pixels [200, 200] in place, as far as `_REACH` carries from seen ones.

    Colours outside the chart count as known and black, as in the authors' maps.
    """
    seen = pixels != 0
    if not seen.any():
        return
    window = _find_window(seen.view(np.uint8))
    pixels, seen = pixels[window], seen[window]
    colours = pixels.copy().view(np.uint8).reshape(*pixels.shape, 4)
    inpaint(colours, chart[window] & ~seen, _dilate(seen, _WORTH_FILLING))
    np.multiply(colours.view(np.uint32)[..., 0], _dilate(seen, _REACH), out=pixels)


def _dilate(seen: NDArray[np.bool_], shape: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """What is seen, and what lies near it, as far as `shape` reaches."""
    dilated: NDArray[np.bool_] = cv2.dilate(seen.view(np.uint8), shape).view(np.bool_)
    return dilated


def _find_window(seen: NDArray[np.uint8]) -> tuple[slice, slice]:
    """The smallest box around what is not 0, wide enough to inpaint in."""
    left, top, width, height = cv2.boundingRect(seen)
    return (
        slice(max(top - _MARGIN, 0), top + height + _MARGIN),
        slice(max(left - _MARGIN, 0), left + width + _MARGIN),
    )
