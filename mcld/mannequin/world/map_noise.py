"""IUV maps as estimators make them: what is exact in a rendered one, made uncertain."""

import cv2
import numpy as np

from mcld.body.shape import PARTS as BODY_PARTS
from mcld.body.shape import UInt8Array
from mcld.surface.parts import HANDS, PARTS

_TAKEN = [sides for name, sides in BODY_PARTS.items() if "arm" in name or "leg" in name]
"""Labels that estimators take for each other: front and back of a limb."""


def disturb_map(rng: np.random.Generator, iuv: UInt8Array) -> UInt8Array:
    """A noisy copy of an IUV map, uint8 [H,W,3] (I, U, V).

    Borders wander, U and V drift from part to part, hands are missed, limbs are taken for their
    other side, and details are lost as in an estimate of fewer pixels.
    """
    height, width = iuv.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for cells, most in ((5, 0.006), (16, 0.0045)):
        reach = most * height * rng.random()
        for place in (x, y):
            coarse = rng.standard_normal((cells * 3 // 2, cells), np.float32)
            place += reach * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.5:  # estimated at fewer pixels, each taken whole
        step = rng.uniform(1, 3)
        x, y = ((place / step).round() * step for place in (x, y))
    out = cv2.remap(iuv, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    labels = out[..., 0]
    gain = rng.normal(1, 0.06, (PARTS + 1, 2)).astype(np.float32)
    shift = rng.normal(0, 5, (PARTS + 1, 2)).astype(np.float32)
    moved = (out[..., 1:] - np.float32(127.5)) * gain[labels] + shift[labels] + np.float32(128)
    out[..., 1:] = np.clip(moved, 0, 255)
    for hand in HANDS:
        if rng.random() < 0.15:
            labels[labels == hand] = 0
    for front, back in _TAKEN:
        if rng.random() < 0.04:
            taken = labels == (front if rng.random() < 0.5 else back)
            labels[taken] = front + back - labels[taken]
    out[labels == 0] = 0
    return np.asarray(out)
