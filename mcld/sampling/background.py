"""What lies behind the person of a photo, kept behind them in another pose."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse
from scipy.sparse.linalg import splu

from mcld.person import Person
from mcld.pipeline import SamplingOptions

FloatArray = NDArray[np.float32]
UInt8Array = NDArray[np.uint8]

_AROUND = 0.06
"""Of a body's longer side, around its map: hair, skirts and shoes stand out of it."""
_FILL_SIZE = 256
"""Pixels of the longer side at which holes are filled: what fills them is smooth."""
_EDGE = 1.0
"""Pixels at the edge of a body in which its colours are mixed with the ground's."""
_CONTRAST = 25.0
"""Levels of a figure's edge from the ground, from which on their mixture can be told."""
_LEAST = 0.15
"""Share of a figure below which a pixel is the ground's."""
_LEVEL = 3.0
"""How much more the neighbours on a pixel's own line count, in what is filled."""


def finish_picture(
    picture: Image.Image, person: Person, iuv: UInt8Array, options: SamplingOptions
) -> Image.Image:
    """What a network painted, at the size of the person's photo, with what is kept of that.

    Args:
        picture: of the network.
        person: the source.
        iuv: the pose, uint8 [H, W, 3] (I, U, V), of any size.
        options: how it was sampled; with `keep` "background" the figure stands before what the
            photo shows behind the person. What the person hid is filled from around.
    """
    size = person.photo.size
    if options.keep != "background" or not iuv[..., 0].any():
        return picture.resize(size, Image.Resampling.BICUBIC)
    # Cut out before it is made larger, for there are fewer pixels.
    share, figure = (
        cv2.resize(part, size, interpolation=cv2.INTER_CUBIC)
        for part in cut_out(np.asarray(picture, np.float32), iuv)
    )
    behind = remove_person(np.asarray(person.photo), person.iuv)
    mixed = figure + behind * np.clip(1 - share, 0, 1)[..., None]
    return Image.fromarray(np.rint(np.clip(mixed, 0, 255)).astype(np.uint8))


def remove_person(photo: UInt8Array, iuv: UInt8Array) -> FloatArray:
    """A photo, uint8 [H, W, 3], without the person of its map: float32, as large, 0..255."""
    distance = _measure_distance(_find_body(iuv, photo.shape[:2]))
    return _fill(photo.astype(np.float32), distance < _AROUND)


def cut_out(picture: FloatArray, iuv: UInt8Array) -> tuple[FloatArray, FloatArray]:
    """The figure before the plain ground of a picture [H, W, 3], 0..255, in the pose of `iuv`.

    Returns its share in each pixel, [H, W] 0..1, and its colours times that, [H, W, 3].
    """
    body = _find_body(iuv, picture.shape[:2])
    distance = _measure_distance(body)
    ground = _fill(picture, distance < _AROUND)
    inner = cv2.distanceTransform(body.astype(np.uint8), cv2.DIST_L2, 5) > _EDGE
    if not inner.any():
        return body.astype(np.float32), picture * body[..., None]
    # At its edge a pixel lies between the ground's colour and that of the figure near it.
    _, nearest = cv2.distanceTransformWithLabels(
        (~inner).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((nearest.max() + 1, 3), np.float32)
    colours[nearest[inner]] = picture[inner]
    contrast = colours[nearest] - ground
    square = np.square(contrast).sum(-1)
    mixed = ((picture - ground) * contrast).sum(-1) / np.maximum(square, 1e-6)
    mixed = np.where(square > _CONTRAST**2, mixed, body)
    # What is painted beside the body's map belongs to it, the less the further away.
    near = np.clip(2 - 2 * distance / _AROUND, 0, 1)
    share = np.where(inner, 1, np.clip(mixed, 0, 1) * near)
    share = np.where(share < _LEAST, 0, share).astype(np.float32)
    figure = (picture - ground * (1 - share[..., None])) * (share > 0)[..., None]
    return share, np.asarray(figure, np.float32)


def _find_body(iuv: UInt8Array, size: tuple[int, int]) -> NDArray[np.bool_]:
    label = np.ascontiguousarray(iuv[..., 0])
    resized = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized > 0)


def _measure_distance(body: NDArray[np.bool_]) -> FloatArray:
    """How far pixels are from a body, in longer sides of it; all of them infinitely from none."""
    if not body.any():
        return np.full(body.shape, np.inf, np.float32)
    side = max(np.ptp(np.flatnonzero(body.any(axis))) for axis in (0, 1)) + 1
    away = cv2.distanceTransform((~body).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(away / side, np.float32)


def _fill(picture: FloatArray, hole: NDArray[np.bool_]) -> FloatArray:
    """A picture whose hole is a membrane between its edges: in it no pixel differs from the mean of
    its neighbours, of which those beside it count more, because walls meet floors in level lines.
    """
    height, width = hole.shape
    scale = min(1.0, _FILL_SIZE / max(height, width))
    small = max(round(width * scale), 1), max(round(height * scale), 1)
    known = (~hole).astype(np.float32)
    weight, colours = (
        np.asarray(cv2.resize(part, small, interpolation=cv2.INTER_AREA), np.float32)
        for part in (known, picture * known[..., None])
    )
    unknown = weight < 1
    if unknown.all():
        return picture
    # The edges lend the mean of what is near them, or each of their pixels would be a streak.
    seen = np.where(unknown, 0, weight)
    near = _blur(colours * seen[..., None], 2)
    near /= np.maximum(_blur(seen, 2), np.float32(1e-6))[..., None]
    stretched = _stretch_membrane(near, unknown)
    smooth = cv2.resize(stretched, (width, height), interpolation=cv2.INTER_CUBIC)
    edge = np.maximum(hole, _blur(hole.astype(np.float32), max(height, width) / 200))[..., None]
    return np.asarray(picture + (smooth - picture) * edge, np.float32)


def _stretch_membrane(values: FloatArray, unknown: NDArray[np.bool_]) -> FloatArray:
    """Values [h, w, 3] whose unknown ones solve Laplace's equation between the others."""
    number = np.full(unknown.shape, -1)
    number[unknown] = np.arange(unknown.sum())
    goal = np.zeros((unknown.sum(), 3))
    diagonal = np.zeros(len(goal))
    rows, columns, weights = [], [], []
    for axis, weight in ((0, 1.0), (1, _LEVEL)):
        for backwards in (False, True):
            here, there = (np.delete(number, k, axis) for k in ((0, -1) if backwards else (-1, 0)))
            lent = np.delete(values, -1 if backwards else 0, axis)
            open_ = here >= 0
            diagonal += weight * np.bincount(here[open_], minlength=len(goal))
            inner = open_ & (there >= 0)
            rows.append(here[inner])
            columns.append(there[inner])
            weights.append(np.full(inner.sum(), -weight))
            edge = open_ & (there < 0)
            np.add.at(goal, here[edge], weight * lent[edge])
    index = np.arange(len(goal))
    matrix = sparse.csc_matrix(
        (
            np.concatenate([*weights, diagonal]),
            (np.concatenate([*rows, index]), np.concatenate([*columns, index])),
        )
    )
    stretched = values.copy()
    stretched[unknown] = splu(matrix).solve(goal)
    return stretched


def _blur(values: NDArray[np.floating], x: float, y: float | None = None) -> FloatArray:
    blurred = cv2.GaussianBlur(
        values, (0, 0), sigmaX=x, sigmaY=y or x, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(blurred, np.float32)
