"""The IUV map of a body that is given by parameters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mcld.body.parameters import BodyParameters
from mcld.body.pose import Pose
from mcld.body.render import render_map
from mcld.body.shape import BodyShape, FloatArray, plain_shape, pose_vertices

SIZE = (1024, 704)
"""Height and width of the map."""
_BEFORE = Pose("given", "front", (), 0.0, fill=0.92, shift=(0.0, 0.0))


def draw_pose_map(
    body: BodyParameters, turn: float = 0.0, pitch: float = 0.0, shape: BodyShape | None = None
) -> NDArray[np.uint8]:
    """The map of a body before a plain ground, uint8 [1024, 704, 3] (I, U, V).

    shape: in place of that of its betas. turn: degrees that it is turned by about
    the vertical, its right side towards the camera; pitch: degrees that the camera looks down by.
    """
    placed = _place(body, shape or plain_shape(body.betas.tolist()), turn, pitch)
    return render_map(placed, _BEFORE, *SIZE)


def _place(body: BodyParameters, shape: BodyShape, turn: float, pitch: float) -> FloatArray:
    """The skin's vertices as the camera sees them, [V, 3] metres."""
    vertices = pose_vertices(shape, body.rotations)
    camera = Rotation.from_euler("yx", [turn, pitch], degrees=True)
    # The figure's own frame is its hips'.
    turned = (camera * Rotation.from_rotvec(body.orientation)).apply(vertices)
    return np.asarray(turned, np.float32)
