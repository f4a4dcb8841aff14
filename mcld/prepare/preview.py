"""A contact sheet of prepared pictures, because people check preparation by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import colour_iuv, read_image, read_image_and_iuv, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.errors import InputError
from mcld.prepare.raw import PREVIEW_FILE
from mcld.prepare.stages import Picture
from mcld.surface.parts import head_box

ROWS = 6
CELL = (192, 264)
"""Width and height of one picture, pixels."""
COLUMNS = ("photo", "IUV", "texture", "face")


def write_preview(layout: DatasetLayout, pictures: list[Picture]) -> Path | None:
    """Write prepare-preview.png: a few pictures drawn at random, the same ones every time.

    The face column shows the head of the IUV map where a face was found. Returns the file, or None
    when no picture is prepared yet; then an earlier preview is removed.
    """
    path = layout.root / PREVIEW_FILE
    order = np.random.default_rng(0).permutation(len(pictures))
    rows: list[list[Image.Image]] = []
    for index in order:
        picture = pictures[index]
        if layout.is_prepared(*picture):
            try:
                rows.append(_draw_row(layout, picture))
            except InputError:  # reported by its stage
                continue
        if len(rows) == ROWS:
            break
    if not rows:
        path.unlink(missing_ok=True)
        return None
    write_png(path, contact_sheet(COLUMNS, rows, CELL))
    return path


def _draw_row(layout: DatasetLayout, picture: Picture) -> list[Image.Image]:
    """One picture in the columns of `COLUMNS`."""
    image, iuv = read_image_and_iuv(*layout.image_and_iuv(*picture))
    texture = read_image(layout.texture(*picture))
    box = head_box(iuv)
    if layout.face(*picture).exists() and box is not None:
        face = Image.fromarray(image[box])
    else:
        face = Image.new("RGB", CELL, (240, 240, 240))
        ImageDraw.Draw(face).text((CELL[0] / 2, CELL[1] / 2), "no face", "grey", anchor="mm")
    return [
        Image.fromarray(image),
        Image.fromarray(colour_iuv(iuv)),
        Image.fromarray(texture),
        face,
    ]
