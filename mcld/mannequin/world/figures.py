"""The figures of people: poses varied freely, clothes wider than the body, skirts.

All of it moves the posed skin's vertices and leaves their labels: DensePose tells cloth as the body
that it covers.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from mcld.body.pose import JOINTS, Pose
from mcld.body.render import find_seen_vertices
from mcld.body.shape import (
    SEGMENTS,
    FloatArray,
    find_chart_position,
    find_normals,
    load_skin,
)

_SITTING = 0.8
"""Cosine of the thighs from straight down, below which a skirt ends at the knees."""
_JOINT = 0.02
"""How far the grooves at a mannequin's joints reach, metres."""


def vary_pose(rng: np.random.Generator, stance: Pose) -> Pose:
    """A pose of the library, with more freedom: arms before the body or anywhere; sitting.

    Arms that hang are turned inwards, so that from the front their backs are seen outside.
    """
    turns = np.degrees(stance.rotation_array())
    turns += rng.normal(0, 4, turns.shape)
    sits = rng.random() < 0.08
    for side, sign in (("L", 1), ("R", -1)):
        shoulder, elbow = JOINTS.index(f"{side}_Shoulder"), JOINTS.index(f"{side}_Elbow")
        turns[shoulder] += rng.normal(0, 9, 3)
        if rng.random() < 0.2:  # hands before the body
            out = sign * -rng.uniform(45, 80)
            turns[shoulder] = (rng.uniform(-20, 40), -sign * rng.uniform(0, 40), out)
            turns[elbow] = (0, -sign * rng.uniform(50, 125), -sign * rng.uniform(0, 40))
        elif rng.random() < 0.2:  # a folded arm: hands at collar, face or hair
            out = sign * rng.uniform(-80, 40)
            turns[shoulder] = (0, -sign * rng.uniform(-30, 60), out)
            turns[shoulder] = _twist(turns[shoulder], rng.uniform(-110, 40))
            turns[elbow] = (0, -sign * rng.uniform(80, 150), 0)
        elif rng.random() < 0.15:  # an arm anywhere
            out = sign * rng.uniform(-80, 50)
            turns[shoulder] = (rng.uniform(-40, 40), -sign * rng.uniform(-30, 80), out)
            turns[elbow] = (0, -sign * rng.uniform(0, 120), -sign * rng.uniform(0, 60))
        turns[shoulder] = _twist(turns[shoulder], rng.normal(25, 20))
        turns[elbow] = _twist(turns[elbow], rng.normal(25, 25))
        if sits or rng.random() < 0.1:  # a leg forwards
            lift = rng.uniform(60, 100) if sits else rng.uniform(20, 85)
            turns[JOINTS.index(f"{side}_Hip"), 0] -= lift
            turns[JOINTS.index(f"{side}_Knee"), 0] += lift * rng.uniform(0.5, 1.2)
    turn = stance.turn + np.radians(rng.normal(0, 12))
    return replace(
        stance, rotations=tuple(map(tuple, np.radians(turns).tolist())), turn=float(turn)
    )


def _twist(turn: FloatArray, degrees: float) -> FloatArray:
    """A turn, axis-angle in degrees, of an arm that was first turned about itself."""
    about = Rotation.from_rotvec([degrees, 0, 0], degrees=True)
    whole = Rotation.from_rotvec(turn, degrees=True) * about
    return np.asarray(whole.as_rotvec(degrees=True), np.float32)


@dataclass(frozen=True)
class Looseness:
    """How far clothes and hair stand off the body, metres."""

    trunk: float = 0.0
    arms: float = 0.0
    legs: float = 0.0
    head: float = 0.0


def loosen(vertices: FloatArray, loose: Looseness) -> FloatArray:
    """Clothes wider than the body, and hair: parts are blown up along their normals, [V,3]."""
    far = np.zeros(len(SEGMENTS))
    for k, name in enumerate(SEGMENTS):
        if name == "torso":
            far[k] = loose.trunk
        elif "arm" in name:
            far[k] = loose.arms * (0.6 + 0.4 * ("upper" in name))
        elif "leg" in name:
            far[k] = loose.legs * (0.7 + 0.3 * ("lower" in name))
        elif name == "head":
            far[k] = loose.head
    out = vertices + find_normals(vertices) * far[load_skin().segment][:, None]
    return np.asarray(out, np.float32)


@dataclass(frozen=True)
class Skirt:
    """A cone around both legs."""

    hem: float
    """Where it ends: 0 at the hip, 1 at the knee, 2 at the ankle."""
    width: float
    """Half its width at the knee, metres; it is three quarters as deep."""


def put_on_skirt(vertices: FloatArray, skirt: Skirt) -> FloatArray:
    """Spread the legs' skin, down to a hem, onto a cone around both: left leg the left half."""
    body = load_skin()
    names = [
        SEGMENTS.index(f"{side} {half} leg")
        for side in ("left", "right")
        for half in ("upper", "lower")
    ]
    part, s, t = find_chart_position(body.segment, body.canonical)
    ends = {}
    for k in names:
        here = body.segment == k
        top, bottom = (vertices[here & end].mean(0) for end in (t < 0.1, t > 0.9))
        ends[SEGMENTS[k]] = top, bottom
    hip = (ends["left upper leg"][0] + ends["right upper leg"][0]) / 2
    knee = (ends["left upper leg"][1] + ends["right upper leg"][1]) / 2
    ankle = (ends["left lower leg"][1] + ends["right lower leg"][1]) / 2
    left = ends["left upper leg"][0] - ends["right upper leg"][0]
    left /= np.linalg.norm(left)
    down = (knee - hip) / np.linalg.norm(knee - hip)
    front = np.cross(left, -down)
    # Of who sits it covers the thighs alone: the shins hang from them.
    hem = min(skirt.hem, 1.0) if down[1] > -_SITTING else skirt.hem
    out = vertices.copy()
    for k in names:
        here = np.flatnonzero(body.segment == k)
        way = t[here] + ("lower" in SEGMENTS[k])
        here, way = here[way < hem], way[way < hem]
        if not len(here):
            continue
        outwards = s[here] if "left" in SEGMENTS[k] else 1 - s[here]
        angle = (1.08 * outwards - 0.08) * np.pi / 2  # its halves overlap: no gap between them
        is_front = np.isin(part[here], (9, 10, 13, 14))
        sign = 1 if "left" in SEGMENTS[k] else -1
        upper = hip + (knee - hip) * np.minimum(way, 1)[:, None]
        axis = upper + (ankle - knee) * np.maximum(way - 1, 0)[:, None]
        radius = 0.15 + (skirt.width - 0.15) * way
        sideways = sign * np.sin(angle) * radius
        forwards = np.where(is_front, 1, -1) * np.cos(angle) * radius * 0.75
        out[here] = axis + sideways[:, None] * left + forwards[:, None] * front
    return out


@cache
def _blend_near() -> sparse.csr_matrix:
    """[V,V] the sum over what lies near on the canonical skin and can be seen, but on the head."""
    body = load_skin()
    tree = cKDTree(body.canonical[find_seen_vertices()])
    near = cKDTree(body.canonical).sparse_distance_matrix(tree, _JOINT, output_type="coo_matrix")
    head = body.segment == SEGMENTS.index("head")
    kept = ~head[near.row]
    rows = np.concatenate([near.row[kept], np.flatnonzero(head)])
    columns = np.concatenate([find_seen_vertices()[near.col[kept]], np.flatnonzero(head)])
    ones = np.ones(len(rows), np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(head), len(head)))


def find_smooth_normals(vertices: FloatArray) -> FloatArray:
    """Normals [V,3], of any length, of a skin without the grooves at a mannequin's joints.

    0 where nothing near can be seen from anywhere.
    """
    return np.asarray(_blend_near() @ find_normals(vertices), np.float32)


def see(
    vertices: FloatArray, turn: float, pitch: float, roll: float, distance: float
) -> FloatArray:
    """The figure as a camera sees it: x right, y up, z towards us, [V,3] metres.

    turn about the vertical, pitch (from above), roll: radians; distance: of the camera, metres.
    """
    c, s = np.cos(turn), np.sin(turn)
    seen = vertices @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    c, s = np.cos(pitch), np.sin(pitch)
    seen = seen @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T
    c, s = np.cos(roll), np.sin(roll)
    seen = seen @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
    seen[:, :2] *= distance / (distance - seen[:, 2:] + seen[:, 2].mean())
    return np.asarray(seen, np.float32)
