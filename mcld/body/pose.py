"""How a body stands before the camera."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

JOINTS = (
    *("L_Hip", "R_Hip", "Spine1", "L_Knee", "R_Knee", "Spine2", "L_Ankle", "R_Ankle", "Spine3"),
    *("L_Foot", "R_Foot", "Neck", "L_Collar", "R_Collar", "Head", "L_Shoulder", "R_Shoulder"),
    *("L_Elbow", "R_Elbow", "L_Wrist", "R_Wrist"),
)
"""The joints of a body that a pose turns, as SMPL-X orders them."""


@dataclass(frozen=True)
class Pose:
    """How a figure stands before the camera.

    rotations: axis-angle of the 21 SMPL-X body joints, radians. turn: about the vertical, radians.
    fill: height of the figure over the height of the frame. shift: of the figure's middle from the
    frame's, in frame heights (right, down).
    """

    name: str
    view: str
    rotations: tuple[tuple[float, float, float], ...]
    turn: float
    fill: float
    shift: tuple[float, float]

    def rotation_array(self) -> npt.NDArray[np.float32]:
        """The rotations as float32 [21,3]."""
        return np.asarray(self.rotations, np.float32)
