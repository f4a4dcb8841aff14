"""Pictures, IUV maps and face embeddings, in and out of files.

In memory a picture is uint8 [H, W, 3] RGB and an IUV map uint8 [H, W, 3] (I, U, V): I is the part
label 0..24 (0: background), U and V are 0..255. On disk the map's RGB order is (V, U, I), so that
readers of BGR see (I, U, V).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from mcld.errors import InputError
from mcld.machine.files import write_whole
from mcld.surface.parts import PARTS

PoseKind = Literal["auto", "iuv", "photo"]
"""What a pose file is. auto: a lossless 8-bit RGB picture whose every part label, the last channel,
is at most 24 is an IUV map; anything else is a photo."""

FACE_SIZE = 512
"""Numbers in a face embedding."""
LARGEST_SIDE = 16_384
"""Pixels along a picture's longer side, at most."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture in any format and mode Pillow knows, as uint8 [H, W, 3] RGB.

    It is turned upright as its EXIF tag says. Transparent parts come out as they are stored, 16
    bits are rounded down to 8. Raises InputError when the file is missing, empty, cut short, not a
    picture, animated, or larger than `LARGEST_SIDE`.
    """
    picture = ImageOps.exif_transpose(_open(path))
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip at 255
        picture = Image.fromarray((np.asarray(picture) // 256).clip(0, 255).astype(np.uint8))
    return np.asarray(picture.convert("RGB"))


def read_painted(path: Path) -> NDArray[np.uint8]:
    """Read a texture map that somebody painted, as `read_image` does.

    What is more than half transparent comes out black: nothing is painted there, whatever colour a
    painting program stores with it. Raises InputError as `read_image` does.
    """
    picture = ImageOps.exif_transpose(_open(path))
    if not picture.has_transparency_data:
        return read_image(path)
    pixels = np.asarray(picture.convert("RGBA"))
    return np.where(pixels[..., 3:] > 127, pixels[..., :3], np.uint8(0))


def check_image(path: Path) -> None:
    """Raise InputError for a file that `read_image` would refuse; faster than reading a JPEG."""
    _open(path, draft=True)


def read_iuv(path: Path) -> NDArray[np.uint8]:
    """Read an IUV map as uint8 [H, W, 3] (I, U, V).

    Raises InputError when the file is not an 8-bit picture of three channels, or has part labels
    beyond 24.
    """
    picture = _open(path)
    if picture.mode != "RGB":
        raise InputError(
            f"{path} is not an IUV map: it must be 8-bit RGB, holding (V, U, I),"
            f" but is {picture.mode!r}"
        )
    iuv = np.ascontiguousarray(np.asarray(picture)[..., ::-1])
    if (largest := int(iuv[..., 0].max())) > PARTS:
        raise InputError(
            f"{path} is not an IUV map: its last channel must hold part labels 0..{PARTS},"
            f" but has {largest}"
        )
    return iuv


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3] RGB as JPEG: quality 95, colour at full resolution."""
    with write_whole(path) as file:
        Image.fromarray(image).save(file, "JPEG", quality=95, subsampling=0)


def write_png(path: Path, image: NDArray[np.uint8], text: Mapping[str, str] | None = None) -> None:
    """Write uint8 [H, W, 3] RGB as PNG, with `text` as its text metadata."""
    metadata = PngInfo()
    for key, value in (text or {}).items():
        metadata.add_text(key, value)
    with write_whole(path) as file:
        # Half the time of the usual level, 6, for a tenth more bytes: preparing is one picture's
        # rendering and two of these.
        Image.fromarray(image).save(file, "PNG", pnginfo=metadata, compress_level=3)


def write_iuv(path: Path, iuv: NDArray[np.uint8]) -> None:
    """Write an IUV map uint8 [H, W, 3] (I, U, V) as PNG."""
    write_png(path, np.ascontiguousarray(iuv[..., ::-1]))


def colour_iuv(iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An IUV map as people look at it, uint8 [H, W, 3] RGB: V, U, and ten times the part label."""
    return np.stack([iuv[..., 2], iuv[..., 1], iuv[..., 0] * 10], axis=-1)


def read_face(path: Path) -> NDArray[np.float32]:
    """Read a face embedding, float32 [512]. Raises InputError when the file holds anything else."""
    try:
        face = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is not a face embedding: {error}") from error
    if not isinstance(face, np.ndarray) or face.shape != (FACE_SIZE,) or face.dtype.kind != "f":
        raise InputError(f"{path} is not a face embedding: it must hold {FACE_SIZE} real numbers")
    if not np.isfinite(face).all():
        raise InputError(f"{path} is not a face embedding: some of its numbers are not finite")
    return face.astype(np.float32)


def write_face(path: Path, face: NDArray[np.float32]) -> None:
    """Write a face embedding, float32 [512]."""
    with write_whole(path) as file:
        np.save(file, face.astype(np.float32, copy=False), allow_pickle=False)


def _open(path: Path, draft: bool = False) -> Image.Image:
    try:
        with Image.open(path) as picture:
            if max(picture.size) > LARGEST_SIDE:
                width, height = picture.size
                raise InputError(
                    f"{path} is {width}x{height} pixels: at most {LARGEST_SIDE} along a side"
                )
            # A multi-picture JPEG is a photo with previews of itself.
            if getattr(picture, "is_animated", False) and picture.format != "MPO":
                raise InputError(f"{path} is animated: give a single picture")
            if draft:
                picture.draft("RGB", (1, 1))
            picture.load()
            return picture
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder, not a picture") from error
    except UnidentifiedImageError as error:
        what = "is empty" if path.is_file() and not path.stat().st_size else "is not a picture"
        raise InputError(f"{path} {what}") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
