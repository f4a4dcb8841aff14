"""A photo as DensePose's network takes it: resized, BGR, less the mean colour, padded."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

SHORT, LONG = 800, 1333
"""Pixels of the shorter side, and of the longer one at most."""
MEAN = (103.530, 116.280, 123.675)
"""Mean colour of the photos it was trained on, BGR."""
MULTIPLE = 32
"""Of the coarsest stride: the padded input's height and width are multiples of it."""


def choose_size(height: int, width: int, short: int = SHORT, long: int = LONG) -> tuple[int, int]:
    """Height and width that a photo is resized to."""
    tall, wide = float(short), float(short)  # the shorter side, which a product may miss by 1e-13
    if height < width:
        wide = short / height * width
    else:
        tall = short / width * height
    if (longer := max(tall, wide)) > long:
        tall, wide = tall * (long / longer), wide * (long / longer)
    return max(int(tall + 0.5), 1), max(int(wide + 0.5), 1)


def resize_photo(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A photo, uint8 [H, W, 3] RGB, at another height and width, uint8 BGR.

    By Pillow, as the network was trained: OpenCV's and PyTorch's bilinear resizing differ.
    """
    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(resized)[..., ::-1])


def normalise(photos: list[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Resized photos of one size, each uint8 [H, W, 3] BGR, as the network's input.

    Returns float32 [N, 3, H', W'] on the device, H' and W' the next multiples of 32; what is added,
    on the right and at the bottom, is 0, which is the mean colour.
    """
    pixels = torch.from_numpy(np.stack(photos)).to(device).permute(0, 3, 1, 2).float()
    pixels = pixels - pixels.new_tensor(MEAN).view(1, 3, 1, 1)
    height, width = pixels.shape[-2:]
    padding = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
    return torch.nn.functional.pad(pixels, padding).contiguous(memory_format=torch.channels_last)
