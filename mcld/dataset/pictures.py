"""Pictures, IUV maps and face embeddings, in and out of files.

In memory a picture is uint8 [H, W, 3] RGB and an IUV map uint8 [H, W, 3] (I, U, V): I is the part
label 0..24 (0: background), U and V are 0..255. On disk the map's RGB order is (V, U, I), so that
readers of BGR see (I, U, V).
"""

import re
import stat
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from mcld.errors import InputError, MapError
from mcld.machine.file_kind import describe_content
from mcld.machine.files import write_whole
from mcld.machine.provenance import Provenance
from mcld.surface.map_check import find_map_fault

PoseKind = Literal["auto", "iuv", "photo", "keypoints", "body", "gallery"]
"""What a pose file is. auto: keypoints where its name ends in .json or .csv, body parameters in
.npz, a pose of the gallery where it is one's name; else an IUV map, where `read_iuv` takes it for
one, or a photo."""

FACE_SIZE = 512
"""Numbers in a face embedding."""
LARGEST_SIDE = 16_384
"""Pixels along a picture's longer side, at most."""
READING = 2
"""Raised whenever the same file would be read as other pixels: caches of them are of one way."""
_DARK = 16
"""Brightness out of 255 that a picture of 16 bits reaches, at least."""
_SIXTEEN_BITS = "sixteen bits"
"""Where a picture's `info` says that its file has 16 bits a channel."""
_FEW_COLOURS = 32
"""Colours up to which a picture is a drawing, such as a segmentation, and no photo."""

# Pillow's own limits are below what is promised here; those that a program has set stay.
if Image.MAX_IMAGE_PIXELS == 1024**3 // 4 // 3:
    Image.MAX_IMAGE_PIXELS = LARGEST_SIDE**2
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # refused in words
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
# Of tags that are damaged, which do not count
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture in any format and mode Pillow knows, as uint8 [H, W, 3] RGB in sRGB.

    It is turned upright as its EXIF tag says, and brought from its colour profile to sRGB; a tag
    or a profile that is damaged does not count. What is transparent lies on white. 16 bits are
    rounded down to 8, floating-point grey of 0..1 is scaled.

    Raises InputError when the file is missing, empty, cut short, not a picture, a pipe, animated,
    larger than `LARGEST_SIDE`, or holds numbers that would all be black.
    """
    return to_rgb(_open(path), path, lay_on_white)


def read_painted(path: Path) -> NDArray[np.uint8]:
    """Read a texture map that somebody painted, as `read_image` does.

    What is more than half transparent comes out black: nothing is painted there, whatever colour a
    painting program stores with it. Raises InputError as `read_image` does.
    """
    return to_rgb(_open(path), path, cut_out)


def check_image(path: Path) -> None:
    """Raise InputError for a file that `read_image` would refuse; faster than reading a JPEG."""
    _open(path, draft=True)


def read_iuv(path: Path) -> NDArray[np.uint8]:
    """Read an IUV map as uint8 [H, W, 3] (I, U, V).

    Raises MapError for a map that cannot be used, or what was made of one, such as a picture of
    part labels; InputError for any other file.
    """
    picture = _open(path)
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (255, 255):
        picture = picture.convert("RGB")  # as painting programs save it
    eight_bits = picture.mode in ("1", "L", "P", "RGB", "RGBA")
    drawn = eight_bits and picture.getcolors(_FEW_COLOURS) is not None
    if picture.mode != "RGB":
        raise (MapError if drawn else InputError)(
            f"{path} is not an IUV map: it must be 8-bit RGB, holding (V, U, I),"
            f" but is {picture.mode!r}"
        )
    iuv = np.ascontiguousarray(np.asarray(picture)[..., ::-1])
    if fault := find_map_fault(iuv):
        kind = MapError if fault.is_map or drawn else InputError
        raise kind(f"{path} is not an IUV map: {fault.reason}")
    return iuv


def read_image_and_iuv(image: Path, iuv: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photo and its IUV map, both uint8 [H, W, 3].

    Raises InputError when either cannot be read, or they differ in size.
    """
    photo, labels = read_image(image), read_iuv(iuv)
    if photo.shape != labels.shape:
        (height, width), (map_height, map_width) = photo.shape[:2], labels.shape[:2]
        sideways = (map_height, map_width) == (width, height)
        turned = " once turned as its EXIF tag says" if sideways else ""
        raise InputError(
            f"{iuv} has {map_width}x{map_height} pixels, its picture {image}"
            f" {width}x{height}{turned}"
        )
    return photo, labels


def read_text(path: Path) -> dict[str, str]:
    """The text metadata of a PNG that `write_png` wrote; its pixels are not looked at.

    Raises InputError when it is no picture.
    """
    try:
        with Image.open(path) as picture:
            return {str(k): text for k, text in picture.info.items() if isinstance(text, str)}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W, 3] RGB as JPEG: quality 95, colour at full resolution."""
    with write_whole(path) as file:
        Image.fromarray(image).save(file, "JPEG", quality=95, subsampling=0)


def write_png(path: Path, image: NDArray[np.uint8], provenance: Provenance | None = None) -> None:
    """Write uint8 [H, W, 3] RGB as PNG, with how it was made as text and XMP."""
    metadata = PngImagePlugin.PngInfo()
    for key, value in (provenance.make_png_text() if provenance else {}).items():
        metadata.add_text(key, value)
    with write_whole(path) as file:
        # Half the time of the usual level, 6, for a tenth more bytes: preparing is one picture's
        # rendering and two of these.
        Image.fromarray(image).save(file, "PNG", pnginfo=metadata, compress_level=3)
        if provenance:
            provenance.sign(file, path.name)


def write_iuv(path: Path, iuv: NDArray[np.uint8]) -> None:
    """Write an IUV map uint8 [H, W, 3] (I, U, V) as PNG."""
    write_png(path, np.ascontiguousarray(iuv[..., ::-1]))


def colour_iuv(iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An IUV map as people look at it, uint8 [H, W, 3] RGB: V, U, and ten times the part label."""
    return np.stack([iuv[..., 2], iuv[..., 1], iuv[..., 0] * 10], axis=-1)


def read_face(path: Path) -> NDArray[np.float32]:
    """Read a face embedding, float32 [512]. Raises InputError when the file holds anything else."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no file")
        face = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError, EOFError) as error:
        # NumPy advises to load pickles, which would run code in the file.
        what = describe_content(path) or "is not a face embedding: it is no .npy of real numbers"
        raise InputError(f"{path} {what}") from error
    if not isinstance(face, np.ndarray) or face.shape != (FACE_SIZE,) or face.dtype.kind != "f":
        raise InputError(f"{path} is not a face embedding: it must hold {FACE_SIZE} real numbers")
    if not (np.abs(face) < np.finfo(np.float32).max).all():  # nor NaN
        raise InputError(f"{path} is not a face embedding: some of its numbers are not finite")
    return face.astype(np.float32)


def write_face(path: Path, face: NDArray[np.float32]) -> None:
    """Write a face embedding, float32 [512]."""
    with write_whole(path) as file:
        np.save(file, face.astype(np.float32, copy=False), allow_pickle=False)


def _open(path: Path, draft: bool = False) -> Image.Image:
    """A picture with its pixels; draft: as few of them as the format can give."""
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            raise InputError(f"{path} is a pipe, and pictures are read twice: give a file")
        with Image.open(path) as picture:
            if max(picture.size) > LARGEST_SIDE:
                width, height = picture.size
                raise InputError(
                    f"{path} is {width}x{height} pixels: at most {LARGEST_SIDE} along a side"
                )
            # A multi-picture JPEG is a photo with previews of itself.
            if getattr(picture, "is_animated", False) and picture.format != "MPO":
                raise InputError(f"{path} is animated: give a single picture")
            # Such as "RGB;16B": of each colour Pillow keeps 8 bits, and then no word of it.
            sixteen_bits = picture.mode == "RGB" and any(";16" in str(t.args) for t in picture.tile)
            picture.info[_SIXTEEN_BITS] = sixteen_bits
            if draft:
                picture.draft("RGB", (1, 1))
            picture.load()
            return picture
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder, not a picture") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} {describe_content(path) or 'is not a picture'}") from error
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path} is too large: at most {LARGEST_SIDE} pixels along a side"
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        what = describe_content(path)
        raise InputError(f"{path} {what}" if what else f"cannot read {path}: {error}") from error


def to_rgb(
    picture: Image.Image, name: object, flatten: Callable[[Image.Image], Image.Image]
) -> NDArray[np.uint8]:
    """The pixels of a picture, uint8 [H, W, 3] RGB, upright and in sRGB.

    name: in errors; flatten: what becomes of RGBA. Raises InputError for numbers that are no
    colours, or would all be black.
    """
    sixteen_bits = picture.info.get(_SIXTEEN_BITS, False)
    with suppress(Exception):  # damaged tags raise almost anything
        picture = ImageOps.exif_transpose(picture)
    profile = picture.info.get("icc_profile")
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture = Image.fromarray(_scale_grey(np.asarray(picture), name))
    if picture.has_transparency_data:
        picture = _convert_profile(picture.convert("RGBA"), profile)
        picture = flatten(picture)
    else:
        picture = picture.convert("RGB") if picture.mode == "P" else picture
        picture = _convert_profile(picture, profile)
    pixels = np.asarray(picture.convert("RGB"))
    if sixteen_bits and pixels.max() < _DARK:
        raise _refuse_dark(name)
    return pixels


def _scale_grey(grey: NDArray[Any], name: object) -> NDArray[np.uint8]:
    """Grey of more than 8 bits, which Pillow would clip, as uint8."""
    if grey.dtype.kind == "f":
        least, most = float(grey.min()), float(grey.max())
        if not 0 <= least <= most <= 1:  # nor NaN
            raise InputError(
                f"{name} holds floating-point numbers from {least:g} to {most:g}: save it with 8"
                " bits, or as numbers from 0 to 1"
            )
        return (grey * 255).round().astype(np.uint8)
    most = int(grey.max())
    if most > 0xFFFF or grey.min() < 0:
        raise InputError(f"{name} has 32 bits a pixel: save it with 8 bits")
    if 0 < most < 256 * _DARK:
        raise _refuse_dark(name)
    return (grey // 256).astype(np.uint8)


def _refuse_dark(name: object) -> InputError:
    return InputError(
        f"{name} has 16 bits, and no value above {_DARK} of 255: it would be black; save it with 8"
        " bits"
    )


def _convert_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture in sRGB; as it is where its profile is damaged or of other colours than it has."""
    if not profile or picture.mode not in ("L", "RGB", "RGBA", "CMYK"):
        return picture
    try:
        transform = _make_transform(profile, picture.mode)
        converted = None if transform is None else ImageCms.applyTransform(picture, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
    return picture if converted is None else converted


@lru_cache(16)
def _make_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where that changes no colour by more than one level.

    Of sRGB itself, rounding would.
    """
    new = "RGBA" if mode == "RGBA" else "RGB"
    own = ImageCms.getOpenProfile(BytesIO(profile))
    transform = ImageCms.buildTransform(own, _SRGB, mode, new)
    return None if mode == new and _changes_nothing(transform, mode) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    moved = ImageCms.applyTransform(Image.fromarray(colours).convert(mode), transform)
    if moved is None:
        return True
    return bool(np.abs(np.asarray(moved.convert("RGB")).astype(int) - colours).max() <= 1)


_SRGB = ImageCms.createProfile("sRGB")


def lay_on_white(picture: Image.Image) -> Image.Image:
    """RGBA on a white ground, for nobody can see the colour of what is transparent."""
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture)


def cut_out(picture: Image.Image) -> Image.Image:
    """RGBA without what is more than half transparent, which comes out black."""
    pixels = np.asarray(picture)
    return Image.fromarray(np.where(pixels[..., 3:] > 127, pixels[..., :3], np.uint8(0)))


FRAMES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""Suffixes of the pictures that a folder of frames may hold."""


def is_frame(path: Path) -> bool:
    """Whether a file is one of a folder of frames, by its name."""
    return path.suffix.lower() in FRAMES and path.name[0] != "." and path.is_file()


def split_numbers(path: Path) -> list[tuple[int, str]]:
    """A name so that 2 comes before 10."""
    words = re.split(r"(\d+)", path.name.lower())
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in words]
