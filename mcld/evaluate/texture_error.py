"""Whether a result wears what its source wears: their texture maps, beside each other."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.estimators.texture import extract_texture

_RIM = 2 / 256
"""How far inside the body's outline pixels begin to count, of the picture's height."""
_FEWEST = 300
"""Texels that both must show."""


def unroll(generated: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The texture map of a result by the target's map, uint8 [512, 512, 3] RGB.

    generated, iuv: uint8 [H, W, 3]. Within 2 pixels of the body's outline, at 176x256, nothing
    counts: who stands a pixel beside their map would wear what is behind them.
    """
    rim = max(round(_RIM * iuv.shape[0]), 1)
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    inside = cv2.erode((iuv[..., :1] > 0).astype(np.uint8), shape)
    return extract_texture(generated, np.asarray(iuv * inside[..., None], np.uint8))


def compare_textures(source: NDArray[np.uint8], own: NDArray[np.uint8]) -> dict[str, float]:
    """The source's texture map beside that of the result, unrolled by the target's map.

    source, own: uint8 [512, 512, 3] RGB, (0, 0, 0) where they show nothing.

    "texture_error": the mean absolute difference, levels of 255, over the texels that both show;
    "texture_psnr": of the same, in dB; "texture_share": the texels that both show, of those that
    the result shows. Where they share fewer than 300, which is a square of 17, only the share.
    Empty for a result without a body.
    """
    seen, shown = source.any(axis=-1), own.any(axis=-1)
    if not shown.any():
        return {}
    both = seen & shown
    found = {"texture_share": float(both.sum() / shown.sum())}
    if both.sum() < _FEWEST:
        return found
    off = own[both].astype(float) - source[both]
    error = np.mean(off * off)
    found["texture_error"] = float(np.abs(off).mean())
    found["texture_psnr"] = float(10 * np.log10(255**2 / error)) if error else float("inf")
    return found
