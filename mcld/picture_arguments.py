"""Pictures as people hand them to a pipeline: in any form that diffusers' pipelines take."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mcld.dataset.pictures import cut_out, lay_on_white, to_rgb
from mcld.errors import InputError
from mcld.surface.map_check import find_map_fault

Pictures = Image.Image | NDArray[Any] | Tensor | Sequence[Image.Image | NDArray[Any] | Tensor]
"""PIL pictures of any mode; arrays [H, W, 3] or [B, H, W, 3]; tensors [3, H, W] or [B, 3, H, W];
or a list of them. Numbers are uint8, or floating-point in 0..1. Of one channel, or four with
transparency, as well."""


def read_photos(pictures: Pictures, name: str) -> list[Image.Image]:
    """As RGB; what is transparent lies on white. name: of the argument, in errors.

    Raises InputError for what is no picture.
    """
    return [Image.fromarray(to_rgb(p, name, lay_on_white)) for p in _split(pictures, name)]


def read_texture_maps(pictures: Pictures, name: str) -> list[Image.Image]:
    """As RGB; what is transparent shows nothing, which is black. Raises as `read_photos` does."""
    return [Image.fromarray(to_rgb(p, name, cut_out)) for p in _split(pictures, name)]


def read_iuv_maps(pictures: Pictures, name: str) -> list[NDArray[np.uint8]]:
    """As uint8 [H, W, 3] (I, U, V); given in the order of their files, (V, U, I).

    Raises InputError for what is no picture, or cannot be an IUV map.
    """
    found: dict[int, NDArray[np.uint8]] = {}  # one map may be the pose of many
    pictures = _split(pictures, name)
    for picture in pictures:
        if id(picture) not in found:
            iuv = np.ascontiguousarray(np.asarray(picture.convert("RGB"))[..., ::-1])
            if fault := find_map_fault(iuv):
                raise InputError(f"{name} is not an IUV map: {fault.reason}")
            found[id(picture)] = iuv
    return [found[id(picture)] for picture in pictures]


def read_faces(face: Tensor | NDArray[Any], count: int) -> NDArray[np.float32]:
    """Face embeddings as float32 [B, 512]; one is that of all `count` pictures.

    Raises InputError for what holds anything but finite numbers.
    """
    if isinstance(face, Tensor):
        face = face.detach().float().cpu().numpy()
    known = isinstance(face, np.ndarray) and face.dtype.kind == "f" and np.isfinite(face).all()
    if not known:
        raise InputError("face must be finite numbers, a tensor or an array [B, 512]")
    return np.repeat(face, count, axis=0) if len(face) == 1 else np.asarray(face, np.float32)


def _split(pictures: Any, name: str) -> list[Image.Image]:
    """Each picture as PIL has it."""
    if isinstance(pictures, (list, tuple)):
        return [picture for part in pictures for picture in _split(part, name)]
    if isinstance(pictures, Image.Image):
        return [pictures]
    if isinstance(pictures, Tensor) and pictures.ndim in (3, 4):
        tensor = pictures.detach().cpu().movedim(-3, -1)
        pictures = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if not isinstance(pictures, np.ndarray):
        raise _refuse(name, type(pictures).__name__)
    if pictures.ndim == 2:
        pictures = pictures[..., None]
    if pictures.ndim not in (3, 4) or pictures.shape[-1] not in _MODES:
        raise _refuse(name, f"of shape {list(pictures.shape)}")
    pixels = _to_uint8(pictures, name)
    mode = _MODES[pixels.shape[-1]]
    return [
        Image.frombytes(mode, image.shape[1::-1], image.tobytes())
        for image in (pixels if pixels.ndim == 4 else pixels[None])
    ]


_BEYOND = 0.05
"""How far beyond 0..1 numbers may be, as resizing leaves them."""
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def _to_uint8(numbers: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if numbers.dtype.kind == "f":
        if not ((numbers > -_BEYOND) & (numbers < 1 + _BEYOND)).all():
            raise _refuse(name, f"numbers from {numbers.min():g} to {numbers.max():g}")
        return (numbers.clip(0, 1) * 255).round().astype(np.uint8)
    if numbers.dtype != np.uint8:
        raise _refuse(name, f"numbers of type {numbers.dtype}")
    return numbers


def _refuse(name: str, given: str) -> InputError:
    return InputError(
        f"{name}: give PIL pictures, arrays [H, W, 3] or tensors [3, H, W] of uint8 or of 0..1, not"
        f" {given}"
    )
