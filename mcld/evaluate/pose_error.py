"""How far the pose of a result is from the one that was asked for: by IUV maps and by keypoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcld.estimators.body.landmarks import PhotoLandmarks

_FEWEST = 30
"""Pixels of a part in the target's map, at 176x256, below which it is too small to be compared."""
_AT_SIZE = 256 * 176
PCK_SHARE = 0.5
"""Of the head's size, within which a keypoint is right."""
SEEN = 0.5
"""How visible a keypoint must be in the truth, 0..1, to count."""
_EARS, _SHOULDERS = (7, 8), (11, 12)
JOINTS = (*_SHOULDERS, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""BlazePose's shoulders, elbows, wrists, hips, knees, ankles."""


def compare_maps(wanted: NDArray[np.uint8], found: NDArray[np.uint8] | None) -> dict[str, float]:
    """The target's IUV map beside the one that is estimated from the result.

    wanted, found: uint8 [H, W, 3] (I, U, V), as high and wide; found: None where nobody was found.

    "pose_iou": the intersection over union of each part's pixels, the mean over the parts that the
    target's map shows, without those of fewer than 30 pixels at 176x256; 0 where nobody was found.
    "pose_uv": the mean of |U - U'| and |V - V'|, 0..1, over the pixels that both give the same
    label. What there is nothing to tell of is absent.
    """
    labels = wanted[..., 0]
    fewest = _FEWEST * labels.size / _AT_SIZE
    parts = [
        part
        for part, count in zip(*np.unique(labels, return_counts=True), strict=True)
        if part and count >= fewest
    ]
    if not parts:
        return {}
    if found is None:
        return {"pose_iou": 0.0}
    told = found[..., 0]
    overlaps = []
    for part in parts:
        here, there = labels == part, told == part
        overlaps.append((here & there).sum() / (here | there).sum())
    errors = {"pose_iou": float(np.mean(overlaps))}
    agree = (labels > 0) & (labels == told)
    if agree.any():
        off = np.abs(wanted[agree][:, 1:].astype(float) - found[agree][:, 1:])
        errors["pose_uv"] = float(off.mean() / 255)
    return errors


def measure_pckh(truth: PhotoLandmarks | None, generated: PhotoLandmarks | None) -> float | None:
    """The share of keypoints that lie where the truth has them: PCKh@0.5, 0..1.

    Of shoulders, elbows, wrists, hips, knees and ankles those that are seen in the truth, inside
    the picture; right is what lies within half the head's size of the truth's. The head's size is
    the distance from the middle of the ears to that of the shoulders, in the truth: BlazePose has
    no point on top of the head, and that distance is about as long as a head is high (MPII's is 0.6
    of the diagonal of the head's box, so that the two cannot be compared).

    truth, generated: None where nobody was found. None for a truth without a person or keypoint; 0
    for a result without a person.
    """
    if truth is None:
        return None
    joints = np.array(JOINTS)
    joints = joints[(truth.visibility[joints] > SEEN) & truth.inside[joints]]
    if not len(joints):
        return None
    if generated is None:
        return 0.0
    ears, shoulders = (truth.places[list(pair)].mean(axis=0) for pair in (_EARS, _SHOULDERS))
    reach = PCK_SHARE * np.linalg.norm(ears - shoulders)
    off = np.linalg.norm(generated.places[joints] - truth.places[joints], axis=1)
    return float((off <= reach).mean())
