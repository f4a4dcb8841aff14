"""How well the embedded reader of bodies agrees with DensePose's maps of the same photos."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
_BESIDE = (".map", ".texture")
"""In the names of pictures that belong to a photo and are none."""
_CELL = (320, 480)


def measure(folder: Path, out: Path | None) -> Iterator[tuple[str, float]]:
    """Of each photo NAME.jpg with a map NAME.map*.png beside it; and the means.

    Silhouette IoU; share of right labels inside the common silhouette; mean absolute errors of U
    and V, 0..1, where the labels agree; seconds. out: a sheet of photos, DensePose's maps and ours.
    """
    from mcld.dataset.pictures import read_image, write_png
    from mcld.dataset.sheet import contact_sheet
    from mcld.errors import InputError
    from mcld.estimators.body.estimator import EmbeddedPose

    estimator = EmbeddedPose()
    rows, figures, missed = [], [], 0
    for photo in list_photos(folder):
        image = read_image(photo)
        estimator.estimate([image])  # the first of a size takes longer
        start = time.perf_counter()
        (pose,) = estimator.estimate([image])
        seconds = time.perf_counter() - start
        truth = find_map(photo, image.shape)
        rows += [_draw_row(image, truth, pose and pose.iuv)] if out else []
        if truth is None or pose is None:
            missed += pose is None
            continue
        one = (*compare(truth, pose.iuv), seconds)
        figures.append(one)
        for name, value in zip(_NAMES, one, strict=True):
            yield f"{photo.name}: {name}", round(value, 3)
    yield "photos in which nobody was found", missed
    if not figures:
        raise InputError(f"{folder} holds no photo NAME.jpg with a map NAME.map.png")
    for name, values in zip(_NAMES, zip(*figures, strict=True), strict=True):
        yield f"mean of {len(figures)}: {name}", round(mean(values), 3)
    if out is not None:
        write_png(out, contact_sheet(["photo", "DensePose", "embedded"], rows, _CELL))


def _draw_row(
    image: NDArray[np.uint8], truth: NDArray[np.uint8] | None, iuv: NDArray[np.uint8] | None
) -> list[Image.Image]:
    from mcld.dataset.pictures import colour_iuv

    maps = [colour_iuv(image * 0 if one is None else one) for one in (truth, iuv)]
    return [ImageOps.contain(Image.fromarray(one), _CELL) for one in (image, *maps)]


def list_photos(folder: Path) -> list[Path]:
    """The photos of a folder, without what lies beside them. Raises InputError for no folder."""
    from mcld.errors import InputError

    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of photos")
    files = sorted(folder.iterdir())
    photos = [f for f in files if f.suffix.lower() in _PHOTOS]
    return [f for f in photos if not any(kind in f.name for kind in _BESIDE)]


def find_map(photo: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The map beside a photo of a shape, if there is one. Raises InputError for another shape's."""
    from mcld.errors import InputError

    maps = sorted(photo.parent.glob(f"{glob.escape(photo.stem)}.map*.png"))
    if not maps:
        return None
    iuv = _read_map(maps[0])
    if iuv.shape != shape:
        raise InputError(f"{maps[0]} has another size than its photo")
    return iuv


_NAMES = ("silhouette IoU", "labels", "U", "V", "s")


def compare(truth: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Silhouette IoU, share of right labels, errors of U and V: of two IUV maps of one photo."""
    true, said = truth[..., 0], iuv[..., 0]
    both = (true > 0) & (said > 0)
    right = both & (true == said)
    off = np.abs(truth[right].astype(float) - iuv[right])[:, 1:].mean(0) / 255
    return both.sum() / ((true > 0) | (said > 0)).sum(), right.sum() / both.sum(), *off


def _read_map(path: Path) -> NDArray[np.uint8]:
    """A map in either order of its channels: as this project stores it, or (I, U, V)."""
    from mcld.dataset.pictures import read_iuv
    from mcld.errors import InputError
    from mcld.surface.map_check import find_map_fault

    try:
        return read_iuv(path)
    except InputError:
        with Image.open(path) as picture:
            iuv = np.asarray(picture.convert("RGB"))
        if find_map_fault(iuv):
            raise
        return iuv
