"""Pairs of a generated and a true picture, as metrics see them."""

from __future__ import annotations

import io
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
from mcld.evaluate.layouts import PairNames, ResultFile
from mcld.evaluate.protocol import Filter, Protocol

Pixels = NDArray[np.uint8]
"""uint8 [H, W, 3]: RGB, or the I, U, V of a map."""

_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_OPENCV = {
    "nearest": cv2.INTER_NEAREST_EXACT,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
_WHITE = 255


def resize(image: Pixels, size: tuple[int, int], how: Filter = "pillow-bicubic") -> Pixels:
    """A picture resized to (height, width), rounded to 8 bits.

    how: a library and its filter. Pillow's filters widen when a picture shrinks (antialiasing),
    OpenCV's do not, but for its "area".
    """
    if image.shape[:2] == size:
        return image
    library, _, name = how.partition("-")
    if library == "opencv":
        return np.asarray(cv2.resize(image, size[::-1], interpolation=_OPENCV[name]), np.uint8)
    return np.asarray(Image.fromarray(image).resize(size[::-1], _PILLOW[name]))


def save_as_jpeg(image: Pixels, quality: int) -> Pixels:
    """A picture as it comes back from a JPEG, its colours at half the resolution."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def find_shape(size: str, protocol: Protocol) -> tuple[int, int]:
    """(height, width) at which a protocol has pictures of a size, "256" or "512"."""
    height, width = RESULT_SIZES[size]
    return (height, height) if protocol.shape == "square" else (height, width)


def make_photo(image: Pixels, size: str, protocol: Protocol) -> Pixels:
    """A true or real picture as a protocol has it, of `find_shape`."""
    image = resize(image, find_shape(size, protocol), protocol.resize)
    return save_as_jpeg(image, protocol.photo_jpeg) if protocol.photo_jpeg else image


def read_result(file: ResultFile, size: str, protocol: Protocol) -> Pixels:
    """The result in a file as a protocol has it, of `find_shape`.

    It may be narrow or square; what is of neither shape of its size raises InputError, as does what
    cannot be read.
    """
    image = read_image(file.path)
    if file.layout.panels != 1:
        image = _cut(image, file)
    (height, width), (high, wide) = image.shape[:2], RESULT_SIZES[size]
    if height != high or width not in (wide, high):
        raise InputError(f"it is {width}x{height}, not {wide}x{high}")
    if width == high and protocol.shape == "narrow" and file.layout.name == "mcld":
        raise InputError(f"it is {width}x{height}, not {wide}x{high}")
    image = resize(image, find_shape(size, protocol), protocol.result_resize)
    return save_as_jpeg(image, protocol.result_jpeg) if protocol.result_jpeg else image


def _cut(image: Pixels, file: ResultFile) -> Pixels:
    """One of the pictures that stand side by side in a file."""
    height, width = image.shape[:2]
    panels = file.layout.panels
    if not panels:  # narrow ones, or else squares
        narrow = round(height * RESULT_SIZES["256"][1] / RESULT_SIZES["256"][0])
        panels = width // narrow if width % narrow == 0 else width // height
        if width % narrow == 0 and width % height == 0:  # both fit, 16 and 11 of them
            raise InputError(
                f"it is {width}x{height}, which is a row of {width // narrow} narrow pictures or of"
                f" {width // height} squares: cut one picture off at an end"
            )
    if panels < 1 or width % panels:
        raise InputError(f"it is {width}x{height}, which is no row of pictures")
    number = file.layout.panel + (panels if file.layout.panel < 0 else 0)
    if not 0 <= number < panels:
        raise InputError(f"it has {panels} pictures side by side, and --panel asks for another")
    side = width // panels
    return image[:, number * side : (number + 1) * side]


def see_as_network(image: Pixels, size: str, protocol: Protocol) -> Pixels:
    """A picture as all but PSNR and SSIM see it."""
    if protocol.network_resize is None:
        return image
    return resize(image, RESULT_SIZES[size], protocol.network_resize)


def see_as_pixels(image: Pixels, protocol: Protocol) -> Pixels:
    """A picture as PSNR and SSIM see it."""
    height, width = image.shape[:2]
    if not protocol.pad_white or width >= height:
        return image
    beside = (height - width) // 2
    columns = (beside, height - width - beside)
    return np.pad(image, ((0, 0), columns, (0, 0)), constant_values=_WHITE)


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
    saved: tuple[Pixels, Pixels]
    """The generated and the true picture, of one shape."""
    names: PairNames
    """Stems of the source and the target in the dataset."""
    dataset: DatasetLayout
    protocol: Protocol

    @cached_property
    def generated(self) -> Pixels:
        """The generated picture, as all but PSNR and SSIM see it."""
        return see_as_network(self.saved[0], self.size, self.protocol)

    @cached_property
    def truth(self) -> Pixels:
        """The true picture, likewise."""
        return see_as_network(self.saved[1], self.size, self.protocol)

    @cached_property
    def compared(self) -> tuple[Pixels, Pixels]:
        """The generated and the true picture, as PSNR and SSIM see them."""
        generated, truth = self.saved
        return see_as_pixels(generated, self.protocol), see_as_pixels(truth, self.protocol)

    @cached_property
    def source(self) -> Pixels:
        """The source photo, resized as the truth is."""
        image = read_image(self.dataset.image("test", self.names.source))
        photo = make_photo(image, self.size, self.protocol)
        return see_as_network(photo, self.size, self.protocol)

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
        iuv = read_iuv(self.dataset.densepose("test", stem))
        height, width = self.generated.shape[:2]
        return fit_iuv(iuv, (height, width))


MAPS = frozenset({"source_iuv", "target_iuv", "source_texture", "target_texture"})
"""Attributes of `Pair` that estimators have read."""


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
        """float32 [B, 3, H, W] in 0..1, as every tensor here."""
        return to_tensor([pair.generated for pair in self.pairs], self.device)

    @cached_property
    def truth(self) -> Tensor:
        """The true pictures."""
        return to_tensor([pair.truth for pair in self.pairs], self.device)

    @cached_property
    def distinct_truths(self) -> tuple[Tensor, Tensor]:
        """The true pictures, each once, and of each pair the number of its own, int64 [B].

        Pairs that follow each other have one target.
        """
        of_pairs = [id(pair.saved[1]) for pair in self.pairs]
        numbers = {of_pair: number for number, of_pair in enumerate(dict.fromkeys(of_pairs))}
        which = torch.tensor([numbers[of_pair] for of_pair in of_pairs])
        truths = {id(pair.saved[1]): pair.truth for pair in self.pairs}
        return to_tensor(list(truths.values()), self.device), which.to(self.device)

    @cached_property
    def source(self) -> Tensor:
        """The source photos; for metrics whose `needs` have "source"."""
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
