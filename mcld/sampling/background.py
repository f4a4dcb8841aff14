"""What lies behind the person of a photo, kept behind them in another pose."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse
from scipy.sparse.linalg import splu

from mcld.person.person import Person
from mcld.sampling_options import SamplingOptions

FloatArray = NDArray[np.float32]
UInt8Array = NDArray[np.uint8]

_AROUND = 0.06
"""Of a body's longer side, around its map: hair, skirts and shoes stand out of it."""
_FILL_SIZE = 256
"""Pixels of the longer side at which holes are filled: what fills them is smooth."""
_LEAST_GROUND = 0.02
"""Share of a picture, below which too little of its ground is seen to tell the rest."""
_EDGE = 1.0
"""Pixels at the edge of a body in which its colours are mixed with the ground's."""
_CONTRAST = 25.0
"""Levels of a figure's edge from the ground, from which on their mixture can be told."""
_LEAST = 0.15
"""Share of a figure below which a pixel is the ground's."""
_SPECK = 5
"""Pixels across, of which a figure must cover more than half to cover the middle one."""
_LEVEL = 3.0
"""How much more the neighbours on a pixel's own line count, in what is filled."""


def finish_pictures(
    pictures: Sequence[Image.Image],
    person: Person,
    iuv: UInt8Array,
    options: SamplingOptions,
    behind: Image.Image | None = None,
) -> list[Image.Image]:
    """What a network painted, at the size of the person's photo, with what is kept of that.

    Args:
        pictures: of the network, of one person in one pose.
        person: the source.
        iuv: the pose, uint8 [H, W, 3] (I, U, V), of any size.
        options: how they were sampled; with `keep` "background" the figure stands before what the
            photo shows behind the person, or on the network's own ground where that is hidden.
        behind: what `find_behind` made of them; None: it is made here.
    """
    size = person.photo.size
    behind = behind or find_behind(person, options)
    finished = []
    for picture in pictures:
        found = None if behind is None else cut_out(picture, iuv)
        whole = picture if found is None else found[0]
        resized = whole.resize(size, Image.Resampling.BICUBIC)
        if behind is not None and found is not None:
            share = found[1].resize(size, Image.Resampling.BICUBIC)
            resized = Image.composite(resized, behind, share)
        finished.append(resized)
    return finished


def find_behind(person: Person, options: SamplingOptions) -> Image.Image | None:
    """What a figure stands before: the photo without the person; None where nothing is kept."""
    if options.keep != "background":
        return None
    return remove_person(person.photo, person.iuv)


def remove_person(photo: Image.Image, iuv: UInt8Array) -> Image.Image | None:
    """A photo without the person of its map: what they hide goes over from what is around.

    None where hardly anything is seen around them.
    """
    near = _measure_distance(iuv, photo.size) < _AROUND
    filled = _fill(photo, near)
    if filled is None:
        return None
    smooth, hole = filled
    # The whole hole is covered, and a little of its edge.
    wide = np.asarray(cv2.dilate(hole.astype(np.float32), np.ones((5, 5))), np.float32)
    covered = Image.fromarray(np.rint(_blur(wide, 1) * 255).astype(np.uint8))
    return Image.composite(
        smooth.resize(photo.size, Image.Resampling.BICUBIC),
        photo,
        covered.resize(photo.size, Image.Resampling.BILINEAR),
    )


def cut_out(picture: Image.Image, iuv: UInt8Array) -> tuple[Image.Image, Image.Image] | None:
    """The figure before the plain ground of a picture in the pose of `iuv`.

    Returns its colours, which go on beyond it, and its share in each pixel, of mode L; None where
    there is no figure or no ground.
    """
    distance = _measure_distance(iuv, picture.size)
    filled = _fill(picture, distance < _AROUND)
    body = distance == 0
    inner = cv2.distanceTransform(body.astype(np.uint8), cv2.DIST_L2, 5) > _EDGE
    if filled is None or not inner.any():
        return None
    pixels = np.asarray(picture, np.float32)
    ground = np.asarray(filled[0].resize(picture.size, Image.Resampling.BICUBIC), np.float32)
    # At its edge a pixel lies between the ground's colour and that of the figure near it.
    _, nearest = cv2.distanceTransformWithLabels(
        (~inner).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((nearest.max() + 1, 3), np.float32)
    colours[nearest[inner]] = pixels[inner]
    figure = colours[nearest]
    contrast = figure - ground
    square = np.square(contrast).sum(-1)
    mixed = ((pixels - ground) * contrast).sum(-1) / np.maximum(square, 1e-6)
    mixed = np.where(square > _CONTRAST**2, mixed, body)
    # What is painted beside the body's map belongs to it, the less the further away.
    near = np.clip(2 - 2 * distance / _AROUND, 0, 1)
    share = np.where(inner, 1, np.clip(mixed, 0, 1) * near).astype(np.float32)
    # Specks of the ground that are unlike the rest of it are no part of the figure.
    share = np.where(inner, 1, np.minimum(share, cv2.medianBlur(share, _SPECK)))
    share = np.where(share < _LEAST, 0, share)[..., None]
    figure = np.where(
        share > 0, (pixels - ground * (1 - share)) / np.maximum(share, _LEAST), figure
    )
    return (
        Image.fromarray(np.rint(np.clip(figure, 0, 255)).astype(np.uint8)),
        Image.fromarray(np.rint(share[..., 0] * 255).astype(np.uint8)),
    )


def _measure_distance(iuv: UInt8Array, size: tuple[int, int]) -> FloatArray:
    """How far pixels of a picture (width, height) are from its map's body, in longer sides of it.

    All are infinitely far from none.
    """
    label = np.ascontiguousarray(iuv[..., 0])
    body = np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)) > 0
    if not body.any():
        return np.full(body.shape, np.inf, np.float32)
    side = max(np.ptp(np.flatnonzero(body.any(axis))) for axis in (0, 1)) + 1
    away = cv2.distanceTransform((~body).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(away / side, np.float32)


def _fill(
    picture: Image.Image, hole: NDArray[np.bool_]
) -> tuple[Image.Image, NDArray[np.bool_]] | None:
    """A small picture whose hole is a membrane between its edges, and which of it is the hole.

    In the hole no pixel differs from the mean of its neighbours, of which those beside it count
    more, because walls meet floors in level lines. None where hardly anything is outside it.
    """
    scale = min(1.0, _FILL_SIZE / max(picture.size))
    small = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    share = cv2.resize(hole.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    unknown = np.asarray(share) > 0
    if unknown.mean() > 1 - _LEAST_GROUND:
        return None
    pixels = np.asarray(picture.resize(small, Image.Resampling.BOX), np.float32)
    # The edges lend the mean of what is near them, or each of their pixels would be a streak.
    seen = (~unknown).astype(np.float32)
    near = _blur(pixels * seen[..., None], 2)
    near /= np.maximum(_blur(seen, 2), np.float32(1e-6))[..., None]
    smooth = _stretch_membrane(near, unknown)
    smooth = np.where(unknown[..., None], smooth, pixels)
    return Image.fromarray(np.rint(np.clip(smooth, 0, 255)).astype(np.uint8)), unknown


def _stretch_membrane(values: FloatArray, unknown: NDArray[np.bool_]) -> FloatArray:
    """Values [h, w, 3] whose unknown ones solve Laplace's equation between the others."""
    if not unknown.any():
        return values
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
        ),
        shape=(len(goal), len(goal)),
    )
    stretched = values.copy()
    # Symmetric and dominated by its diagonal, it need not be searched for pivots.
    solver = splu(matrix, "MMD_AT_PLUS_A", 0, options={"SymmetricMode": True})
    stretched[unknown] = solver.solve(goal)
    return stretched


def _blur(values: FloatArray, spread: float) -> FloatArray:
    blurred = cv2.GaussianBlur(values, (0, 0), spread, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)
