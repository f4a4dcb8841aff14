"""Poses that are there already: given as a map, or prepared beside a photo."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import PoseKind, check_image, read_image_and_iuv, read_iuv
from mcld.errors import InputError, MapError

_SAME_SHAPE = 1.03
"""Pictures whose sides' ratios differ by less are of one shape."""
_LONGEST = 4096
"""Pixels of the longer side of a pose of another shape, at most."""
_MARGIN = 0.06
"""Beside a body, of its height, where a pose is cut."""


def find_pose(path: Path, kind: PoseKind = "auto") -> NDArray[np.uint8] | None:
    """The map of a pose file, uint8 [H, W, 3] (I, U, V); None for a photo, which has none.

    It is the file itself, or lies beside it in a prepared dataset. Raises InputError when the file
    cannot be read, MapError when it is a map that cannot be used.
    """
    if kind == "iuv":
        return read_iuv(path)
    if kind == "auto" and not isinstance(iuv := _read_map(path), str):
        return iuv
    found = DatasetLayout.beside(path)
    if found is not None and (beside := found[0].densepose(*found[1:])).exists():
        return read_image_and_iuv(path, beside)[1]
    check_image(path)
    return None


@dataclass(frozen=True)
class Frame:
    """What of a map is kept, and what it gets beside, to have the shape of another picture."""

    axis: int
    """That along which it is cut; the other gets empty ground."""
    start: int
    kept: int
    step: int
    """Every so manieth pixel counts."""
    pads: tuple[int, int]
    """Before and after, pixels of what counts."""

    def cut(self, iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A map [H, W, 3] of the size that the frame was found for, framed."""
        kept = iuv.take(range(self.start, self.start + self.kept), self.axis)
        pads = [(0, 0), (0, 0), (0, 0)]
        pads[1 - self.axis] = self.pads
        return np.pad(kept[:: self.step, :: self.step], pads)


def frame_pose(iuv: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A pose map [H, W, 3] as a picture of the shape of `size` (width, height) shows it.

    So that nobody is stretched: the side that is too long is cut as far as the body lets it, and
    the other gets empty ground: where the body is cut at one end, at the other. As it is, where it
    fits. Somebody must be in it.
    """
    frame = find_frame(iuv[..., 0] > 0, size)
    return iuv if frame is None else frame.cut(iuv)


def find_frame(body: NDArray[np.bool_], size: tuple[int, int]) -> Frame | None:
    """The frame of `frame_pose` for a map whose body, or all that it ever covers, is [H, W]."""
    wanted = np.array(size[::-1])
    ratio = wanted / body.shape
    if ratio.max() / ratio.min() < _SAME_SHAPE:
        return None
    long = int(ratio.argmin())
    spans = [np.flatnonzero(body.any(1 - axis))[[0, -1]] + (0, 1) for axis in range(2)]
    length, across = body.shape[long], body.shape[1 - long]
    slope = wanted[long] / wanted[1 - long]
    margin = _MARGIN * (spans[0][1] - spans[0][0])
    kept = round(float(np.clip(spans[long] @ (-1, 1) + 2 * margin, across * slope, length)))
    start = round(float(np.clip(spans[long].mean() - kept / 2, 0, length - kept)))
    missing = max(round(kept / slope) - across, 0)
    step = -(-max(kept, across + missing) // _LONGEST)
    missing //= step
    before = missing // 2
    if spans[1 - long][1] == across:
        before = missing
    elif spans[1 - long][0] == 0:
        before = 0
    return Frame(long, start, kept, step, (before, missing - before))


def explain_no_map(path: Path) -> str | None:
    """Why a file is no IUV map but a photo, perhaps; None for a map.

    Raises MapError for a map that cannot be used.
    """
    found = _read_map(path)
    return found if isinstance(found, str) else None


def _read_map(path: Path) -> NDArray[np.uint8] | str:
    """The map in a file, or why it is none but a photo, perhaps."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        return f"{path} is a JPEG, which no IUV map is"
    try:
        return read_iuv(path)
    except MapError as error:
        raise MapError(f"{error} (a photo, after all: --pose-kind photo)") from error
    except InputError as error:
        return str(error)
