"""Edits brought back onto the photo they started from."""

import numpy as np
from numpy.typing import NDArray

from mcld.edit.texture import Texture
from mcld.surface.charts import find_texels

UInt8Array = NDArray[np.uint8]

MARGIN = 0.03
"""Around the body, as a share of its height: hair, skirts and shoes stand out of an IUV map."""
BLEND = 0.015
"""Over how much, as a share of the body's height, background goes over into body."""


def rewarp(photo: UInt8Array, iuv: UInt8Array, before: Texture, after: Texture) -> UInt8Array:
    """The photo with the texels that an edit changed looked up in the edited map.

    photo: uint8 [H, W, 3] RGB; iuv: its map (I, U, V), of any size. So the embedding of the photo
    agrees with the texture map. Where the edited map shows nothing, the photo stays.
    """
    iuv = resize_iuv(iuv, photo.shape[:2])
    texels = find_texels(iuv)
    changed = (before != after).any(axis=-1) & after.any(axis=-1)
    changed = changed.ravel()[texels] & (iuv[..., 0] > 0)
    edited = after.reshape(-1, 3)[texels]
    return np.asarray(np.where(changed[..., None], edited, photo), np.uint8)


def tint(photo: UInt8Array, iuv: UInt8Array, before: Texture, after: Texture) -> UInt8Array:
    """The photo with every pixel's colour moved as its texel's was; arguments as of `rewarp`.

    For edits that keep what is drawn: the photo is sharper than the map.
    """
    iuv = resize_iuv(iuv, photo.shape[:2])
    moved = (after.astype(np.int16) - before).reshape(-1, 3)[find_texels(iuv)]
    moved[iuv[..., 0] == 0] = 0
    return np.asarray(np.clip(photo + moved, 0, 255), np.uint8)


def resize_iuv(iuv: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """An IUV map at another (height, width), to the nearest pixel."""
    import cv2

    height, width = size
    resized = cv2.resize(
        np.ascontiguousarray(iuv), (width, height), interpolation=cv2.INTER_NEAREST
    )
    return np.asarray(resized, np.uint8)


def keep_background(picture: UInt8Array, photo: UInt8Array, iuv: UInt8Array) -> UInt8Array:
    """The picture around the body and the photo everywhere else, blended where they meet.

    picture, photo: uint8 [H, W, 3] RGB of one size, in the pose of `iuv`. The body, widened by
    `MARGIN`, is the picture's.
    """
    from scipy.ndimage import distance_transform_edt

    body = resize_iuv(iuv, photo.shape[:2])[..., 0] > 0
    rows = np.flatnonzero(body.any(axis=1))
    height = rows[-1] - rows[0] + 1
    distance = distance_transform_edt(~body) - MARGIN * height
    weight = np.clip(1 - distance / (BLEND * height), 0, 1)[..., None]
    mixed = photo + (picture.astype(np.float64) - photo) * weight
    return np.asarray(np.rint(mixed), np.uint8)
