"""A body posed by hand: its joints dragged, mirrored, and saved."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mcld.body.parameters import BodyParameters
from mcld.body.pose import JOINTS
from mcld.body.skinning import load_skeleton
from mcld.errors import SettingsError

Point = NDArray[np.float64]
"""[3] metres in the frame of the hips: x to the body's left, y up, z ahead."""

NAMES = ("Pelvis", *JOINTS)
"""The joints of a body; a rotation of each but the first is in `BodyParameters.rotations`."""

SIDES = [
    JOINTS.index({"L": "R", "R": "L"}[name[0]] + name[1:]) if name[1] == "_" else k
    for k, name in enumerate(JOINTS)
]
"""Of each of JOINTS, that of the other side."""

_LIMBS = {
    "L_Wrist": ("L_Shoulder", "L_Elbow"),
    "R_Wrist": ("R_Shoulder", "R_Elbow"),
    "L_Ankle": ("L_Hip", "L_Knee"),
    "R_Ankle": ("R_Hip", "R_Knee"),
}
"""The end of a limb -> the two joints that bring it somewhere."""
_BONES = {
    "L_Elbow": "L_Shoulder",
    "R_Elbow": "R_Shoulder",
    "L_Knee": "L_Hip",
    "R_Knee": "R_Hip",
    "L_Foot": "L_Ankle",
    "R_Foot": "R_Ankle",
    "Head": "Neck",
}
"""The end of a bone -> the joint that turns it."""
_BACK = ("Spine1", "Spine2", "Spine3")
"""What bends when the neck is dragged."""
_BENDS = {"L_Wrist": (0, -1, 0), "R_Wrist": (0, 1, 0), "L_Ankle": (1, 0, 0), "R_Ankle": (1, 0, 0)}
"""The axis about which a limb bends that is straight, as its upper half has it."""
_STRAIGHT = 0.35
"""Sine of the angle between its halves, below which a limb is straight."""
_BENT = 0.3
"""Radians by which a straight limb must bend before it does wholly as it is built."""
_SAME = 1e-9
"""Sine of the angle between two directions, below which they are one."""
_FOLDED, _STRETCHED = 0.25, 0.999
"""Of a limb's length, how near its end comes to its root, and how far it gets."""

HANDLES = {
    "Head": "head",
    "Neck": "upper body",
    "L_Elbow": "left elbow",
    "R_Elbow": "right elbow",
    "L_Wrist": "left hand",
    "R_Wrist": "right hand",
    "L_Knee": "left knee",
    "R_Knee": "right knee",
    "L_Ankle": "left foot",
    "R_Ankle": "right foot",
    "L_Foot": "left toes",
    "R_Foot": "right toes",
}
"""The joints that can be dragged, and what people call them."""


class Skeleton(NamedTuple):
    """The joints of a posed body, in the frame of its hips."""

    places: NDArray[np.float64]
    """[22, 3] metres, of `NAMES`."""
    turns: list[Rotation]
    """How far each is turned, all its parents included."""


@cache
def list_bones() -> tuple[tuple[str, str], ...]:
    """The lines of a skeleton, by the joints at their ends."""
    _, parents = load_skeleton()
    return tuple((NAMES[parent], name) for name, parent in zip(JOINTS, parents, strict=True))


def find_joints(body: BodyParameters) -> Skeleton:
    """Where the joints of a body of plain build are; neither orientation nor place counts."""
    rest, parents = load_skeleton()
    places, turns = [rest[0]], [Rotation.identity()]
    for k, parent in enumerate(parents, 1):
        turns.append(turns[parent] * Rotation.from_rotvec(body.rotations[k - 1]))
        places.append(places[parent] + turns[parent].apply(rest[k] - rest[parent]))
    return Skeleton(np.array(places), turns)


def drag_joint(body: BodyParameters, handle: str, target: Point) -> BodyParameters:
    """The body with a joint brought to a place, or as near as bones let it.

    A hand or a foot takes its elbow or knee along, which bends in the plane that it is bent in
    already; the neck takes the back along; of what else there is, one bone turns.

    Raises SettingsError for a joint that is none of `HANDLES`.
    """
    if handle in _LIMBS:
        root, middle = _LIMBS[handle]
        bent = _bend(body, root, middle, handle, target)
        return _point(bent, root, handle, target)
    if handle in _BONES:
        return _point(body, _BONES[handle], handle, target)
    if handle == "Neck":
        for joint in _BACK:
            body = _point(body, joint, handle, target, share=1 / 2)
        return body
    raise SettingsError(f"there is no joint {handle!r} to drag: there are {', '.join(HANDLES)}")


def find_root(handle: str) -> str:
    """The joint about which a handle of `HANDLES` swings."""
    if handle in _LIMBS:
        return _LIMBS[handle][0]
    return _BACK[0] if handle == "Neck" else _BONES[handle]


def mirror_body(body: BodyParameters) -> BodyParameters:
    """The body with left and right swapped."""
    flip = np.array([1, -1, -1], np.float32)
    return body._replace(
        rotations=body.rotations[SIDES] * flip,
        orientation=body.orientation * flip,
        place=body.place * (-1, 1, 1),
    )


def pack_body(body: BodyParameters) -> bytes:
    """A body as the .npz that `read_body` reads; its place does not count."""
    buffer = BytesIO()
    np.savez(buffer, body_pose=body.rotations, global_orient=body.orientation, betas=body.betas)
    return buffer.getvalue()


def _index(name: str) -> int:
    return NAMES.index(name)


def _turn(body: BodyParameters, joint: str, turn: Rotation) -> BodyParameters:
    """The body with a joint turned further, by what is given in the frame of the hips."""
    number = _index(joint)
    skeleton = find_joints(body)
    _, parents = load_skeleton()
    above = skeleton.turns[parents[number - 1]]
    rotations = body.rotations.copy()
    rotations[number - 1] = (above.inv() * turn * skeleton.turns[number]).as_rotvec()
    return body._replace(rotations=rotations)


def _point(
    body: BodyParameters, joint: str, end: str, target: Point, share: float = 1.0
) -> BodyParameters:
    """The body with `joint` turned so that `end` lies in the direction of a place from there."""
    places = find_joints(body).places
    origin = places[_index(joint)]
    turn = _find_turn(places[_index(end)] - origin, target - origin, share)
    return _turn(body, joint, turn)


def _bend(body: BodyParameters, root: str, middle: str, end: str, target: Point) -> BodyParameters:
    """The body with a limb bent so that its end is as far from its root as a place is."""
    skeleton = find_joints(body)
    origin, joint, tip = (skeleton.places[_index(name)] for name in (root, middle, end))
    lengths = np.linalg.norm(joint - origin), np.linalg.norm(tip - joint)
    upper, lower = (joint - origin) / lengths[0], (tip - joint) / lengths[1]
    straighten = _find_turn(lower, upper)
    far = np.clip(
        np.linalg.norm(target - origin), _FOLDED * sum(lengths), _STRETCHED * sum(lengths)
    )
    cosine = (far**2 - lengths[0] ** 2 - lengths[1] ** 2) / (2 * lengths[0] * lengths[1])
    angle = np.arccos(np.clip(cosine, -1, 1))
    axis = np.cross(upper, lower)
    if (sine := float(np.linalg.norm(axis))) < _STRAIGHT:
        # Its plane says little: the more it bends, the more it does as such a joint is built.
        built = skeleton.turns[_index(root)].apply(_BENDS[end])
        built -= upper * (built @ upper)
        share = 1.0 if sine < _SAME else min(abs(angle - np.arcsin(sine)) / _BENT, 1.0)
        axis = (1 - share) * axis / max(sine, _SAME) + share * built
    bend = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle)
    return _turn(body, middle, bend * straighten)


def _find_turn(start: Point, end: Point, share: float = 1.0) -> Rotation:
    """The shortest turn from one direction to another, or a share of it."""
    across = np.cross(start, end)
    sine = np.linalg.norm(across)
    if sine < _SAME:  # it is there, or right behind
        return Rotation.identity()
    return Rotation.from_rotvec(across / sine * np.arctan2(sine, start @ end) * share)
