"""The skinned body as a function of all its parameters that can be differentiated."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mcld.body.pose import JOINTS
from mcld.body.shape import (
    BETAS,
    BodyShape,
    FloatArray,
    find_normals,
    load_skin,
    plain_shape,
    pose_vertices,
    shape_body,
)

GIRTHS = ("shoulders", "chest", "waist", "hips", "legs", "arms", "belly", "bust", "head")
"""What of a `BodyShape` is fitted besides betas; belly and bust in metres, others are factors."""
_STEP = 0.1


class BodyVector(NamedTuple):
    """The parameters of a body before an orthographic camera: float64."""

    rotations: Tensor
    """[21, 3] axis-angle of the joints, radians."""
    orientation: Tensor
    """[3] axis-angle of the whole."""
    shape: Tensor
    """[19] betas, and what GIRTHS names."""
    scale: Tensor
    """[1] logarithm of the camera's pixels a metre."""
    shift: Tensor
    """[2] (x, y) of the body's own origin, pixels."""

    @classmethod
    def sizes(cls) -> list[int]:
        """How many numbers each has."""
        return [3 * len(JOINTS), 3, BETAS + len(GIRTHS), 1, 2]

    @classmethod
    def split(cls, x: Tensor) -> BodyVector:
        """Of one vector, [88]."""
        rotations, *others = torch.split(x, cls.sizes())
        return cls(rotations.view(-1, 3), *others)


def make_shape(shape: FloatArray) -> BodyShape:
    """The body shape of parameters [19], as `BodyVector.shape`."""
    betas, girths = shape[:BETAS], shape[BETAS:]
    return plain_shape(betas.tolist(), **dict(zip(GIRTHS, girths.tolist(), strict=True)))


PLAIN = np.array([0.0] * BETAS + [getattr(plain_shape(), name) for name in GIRTHS])
"""The parameters of the plain shape, [19]."""


class SkinnedBody:
    """Some vertices of the skin: their places and normals under any parameters.

    Joints and skin at rest are linear in a shape's parameters, but for a little of the skin's.

    vertices: [N] which.
    """

    def __init__(self, vertices: npt.NDArray[np.intp]) -> None:
        rest = _load_rest()
        self._joints, self._joint_directions = rest.joints, rest.joint_directions
        self._skin, self._skin_directions = rest.skin[vertices], rest.skin_directions[vertices]
        self._weights, self._normals = rest.weights[vertices], rest.normals[vertices]
        self._parents = rest.parents

    def pose(self, body: BodyVector) -> tuple[Tensor, Tensor, Tensor]:
        """Vertices, normals [N, 3] and joints [22, 3], in metres: x right, y up, z to the camera.

        The joints are the pelvis and those of `mcld.body.pose.JOINTS`.
        """
        off = body.shape - torch.from_numpy(PLAIN)
        joints = self._joints + self._joint_directions @ off
        skin = self._skin + self._skin_directions @ off
        turns = make_rotations(torch.cat([body.orientation[None], body.rotations]))
        world, place = [turns[0]], [turns[0] @ joints[0]]
        for k, parent in enumerate(self._parents, 1):
            world.append(world[parent] @ turns[k])
            place.append(place[parent] + world[parent] @ (joints[k] - joints[parent]))
        turn = torch.stack(world)
        placed = torch.stack(place)
        shift = placed - (turn @ joints[..., None])[..., 0]
        blended = torch.einsum("nj,jik->nik", self._weights, turn)
        posed = (blended @ skin[..., None])[..., 0] + self._weights @ shift
        return posed, (blended @ self._normals[..., None])[..., 0], placed


def make_rotations(turns: Tensor) -> Tensor:
    """Matrices [N, 3, 3] of axis-angles [N, 3]; smooth at 0."""
    angle = (turns.square().sum(-1) + 1e-18).sqrt()[:, None, None]
    x, y, z = turns.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3)
    once = torch.sinc(angle / torch.pi)
    twice = torch.sinc(angle / (2 * torch.pi)).square() / 2
    return torch.eye(3, dtype=turns.dtype) + once * cross + twice * (cross @ cross)


def load_skeleton() -> tuple[FloatArray, list[int]]:
    """The joints of the plain body at rest, [22, 3] metres, and the parent of each of JOINTS.

    As `SkinnedBody.pose` orders them: the pelvis, which is 0, and those of JOINTS.
    """
    rest = _load_rest()
    return np.asarray(rest.joints), rest.parents


class _Rest(NamedTuple):
    """The body at rest; joints are the pelvis and those of JOINTS, in that order."""

    joints: Tensor
    """[22, 3]"""
    joint_directions: Tensor
    """[22, 3, 19]: by how much each parameter moves them."""
    skin: Tensor
    """[V, 3]"""
    skin_directions: Tensor
    """[V, 3, 19]"""
    normals: Tensor
    """[V, 3]"""
    weights: Tensor
    """[V, 22]"""
    parents: list[int]
    """[21] of each of JOINTS, its parent's number among the 22."""


@cache
def _load_rest() -> _Rest:
    body, skin = shape_body(plain_shape()), load_skin()
    names = list(body.model.joint_names)
    order = [0, *(names.index(name) for name in JOINTS)]
    # What no rotation turns, such as a finger, goes with the joint that it hangs on.
    holder = {k: order.index(k) for k in order}
    for k, parent in enumerate(body.model.parents):
        holder.setdefault(k, holder[max(parent, 0)])
    gather = np.zeros((len(names), len(order)))
    gather[np.arange(len(names)), [holder[k] for k in range(len(names))]] = 1

    def measure(shape: FloatArray) -> tuple[FloatArray, FloatArray]:
        made = make_shape(shape)
        still = pose_vertices(made, np.zeros((len(JOINTS), 3), np.float32))
        return shape_body(made).joints[order].astype(float), still.astype(float)

    joints, still = measure(PLAIN)
    moved = [measure(PLAIN + step) for step in _STEP * np.eye(len(PLAIN))]
    joint_directions, skin_directions = (
        np.stack([(one - base) / _STEP for one in others], -1)
        for base, others in zip((joints, still), zip(*moved, strict=True), strict=True)
    )
    return _Rest(
        joints=torch.from_numpy(joints),
        joint_directions=torch.from_numpy(joint_directions),
        skin=torch.from_numpy(still),
        skin_directions=torch.from_numpy(skin_directions),
        normals=torch.from_numpy(find_normals(still)),
        weights=torch.from_numpy(np.asarray(skin.weights @ gather, np.float64)),
        parents=[holder[body.model.parents[k]] for k in order[1:]],
    )
