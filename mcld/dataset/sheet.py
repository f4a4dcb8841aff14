"""Pictures side by side, for the eye."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

HEADER = 24
"""Pixels above the pictures, for the names of the columns."""
_GAP = 4


def contact_sheet(
    columns: Sequence[str], rows: Sequence[Sequence[Image.Image]], cell: tuple[int, int]
) -> NDArray[np.uint8]:
    """Rows of pictures under the names of their columns, uint8 [H, W, 3] RGB.

    cell: width and height of the place of one picture, which is fitted into it, in pixels.
    """
    width, height = cell
    sheet = Image.new("RGB", (width * len(columns), HEADER + height * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for k, name in enumerate(columns):
        draw.text((k * width + width / 2, HEADER / 2), name, "black", anchor="mm")
    for r, row in enumerate(rows):
        for k, picture in enumerate(row):
            fitted = ImageOps.pad(picture, (width - _GAP, height - _GAP), color="white")
            sheet.paste(fitted, (k * width + _GAP // 2, HEADER + r * height + _GAP // 2))
    return np.asarray(sheet)
