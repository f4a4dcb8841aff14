"""Whether an array can be a DensePose IUV map, or is another picture that was taken for one.

A map has background, where all is 0; its labels are whole numbers 0..24; and within each part, U
and V spread, because they tell where on the part a pixel lies.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mcld.surface.parts import PARTS


class MapFault(NamedTuple):
    """Why a picture is no IUV map that can be used."""

    reason: str
    """In words, with what to do, if anything."""
    is_map: bool
    """Whether it is a map or was made of one; else it may be a photo."""


_COLOURED = 0.02
"""Share of the background, away from the body, that may have other values than 0 in a map."""
_CLEAN = 0.05
"""Share of a map that is background with all of it 0, at least; where some is not."""
_RIM = ImageFilter.MaxFilter(5)
"""Interpolation colours the background at most so far from the body."""
_THIN = 0.01
"""Share of the body in fragments one pixel wide, above which labels are interpolated, if there are
colours in the background besides. Real maps have up to 0.1 % of it, small ones up to 23 %."""
_FEW = 0.3
"""Share of the body up to which labels above 24 are taken for those of a map that was spoilt."""
_LARGE = 50
"""Pixels of a part whose U and V must spread."""
_SPREAD = 5
"""Levels over which U and V spread in half of the large parts, at least; real maps have 120."""
_SEEN = 1 << 16
"""Pixels that the spread is taken of, at most: of larger maps every so many."""


def find_map_fault(iuv: NDArray[np.uint8]) -> MapFault | None:
    """Why uint8 [H, W, 3] (I, U, V) is no IUV map that can be used; None when it is one."""
    labels, u, v = (np.ascontiguousarray(channel) for channel in np.moveaxis(iuv, -1, 0))
    largest, body, coloured = int(labels.max()), labels > 0, (u | v) > 0
    if largest > PARTS:
        return _describe_labels(iuv, labels, largest, (~body & ~coloured).mean())
    if not largest:
        return MapFault("it shows nobody: all its part labels are 0", not coloured.any())
    if np.array_equal(u, labels) and np.array_equal(v, labels):
        return MapFault(
            "its three channels are equal: that is a picture of part labels, without U and V", True
        )
    if body.all() and _measure_fragments(labels, body) > _THIN:  # else a close-up
        return MapFault("it has no background, and its labels are no parts", False)
    if fault := _describe_background(labels, body, coloured & ~body):
        return fault
    if _are_flat(iuv):
        return MapFault(
            "U and V are constant within each part: that is a picture of part labels", True
        )
    return None


def _describe_labels(
    iuv: NDArray[np.uint8], labels: NDArray[np.uint8], largest: int, clean: float
) -> MapFault:
    """What a picture is that has labels above 24; clean: share of it that is 0 throughout."""
    if iuv[..., 2].max() <= PARTS and find_map_fault(iuv[..., ::-1]) is None:
        return MapFault(
            "its channels are (I, U, V) in RGB order, and mcld reads (V, U, I), as OpenCV"
            " writes (I, U, V): swap the first and the last channel",
            True,
        )
    reason = f"its last channel must hold part labels 0..{PARTS}, but has {largest}"
    few = (labels > PARTS).sum() < _FEW * (labels > 0).sum()
    if clean >= _CLEAN and few:
        return MapFault(f"{reason}, as from resizing with interpolation, or from JPEG", True)
    return MapFault(reason, False)


def _describe_background(
    labels: NDArray[np.uint8], body: NDArray[np.bool_], coloured: NDArray[np.bool_]
) -> MapFault | None:
    """What a picture is where U and V are not 0 around the body; coloured: the pixels there."""
    if not coloured.any():
        return None
    away = ~(np.asarray(Image.fromarray(body).convert("L").filter(_RIM)) > 0)
    background = ~body
    clean = (background & ~coloured).mean()
    if (coloured & away).sum() > _COLOURED * background.sum() or clean < _CLEAN:
        return MapFault("U and V are not 0 in its background: that is a dark photo, perhaps", False)
    if _measure_fragments(labels, body) > _THIN:
        return MapFault(
            "its labels are interpolated, as from resizing: resize maps to the nearest pixel, or"
            " estimate them at the new size",
            True,
        )
    return None


def _measure_fragments(labels: NDArray[np.uint8], body: NDArray[np.bool_]) -> float:
    """Share of the body's pixels that lie in no square of 2x2 pixels of one label."""
    corner = labels[:-1, :-1]
    square = (labels[1:, :-1] == corner) & (labels[:-1, 1:] == corner) & (labels[1:, 1:] == corner)
    inside = np.zeros(labels.shape, bool)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            inside[rows, columns] |= square
    return float((body & ~inside).sum() / body.sum())


def _are_flat(iuv: NDArray[np.uint8]) -> bool:
    """Whether U and V hardly spread within the parts that are large enough to say."""
    step = max(1, iuv.shape[0] * iuv.shape[1] // _SEEN)
    pixels = iuv.reshape(-1, 3)[::step]
    spreads = [
        int(np.ptp(part[:, 1:], axis=0).max())
        for label in np.unique(pixels[:, 0])
        if label and len(part := pixels[pixels[:, 0] == label]) >= _LARGE
    ]
    return bool(spreads) and float(np.median(spreads)) < _SPREAD
