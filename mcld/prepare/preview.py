"""A contact sheet of prepared pictures, because people check preparation by eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import coloured_iuv, read_image, read_iuv, write_png
from mcld.errors import InputError
from mcld.prepare.face import LEFT_HEAD, RIGHT_HEAD

if TYPE_CHECKING:
    from pathlib import Path

    from mcld.prepare.stages import Picture

PREVIEW_FILE = "prepare-preview.png"
ROWS = 6
CELL = (192, 264)
"""Width and height of one picture, pixels."""
HEADER = 24
COLUMNS = ("photo", "IUV", "texture", "face")


def write_preview(layout: DatasetLayout, pictures: list[Picture]) -> Path | None:
    """Write prepare-preview.png: a few pictures drawn at random, the same ones every time.

    The face column shows the head of the IUV map where a face was found. Returns the file, or None
    when no picture is prepared yet; then an earlier preview is removed.
    """
    path = layout.root / PREVIEW_FILE
    order = np.random.default_rng(0).permutation(len(pictures))
    rows: list[tuple[str, list[Image.Image]]] = []
    for index in order:
        picture = pictures[index]
        if layout.prepared(*picture):
            try:
                rows.append((picture.stem, _row(layout, picture)))
            except InputError:  # reported by its stage
                continue
        if len(rows) == ROWS:
            break
    if not rows:
        path.unlink(missing_ok=True)
        return None
    width, height = CELL
    sheet = Image.new("RGB", (width * len(COLUMNS), HEADER + height * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for k, name in enumerate(COLUMNS):
        draw.text((k * width + width / 2, HEADER / 2), name, "black", anchor="mm")
    for r, (_, cells) in enumerate(rows):
        for k, cell in enumerate(cells):
            fitted = ImageOps.pad(cell, (width - 4, height - 4), color="white")
            sheet.paste(fitted, (k * width + 2, HEADER + r * height + 2))
    write_png(path, np.asarray(sheet))
    return path


def _row(layout: DatasetLayout, picture: Picture) -> list[Image.Image]:
    image, iuv = read_image(layout.image(*picture)), read_iuv(layout.densepose(*picture))
    texture = read_image(layout.texture(*picture))
    head = np.isin(iuv[..., 0], (RIGHT_HEAD, LEFT_HEAD))
    if layout.face(*picture).exists() and head.any() and image.shape == iuv.shape:
        rows, columns = np.flatnonzero(head.any(axis=1)), np.flatnonzero(head.any(axis=0))
        face = Image.fromarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    else:
        face = Image.new("RGB", CELL, (240, 240, 240))
        ImageDraw.Draw(face).text((CELL[0] / 2, CELL[1] / 2), "no face", "grey", anchor="mm")
    return [
        Image.fromarray(image),
        Image.fromarray(coloured_iuv(iuv)),
        Image.fromarray(texture),
        face,
    ]
