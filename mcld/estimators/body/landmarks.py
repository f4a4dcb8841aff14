"""The landmarks and the silhouette of people, by BlazePose's two networks.

The detector looks for people in the whole photo, made a square of 224 pixels; the landmark network
sees an upright square around one of them, 256 pixels wide, and finds 33 landmarks and a silhouette
in it. Both come from the npm package @mediapipe/pose (Apache-2.0, see `weights/NOTICE`).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.estimators.body import LANDMARKS
from mcld.machine.onnx import open_session

DETECTOR_SIZE, CROP_SIZE = 224, 256
_STRIDES = ((8, 2), (16, 2), (32, 6))
"""Pixels between the detector's anchors, and how many boxes stand at each."""
_LEAST_SCORE = 0.5
"""Of a person, to the detector and to the landmark network."""
_SAME_PERSON = 0.3
"""Overlap (intersection over union) from which on two boxes are one person."""
_MARGIN = 1.25
"""Width of the crop over the diameter of the circle around a whole body."""

Array = NDArray[np.float32]


class FoundPerson(NamedTuple):
    """A person that the detector found, in pixels of the photo."""

    score: float
    """0..1."""
    box: Array
    """[4] (left, top, right, bottom), of face and shoulders."""
    hip: Array
    """[2] (x, y) between the hips."""
    reach: Array
    """[2] (x, y) of a point on the circle around the whole body, above the head."""


class Crop(NamedTuple):
    """A square around a person, turned so that they stand upright in it."""

    centre: Array
    """[2] (x, y), pixels of the photo."""
    size: float
    """Its sides, pixels of the photo."""
    turn: float
    """The angle that it is turned by in the photo, radians, clockwise."""

    def to_photo(self) -> NDArray[np.float64]:
        """[2, 3] affine map from pixels of a crop of width 1 to pixels of the photo."""
        c, s = np.cos(self.turn) * self.size, np.sin(self.turn) * self.size
        x, y = self.centre
        return np.array([[c, -s, x - (c - s) / 2], [s, c, y - (s + c) / 2]])

    def cut(self, image: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
        """The square, uint8 [width, width, 3]; black beyond the photo."""
        height, across = image.shape[:2]
        small = (across, height)
        # A photo that is much larger is made smaller first: no pixel falls between the samples.
        if (shrink := int(self.size / width)) > 1:
            small = (max(across // shrink, 1), max(height // shrink, 1))
            image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        photo = _scale_pixels(small[0] / across, small[1] / height)
        inside = photo @ np.vstack([self.to_photo() @ _from_pixels(width), [0, 0, 1]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(image, inside, (width, width), flags=flags), np.uint8)

    def find_inside(self, shape: tuple[int, int], width: int) -> NDArray[np.bool_]:
        """Which pixels of the square lie in a photo of shape (H, W): bool [width, width]."""
        x, y = np.moveaxis(self.place_pixels(width), -1, 0)
        return np.asarray((x >= 0) & (y >= 0) & (x < shape[1]) & (y < shape[0]))

    def place_pixels(self, width: int) -> NDArray[np.float64]:
        """Where the centres of the square's pixels lie in the photo, [width, width, 2] (x, y)."""
        middle = (np.arange(width) + 0.5) / width
        to_photo = self.to_photo()
        places = np.stack(np.meshgrid(middle, middle), -1) @ to_photo[:, :2].T
        return np.asarray(places + to_photo[:, 2])


def _from_pixels(width: int) -> NDArray[np.float64]:
    """[3, 3] from the centres of pixels, counted, to a square of width 1."""
    return np.array([[1 / width, 0, 0.5 / width], [0, 1 / width, 0.5 / width], [0, 0, 1]])


def _scale_pixels(x: float, y: float) -> NDArray[np.float64]:
    """[2, 3] from places in a photo to the pixels of a resized one, counted at their centres."""
    return np.array([[x, 0, -0.5], [0, y, -0.5]])


class Landmarks(NamedTuple):
    """What the landmark network says of one crop."""

    score: float
    """Whether the crop shows a person, 0..1."""
    places: Array
    """[33, 3] (x, y, depth) of each, in widths of the crop; x and y 0..1 inside it, the depth 0
    between the hips and negative in front."""
    visibility: Array
    """[33] 0..1: whether it is seen."""
    silhouette: Array
    """[256, 256] 0..1: the crop's pixels that show the person."""
    hip: Array
    """[2] (x, y) between the hips, in widths of the crop."""
    reach: Array
    """[2] (x, y) of a point on the circle around the whole body, in widths of the crop."""


class PhotoLandmarks(NamedTuple):
    """The landmarks of the person that counts in a photo."""

    places: Array
    """[33, 2] (x, y), pixels of the photo."""
    visibility: Array
    """[33] 0..1: whether each is seen."""
    inside: NDArray[np.bool_]
    """[33] whether each lies in the photo."""


class LandmarkReader:
    """BlazePose on the CPU. Raises MCLDError when it does not load."""

    def __init__(self) -> None:
        folder = files("mcld.estimators.body") / "weights"
        self._detector = open_session((folder / "detector.onnx").read_bytes())
        self._landmarks = open_session((folder / "landmarks.onnx").read_bytes())

    def find_people(self, image: NDArray[np.uint8], crop: Crop) -> list[FoundPerson]:
        """The people in an upright square of a photo, uint8 [H, W, 3] RGB, the surest first."""
        square = crop.cut(image, DETECTOR_SIZE).astype(np.float32) / 127.5 - 1
        boxes, scores = self._detector.run(None, {"input_1": square[None]})
        score = 1 / (1 + np.exp(-np.clip(scores[0, :, 0], -80, 80)))
        likely = np.flatnonzero(score > _LEAST_SCORE)
        found = boxes[0, likely].reshape(-1, 6, 2) / DETECTOR_SIZE
        found[:, [0, 2, 3, 4, 5]] += _lay_anchors()[likely, None]
        people = []
        for points, sure in _merge(found, score[likely]):
            centre, extent = points[0], points[1] / 2
            to_photo = crop.to_photo()
            corner = np.stack([centre - extent, centre + extent, points[2], points[3]])
            placed = (corner @ to_photo[:, :2].T + to_photo[:, 2]).astype(np.float32)
            people.append(FoundPerson(float(sure), placed[:2].ravel(), placed[2], placed[3]))
        return people

    def read(self, image: NDArray[np.uint8], crop: Crop) -> Landmarks:
        """The landmarks of the person in a crop of a photo, uint8 [H, W, 3] RGB."""
        square = crop.cut(image, CROP_SIZE).astype(np.float32) / 255
        points, score, silhouette, _, _ = self._landmarks.run(None, {"input_1": square[None]})
        points = points.reshape(39, 5)
        places = points[:, :3] / CROP_SIZE
        with np.errstate(over="ignore"):
            seen = 1 / (1 + np.exp(-points[:LANDMARKS, 3]))
            mask = 1 / (1 + np.exp(-silhouette[0, ..., 0]))
        return Landmarks(
            float(score[0, 0]), places[:LANDMARKS], seen, mask, places[33, :2], places[34, :2]
        )


def list_views(shape: tuple[int, int]) -> list[Crop]:
    """The squares of a photo (H, W) in which people are looked for, until somebody is found.

    The whole photo, which nearly always does; from further away, for who fills it; and three that
    show it nearer, for who is small and not at its very edge.
    """
    long = float(max(shape))
    middle: Array = np.array(shape[::-1], np.float32) / np.float32(2)
    short = min(float(min(shape)), 0.6 * long)
    ends = np.array(shape[::-1]) / 2 - short / 2
    ends[np.argmin(shape[::-1])] = 0
    return [
        Crop(middle, long, 0.0),
        Crop(middle, long * 1.5, 0.0),
        *(
            Crop((middle + side * ends).astype(np.float32), float(short), 0.0)
            for side in (-1, 0, 1)
        ),
    ]


def read_landmarks(
    reader: LandmarkReader, image: NDArray[np.uint8], person: FoundPerson
) -> tuple[Landmarks, Crop] | None:
    """The landmarks of somebody in a photo, and the crop they were found in; None for nobody."""
    crop = crop_around(person.hip, person.reach)
    for _ in range(2):  # the first crop places the second
        if not _is_usable(crop):
            return None
        found = reader.read(image, crop)
        if found.score < _LEAST_SCORE:
            return None
        last, crop = crop, crop_again(crop, found)
    return found, last


def _is_usable(crop: Crop) -> bool:
    return bool(np.isfinite([*crop.centre, crop.size, crop.turn]).all() and 2 < crop.size < 1e5)


def crop_around(hip: Array, reach: Array) -> Crop:
    """The square around a body whose hips and whose circle are known, pixels of the photo."""
    x, y = reach - hip
    return Crop(hip, float(2 * np.hypot(x, y) * _MARGIN), float(np.arctan2(x, -y)))


def crop_again(crop: Crop, found: Landmarks) -> Crop:
    """The square around a body, placed by the landmarks that were found in an earlier one."""
    to_photo = crop.to_photo()
    hip, reach = np.stack([found.hip, found.reach]) @ to_photo[:, :2].T + to_photo[:, 2]
    return crop_around(hip.astype(np.float32), reach.astype(np.float32))


@cache
def _lay_anchors() -> Array:
    """Centres of the detector's anchors, [2254, 2], in widths of its square."""
    layers = []
    for stride, boxes in _STRIDES:
        count = DETECTOR_SIZE // stride
        y, x = np.mgrid[:count, :count]
        centres = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) / count
        layers.append(np.repeat(centres, boxes, axis=0))
    return np.concatenate(layers).astype(np.float32)


def _merge(found: Array, score: Array) -> list[tuple[Array, float]]:
    """The people that overlapping boxes [N, 6, 2] show: the mean of each's, weighed by score."""
    people = []
    left = np.argsort(-score)
    while len(left):
        low, high = found[left, 0] - found[left, 1] / 2, found[left, 0] + found[left, 1] / 2
        shared = np.clip(np.minimum(high, high[0]) - np.maximum(low, low[0]), 0, None).prod(1)
        area = (high - low).prod(1)
        same = shared / np.maximum(area + area[0] - shared, 1e-9) > _SAME_PERSON
        same[0] = True
        weight = score[left[same]]
        mean = (found[left[same]] * weight[:, None, None]).sum(0) / weight.sum()
        people.append((mean, float(score[left[0]])))
        left = left[~same]
    return people
