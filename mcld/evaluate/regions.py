"""Parts of a person, cut out of a picture by its IUV map, to be compared one by one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.evaluate.measures.regions import REGIONS
from mcld.surface.parts import ARMS, FEET, HANDS, HEAD, LEGS, TORSO

PARTS_OF = dict(zip(REGIONS, (HEAD, TORSO, (*HANDS, *ARMS), (*FEET, *LEGS)), strict=True))
"""Region -> DensePose's part labels; together they are the whole body."""
SIDE = 128
"""Pixels of a region's square."""
_GREY = 128
_FEWEST = 256
"""Pixels of a region, at 176x256, below which it is too small to be compared."""
_AT_SIZE = 256 * 176


def cut_region(
    region: str, iuv: NDArray[np.uint8], *pictures: NDArray[np.uint8]
) -> list[NDArray[np.uint8]] | None:
    """The same region of pictures, uint8 [128, 128, 3] each; None where it is not, or hardly, seen.

    iuv: the target's map, uint8 [H, W, 3]; pictures: as high and wide.

    What the map does not give to the region is grey (128) in all of them; the bounding box of the
    rest is made a square with grey on both sides, and resized bicubically with antialiasing.
    """
    mask = np.isin(iuv[..., 0], PARTS_OF[region])
    if mask.sum() < _FEWEST * mask.size / _AT_SIZE:
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = mask[box]
    high, wide = inside.shape
    side = max(high, wide)
    top, left = (side - high) // 2, (side - wide) // 2
    cut = []
    for picture in pictures:
        square = np.full((side, side, 3), _GREY, np.uint8)
        square[top : top + high, left : left + wide][inside] = picture[box][inside]
        resized = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        cut.append(np.asarray(resized))
    return cut
