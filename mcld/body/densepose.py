"""Where each point of the mannequin's skin lies on DensePose's charts.

Labels and chart coordinates are functions of the canonical position (`mcld.body.shape`),
with DensePose's own borders: planes across the limbs, the groin's slant in front, the seat behind.
What is painted does not hang on them: clothes have charts of their own (`find_chart_position`).
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from mcld.body.shape import (
    SEGMENTS,
    FloatArray,
    IntArray,
    UInt8Array,
    find_chart_position,
    load_skin,
)
from mcld.surface.charts import CHART_SIZE, chart_masks, limb_charts
from mcld.surface.parts import FEET, HANDS, HEAD, TORSO

# Where DensePose's parts end on the canonical body, metres: along x for arms, y for legs.
_SHOULDER, _ELBOW, _WRIST, _FINGERS = 0.17, 0.407, 0.658, 0.82
_CROTCH, _KNEE, _ANKLE = -0.51, -0.83, -1.173
# The thigh's front ends at the groin, which rises from the crotch to the hip; its back at the seat,
# above the crotch: there its inner side is the cleft.
_HIP, _HIP_HALF_WIDTH, _SEAT = -0.38, 0.15, -0.43
_NECK, _ARMPIT = 0.14, -0.03
_SHOULDER_TOP, _CREST = 0.1, -0.027  # height and depth of the ridge between front and back
# The head's part takes the neck, below its own skin as well: within a radius of an axis, above a
# plane that falls to the front.
_NECK_AXIS, _NECK_RADIUS, _NECK_LOW, _NECK_SLOPE = -0.015, 0.065, 0.068, 0.8
_MIDDLE = 0.0  # between the trunk's front and back, along z
_ENDS = {
    f"{side} {name}": (axis, sign * start, sign * end)
    for side, sign_of_x in (("left", 1), ("right", -1))
    for name, axis, sign, start, end in (
        ("upper arm", 0, sign_of_x, _SHOULDER, _ELBOW),
        ("lower arm", 0, sign_of_x, _ELBOW, _WRIST),
        ("hand", 0, sign_of_x, _WRIST, _FINGERS),
        ("lower leg", 1, 1, _KNEE, _ANKLE),
    )
}
"""Limb -> the axis along which its t is measured, and where it starts and ends."""

_LINES = {
    HANDS[0]: ("V", 1, 1),
    HANDS[1]: ("V", 1, -1),
    FEET[0]: ("U", 1, 1),
    FEET[1]: ("U", -1, -1),
    HEAD[0]: ("V", -1, 1),
    HEAD[1]: ("V", -1, 1),
}
"""Parts that are no tubes -> the chart's axis that t runs along, and the signs of t and s."""


def find_densepose_uv(
    segment: npt.NDArray[np.integer], position: FloatArray
) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """DensePose's label (1..24), U and V (0..255) of points of the canonical skin: uint8 [N] each.

    segment [N] indexes SEGMENTS, position [N,3] is in canonical metres.
    """
    segment = _find_segments(segment, position)
    part, s, t = find_chart_position(segment, position)
    for k, name in enumerate(SEGMENTS):
        here = np.flatnonzero(segment == k)
        if name == "torso":
            part[here], s[here], t[here] = _measure_trunk(position[here])
        elif name.endswith("upper leg"):
            s[here], t[here] = _measure_thigh(position[here], s[here], -1 if "right" in name else 1)
        elif name in _ENDS:
            axis, start, end = _ENDS[name]
            t[here] = np.clip((position[here, axis] - start) / (end - start), 0, 1)
    u, v = _look_up_limbs(part, s, t)
    for label in _LINES:
        here = np.flatnonzero(part == label)
        u[here], v[here] = _look_up_lines(label, s[here], t[here])
    return part, u, v


def _find_segments(
    segment: npt.NDArray[np.integer], position: FloatArray
) -> npt.NDArray[np.integer]:
    """The segments cut where DensePose cuts: the skin's own overlap at the joints."""
    segment = segment.copy()
    trunk = np.isin(
        segment, [k for k, n in enumerate(SEGMENTS) if n == "torso" or "upper leg" in n]
    )
    for side, sign in (("left", 1), ("right", -1)):
        arm = [SEGMENTS.index(f"{side} {name}") for name in ("upper arm", "lower arm", "hand")]
        leg = [SEGMENTS.index(f"{side} {name}") for name in ("upper leg", "lower leg", "foot")]
        out = sign * position[:, 0]
        limb = np.isin(segment, arm)
        limb |= (segment == SEGMENTS.index("torso")) & (position[:, 1] > _ARMPIT)
        segment[limb & (out > 0)] = SEGMENTS.index("torso")
        limb &= out > _SHOULDER
        segment[limb] = np.take(arm, np.digitize(out[limb], (_ELBOW, _WRIST)))
        limb = np.isin(segment, leg)
        segment[limb] = np.take(leg, np.digitize(-position[limb, 1], (-_KNEE, -_ANKLE)))
    x, y, z = position.T
    neck = np.hypot(x, z - _NECK_AXIS) < _NECK_RADIUS
    neck &= (segment == SEGMENTS.index("torso")) & (y > _NECK_LOW - _NECK_SLOPE * z)
    segment[neck] = SEGMENTS.index("head")
    below = position[:, 1] < _find_end_of_trunk(position)
    segment[trunk & ~below & (position[:, 1] < _ARMPIT)] = SEGMENTS.index("torso")
    left, right = (SEGMENTS.index(f"{side} upper leg") for side in ("left", "right"))
    below &= trunk & (position[:, 1] > _KNEE)
    segment[below] = np.where(position[below, 0] > 0, left, right)
    return segment


def _find_end_of_trunk(position: FloatArray) -> FloatArray:
    """The height at which the thighs begin in front or behind, for points [N,3] of the trunk."""
    middle = np.where(position[:, 2] > _MIDDLE, _CROTCH, _SEAT)
    out = np.minimum(np.abs(position[:, 0]) / _HIP_HALF_WIDTH, 1)
    return np.asarray(middle + (_HIP - middle) * out, np.float32)


def _measure_trunk(position: FloatArray) -> tuple[UInt8Array, FloatArray, FloatArray]:
    """Label, s and t of the trunk; its front and back meet on the crest of the shoulders."""
    x, y, z = position.T
    middle = load_skin().frames[SEGMENTS.index("torso")].start[2]
    middle = np.interp(y, (_ARMPIT, _SHOULDER_TOP), (middle, _CREST))
    back, front = TORSO
    part = np.where(z > middle, front, back).astype(np.uint8)
    s = np.arctan2(x, np.abs(z - middle)) / np.pi + 0.5
    t = np.clip((_NECK - y) / (_NECK - _find_end_of_trunk(position)), 0, 1)
    return part, np.asarray(s, np.float32), np.asarray(t, np.float32)


def _measure_thigh(position: FloatArray, s: FloatArray, sign: int) -> tuple[FloatArray, FloatArray]:
    """S and t of a thigh, the left one's where `sign` is 1; above the crotch it ends at x = 0."""
    y, end = position[:, 1], _find_end_of_trunk(position)
    frame = load_skin().frames[SEGMENTS.index("left upper leg")]
    # The angle, from the thigh's axis, at which the body's middle is seen.
    depth = np.abs(position[:, 2] - frame.start[2])
    middle = np.arctan2(-frame.start[0], depth) / np.pi + 0.5
    inner = middle * np.clip((y - _CROTCH) / 0.02, 0, 1)
    outwards = np.clip(((s if sign > 0 else 1 - s) - inner) / (1 - inner), 0, 1)
    t = np.clip((end - y) / (end - _KNEE), 0, 1)
    return np.asarray(outwards if sign > 0 else 1 - outwards, np.float32), np.asarray(t, np.float32)


def _look_up_limbs(part: UInt8Array, s: FloatArray, t: FloatArray) -> tuple[UInt8Array, UInt8Array]:
    """U and V, 0..255, of trunk and limbs, from their table; 0 of other parts."""
    table = np.nan_to_num(limb_charts())
    size = table.shape[1]
    k, y, x = part.astype(np.int32) - 1, t * (size - 1), s * (size - 1)
    row, column = np.minimum(y.astype(np.int32), size - 2), np.minimum(x.astype(np.int32), size - 2)
    fy, fx = (y - row)[:, None], (x - column)[:, None]
    top = table[k, row, column] * (1 - fx) + table[k, row, column + 1] * fx
    bottom = table[k, row + 1, column] * (1 - fx) + table[k, row + 1, column + 1] * fx
    u, v = np.rint((top * (1 - fy) + bottom * fy) * 255).astype(np.uint8).T
    return u, v


@cache
def _find_valid_lines(label: int) -> tuple[IntArray, IntArray, IntArray]:
    """The chart's lines across t: the (first, last) that are used; of each line how many pixels lie
    on the body [200], and which [200,200], ascending, as many as there are.
    """
    mask = chart_masks()[label - 1][::-1]  # rows grow with V
    if _LINES[label][0] == "U":
        mask = mask.T
    used = np.flatnonzero(mask.any(1))
    # A line without a valid pixel, inside a chart, takes the nearest one's.
    filled = mask[used[np.abs(np.arange(CHART_SIZE)[:, None] - used).argmin(1)]]
    pixels = np.argsort(~filled, axis=1, kind="stable")
    return used[[0, -1]].astype(np.int32), filled.sum(1).astype(np.int32), pixels.astype(np.int32)


def _look_up_lines(label: int, s: FloatArray, t: FloatArray) -> tuple[UInt8Array, UInt8Array]:
    """U and V, 0..255, of head, hands and feet: their charts are filled line by line, so that
    nothing of the surface falls beside them.
    """
    axis, t_sign, s_sign = _LINES[label]
    (first, last), counts, pixels = _find_valid_lines(label)
    t, s = (t if t_sign > 0 else 1 - t), (s if s_sign > 0 else 1 - s)
    line = np.rint(first + t * (last - first)).astype(np.int32)
    place = pixels[line, np.rint(s * (counts[line] - 1)).astype(np.int32)]
    # The smallest byte whose pixel, byte * 199 // 255, is this one; of V, pixels count from above.
    column, row = (place, line) if axis == "V" else (line, place)
    u = -(-column * 255 // (CHART_SIZE - 1))
    v = 255 - -(-(CHART_SIZE - 1 - row) * 255 // (CHART_SIZE - 1))
    return u.astype(np.uint8), v.astype(np.uint8)
