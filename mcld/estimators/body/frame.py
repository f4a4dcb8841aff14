"""The square around a body that the network sees it in, and its way back into the photo."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mcld.estimators.body.landmarks import Crop, Landmarks
from mcld.estimators.body.network import INPUT_SIZE, BodyInput, BodyMaps

_MARGIN = 0.1
"""Around the body, of its longer side."""
_SEEN = 0.5
_ROWS = 256
"""Rows of a photo that are painted at once."""


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
        torch.from_numpy(places.astype(np.float32))[None],
        torch.from_numpy(found.visibility.astype(np.float32))[None],
        torch.from_numpy(shape)[None, None],
        torch.from_numpy(photo)[None, None],
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
            torch.from_numpy(flat)[None],
            torch.from_numpy(seen)[None],
            torch.zeros(1, 1, INPUT_SIZE, INPUT_SIZE),
            torch.from_numpy(inside)[None, None],
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
    to_frame = torch.from_numpy(np.linalg.inv(whole)[:2]).float()
    for start in range(top, bottom, _ROWS):
        end = min(start + _ROWS, bottom)
        y, x = torch.meshgrid(
            torch.arange(start, end) + 0.5, torch.arange(left, right) + 0.5, indexing="ij"
        )
        grid = torch.stack([x, y], -1) @ to_frame[:, :2].T + to_frame[:, 2]
        iuv[start:end, left:right] = _paint(maps, grid * 2 - 1).numpy()
    return iuv


def _paint(maps: BodyMaps, grid: Tensor) -> Tensor:
    """uint8 [h, w, 3] at places of the frame, [h, w, 2], -1..1."""
    logits = functional.grid_sample(maps.labels, grid[None], align_corners=False)[0]
    labels = logits.argmax(0) * (grid.abs() < 1).all(-1)
    rows, columns = torch.nonzero(labels, as_tuple=True)
    part = labels[rows, columns]
    size = maps.uv.shape[-1]
    place = (grid[rows, columns] + 1) / 2 * size - 0.5
    low = place.floor().clamp(0, size - 2).long()
    share = (place - low).clamp(0, 1)
    uv = torch.zeros(len(part), 2)
    for dx, wx in ((0, 1 - share[:, 0]), (1, share[:, 0])):
        for dy, wy in ((0, 1 - share[:, 1]), (1, share[:, 1])):
            corner = maps.uv[0, part - 1, :, low[:, 1] + dy, low[:, 0] + dx]
            uv += corner * (wx * wy)[:, None]
    painted = torch.zeros(*labels.shape, 3, dtype=torch.uint8)
    values = (uv.clamp(0, 1) * 255).byte()
    painted[rows, columns] = torch.cat([part[:, None].byte(), values], 1)
    return painted
