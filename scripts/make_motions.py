"""Make the motions that come with mcld, mcld/body/motions: 25 bodies a second, on one spot.

    python scripts/make_motions.py

They go between poses of the gallery, which they are named after, and stand on the ground.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from mcld.body.parameters import MOTIONS, read_gallery
from mcld.body.pose import JOINTS
from mcld.body.posing import SIDES
from mcld.body.shape import plain_shape, pose_vertices

FPS = 25
Turns = NDArray[np.float64]
"""[21, 3] axis-angle, radians."""
Frame = tuple[Turns, Rotation]
"""A body's turns, and which way it faces."""

SWING, LIFT = 0.9, 0.35
"""Radians that the knee and the hip of the swinging leg are bent."""


def read_turns(name: str) -> Turns:
    """A pose of the gallery."""
    return np.asarray(read_gallery(name).rotations, float)


def mirror(turns: Turns) -> Turns:
    """The pose with left and right changed."""
    return np.asarray(turns[SIDES] * (1, -1, -1))


def blend(one: Turns, other: Turns, share: float) -> Turns:
    """Between two poses, each joint along the shortest way."""
    mixed = [
        Slerp([0, 1], Rotation.from_rotvec([a, b]))(share).as_rotvec()
        for a, b in zip(one, other, strict=True)
    ]
    return np.asarray(mixed)


def ease(share: float) -> float:
    """0..1, slow at both ends."""
    share = float(np.clip(share, 0, 1))
    return share * share * (3 - 2 * share)


def stride(phase: float, width: float = 1.0) -> Turns:
    """A walker; phase: radians, a double step is 2 pi; width: of the steps."""
    ahead = read_turns("walking")
    behind = mirror(ahead)
    middle, half = (ahead + behind) / 2, (ahead - behind) / 2
    turns = middle + half * np.cos(phase) * width
    left, right = JOINTS.index("L_Hip"), JOINTS.index("R_Hip")
    first = left if ahead[left, 0] < ahead[right, 0] else right
    # The leg that is behind swings forwards; at a sine of 1 it passes the other.
    swinging = SIDES[first] if np.sin(phase) > 0 else first
    bent = np.sin(phase) ** 2 * width
    turns[swinging, 0] -= LIFT * bent
    turns[swinging + 3, 0] += SWING * bent  # the knee
    return np.asarray(turns)


def face(degrees: float) -> Rotation:
    """Turned about the vertical, its right side forwards."""
    return Rotation.from_euler("y", degrees, degrees=True)


def walk(time: float) -> Frame:
    """On the spot, seen half from the side."""
    return stride(2 * np.pi * time / 1.0), face(-35)


def turn(time: float) -> Frame:
    """Once around, in small steps."""
    moving = np.clip(min(time, 4 - time) / 0.4, 0, 1)
    steps = blend(read_turns("standing"), stride(2 * np.pi * time / 0.8, 0.4), float(moving))
    return steps, face(360 * ease(time / 4))


def wave(time: float) -> Frame:
    """A hand is raised, waves, and goes down."""
    raised = ease(time / 0.8) * ease((3.6 - time) / 0.8)
    swung = np.cos(2 * np.pi * (time - 0.8) / 0.6) if 0.8 < time < 2.9 else 1.0
    up = blend(read_turns("hand-raised"), read_turns("waving"), 0.8 + 0.2 * float(swung))
    return blend(read_turns("standing"), up, raised), face(0)


def catwalk(time: float) -> Frame:
    """Steps up, poses with a hand on the hip, turns, and steps away."""
    phase = 2 * np.pi * time / 1.2
    steps = stride(phase, 0.8)
    sway = 0.12 * np.sin(phase)
    for name, share in (("Spine1", 1.0), ("Spine3", -0.6), ("L_Hip", -0.5), ("R_Hip", -0.5)):
        steps[JOINTS.index(name), 2] += sway * share
    posing = ease((time - 1.8) / 0.6) * ease((4.0 - time) / 0.6)
    turned = 25 * posing + 155 * ease((time - 3.6) / 1.0)
    return blend(steps, read_turns("hand-on-hip"), posing), face(turned)


def sit(time: float) -> Frame:
    """Sits down, and gets up again."""
    down = ease((time - 0.2) / 1.2) * ease((4.0 - time) / 1.2)
    return blend(read_turns("standing"), read_turns("sitting"), down), face(-30)


MADE: dict[Callable[[float], Frame], float] = {walk: 3, turn: 4, wave: 3.6, catwalk: 5, sit: 4}
"""Seconds of each."""


def main() -> None:
    MOTIONS.mkdir(exist_ok=True)
    shape = plain_shape([])
    for motion, seconds in MADE.items():
        turns, facing, places = [], [], []
        for number in range(round(seconds * FPS)):
            body, turned = motion(number / FPS)
            low = turned.apply(pose_vertices(shape, body.astype(np.float32)))[:, 1].min()
            turns.append(body.ravel())
            facing.append(turned.as_rotvec())
            places.append((0, -low, 0))
        np.savez_compressed(
            MOTIONS / f"{motion.__name__}.npz",
            body_pose=np.asarray(turns, np.float16),
            global_orient=np.asarray(facing, np.float16),
            transl=np.asarray(places, np.float16),
        )


if __name__ == "__main__":
    main()
