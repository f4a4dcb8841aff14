"""The square around a body that the network sees it in, and its way back into the photo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.estimators.body.landmarks import Crop, Landmarks

INPUT_SIZE = 96
"""Width and height of the silhouette that the network sees, and of its maps."""
_MARGIN = 0.1
"""Around the body, of its longer side."""
_SEEN = 0.5
_ROWS = 256
"""Rows of a photo that are painted at once."""


class BodyInput(NamedTuple):
    """What the network sees of N bodies, each in a square frame around it; all float32."""

    places: NDArray[np.float32]
    """[N, 33, 3] (x, y, depth) of the landmarks, in widths of the frame: x and y 0..1 inside it,
    the depth negative in front."""
    visibility: NDArray[np.float32]
    """[N, 33], 0..1; negative for a landmark that is not known."""
    silhouette: NDArray[np.float32]
    """[N, 1, 96, 96], 0..1; 0 all over where it is not known."""
    inside: NDArray[np.float32]
    """[N, 1, 96, 96], 1 where the photo is, 0 beyond its edge."""


class BodyMaps(NamedTuple):
    """What the network says of N bodies, float32."""

    labels: NDArray[np.float32]
    """Logits [N, 25, 96, 96] of the part labels, 0 the background."""
    uv: NDArray[np.float32]
    """[N, 24, 2, 96, 96] U and V, 0..1, of each part."""


class Frame(NamedTuple):
    """A square, in widths of the crop that the landmarks were found in."""

    left: float
    top: float
    size: float

    def in_photo(self, crop: Crop) -> Crop:
        """The same square as one of the photo."""
        middle = np.array([self.left, self.top]) + self.size / 2
        to_photo = crop.to_photo()
        centre = to_photo[:, :2] @ middle + to_photo[:, 2]
        return Crop(centre.astype(np.float32), crop.size * self.size, crop.turn)


def choose_frame(found: Landmarks, inside: NDArray[np.bool_]) -> Frame | None:
    """The square around what is seen of a body; None where nothing is.

    inside: bool [256, 256], the crop's pixels that lie in the photo.
    """
    size = len(inside)
    rows, columns = np.nonzero((found.silhouette > _SEEN) & inside)
    points = np.stack([columns, rows], 1) / size
    places = found.places[found.visibility > _SEEN, :2]
    pixels = np.floor(places * size).astype(int)
    in_crop = np.flatnonzero(((pixels >= 0) & (pixels < size)).all(1))
    shown = inside[pixels[in_crop, 1], pixels[in_crop, 0]]
    points = np.concatenate([points, places[in_crop[shown]]])
    if not len(points):
        return None
    low, high = points.min(0), points.max(0)
    side = max(float((high - low).max()) * (1 + 2 * _MARGIN), 0.05)
    left, top = (low + high) / 2 - side / 2
    return Frame(float(left), float(top), side)


def frame_body(found: Landmarks, inside: NDArray[np.bool_], frame: Frame) -> BodyInput:
    """What the network sees of one body in a frame; `inside` as for `choose_frame`."""
    places = found.places.copy()
    places[:, :2] -= frame.left, frame.top
    places /= frame.size
    shape = _cut(found.silhouette * inside, frame)
    photo = _cut(inside.astype(np.float32), frame)
    return BodyInput(
        places.astype(np.float32)[None],
        found.visibility.astype(np.float32)[None],
        shape[None, None],
        photo[None, None],
    )


def frame_keypoints(
    places: NDArray[np.float32], known: NDArray[np.bool_], shape: tuple[int, int]
) -> tuple[BodyInput, Crop]:
    """What the network sees of landmarks alone, and its frame in the picture.

    places: [33, 2] pixels of a picture of shape (H, W); known: bool [33], which of them are given.
    """
    low, high = places[known].min(0), places[known].max(0)
    side = max(float((high - low).max()) * (1 + 3 * _MARGIN), 1.0)
    square = Crop(((low + high) / 2).astype(np.float32), side, 0.0)
    flat = np.zeros((len(places), 3), np.float32)
    flat[:, :2] = (places - square.centre) / side + 0.5
    seen = np.where(known, 1.0, -1.0).astype(np.float32)
    inside = square.find_inside(shape, INPUT_SIZE).astype(np.float32)
    return (
        BodyInput(
            flat[None],
            seen[None],
            np.zeros((1, 1, INPUT_SIZE, INPUT_SIZE), np.float32),
            inside[None, None],
        ),
        square,
    )


def _cut(values: NDArray[np.floating], frame: Frame) -> NDArray[np.float32]:
    """The frame's part of something that is as large as the crop: float32 [96, 96]."""
    scale = frame.size * len(values) / INPUT_SIZE
    shift = np.array([frame.left, frame.top]) * len(values) - 0.5 + scale / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (INPUT_SIZE, INPUT_SIZE)
    return np.asarray(cv2.warpAffine(values.astype(np.float32), matrix, size, flags=flags))


def paint_map(maps: BodyMaps, square: Crop, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """An IUV map, uint8 [H, W, 3], of a photo of shape (H, W): labels crisp, U and V smooth.

    maps: of one body. square: the frame in the photo.
    """
    iuv = np.zeros((*shape, 3), np.uint8)
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) @ square.to_photo()[:, :2].T
    corners += square.to_photo()[:, 2]
    left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, shape[::-1])
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int), 0, shape[::-1])
    whole = np.vstack([square.to_photo(), [0, 0, 1]])
    to_frame = np.linalg.inv(whole)[:2].astype(np.float32)
    for start in range(top, bottom, _ROWS):
        end = min(start + _ROWS, bottom)
        y, x = np.mgrid[start:end, left:right].astype(np.float32) + np.float32(0.5)
        places = np.stack([x, y], -1) @ to_frame[:, :2].T + to_frame[:, 2]
        iuv[start:end, left:right] = _paint(maps, places)
    return iuv


def _paint(maps: BodyMaps, places: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 [h, w, 3] at places of the frame, [h, w, 2] (x, y), 0..1."""
    painted = np.zeros((*places.shape[:2], 3), np.uint8)
    rows, columns = np.nonzero(((places > 0) & (places < 1)).all(-1))
    part = _find_labels(maps.labels[0], places[rows, columns])
    body = part > 0
    rows, columns, part = rows[body], columns[body], part[body]
    uv = np.zeros((len(part), 2), np.float32)
    for row, column, weight in _find_corners(places[rows, columns], 0, INPUT_SIZE - 1):
        uv += maps.uv[0, part - 1, :, row, column] * weight[:, None]
    painted[rows, columns, 0] = part
    painted[rows, columns, 1:] = (uv.clip(0, 1) * 255).astype(np.uint8)
    return painted


def _find_labels(logits: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.intp]:
    """The label whose logit, interpolated, is the largest at each place: [P].

    logits: [25, 96, 96], beyond which all are 0; places: [P, 2] (x, y), 0..1. Where one label leads
    at all four corners around a place, it leads there, too; only elsewhere are 25 logits computed.
    """
    around = np.pad(logits, [(0, 0), (1, 1), (1, 1)])
    leading = around.argmax(0)
    corners = leading[:-1, :-1], leading[:-1, 1:], leading[1:, :-1], leading[1:, 1:]
    agreed = np.where(np.logical_and.reduce([c == corners[0] for c in corners]), corners[0], -1)
    column, row = np.floor(places * INPUT_SIZE + np.float32(0.5)).astype(np.intp).T
    labels: NDArray[np.intp] = agreed[row, column]
    split = np.flatnonzero(labels < 0)
    by_place = np.ascontiguousarray(around.transpose(1, 2, 0))
    mixed = np.zeros((len(split), len(logits)), np.float32)
    for row, column, weight in _find_corners(places[split], -1, INPUT_SIZE):
        mixed += by_place[row + 1, column + 1] * weight[:, None]
    labels[split] = mixed.argmax(-1)
    return labels


def _find_corners(
    places: NDArray[np.float32], low: int, high: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]]:
    """(row, column, weight) of the four corners around places, each [P], for bilinear weights.

    places: [P, 2] (x, y), 0..1. low, high: rows and columns that there are, both included; places
    beyond get the nearest.
    """
    at = places * INPUT_SIZE - np.float32(0.5)
    first = np.floor(at).clip(low, high - 1).astype(np.intp)
    share = (at - first).clip(0, 1)
    for down in (0, 1):
        for right in (0, 1):
            x = share[:, 0] if right else 1 - share[:, 0]
            y = share[:, 1] if down else 1 - share[:, 1]
            yield first[:, 1] + down, first[:, 0] + right, x * y
