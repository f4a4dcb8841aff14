"""What the small network of `mcld.estimators.body` learns from: pictures of mannequins, the
landmarks that are found in them, and their true IUV maps.

Bodies, poses and views are many, and clothes wider than the body (DensePose labels cloth as the
body below it); cameras look from above and below, near and far, and pictures are cut as fashion
photos are.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mcld.body.pose import JOINTS, Pose
from mcld.body.render import render
from mcld.body.shape import (
    SEGMENTS,
    FloatArray,
    UInt8Array,
    draw_body_shape,
    find_chart_position,
    find_normals,
    load_skin,
    pose_vertices,
)
from mcld.estimators.body.landmarks import (
    CROP_SIZE,
    Crop,
    LandmarkReader,
    Landmarks,
    list_views,
    read_landmarks,
)
from mcld.mannequin.world import identity, pose
from mcld.mannequin.world.atlas import paint

SIZE = (416, 320)
"""Height and width of the pictures before they are cut."""
_LEAST_OVERLAP = 0.5
"""Of a silhouette that was found with the true one: with less, it is somebody else's."""


@dataclass(frozen=True)
class BodyExample:
    """What the network sees of one picture, and what it shall say."""

    landmarks: Landmarks
    inside: NDArray[np.bool_]
    """bool [256, 256] the crop's pixels that lie in the picture."""
    iuv: UInt8Array
    """[256, 256, 3] the true map, in the crop."""


def make_example(seed: int, index: int, reader: LandmarkReader) -> BodyExample | None:
    """Example `index` of the world `seed`; None where they are not found in it."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, index, 2]))
    image, iuv = take_picture(rng, seed, index)
    image, iuv = _cut_as_photos_are(rng, image, iuv)
    people = reader.find_people(image, list_views(image.shape[:2])[0])
    if not people:
        return None
    read = read_landmarks(reader, image, people[0])
    if read is None:
        return None
    found, crop = read
    inside = crop.find_inside(image.shape[:2], CROP_SIZE)
    truth = cut_map(crop, iuv, CROP_SIZE)
    body, seen = truth[..., 0] > 0, found.silhouette > 0.5
    if (body & seen).sum() < _LEAST_OVERLAP * (body | seen).sum():
        return None
    return BodyExample(found, inside, truth)


def cut_map(crop: Crop, iuv: UInt8Array, width: int) -> UInt8Array:
    """An IUV map in a crop, uint8 [width, width, 3]; no value is mixed of two."""
    x, y = np.moveaxis(np.floor(crop.place_pixels(width)).astype(int), -1, 0)
    height, across = iuv.shape[:2]
    seen = crop.find_inside((height, across), width)
    out = np.zeros((width, width, 3), np.uint8)
    out[seen] = iuv[y[seen], x[seen]]
    return out


def take_picture(rng: np.random.Generator, seed: int, index: int) -> tuple[UInt8Array, UInt8Array]:
    """A picture of somebody as they may be met in photos, and its IUV map."""
    someone = identity(seed, index)
    shape = replace(
        draw_body_shape(rng),
        betas=tuple(np.clip(rng.normal(0, 1.0, 10), -2.5, 2.5)),
        head=1.75 if rng.random() < 0.08 else float(rng.uniform(0.98, 1.25)),
    )
    stance = _vary_pose(rng, pose(seed, index, int(rng.integers(8))))
    vertices = pose_vertices(shape, stance.rotation_array())
    if rng.random() < 0.35:
        vertices = _put_on_skirt(rng, vertices)
    vertices = _look(rng, _loosen(rng, vertices), stance.turn)
    before = replace(stance, turn=0.0, fill=float(rng.uniform(0.8, 0.94)))
    atlas = paint(someone.face, someone.clothes)
    image, iuv = render(vertices, atlas, someone.background, before, *SIZE)
    return _set_before_wall(rng, image, iuv), iuv


def _vary_pose(rng: np.random.Generator, stance: Pose) -> Pose:
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
    if rng.random() < 0.25:
        turn = rng.uniform(-np.pi, np.pi)
    radians = np.radians(turns)
    return replace(stance, rotations=tuple(map(tuple, radians.tolist())), turn=float(turn))


def _twist(turn: FloatArray, degrees: float) -> FloatArray:
    """A turn, axis-angle in degrees, of an arm that was first turned about itself."""
    about = Rotation.from_rotvec([degrees, 0, 0], degrees=True)
    whole = Rotation.from_rotvec(turn, degrees=True) * about
    return np.asarray(whole.as_rotvec(degrees=True), np.float32)


def _loosen(rng: np.random.Generator, vertices: FloatArray) -> FloatArray:
    """Clothes wider than the body, and hair: parts are blown up along their normals."""
    far = np.zeros(len(SEGMENTS))
    loose = rng.random() < 0.6
    trunk, arms, legs, hair = rng.random(4) * loose
    for k, name in enumerate(SEGMENTS):
        if name == "torso":
            far[k] = 0.045 * trunk
        elif "arm" in name:
            far[k] = 0.035 * arms * (0.6 + 0.4 * ("upper" in name))
        elif "leg" in name:
            far[k] = 0.05 * legs * (0.7 + 0.3 * ("lower" in name))
        elif name == "head":
            far[k] = 0.03 * hair
    far = far[load_skin().segment][:, None]
    return np.asarray(vertices + find_normals(vertices) * far, np.float32)


def _put_on_skirt(rng: np.random.Generator, vertices: FloatArray) -> FloatArray:
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
    hem, width = rng.uniform(0.45, 1.9), rng.uniform(0.14, 0.3)
    out = vertices.copy()
    for k in names:
        here = np.flatnonzero(body.segment == k)
        way = t[here] + ("lower" in SEGMENTS[k])
        here, way = here[way < hem], way[way < hem]
        if not len(here):
            continue
        outwards = s[here] if "left" in SEGMENTS[k] else 1 - s[here]
        angle = outwards * np.pi / 2
        is_front = np.isin(part[here], (9, 10, 13, 14))
        sign = 1 if "left" in SEGMENTS[k] else -1
        upper = hip + (knee - hip) * np.minimum(way, 1)[:, None]
        axis = upper + (ankle - knee) * np.maximum(way - 1, 0)[:, None]
        radius = 0.15 + (width - 0.13) * way
        sideways = sign * np.sin(angle) * radius
        forwards = np.where(is_front, 1, -1) * np.cos(angle) * radius * 0.75
        out[here] = axis + sideways[:, None] * left + forwards[:, None] * front
    return out


def _look(rng: np.random.Generator, vertices: FloatArray, turn: float) -> FloatArray:
    """Turn the figure, and see it from above or below, a little askew, and from near or far."""
    pitch, roll = np.radians(rng.normal(0, (7, 3)))
    c, s = np.cos(turn), np.sin(turn)
    seen = vertices @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    c, s = np.cos(pitch), np.sin(pitch)
    seen = seen @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T
    c, s = np.cos(roll), np.sin(roll)
    seen = seen @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
    distance = rng.uniform(2.5, 10)
    seen[:, :2] *= distance / (distance - seen[:, 2:] + seen[:, 2].mean())
    return np.asarray(seen, np.float32)


def _set_before_wall(rng: np.random.Generator, image: UInt8Array, iuv: UInt8Array) -> UInt8Array:
    """Another ground, plain or busy, and another light."""
    height, width = image.shape[:2]
    cells = int(rng.choice([2, 3, 6, 14]))
    contrast = rng.choice([0.02, 0.1, 0.3])
    low = np.clip(rng.random(3) + rng.normal(0, contrast, (cells, cells, 3)), 0, 1)
    flag = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_NEAREST
    wall = np.clip(cv2.resize(low.astype(np.float32), (width, height), interpolation=flag), 0, 1)
    sharp = (iuv[..., 0] > 0).astype(np.float32)
    person = np.asarray(cv2.GaussianBlur(sharp, (3, 3), 0.6))[..., None]
    light = rng.uniform(0.5, 1.15)
    mixed = image * light * person + wall * 255 * (1 - person)
    mixed = mixed + rng.normal(0, rng.uniform(0, 6), mixed.shape)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _cut_as_photos_are(
    rng: np.random.Generator, image: UInt8Array, iuv: UInt8Array
) -> tuple[UInt8Array, UInt8Array]:
    """Whole figures, head to knee, head to hip, without a head, cut by a side."""
    rows = np.flatnonzero((iuv[..., 0] > 0).any(1))
    columns = np.flatnonzero((iuv[..., 0] > 0).any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    tall, wide = bottom - top, right - left
    kinds = {"whole": 0.42, "knee": 0.17, "hip": 0.22, "headless": 0.12, "side": 0.07}
    kind = rng.choice(list(kinds), p=list(kinds.values()))
    low, high = top - tall * rng.uniform(0.02, 0.15), bottom + tall * rng.uniform(0.02, 0.1)
    a, b = left - wide * rng.uniform(0.03, 0.5), right + wide * rng.uniform(0.03, 0.5)
    if kind in ("knee", "hip"):
        high = top + tall * (rng.uniform(0.62, 0.85) if kind == "knee" else rng.uniform(0.42, 0.62))
        low = top + tall * rng.uniform(-0.08, 0.03)
        if rng.random() < 0.3:
            a = left + wide * rng.uniform(0, 0.12)
    elif kind == "headless":
        low = top + tall * rng.uniform(0.06, 0.15)
    elif kind == "side":
        a = left + wide * rng.uniform(0.05, 0.35)
    height, width = iuv.shape[:2]
    y, yy = int(np.clip(low, 0, height - 16)), int(np.clip(high, 16, height))
    x, xx = int(np.clip(a, 0, width - 16)), int(np.clip(b, 16, width))
    return image[y:yy, x:xx].copy(), iuv[y:yy, x:xx].copy()
