"""A pose in the proportions of another person: a map is laid anew, limb by limb.

Lengths are compared in space, so that a limb that points at the camera tells no less; widths are
those of the parts of the map. All are in heights of the trunk.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mcld.errors import InputError
from mcld.surface.parts import ARMS, FEET, HANDS, HEAD, LEGS, TORSO

Array = NDArray[np.floating]


class _Bone(NamedTuple):
    """A limb between two landmarks."""

    name: str
    start: int
    end: int
    parts: tuple[int, ...]


_SHOULDERS, _HIPS = (11, 12), (23, 24)
_BONES = (
    _Bone("thigh", 23, 25, (8, 10)),
    _Bone("thigh", 24, 26, (7, 9)),
    _Bone("shin", 25, 27, (12, 14)),
    _Bone("shin", 26, 28, (11, 13)),
    _Bone("upper arm", 11, 13, (15, 17)),
    _Bone("upper arm", 12, 14, (16, 18)),
    _Bone("lower arm", 13, 15, (19, 21)),
    _Bone("lower arm", 14, 16, (20, 22)),
)
_TIPS = ((15, HANDS[1]), (16, HANDS[0]), (27, FEET[0]), (28, FEET[1]))
"""Hands and feet: the landmark that each is held by, and its part label."""
_LIMITS = (0.6, 1.7)
"""How much anything may be changed by; more is an error of the landmarks."""


class Build(NamedTuple):
    """Somebody's proportions, in heights of the trunk."""

    lengths: dict[str, float]
    """Of limbs, and across "shoulders" and "hips"."""
    widths: dict[str, float]
    """Of limbs, "trunk" and "head"."""


class LandmarkedPose(NamedTuple):
    """A map, and the landmarks of the person that it shows."""

    iuv: NDArray[np.uint8]
    """uint8 [H, W, 3] (I, U, V)."""
    places: NDArray[np.floating]
    """[33, 3] (x, y, depth), pixels."""


def fit_pose(pose: LandmarkedPose, person: LandmarkedPose) -> NDArray[np.uint8]:
    """The map of a pose in the proportions of a person, uint8 [H, W, 3].

    Raises InputError where either's cannot be measured.
    """
    return fit_map(*pose, measure_build(*pose), measure_build(*person))


def measure_build(iuv: NDArray[np.uint8], places: NDArray[np.floating]) -> Build:
    """The proportions of somebody in a picture.

    iuv: their map, uint8 [H, W, 3]. places: [33, 3] (x, y, depth) of their landmarks, in pixels.

    Raises InputError where trunk and landmarks do not tell them.
    """
    labels, places = iuv[..., 0], np.asarray(places, np.float64)
    trunk = float(np.linalg.norm(_middle(places, _SHOULDERS) - _middle(places, _HIPS)))
    if trunk < 4 or not np.isin(labels, TORSO).any():
        raise InputError("its trunk is not seen, in which proportions are measured")
    lengths = {
        "shoulders": float(np.linalg.norm(places[11] - places[12])) / trunk,
        "hips": float(np.linalg.norm(places[23] - places[24])) / trunk,
    }
    widths: dict[str, list[float]] = {}
    sides: dict[str, list[float]] = {}
    for name, start, end, parts in _BONES:
        length = float(np.linalg.norm(places[end] - places[start]))
        sides.setdefault(name, []).append(length / trunk)
        seen = float(np.linalg.norm(places[end, :2] - places[start, :2]))
        area = int(np.isin(labels, parts).sum())
        if area and seen > 0.2 * trunk:
            widths.setdefault(name, []).append(area / seen / trunk)
    lengths |= {name: float(np.mean(both)) for name, both in sides.items()}
    found = {name: float(np.mean(both)) for name, both in widths.items()}
    found["trunk"] = float(np.isin(labels, TORSO).sum()) / trunk**2
    if head := int(np.isin(labels, HEAD).sum()):
        found["head"] = float(np.sqrt(head)) / trunk
    return Build(lengths, found)


def fit_map(
    iuv: NDArray[np.uint8], places: NDArray[np.floating], own: Build, wanted: Build
) -> NDArray[np.uint8]:
    """The map of somebody who has the same pose and other proportions, uint8 [H, W, 3].

    iuv: the map. places: [33, 3] of its landmarks, in pixels. own, wanted: the builds of who it
    shows, and of who it shall show. A whole figure stays as high as it was.
    """
    places = np.asarray(places, np.float64)
    moved = _move_landmarks(places, own, wanted)
    scale, shift = _keep_place(iuv, places, moved)
    moved[:, :2] = moved[:, :2] * scale + shift
    rows, columns = np.indices(iuv.shape[:2])
    grid = np.stack([columns, rows], -1) + 0.5
    out = np.zeros_like(iuv)
    trunk = _Axis(_middle(places, _HIPS), _middle(places, _SHOULDERS))
    laid = _Axis(_middle(moved, _HIPS), _middle(moved, _SHOULDERS))
    _lay(out, iuv, TORSO, trunk, laid, _ratio(own.widths, wanted.widths, "trunk") * scale, grid)
    head = _ratio(own.widths, wanted.widths, "head") * scale
    _lay_rigid(out, iuv, HEAD, trunk.end, laid.end, head, grid)
    jobs = []
    for bone in _BONES:
        width = _ratio(own.widths, wanted.widths, bone.name) * scale
        old = _Axis(places[bone.start, :2], places[bone.end, :2])
        new = _Axis(moved[bone.start, :2], moved[bone.end, :2])
        jobs.append((-(places[bone.start, 2] + places[bone.end, 2]), bone.parts, old, new, width))
        for held, part in _TIPS:
            if held == bone.end:
                tip = _Axis(places[held, :2], None), _Axis(moved[held, :2], None)
                jobs.append((-2 * places[held, 2] - 1e-3, (part,), *tip, width))
    for _, parts, old, new, width in sorted(jobs, key=lambda job: job[0]):
        if old.end is None or new.end is None:
            _lay_rigid(out, iuv, parts, old.start, new.start, width, grid)
        else:
            _lay(out, iuv, parts, old, new, width, grid)
    return _close_gaps(out)


class _Axis(NamedTuple):
    start: Array
    end: Array | None


def _middle(places: Array, pair: tuple[int, int]) -> Array:
    return np.asarray((places[pair[0]] + places[pair[1]]) / 2)


def _ratio(own: dict[str, float], wanted: dict[str, float], name: str) -> float:
    if name not in own or name not in wanted:
        return 1.0
    return float(np.clip(wanted[name] / own[name], *_LIMITS))


def _move_landmarks(places: Array, own: Build, wanted: Build) -> Array:
    """Where the landmarks lie with the other proportions, the hips' middle where it was."""
    moved = places.copy()
    for pair, name in ((_SHOULDERS, "shoulders"), (_HIPS, "hips")):
        middle = _middle(places, pair)
        ratio = _ratio(own.lengths, wanted.lengths, name)
        for point in pair:
            moved[point] = middle + (places[point] - middle) * ratio
    for name, start, end, _ in _BONES:  # nearer the trunk first
        ratio = _ratio(own.lengths, wanted.lengths, name)
        moved[end] = moved[start] + (places[end] - places[start]) * ratio
    return moved


def _keep_place(iuv: NDArray[np.uint8], places: Array, moved: Array) -> tuple[float, Array]:
    """The scale and the shift by which a whole figure stays as high, and where it was."""
    seen = np.flatnonzero(iuv[..., 0].any(1))
    low, high = places[:, 1].min(), places[:, 1].max()
    points = [*_SHOULDERS, *_HIPS, *range(25, 29)]
    before, after = np.ptp(places[points, 1]), np.ptp(moved[points, 1])
    if seen[-1] >= len(iuv) - 2 or high > len(iuv) or low < 0 or after < 1:
        return 1.0, np.zeros(2)  # of a figure that the edge cuts, the trunk stays
    scale = float(before / after)
    foot = np.array([_middle(moved, _HIPS)[0], moved[points, 1].max()])
    stood = np.array([_middle(places, _HIPS)[0], places[points, 1].max()])
    return scale, stood - foot * scale


def _lay(
    out: NDArray[np.uint8],
    iuv: NDArray[np.uint8],
    parts: tuple[int, ...],
    old: _Axis,
    new: _Axis,
    width: float,
    grid: Array,
) -> None:
    """Draw some parts of a map, stretched from one axis onto another and to a width."""
    assert old.end is not None
    assert new.end is not None
    was, now = old.end - old.start, new.end - new.start
    long_was, long_now = np.linalg.norm(was), np.linalg.norm(now)
    if min(long_was, long_now) < 3:  # it points at the camera
        _lay_rigid(out, iuv, parts, old.start, new.start, width, grid)
        return
    offset = grid - new.start
    along = offset @ now / long_now**2
    across = (offset[..., 0] * now[1] - offset[..., 1] * now[0]) / long_now / width
    normal = np.array([was[1], -was[0]]) / long_was
    # Beyond its ends a limb is as round as it is wide.
    beyond = (along - np.clip(along, 0, 1)) * long_now / width
    places = (
        old.start
        + np.clip(along, 0, 1)[..., None] * was
        + beyond[..., None] * was / long_was
        + across[..., None] * normal
    )
    _copy(out, iuv, parts, places)


def _lay_rigid(
    out: NDArray[np.uint8],
    iuv: NDArray[np.uint8],
    parts: tuple[int, ...],
    old: Array | None,
    new: Array | None,
    scale: float,
    grid: Array,
) -> None:
    """Draw some parts of a map around another point, scaled."""
    assert old is not None
    assert new is not None
    _copy(out, iuv, parts, old[:2] + (grid - new[:2]) / scale)


def _copy(
    out: NDArray[np.uint8], iuv: NDArray[np.uint8], parts: tuple[int, ...], places: Array
) -> None:
    """Take the pixels that show these parts from where they are in a map."""
    x, y = np.moveaxis(np.floor(places).astype(np.int64), -1, 0)
    height, width = iuv.shape[:2]
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    taken = iuv[np.where(inside, y, 0), np.where(inside, x, 0)]
    shown = inside & np.isin(taken[..., 0], parts)
    out[shown] = taken[shown]


def _close_gaps(iuv: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill the narrow gaps that open where limbs were moved apart, from what is nearest."""
    body = iuv[..., 0] > 0
    if not body.any():
        return iuv
    reach = max(round(np.sqrt(body.sum()) / 40), 1)
    padded = np.pad(body, 2 * reach)
    closed = ndimage.binary_closing(padded, iterations=reach)[
        2 * reach : -2 * reach, 2 * reach : -2 * reach
    ]
    nearest = ndimage.distance_transform_edt(~body, return_distances=False, return_indices=True)
    gap = closed & ~body
    filled = iuv.copy()
    filled[gap] = iuv[nearest[0][gap], nearest[1][gap]]
    return filled


assert {part for bone in _BONES for part in bone.parts} == {*LEGS, *ARMS}
