"""The IUV map of a body that is given by parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mcld.body.parameters import BodyParameters, make_matrix
from mcld.body.pose import Pose
from mcld.body.render import render_map, render_placed_map
from mcld.body.shape import BodyShape, FloatArray, plain_shape, pose_vertices

SIZE = (1024, 704)
"""Height and width of the map."""
WIDEST = 2816
"""Pixels across that the maps of a motion are, at most."""
_BEFORE = Pose("given", "front", (), 0.0, fill=0.92, shift=(0.0, 0.0))


def draw_pose_map(
    body: BodyParameters, turn: float = 0.0, pitch: float = 0.0, shape: BodyShape | None = None
) -> NDArray[np.uint8]:
    """The map of a body before a plain ground, uint8 [1024, 704, 3] (I, U, V).

    shape: in place of that of its betas. turn: degrees that it is turned by about
    the vertical, its right side towards the camera; pitch: degrees that the camera looks down by.
    """
    placed = turn_body(body, shape or plain_shape(body.betas.tolist()), turn, pitch)
    return render_map(placed, _BEFORE, *SIZE)


def draw_motion_maps(
    bodies: Sequence[BodyParameters],
    turn: float = 0.0,
    pitch: float = 0.0,
    shape: BodyShape | None = None,
    is_wanted: Callable[[int], bool] = lambda _: True,
) -> Iterator[NDArray[np.uint8] | None]:
    """The maps of bodies one after the other, before a camera that does not move.

    Each is uint8 [H, W, 3] (I, U, V), of one size: 1024 pixels high and as wide as the way that
    they go, up to `WIDEST`. turn, pitch, shape: as `draw_pose_map` has them, of all bodies.
    is_wanted: asked of a body's number; None stands for one that is not.
    """

    def place(body: BodyParameters) -> FloatArray:
        own = shape or plain_shape(body.betas.tolist())
        went = (find_camera(turn, pitch) @ body.place).astype(np.float32)
        placed = turn_body(body, own, turn, pitch) + went
        return np.asarray(placed * (1, -1, 1), np.float32)  # y down

    ends = np.array([(seen.min(0), seen.max(0)) for seen in map(place, bodies)])
    low, high = ends[:, 0].min(0), ends[:, 1].max(0)
    height, across = SIZE[0], (high - low)[:2]
    scale = _BEFORE.fill * min(height / across[1], WIDEST / across[0])
    width = max(SIZE[1], int(np.ceil(across[0] * scale / _BEFORE.fill)))
    middle = (low + high) / 2
    for number, body in enumerate(bodies):
        if not is_wanted(number):
            yield None
            continue
        seen = (place(body) - middle) * scale
        seen[:, :2] += (width / 2, height / 2)
        yield render_placed_map(np.asarray(seen, np.float32), height, width)


def find_camera(turn: float, pitch: float) -> NDArray[np.float64]:
    """The rotation [3, 3] that brings a body before a camera; the degrees are `draw_pose_map`'s."""
    return make_matrix([np.radians(pitch), 0, 0]) @ make_matrix([0, np.radians(turn), 0])


def turn_body(body: BodyParameters, shape: BodyShape, turn: float, pitch: float) -> FloatArray:
    """The skin's vertices as a camera sees them, [V, 3] metres: x right, y up, z towards it."""
    vertices = pose_vertices(shape, body.rotations)
    # The figure's own frame is its hips'.
    turned = find_camera(turn, pitch) @ make_matrix(body.orientation)
    return np.asarray(vertices @ turned.T, np.float32)
