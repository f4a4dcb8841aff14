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

from mcld.body.render import render
from mcld.body.shape import UInt8Array, draw_body_shape, pose_vertices
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
from mcld.mannequin.world.figures import (
    Looseness,
    Skirt,
    loosen,
    put_on_skirt,
    see,
    vary_pose,
)

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
    stance = vary_pose(rng, pose(seed, index, int(rng.integers(8))))
    if rng.random() < 0.25:
        stance = replace(stance, turn=float(rng.uniform(-np.pi, np.pi)))
    vertices = pose_vertices(shape, stance.rotation_array())
    if rng.random() < 0.35:
        vertices = put_on_skirt(vertices, Skirt(rng.uniform(0.45, 1.9), rng.uniform(0.14, 0.3)))
    loose = rng.random() < 0.6
    share = rng.random(4) * loose
    vertices = loosen(vertices, Looseness(*(share * (0.045, 0.035, 0.05, 0.03)).tolist()))
    pitch, roll = np.radians(rng.normal(0, (7, 3)))
    vertices = see(vertices, stance.turn, pitch, roll, rng.uniform(2.5, 10))
    before = replace(stance, turn=0.0, fill=float(rng.uniform(0.8, 0.94)))
    atlas = paint(someone.face, someone.clothes)
    image, iuv = render(vertices, atlas, someone.background, before, *SIZE)
    return _set_before_wall(rng, image, iuv), iuv


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
