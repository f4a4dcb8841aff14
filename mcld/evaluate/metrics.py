"""Likeness of two pictures, as the papers on pose-guided synthesis measure it.

All functions take a generated and a true picture, uint8 [H, W, 3], and return one number. They are
meant to be called from several threads at once, one picture each.

Both kinds of SSIM are scikit-image's `structural_similarity`, which would take 11 minutes longer
over the 8,570 test pairs of DeepFashion at both sizes, in 4 threads on 2 cores: at 352x512, 38 ms
a pair for either kind, against 4 ms here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.machine.jit import jit

WINDOW = 51
"""Side of SSIM's uniform window, pixels."""
SIGMA = 1.5
"""Of SSIM-256's Gaussian window, pixels."""
_TRUNCATE = 3.5
"""Radius of that window, in sigmas."""
_K1, _K2 = 0.01, 0.03
_GREY = np.float32(128)
"""Subtracted from all pixels before they are squared, for less rounding."""
_CONTRAST = 200
"""Data range from which float32 keeps errors below 1e-5."""

_Picture = NDArray[np.uint8]
_Map = NDArray[Any]


def psnr(generated: _Picture, truth: _Picture) -> float:
    """Peak signal-to-noise ratio in dB. Infinite for equal pictures."""
    difference = generated.astype(np.float32) - truth
    error = np.mean(difference * difference, dtype=np.float64) / 255**2
    return float(-10 * np.log10(error)) if error else float("inf")


def ssim(generated: _Picture, truth: _Picture, window: int = WINDOW) -> float:
    """Structural similarity as the field reports it.

    Uniform windows, data range 1, sample covariance, per channel, whole windows only: skimage's
    `structural_similarity(win_size=window, data_range=1)` of pictures in 0..1, which must be at
    least `window` pixels high and wide. window: the side, odd.
    """
    pixels = window**2
    box = partial(cv2.blur, ksize=(window, window))
    return _ssim(generated, truth, box, window // 2, 255.0, pixels / (pixels - 1))


def ssim_256(generated: _Picture, truth: _Picture, sigma: float = SIGMA) -> float:
    """Structural similarity of 0..255 pictures, as the field's second variant has it.

    Gaussian windows, 3.5 sigma to either side, population covariance, whole windows only, and as
    data range the generated picture's largest value minus its smallest: skimage's
    `structural_similarity(gaussian_weights=True, sigma=sigma, use_sample_covariance=False)`. NaN
    when the generated picture is all one grey, which has no such range.
    """
    data_range = float(generated.max()) - float(generated.min())
    if not data_range:
        return float("nan")
    kernel = _make_kernel(sigma)
    gaussian = partial(cv2.sepFilter2D, ddepth=-1, kernelX=kernel, kernelY=kernel)
    return _ssim(generated, truth, gaussian, len(kernel) // 2, data_range, 1.0)


def _ssim(
    generated: _Picture,
    truth: _Picture,
    average: Callable[[_Map], _Map],
    border: int,
    data_range: float,
    correction: float,
) -> float:
    """Wang et al. (2004), equation 13, averaged over all windows and channels.

    average: a picture's window means; border: of the windows' centres; data_range: of the
    pictures; correction: of the covariances.
    """
    inside = np.s_[border:-border, border:-border]
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    # In float32, squares of 128 are too coarse beside the c2 of a picture of little contrast.
    precision: type = np.float32 if data_range >= _CONTRAST else np.float64
    similarities = []
    for channel in range(generated.shape[-1]):  # one by one: one fits into a core's cache
        x: _Map = generated[..., channel].astype(precision) - _GREY
        y: _Map = truth[..., channel].astype(precision) - _GREY
        d = x - y
        windows = (average(m)[inside] for m in (x, d, x * x + y * y, d * d))
        similarities.append(_similarity(*windows, c1, c2, correction))
    return float(np.mean(similarities))


@jit(nogil=True)
def _similarity(  # type: ignore[no-untyped-def]
    mx, md, squares, gaps, c1: float, c2: float, correction: float
) -> float:
    """The mean similarity from the windows' means of x, d = x - y, x^2 + y^2 and d^2.

    x and y are without `_GREY`. Twice the covariance is the sum of the variances minus that of d,
    which is small where pictures are alike and so exact where the mean of xy would not be.
    """
    total = 0.0
    height, width = mx.shape
    for row in range(height):
        for column in range(width):
            x, d = mx[row, column], md[row, column]
            y = x - d
            unlike = correction * (gaps[row, column] - d * d)
            variances = correction * (squares[row, column] - x * x - y * y)
            x, y = x + _GREY, y + _GREY
            total += (1 - d * d / (x * x + y * y + c1)) * (1 - unlike / (variances + c2))
    mean: float = total / (height * width)
    return mean


@cache
def _make_kernel(sigma: float) -> NDArray[np.float64]:
    """A Gaussian window along a side, as far as scikit-image takes it, of sum 1."""
    radius = int(_TRUNCATE * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.asarray(kernel / kernel.sum())
