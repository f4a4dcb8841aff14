"""A library of poses as in fashion pictures, with random variation around each."""

import numpy as np

from mcld.body.pose import JOINTS, Pose

# What a camera sees, in the order a set of pictures shows it, and the range of turns that shows it
# (degrees; a positive turn shows the figure's right side).
VIEWS = ("front", "turned", "back", "front", "side", "front", "turned", "back")
_TURNS = {"front": (0, 16), "turned": (28, 58), "side": (66, 88), "back": (150, 180)}


Turns = dict[str, tuple[float, float, float]]  # joint -> degrees about x, y, z


def _arm(side: str, out: float, forward: float, bend: float, inward: float = 0.0) -> Turns:
    """An arm hanging `out` degrees from the body and swung `forward`, its elbow bent forwards by
    `bend` and towards the body by `inward`. Negative `out` does not occur; 90 is straight sideways.
    """
    sign = 1 if side == "L" else -1
    return {
        f"{side}_Shoulder": (forward * -0.4, -sign * forward, sign * (out - 90)),
        f"{side}_Elbow": (0.0, -sign * bend, -sign * inward),
    }


def _leg(side: str, forward: float, bend: float, out: float = 3.0, toes: float = 6.0) -> Turns:
    """A leg swung `forward` with the knee bent by `bend`, degrees; the foot stays level."""
    sign = 1 if side == "L" else -1
    return {
        f"{side}_Hip": (-forward, sign * toes, sign * out),
        f"{side}_Knee": (bend, 0.0, 0.0),
        f"{side}_Ankle": (forward - bend, 0.0, -sign * out),
    }


def _standing(vary: np.random.Generator) -> Turns:
    u = vary.uniform
    return {
        **_arm("L", u(16, 28), u(-8, 12), u(4, 28)),
        **_arm("R", u(16, 28), u(-8, 12), u(4, 28)),
        **_leg("L", u(-2, 4), u(0, 6), u(2, 7)),
        **_leg("R", u(-2, 4), u(0, 6), u(2, 7)),
    }


def _walking(vary: np.random.Generator) -> Turns:
    u = vary.uniform
    front, back = ("L", "R") if vary.random() < 0.5 else ("R", "L")
    stride = u(14, 26)
    return {
        **_arm(back, u(18, 26), u(14, 26), u(14, 36)),
        **_arm(front, u(18, 26), -u(12, 22), u(4, 20)),
        **_leg(front, stride, u(2, 8), 1),
        **_leg(back, -stride * 0.8, u(12, 30), 1),
    }


def _contrapposto(vary: np.random.Generator) -> Turns:
    u = vary.uniform
    free, stand = ("L", "R") if vary.random() < 0.5 else ("R", "L")
    sign = 1 if free == "L" else -1
    tilt = u(3, 6)
    return {
        **_standing(vary),
        **_leg(free, u(8, 16), u(18, 30), u(6, 12), u(8, 18)),
        **_leg(stand, u(-3, 0), 0, u(-1, 2)),
        "Spine1": (0.0, 0.0, sign * tilt),
        "Spine2": (0.0, 0.0, -sign * tilt * 0.6),
        "Spine3": (0.0, 0.0, -sign * tilt * 0.6),
    }


def _choose_sides(vary: np.random.Generator, both: float) -> tuple[str, ...]:
    """Both sides, as often as `both` says, or one of them."""
    return ("L", "R") if vary.random() < both else (str(vary.choice(["L", "R"])),)


def _hands_on_hips(vary: np.random.Generator) -> Turns:
    u = vary.uniform
    turns = _contrapposto(vary) if vary.random() < 0.5 else _standing(vary)
    for side in _choose_sides(vary, 0.55):
        sign = 1 if side == "L" else -1
        turns |= {
            f"{side}_Shoulder": (0.0, sign * 18.0, sign * (u(46, 52) - 90)),
            f"{side}_Elbow": (0.0, -sign * 34.0, -sign * u(90, 98)),
            f"{side}_Wrist": (0.0, 0.0, sign * 30.0),
        }
    return turns


def _arms_up(vary: np.random.Generator) -> Turns:
    u = vary.uniform
    turns = _standing(vary) if vary.random() < 0.6 else _contrapposto(vary)
    for side in _choose_sides(vary, 0.6):
        sign = 1 if side == "L" else -1
        lift = u(38, 56)
        turns |= {
            f"{side}_Collar": (0.0, 0.0, sign * 14.0),
            f"{side}_Shoulder": (0.0, -sign * u(0, 12), sign * (lift - 14)),
            f"{side}_Elbow": (0.0, -sign * u(0, 14), sign * u(15, 75)),
        }
    return turns


def _hand_raised(vary: np.random.Generator) -> Turns:
    """One forearm lifted in front, as if to show something."""
    u = vary.uniform
    side = str(vary.choice(["L", "R"]))
    return {**_contrapposto(vary), **_arm(side, u(24, 34), u(2, 12), u(75, 105))}


def _step_aside(vary: np.random.Generator) -> Turns:
    """Legs apart."""
    u = vary.uniform
    return {
        **_standing(vary),
        **_leg("L", 0, 0, u(9, 14), u(6, 14)),
        **_leg("R", 0, 0, u(9, 14), u(6, 14)),
    }


_LIBRARY = {
    "standing": (_standing, 3),
    "walking": (_walking, 4),
    "contrapposto": (_contrapposto, 3),
    "hands on hips": (_hands_on_hips, 3),
    "arms up": (_arms_up, 3),
    "hand raised": (_hand_raised, 2),
    "legs apart": (_step_aside, 2),
}


def pose(seed: int, index: int, picture: int) -> Pose:
    """The pose of one picture (0, 1, ...) of identity `index`; a function of the three numbers.

    The view follows VIEWS, so that any eight pictures in a row show the front, both sides of the
    turn, the side and the back.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, index, 1, picture]))
    view = VIEWS[picture % len(VIEWS)]
    weights = np.array([weight for _, weight in _LIBRARY.values()], float)
    name = str(rng.choice(list(_LIBRARY), p=weights / weights.sum()))
    turns = _LIBRARY[name][0](rng)
    low, high = _TURNS[view]
    turn = float(rng.uniform(low, high)) * (1 if rng.random() < 0.5 else -1)
    degrees = np.array([turns.get(joint, (0.0, 0.0, 0.0)) for joint in JOINTS])
    look = -np.clip(turn, -30, 30) * rng.uniform(0, 0.5) if view in ("front", "turned") else 0.0
    degrees[JOINTS.index("Neck")] += (rng.uniform(-3, 5), look / 2, rng.uniform(-3, 3))
    degrees[JOINTS.index("Head")] += (rng.uniform(-3, 5), look / 2, rng.uniform(-3, 3))
    degrees[JOINTS.index("Spine2")] += rng.uniform(-3, 3, 3)
    return Pose(
        name=name,
        view=view,
        rotations=tuple((float(a), float(b), float(c)) for a, b, c in np.radians(degrees)),
        turn=float(np.radians(turn)),
        fill=float(rng.uniform(0.91, 0.93)),
        shift=(float(rng.uniform(-0.012, 0.012)), float(rng.uniform(-0.012, 0.012))),
    )
