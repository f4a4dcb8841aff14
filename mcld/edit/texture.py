"""Texture maps cut apart and sewn together, in the SMPL layout.

A texture map is uint8 [512, 512, 3] RGB; black is what its photo does not show.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from mcld.dataset.charts import ARMS, FEET, HANDS, HEAD, LEGS, TORSO, smpl_labels, smpl_mirror

Texture = NDArray[np.uint8]

GROUPS: dict[str, tuple[int, ...]] = {
    "head": HEAD,
    "upper": TORSO + ARMS,
    "lower": LEGS,
    "feet": FEET,
    "hands": HANDS,
}
"""What can be edited by name -> DensePose part labels."""

SEAM = 6
"""Texels over which one person's texture goes over into another's."""
_EDGE = 6
"""Texels beside a hole whose colours are not spread: at outlines they blend with the background."""
_RIM = 8.0
"""How wide the rim of a chart or a hole may be, texels."""
_DARK = 0.75
"""Brightness below which a texel of the rim counts as dark, as a share of that just inside."""
_SOFTNESS = 5.0
"""Standard deviation of the blur over spread colours, texels."""
_SHOWN = 0.02
"""Share of a group's texels that a photo must show before the group counts as shown."""


def region(groups: Sequence[str]) -> NDArray[np.bool_]:
    """The texels of some of `GROUPS`, bool [512, 512]."""
    return np.isin(smpl_labels(), [label for group in groups for label in GROUPS[group]])


def shows(texture: Texture, group: str) -> bool:
    """Whether the photo that a texture map was taken from shows a group, if only in part."""
    where = region([group])
    return bool(texture[where].any(axis=-1).mean() >= _SHOWN)


def trimmed(texture: Texture) -> Texture:
    """The map with dark texels at the rims of charts and holes replaced by those just inside.

    There the inpainting of the extraction mixes in the black around; the network is used to it,
    but laid back onto a photo it draws dotted lines. What has nothing just inside stays.
    """
    labels = smpl_labels()
    square = np.ones((3, 3), np.uint8)
    unsure = (cv2.dilate(labels, square) != cv2.erode(labels, square)) | ~texture.any(axis=-1)
    inner = cv2.dilate(unsure.astype(np.uint8), square) == 0
    if not inner.any():
        return texture
    distance, nearest = distance_transform_edt(~inner, return_indices=True)
    inside = texture[tuple(nearest)]
    dark = texture.max(axis=-1) < _DARK * inside.max(axis=-1)
    replaced = dark & texture.any(axis=-1) & (distance <= _RIM)
    return np.where(replaced[..., None], inside, texture)


def completed(texture: Texture, group: str) -> Texture:
    """The map with the group's holes filled.

    From the mirror image where that is seen; else with the group's own colours, the nearest ones,
    blurred. A group of which nothing is seen stays as it is.
    """
    inside = region([group])
    seen = texture.any(axis=-1) & inside
    if not seen.any():
        return texture
    mirrored = texture.reshape(-1, 3)[smpl_mirror()]
    taken = inside & ~seen & mirrored.any(axis=-1)
    filled = np.where(taken[..., None], mirrored, texture)
    known = seen | taken
    holes = inside & ~known
    if not holes.any():
        return filled
    kernel = np.ones((2 * _EDGE + 1, 2 * _EDGE + 1), np.uint8)
    inner = known & (cv2.dilate(holes.astype(np.uint8), kernel) == 0)
    nearest = distance_transform_edt(
        ~(inner if inner.any() else known), return_distances=False, return_indices=True
    )
    spread = filled[tuple(nearest)]
    blurred = cv2.GaussianBlur(spread, (0, 0), _SOFTNESS)
    return np.where(holes[..., None], np.maximum(blurred, 1), filled)


def transferred(texture: Texture, donor: Texture, groups: Sequence[str]) -> Texture:
    """The map with some groups of another person's, with a soft seam.

    The donor's holes are filled first. Along the border to a part that stays, the two maps blend
    over `SEAM` texels; not where the first has a hole.
    """
    inside = region(groups)
    donor = trimmed(donor)
    for group in groups:
        donor = completed(donor, group)
    kept = (smpl_labels() > 0) & ~inside
    distance = distance_transform_edt(~kept)
    weight = np.clip(distance / (SEAM + 1), 0, 1)
    weight[~texture.any(axis=-1)] = 1
    weight = np.where(inside & donor.any(axis=-1), weight, 0)[..., None]
    mixed = texture + (donor.astype(np.float64) - texture) * weight
    return np.rint(mixed).astype(np.uint8)
