"""Poses that are there already: given as a map, or prepared beside a photo."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import PoseKind, check_image, read_image_and_iuv, read_iuv
from mcld.errors import InputError, MapError


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
