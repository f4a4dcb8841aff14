"""The mannequin's body: its shape, its skin, and where each point lies on the 24 DensePose charts.

Two bodies are told apart throughout. The *canonical* body is the figure as `mannequin-x` ships it,
in its rest pose (arms spread, +x the figure's left, +y up, +z forward, metres): a point of the skin
is named by its canonical position, whatever the shape and the pose. The *shaped* body is one
identity's. Part labels and chart coordinates are functions of the canonical position, so that a
label border is sharp at any resolution and a pattern sits on the same skin in every picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from mannequin import Mannequin
from scipy import sparse

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int32]
UInt8Array = npt.NDArray[np.uint8]

BETAS = 10
"""Shape coefficients of SMPL-X that count."""

# One segment is one limb, trunk or head; each is cut into one or two of the 24 parts.
SEGMENTS = (
    "torso",
    "head",
    "left upper arm",
    "right upper arm",
    "left lower arm",
    "right lower arm",
    "left hand",
    "right hand",
    "left upper leg",
    "right upper leg",
    "left lower leg",
    "right lower leg",
    "left foot",
    "right foot",
)

# (part on the front, part on the back) of each segment; a hand or a foot is one part all round, and
# the head is cut into its right and left half instead (design: torso 1 back / 2 front, and so on).
PARTS = {
    "torso": (2, 1),
    "head": (23, 24),
    "left upper arm": (15, 17),
    "right upper arm": (16, 18),
    "left lower arm": (19, 21),
    "right lower arm": (20, 22),
    "left hand": (4, 4),
    "right hand": (3, 3),
    "left upper leg": (10, 8),
    "right upper leg": (9, 7),
    "left lower leg": (14, 12),
    "right lower leg": (13, 11),
    "left foot": (5, 5),
    "right foot": (6, 6),
}

# The shoulders are nearly level, so that height alone would squeeze them into a few rows of the
# torso's charts: its t is the share of the height to this power.
TORSO_CROWDING = 0.6

# Heads are a doll's, this much larger than life: in a picture of a whole figure, 256 pixels high, a
# natural head is 30 high from chin to crown, too few for a face that tells people apart.
HEAD_SCALE = 1.75
# It grows about the mouth, and the neck, pressed together below it, widens to meet it, from the
# first of these heights of the canonical body to the second, metres.
_COLLAR, _CHIN = 0.09, 0.19
_HEAD_PIVOT = np.array([0, 0.24, -0.012], np.float32)

_X, _Y, _Z = np.eye(3)


@dataclass(frozen=True)
class BodyShape:
    """One identity's figure. Girths are factors on the canonical body, 1 leaving it as it is.

    What is told of the head is told of one of natural size (see HEAD_SCALE).
    """

    gender: str  # 'WOMEN' or 'MEN', as DeepFashion names its folders
    betas: tuple[float, ...]  # ten SMPL-X shape coefficients: the lengths of the bones
    shoulders: float
    chest: float
    waist: float
    hips: float
    belly: float  # how far the belly stands out, metres
    bust: float  # metres
    legs: float
    arms: float
    nose: float  # metres
    ears: float  # metres
    head: float = HEAD_SCALE  # size of the head over a natural one


def find_normals(vertices: FloatArray) -> FloatArray:
    """Unit normals [V,3], outwards, of the skin in any pose, [V,3]."""
    body = load_skin()
    corners = vertices[body.faces]
    normals = body.around @ np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9))


def plain_shape(betas: Sequence[float] = (), **girths: float) -> BodyShape:
    """A body as its bones have it, with a head of natural size, but for the girths given.

    betas: at most 10, those that lack are 0.
    """
    plain = {
        **dict.fromkeys(("shoulders", "chest", "waist", "hips", "legs", "arms", "head"), 1.0),
        **dict.fromkeys(("belly", "bust", "nose", "ears"), 0.0),
    }
    return BodyShape(
        gender="", betas=(*map(float, betas), *(0.0,) * (BETAS - len(betas))), **(plain | girths)
    )


def draw_body_shape(rng: np.random.Generator) -> BodyShape:
    """Draw a plausible figure: two body types, from slight to heavy."""
    woman = bool(rng.random() < 0.5)
    betas = np.clip(rng.normal(0, 0.7, 10), -1.5, 1.5)
    heavy = rng.normal(0, 1)
    girth = 1 + 0.05 * float(np.clip(heavy, -1.5, 2.0))

    def near(mean: float, spread: float) -> float:
        return float(mean * (1 + spread * np.clip(rng.normal(), -2, 2)))

    return BodyShape(
        gender="WOMEN" if woman else "MEN",
        betas=tuple(float(b) for b in betas),
        shoulders=near(0.94 if woman else 1.02, 0.015),
        chest=near((0.94 if woman else 1.0) * girth, 0.015),
        waist=near((0.92 if woman else 1.06) * girth**1.4, 0.02),
        hips=near((1.08 if woman else 1.03) * girth, 0.02),
        belly=max(0.0, float(0.012 + 0.02 * heavy)),
        bust=near(0.034, 0.2) if woman else 0.0,
        legs=near((0.98 if woman else 1.0) * girth, 0.02),
        arms=near((0.9 if woman else 1.04) * girth, 0.02),
        nose=near(0.02, 0.15),
        ears=near(0.014, 0.15),
    )


@dataclass(frozen=True)
class SegmentFrame:
    """A straight axis through one segment, and the directions angles around it are counted from.

    `start` and `end` are the axis at chart height 0 and 1; angle 0 lies towards `front`, +90
    degrees towards `side`. For the head `start` is the centre of the skull and the axis is unused.
    """

    start: FloatArray
    end: FloatArray
    side: FloatArray
    front: FloatArray
    girth: float  # mean distance of the skin from the axis, metres


@dataclass(frozen=True)
class Skin:
    """What every identity shares: the canonical mesh, its skinning weights and its segments."""

    canonical: FloatArray  # [V,3] metres
    faces: IntArray  # [F,3]
    weights: sparse.csr_matrix  # [V,J] skinning weights, rows sum to 1
    around: sparse.csr_matrix  # [V,F] 1 where the face touches the vertex
    segment: IntArray  # [V] index into SEGMENTS
    frames: tuple[SegmentFrame, ...]  # one a segment
    head_size: FloatArray  # [3] half width, half height, half depth of the skull, metres


_SEGMENTS_OF_JOINTS = {
    **dict.fromkeys(("Head", "Neck"), "head"),
    **dict.fromkeys(("Pelvis", "Spine1", "Spine2", "Spine3", "Collar"), "torso"),
    "Shoulder": "upper arm",
    "Elbow": "lower arm",
    "Hip": "upper leg",
    "Knee": "lower leg",
    **dict.fromkeys(("Ankle", "Foot"), "foot"),
}


def _find_segment(joint: str) -> str:
    segment = _SEGMENTS_OF_JOINTS.get(joint.rpartition("_")[2], "hand")
    side = "left" if joint.startswith("L_") else "right"
    return segment if segment in SEGMENTS else f"{side} {segment}"


def _lay_axis(name: str, points: FloatArray) -> SegmentFrame:
    low, high = points.min(0), points.max(0)
    middle = (low + high) / 2
    if name == "head":
        start = end = middle
        side, front = _X, _Z
    elif name == "torso":
        start, end = np.array([0, high[1], middle[2]]), np.array([0, low[1], middle[2]])
        side, front = _X, _Z
    elif "arm" in name or "hand" in name:
        inner, outer = (low[0], high[0]) if name.startswith("left") else (high[0], low[0])
        start, end = np.array([inner, *middle[1:]]), np.array([outer, *middle[1:]])
        side, front = (_Y, _Z) if "arm" in name else (_Z, _Y)  # a hand's seam is in its palm
    elif "foot" in name:
        start, end = np.array([*middle[:2], low[2]]), np.array([*middle[:2], high[2]])
        side, front = _X, _Y  # a foot's seam is in its sole
    else:
        # Legs lean; the axis joins the middles of the topmost and the lowest tenth.
        height = high[1] - low[1]
        top = points[points[:, 1] > high[1] - 0.2 * height]
        bottom = points[points[:, 1] < low[1] + 0.2 * height]
        start, end = (top.min(0) + top.max(0)) / 2, (bottom.min(0) + bottom.max(0)) / 2
        start[1], end[1] = high[1], low[1]
        side, front = _X, _Z
    offset = points - start
    axis = (end - start) / (np.linalg.norm(end - start) or 1.0)
    girth = float(np.linalg.norm(offset - np.outer(offset @ axis, axis), axis=1).mean())
    vectors = [np.asarray(vector, np.float32) for vector in (start, end, side, front)]
    return SegmentFrame(vectors[0], vectors[1], vectors[2], vectors[3], girth)


@cache
def load_skin() -> Skin:
    """The canonical mesh and its segments; loaded once a process, about 0.1 s."""
    model = Mannequin("wooden")
    # The library has no public way to its skinning weights; its version is bounded in pyproject.
    indices, values = model._skin_joint_indices, model._skin_weights  # noqa: SLF001
    vertices = len(indices)
    weights = sparse.csr_matrix(
        (
            values.flatten(),
            indices.flatten(),
            np.arange(vertices + 1) * values.shape[1],
        ),
        shape=(vertices, len(model.joint_names)),
        dtype=np.float32,
    )
    weights.sum_duplicates()
    canonical = model.vertices(model.rest_pose()).astype(np.float32)
    dominant = indices[np.arange(vertices), values.argmax(1)]
    of_joint = [SEGMENTS.index(_find_segment(name)) for name in model.joint_names]
    segment = np.asarray(of_joint, np.int32)[dominant]
    faces = np.ascontiguousarray(model.faces, np.int32)
    around = sparse.csr_matrix(
        (
            np.ones(faces.size, np.float32),
            (faces.ravel(), np.repeat(np.arange(len(faces)), 3)),
        ),
        shape=(vertices, len(faces)),
    )
    head = canonical[dominant == model.joint_index("Head")]
    frames = tuple(
        _lay_axis(name, head if name == "head" else canonical[segment == k])
        for k, name in enumerate(SEGMENTS)
    )
    return Skin(
        canonical,
        faces,
        weights,
        around,
        segment,
        frames,
        (head.max(0) - head.min(0)) / 2,
    )


def find_chart_position(
    segment: npt.NDArray[np.integer], position: FloatArray
) -> tuple[npt.NDArray[np.uint8], FloatArray, FloatArray]:
    """Where points of the canonical skin lie on the charts.

    segment [N] indexes SEGMENTS, position [N,3] is in canonical metres. Returns the part labels
    uint8 [N] (1..24) and the chart coordinates s (around the limb) and t (along it), both in 0..1.
    """
    part = np.zeros(len(segment), np.uint8)
    s = np.zeros(len(segment), np.float32)
    t = np.zeros(len(segment), np.float32)
    for k, name in enumerate(SEGMENTS):
        here = np.flatnonzero(segment == k)
        if not len(here):
            continue
        frame = load_skin().frames[k]
        offset = position[here] - frame.start
        front, back = PARTS[name]
        if name == "head":
            x, y, z = offset.T
            part[here] = np.where(x < 0, front, back)
            # As on DensePose's charts, the nose is at the end of the right half's, s = 1, and at
            # the beginning of the left half's, s = 0.
            azimuth = np.arctan2(np.abs(x), z) / np.pi
            s[here] = np.where(x < 0, 1 - azimuth, azimuth)
            t[here] = 0.5 - np.arctan2(y, np.hypot(x, z)) / np.pi
            continue
        axis = frame.end - frame.start
        t[here] = np.clip(offset @ (axis / (axis @ axis)), 0, 1)
        if name == "torso":
            t[here] **= TORSO_CROWDING
        along = axis / np.linalg.norm(axis)
        offset = offset - np.outer(offset @ along, along)
        sideways, forwards = offset @ frame.side, offset @ frame.front
        if front == back:
            part[here] = front
            s[here] = np.arctan2(sideways, forwards) / (2 * np.pi) + 0.5
        else:
            part[here] = np.where(forwards > 0, front, back)
            s[here] = np.arctan2(sideways, np.abs(forwards)) / np.pi + 0.5
    return part, np.clip(s, 0, 1), np.clip(t, 0, 1)


def _weigh_bump(distance: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * distance**2), np.float32)


def _add_flesh(shape: BodyShape, rest: FloatArray) -> FloatArray:
    """Give the shaped rest mesh [V,3] its girths and its larger head: what bones do not say."""
    body = load_skin()
    place = body.canonical  # where on the canonical body each vertex is
    out = rest.astype(np.float32).copy()
    x, y, z = place.T

    torso = body.segment == SEGMENTS.index("torso")
    heights = [-0.52, -0.38, -0.23, -0.02, 0.1, 0.16]
    width = np.interp(
        y,
        heights,
        [1.0, shape.hips, shape.waist, shape.chest, shape.shoulders, shape.shoulders],
    )
    depth = np.interp(y, heights, [1.0, shape.hips, shape.waist, shape.chest, 1.0, 1.0])
    out[torso, 0] += (place[:, 0] * (width - 1))[torso]
    middle = body.frames[SEGMENTS.index("torso")].start[2]
    out[torso, 2] += ((z - middle) * (depth - 1))[torso]
    forwards = torso & (z > middle)
    belly = shape.belly * _weigh_bump((y + 0.24) / 0.09) * _weigh_bump(x / 0.11)
    bust = shape.bust * _weigh_bump((y + 0.045) / 0.05) * _weigh_bump((np.abs(x) - 0.068) / 0.042)
    out[forwards, 2] += (belly + bust)[forwards]

    for k, name in enumerate(SEGMENTS):
        factor = shape.legs if "leg" in name else shape.arms if "arm" in name else 1.0
        here = body.segment == k
        frame = body.frames[k]
        axis = frame.end - frame.start
        if factor != 1.0:
            axis = axis / np.linalg.norm(axis)
            offset = place[here] - frame.start
            out[here] += (factor - 1) * (offset - np.outer(offset @ axis, axis))

    head = body.segment == SEGMENTS.index("head")
    centre = body.frames[SEGMENTS.index("head")].start
    up, out_front = (y - centre[1]) / body.head_size[1], z - centre[2] > 0
    tip = np.where(up > -0.3, (up + 0.3) / 0.22, (up + 0.3) / 0.07)  # slopes up, ends sharply below
    nose = head & out_front
    out[nose, 2] += (shape.head * shape.nose * _weigh_bump(tip) * _weigh_bump(x / 0.012))[nose]
    ear = shape.ears * _weigh_bump((up + 0.02) / 0.2) * _weigh_bump((z - centre[2] + 0.008) / 0.013)
    out[head, 0] += (shape.head * np.sign(x) * ear * (np.abs(x) > 0.04))[head]
    growth = (shape.head - 1) * np.clip((y - _COLLAR) / (_CHIN - _COLLAR), 0, 1)[head, None]
    out[head] += growth * (place[head] - _HEAD_PIVOT)
    return out


@dataclass(frozen=True)
class ShapedBody:
    """One identity's body in rest, ready to be posed."""

    model: Mannequin
    rest: FloatArray  # [V,3] metres
    joints: FloatArray  # [J,3] where the joints are in rest


@lru_cache(maxsize=4)
def shape_body(shape: BodyShape) -> ShapedBody:
    """The body of one shape; about 0.1 s, so the last few are kept."""
    model = Mannequin("wooden", shape=np.asarray(shape.betas, np.float32))
    rest_pose = model.rest_pose()
    joints = model.joint_transforms(rest_pose)[:, :3, 3].astype(np.float32)
    return ShapedBody(model, _add_flesh(shape, model.vertices(rest_pose)), joints)


def pose_vertices(shape: BodyShape, rotations: FloatArray) -> FloatArray:
    """Skin a body: rotations [21,3] axis-angle of the SMPL-X body joints -> vertices [V,3], metres.

    Linear blend skinning with one sparse product, which takes a tenth of the library's time.
    """
    body = shape_body(shape)
    pose = body.model.rest_pose()
    pose["body_pose"] = np.asarray(rotations, np.float32)
    world = body.model.joint_transforms(pose).astype(np.float32)
    turn = world[:, :3, :3]
    shift = world[:, :3, 3] - np.einsum("jik,jk->ji", turn, body.joints)
    blended = load_skin().weights @ np.concatenate([turn.reshape(-1, 9), shift], 1)
    rotated = np.einsum("vik,vk->vi", blended[:, :9].reshape(-1, 3, 3), body.rest)
    return np.asarray(rotated + blended[:, 9:], np.float32)
