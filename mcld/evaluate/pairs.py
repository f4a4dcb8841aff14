"""Pairs of a generated and a true picture, as metrics see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv
from mcld.dataset.results import RESULT_SIZES
from mcld.errors import InputError
from mcld.evaluate.request import PairNames

Pixels = NDArray[np.uint8]
"""uint8 [H, W, 3]: RGB, or the I, U, V of a map."""

_RESIZERS = {
    "pillow-nearest": Image.Resampling.NEAREST,
    "pillow-bilinear": Image.Resampling.BILINEAR,
    "pillow-bicubic": Image.Resampling.BICUBIC,
    "pillow-lanczos": Image.Resampling.LANCZOS,
    "opencv-bilinear": cv2.INTER_LINEAR,
    "opencv-bicubic": cv2.INTER_CUBIC,
    "opencv-area": cv2.INTER_AREA,
}


def resize(image: Pixels, size: tuple[int, int], how: str = "pillow-bicubic") -> Pixels:
    """A picture resized to (height, width), rounded to 8 bits.

    how: a library and its filter, as `Protocol.resize` has them. Pillow's filters widen when a
    picture shrinks (antialiasing), OpenCV's do not, but for "opencv-area".
    """
    if image.shape[:2] == size:
        return image
    if how.startswith("opencv"):
        small = cv2.resize(image, size[::-1], interpolation=int(_RESIZERS[how]))
        return np.asarray(small, np.uint8)
    resampling = Image.Resampling(_RESIZERS[how])
    return np.asarray(Image.fromarray(image).resize(size[::-1], resampling))


def is_smaller(image: Pixels, size: tuple[int, int]) -> bool:
    """Whether a picture has to be enlarged to (height, width), along either side."""
    return bool(image.shape[0] < size[0] or image.shape[1] < size[1])


@dataclass
class Pair:
    """A generated picture at a size, its truth, and what the dataset has beside them.

    What is read from the dataset is read when it is asked for, once; an attribute raises InputError
    when the dataset lacks it.
    """

    name: str
    """The file name of the result."""
    size: str
    """Folder of the results: "256" or "512"."""
    generated: Pixels
    truth: Pixels
    """Of the same size."""
    names: PairNames
    """Stems of the source and the target in the dataset."""
    dataset: DatasetLayout
    resize: str
    """How photos are brought to the size."""

    @cached_property
    def source(self) -> Pixels:
        """The source photo, resized as the truth is."""
        path = self.dataset.image("test", self.names.source)
        return resize(read_image(path), RESULT_SIZES[self.size], self.resize)

    @cached_property
    def source_iuv(self) -> Pixels:
        """The IUV map of the source, resized to its nearest pixels."""
        return self._read_iuv(self.names.source)

    @cached_property
    def target_iuv(self) -> Pixels:
        """The IUV map of the true picture, resized to its nearest pixels."""
        return self._read_iuv(self.names.target)

    @cached_property
    def source_texture(self) -> Pixels:
        """The texture map of the source, [512, 512, 3] in the SMPL layout."""
        return read_image(self.dataset.texture("test", self.names.source))

    @cached_property
    def target_texture(self) -> Pixels:
        """The texture map of the true picture, likewise."""
        return read_image(self.dataset.texture("test", self.names.target))

    def _read_iuv(self, stem: str) -> Pixels:
        return fit_iuv(read_iuv(self.dataset.densepose("test", stem)), RESULT_SIZES[self.size])


def list_files(dataset: DatasetLayout, names: PairNames, needs: Sequence[str]) -> list[Path]:
    """The files behind attributes of `Pair`."""
    files = {
        "source": dataset.image("test", names.source),
        "source_iuv": dataset.densepose("test", names.source),
        "target_iuv": dataset.densepose("test", names.target),
        "source_texture": dataset.texture("test", names.source),
        "target_texture": dataset.texture("test", names.target),
    }
    return [files[need] for need in needs]


def fit_iuv(iuv: Pixels, size: tuple[int, int]) -> Pixels:
    """An IUV map at (height, width), each pixel that of the nearest."""
    small = cv2.resize(iuv, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(small, np.uint8)


@dataclass
class Batch:
    """Pairs of one size, whose pictures lie on the device once they are asked for."""

    pairs: Sequence[Pair]
    device: torch.device

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def generated(self) -> Tensor:
        """float32 [B, 3, H, W] in 0..1."""
        return to_tensor([pair.generated for pair in self.pairs], self.device)

    @cached_property
    def truth(self) -> Tensor:
        """Likewise."""
        return to_tensor([pair.truth for pair in self.pairs], self.device)

    @cached_property
    def source(self) -> Tensor:
        """Likewise, of the source photos; for metrics whose `needs` have "source"."""
        return to_tensor([pair.source for pair in self.pairs], self.device)


@dataclass
class Pictures:
    """Pictures of one size, generated or real, as networks of features see them."""

    pictures: Sequence[Pixels]
    device: torch.device

    @cached_property
    def tensor(self) -> Tensor:
        """float32 [B, 3, H, W] in 0..1, on the device."""
        return to_tensor(self.pictures, self.device)


def to_tensor(pictures: Sequence[Pixels], device: torch.device) -> Tensor:
    """B pictures uint8 [H, W, 3] -> float32 [B, 3, H, W] in 0..1."""
    stacked = torch.from_numpy(np.stack(pictures)).to(device)
    return stacked.permute(0, 3, 1, 2).float() / 255


def stamp(files: Sequence[Path]) -> str:
    """Sizes in bytes and times of last change, in ns, of files. Raises InputError without one."""
    parts = []
    for path in files:
        try:
            status = path.stat()
        except OSError as error:
            raise InputError(f"{path} does not exist") from error
        parts.append(f"{status.st_size}:{status.st_mtime_ns}")
    return " ".join(parts)
