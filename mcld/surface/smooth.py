"""IUV maps smoothed over time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def smooth_maps(maps: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The middle one of an odd number of maps, of one size, made of them all.

    What estimators make of the frames of a video flickers, and the flicker would be the picture's.
    Each pixel gets the label that most of the maps have there, the nearer ones counting more, and
    the mean of U and V where they have it: a motion that is even is left as it is.

    maps: uint8 [H, W, 3] (I, U, V) each, in their order.
    """
    middle = len(maps) // 2
    weights = [1 + middle - abs(k - middle) for k in range(len(maps))]
    labels = np.stack([iuv[..., 0] for iuv in maps])
    # The middle one wins where votes are equal, then the earlier.
    order = sorted(range(len(maps)), key=lambda k: abs(k - middle))
    best = np.full(labels.shape[1:], -1)
    chosen = labels[middle].copy()
    for k in order:
        votes = np.zeros(labels.shape[1:], int)
        for other, weight in enumerate(weights):
            votes += weight * (labels[other] == labels[k])
        more = votes > best
        best[more], chosen[more] = votes[more], labels[k][more]
    total = np.zeros((*chosen.shape, 1), np.float32)
    together = np.zeros((*chosen.shape, 2), np.float32)
    for iuv, weight in zip(maps, weights, strict=True):
        share = np.float32(weight) * (iuv[..., :1] == chosen[..., None])
        total += share
        together += share * iuv[..., 1:]
    smooth = np.rint(together / np.maximum(total, 1)).astype(np.uint8)
    return np.where(chosen[..., None] > 0, np.dstack([chosen, smooth]), 0).astype(np.uint8)
