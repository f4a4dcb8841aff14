"""Texture maps cut apart and sewn together, in the SMPL layout.

A texture map is uint8 [512, 512, 3] RGB; black is what its photo does not show.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcld.errors import InputError, SettingsError
from mcld.surface.charts import TEXTURE_SIZE, smpl_borders, smpl_labels, smpl_mirror
from mcld.surface.parts import ARMS, FEET, HANDS, HEAD, LEGS, PARTS, TORSO

Texture = NDArray[np.uint8]
Place = NDArray[np.float64]

GROUPS: dict[str, tuple[int, ...]] = {
    "head": HEAD,
    "upper": TORSO + ARMS,
    "lower": LEGS,
    "feet": FEET,
    "hands": HANDS,
}
"""What can be edited by name -> DensePose part labels."""


def check_group(group: str) -> None:
    """Raise SettingsError for what is no key of `GROUPS`."""
    if group not in GROUPS:
        raise SettingsError(f"there is no part {group!r}: there are {', '.join(GROUPS)}")


def check_texture(texture: Texture, name: str) -> None:
    """Raise InputError for what has not the size of a texture map; name: what messages call it."""
    if texture.shape != (TEXTURE_SIZE, TEXTURE_SIZE, 3):
        height, width = texture.shape[:2]
        side = TEXTURE_SIZE
        raise InputError(f"{name} is {width}x{height} pixels: a texture map has {side}x{side}")


SEAM = 6
"""Texels over which one person's texture goes over into another's."""
_SLIVER = 6.0
"""Half the width, texels, that a piece of a part must have to be worth a name."""
_EDGE = 6
"""Texels beside a hole whose colours are not spread: at outlines they blend with the background."""
_MIXED = 3
"""How far into a chart the extraction mixes black, texels beyond the rim itself."""
_RIM = 8.0
"""How wide the rim of a chart or a hole may be, texels."""
_DARK = 0.85
"""Brightness below which a texel of the rim counts as dark, as a share of that just inside."""
_BLACK = 40
"""Brightness of a texel at a rim, 0..255, below which it may be the black around, mixed in."""
_SOFTNESS = 5.0
"""Standard deviation of the blur over spread colours, texels."""
_SHOWN = 0.02
"""Share of a group's texels that a photo must show before the group counts as shown."""


def group_mask(groups: Sequence[str]) -> NDArray[np.bool_]:
    """The texels of some of `GROUPS`, bool [512, 512]."""
    return np.isin(smpl_labels(), [label for group in groups for label in GROUPS[group]])


def find_pieces(part: int) -> list[tuple[Place, Place]]:
    """The pieces in which a part lies in the layout: the middle of each, and which way is up there.

    Both are (x, y): texels, and a direction of length 1 that points along the body towards the
    head, in the head to the crown. Slivers are left out.
    """
    import cv2

    steps = _count_steps_from_head()
    count, pieces = cv2.connectedComponents((smpl_labels() == part).astype(np.uint8))
    found = []
    for piece in range(1, count):
        inside = pieces == piece
        room = cv2.distanceTransform(np.pad(inside.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        if room.max() < _SLIVER:
            continue
        middle = np.array(np.unravel_index(room.argmax(), room.shape)[::-1], float)
        ends = {1: [middle], -1: [middle]}
        for (label, other), border in smpl_borders().items():
            if label == part and steps[other] != steps[part]:
                rows, columns = np.divmod(border, TEXTURE_SIZE)
                own = inside[rows, columns]
                nearer = 1 if steps[other] < steps[part] else -1
                ends[nearer] += list(np.stack([columns[own], rows[own]], axis=-1).astype(float))
        up = np.mean(ends[1], axis=0) - np.mean(ends[-1], axis=0)
        found.append((middle, up / np.linalg.norm(up)))
    return found


def _count_steps_from_head() -> dict[int, int]:
    """How many borders lie between each part and the head."""
    steps = dict.fromkeys(HEAD, 0)
    while len(steps) < PARTS:
        steps |= {
            other: steps[label] + 1
            for label, other in smpl_borders()
            if label in steps and other not in steps
        }
    return steps


def shows(texture: Texture, group: str) -> bool:
    """Whether the photo that a texture map was taken from shows a group, if only in part."""
    where = group_mask([group])
    return bool(texture[where].any(axis=-1).mean() >= _SHOWN)


def trim_rims(texture: Texture) -> Texture:
    """The map with dark texels at the rims of charts and holes replaced by those just inside.

    There the inpainting of the extraction mixes in the black around; the network is used to it,
    but laid back onto a photo it draws dotted lines. What has nothing just inside and is nearly
    black is black after: `fill_group` fills it.
    """
    import cv2
    from scipy.ndimage import distance_transform_edt

    labels = smpl_labels()
    square = np.ones((3, 3), np.uint8)
    unsure = (cv2.dilate(labels, square) != cv2.erode(labels, square)) | ~texture.any(axis=-1)
    inner = cv2.dilate(unsure.astype(np.uint8), np.ones((2 * _MIXED + 1,) * 2, np.uint8)) == 0
    if not inner.any():
        return texture
    distance, nearest = distance_transform_edt(~inner, return_indices=True)
    inside = texture[tuple(nearest)]
    dark = texture.max(axis=-1) < _DARK * inside.max(axis=-1)
    replaced = dark & texture.any(axis=-1) & (distance <= _RIM)
    cleaned = np.where(replaced[..., None], inside, texture)
    # Narrow charts have nothing just inside: there, what is nearly black counts as not seen.
    cleaned[~inner & (cleaned.max(axis=-1) < _BLACK)] = 0
    return cleaned


def fill_group(texture: Texture, group: str) -> Texture:
    """The map with the group's holes filled.

    From the mirror image where that is seen; else with the group's own colours, the nearest ones,
    blurred. A group of which nothing is seen stays as it is.
    """
    import cv2
    from scipy.ndimage import distance_transform_edt

    inside = group_mask([group])
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


def sew(texture: Texture, pieces: Sequence[tuple[Texture, str]]) -> Texture:
    """The map with groups of other people's, with a soft seam where two people meet on the body.

    pieces: a donor's map and the group that is taken of it, no group twice. The donors' holes are
    filled first. Along a seam, a group goes over into the map that gave its neighbour (the
    person's own, or that of a donor before) within `SEAM` texels; not where that map has a hole.
    """
    from scipy.ndimage import distance_transform_edt

    maps = [texture]
    giver = dict.fromkeys(GROUPS, 0)
    raw = [texture]
    for donor, group in pieces:
        # One person, who may have been read twice, has no seams.
        same = [k for k, known in enumerate(raw) if k > 0 and np.array_equal(known, donor)]
        if not same:
            raw.append(donor)
            maps.append(trim_rims(donor))
        number = same[0] if same else len(maps) - 1
        maps[number] = fill_group(maps[number], group)
        giver[group] = number
    mixed = texture.astype(np.float64)
    for group, number in giver.items():
        if not number:
            continue
        inside = group_mask([group]) & maps[number].any(axis=-1)
        mixed[inside] = maps[number][inside]
        for other, before in giver.items():
            border = _find_border(group, other) if before < number else None
            if border is None:
                continue
            weight = np.clip(distance_transform_edt(~border) / SEAM, 0, 1)
            weight = np.where(inside & maps[before].any(axis=-1), weight, 1)[..., None]
            mixed = maps[before] + (mixed - maps[before]) * weight
    return np.rint(mixed).astype(np.uint8)


def _find_border(group: str, other: str) -> NDArray[np.bool_] | None:
    """The texels of a group that lie beside another on the body; None when they do not touch."""
    pixels = [
        found
        for (label, beside), found in smpl_borders().items()
        if label in GROUPS[group] and beside in GROUPS[other]
    ]
    if not pixels:
        return None
    border = np.zeros(smpl_labels().shape, bool)
    border.flat[np.concatenate(pixels)] = True
    return border
