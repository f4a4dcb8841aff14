"""A garment in another colour."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcld.edit.texture import Texture, group_mask
from mcld.errors import InputError
from mcld.surface.charts import CHART_SIZE, NOWHERE, smpl_gather, smpl_labels
from mcld.surface.parts import HANDS, HEAD

Colour = tuple[int, int, int]
"""R, G, B, 0..255."""

_SKIN_CHROMA, _SKIN_LIGHTNESS = 12.0, 22.0
"""How far from a person's skin, in Lab, a texel may be and count as skin."""
_SKIN_SHARE = 0.6
"""The same in chroma, at most, as a share of the skin's own."""
_GREY = 12.0
"""Chroma below which a colour counts as grey; up to twice that, less and less."""
_HUE = 20.0
"""How far from the main colour's hue, in degrees, a colour counts as its shade; up to twice that,
less and less."""
_NEXT = {"upper": ("lower",), "lower": ("upper", "feet"), "feet": ("lower",)}
"""Groups whose garments may reach into a group."""
_OTHER = 20.0
"""How far apart in Lab two garments' main colours are told apart."""
_BIN, _NEAR = 8, 16.0
"""Steps in which chroma is counted to find the main colour, and how near to it a texel counts."""
_LEAST = 0.02
"""Share of a group's texels that a garment must cover."""


def recolor(texture: Texture, group: str, colour: Colour) -> Texture:
    """The map with the garment of a group in another main colour; shading and pattern stay.

    The main colour is the commonest of what is no skin. In Lab, it is brought to the new colour,
    and with it its shades: lightness along a curve that keeps black and white, hue and chroma by
    the same turn and gain. So white stripes stay white, and what has another hue, such as a print
    or the rim of the trousers, stays as it is. Skin, told by hands and face, keeps its colour.

    Raises InputError when the texture shows nothing but skin there.
    """
    import cv2

    where = group_mask([group]) & texture.any(axis=-1)
    lab = _to_lab(texture)
    skin = _find_skin(texture, lab)
    cloth = where & ~skin
    cloth &= ~_find_neighbours_garment(lab, cloth, group, texture.any(axis=-1) & ~skin)
    # As most of what is seen around a texel: stray ones would speckle.
    around, among = (cv2.blur(mask.astype(np.float32), (5, 5)) for mask in (cloth, where))
    cloth = where & (around > among / 2)
    if cloth.sum() < _LEAST * group_mask([group]).sum():
        shown = "only skin is seen" if where.any() else "nothing is seen"
        raise InputError(f"there is no garment to recolor on {group}: {shown} there")
    new = _to_lab(np.array([[colour]], np.uint8))[0, 0]
    garment = lab[cloth]
    changed = texture.copy()
    changed[cloth] = _to_rgb(_move_colours(garment, _find_main_colour(garment), new))
    return changed


def _find_neighbours_garment(
    lab: NDArray[np.float32], cloth: NDArray[np.bool_], group: str, clothes: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Texels of the garment next to a group's: the rim of the trousers, where the torso ends.

    cloth: what of the group is no skin; clothes: the same of the whole body.
    """
    found = np.zeros(cloth.shape, bool)
    for other in _NEXT.get(group, ()):
        seen = group_mask([other]) & clothes
        if not (cloth.any() and seen.any()):
            continue
        own, theirs = _find_main_colour(lab[cloth]), _find_main_colour(lab[seen])
        if np.linalg.norm(theirs - own) > _OTHER:
            away = np.linalg.norm(lab - theirs, axis=-1)
            found |= (away < _OTHER) & (away < np.linalg.norm(lab - own, axis=-1))
    return found


def _find_main_colour(garment: NDArray[np.float32]) -> NDArray[np.float32]:
    """The commonest of Lab colours [N, 3], whatever their lightness."""
    import cv2

    edges = np.arange(-128, 129, _BIN)
    counts = np.histogram2d(garment[:, 1], garment[:, 2], bins=[edges, edges])[0]
    commonest = np.unravel_index(np.argmax(cv2.blur(counts, (3, 3))), counts.shape)
    middle = edges[list(commonest)] + _BIN / 2
    near = np.hypot(*(garment[:, 1:] - middle).T) < _NEAR
    return np.asarray(np.median(garment[near], axis=0), np.float32)


def _move_colours(
    garment: NDArray[np.float32], old: NDArray[np.float32], new: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Lab colours [N, 3], moved as their main colour moves from `old` to `new`."""
    lightness = np.interp(garment[:, 0], [0, max(old[0], 1), 100], [0, new[0], 100])
    own, main = (c[..., 1] + 1j * c[..., 2] for c in (garment, old))
    wanted = new[1] + 1j * new[2]
    shade = _fade(np.abs(own), _GREY)
    if abs(main) > _GREY:
        chroma = own * (wanted / main)
        shade = np.maximum(shade, _fade(np.abs(np.angle(own / main, deg=True)), _HUE))
    else:  # without a hue to turn, all take the new one, the less the nearer to black or white
        room = np.minimum(lightness / max(new[0], 1), (100 - lightness) / max(100 - new[0], 1))
        chroma = own - main + wanted * np.clip(room, 0, 1)
    moved = np.stack([lightness, chroma.real, chroma.imag], axis=-1)
    return np.asarray(garment + (moved - garment) * shade[:, None], np.float32)


def _fade(distance: NDArray[Any], reach: float) -> NDArray[Any]:
    """1 up to a reach, falling to 0 at twice that."""
    return np.asarray(np.clip(2 - distance / reach, 0, 1))


def _find_skin(texture: Texture, lab: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Texels of the colour that hands and face have."""
    labels = smpl_labels()
    column = smpl_gather() % CHART_SIZE
    towards_nose = np.where(labels == HEAD[0], column, CHART_SIZE - 1 - column)
    row = smpl_gather() // CHART_SIZE % CHART_SIZE
    face = np.isin(labels, HEAD) & (towards_nose > 0.7 * CHART_SIZE)
    face &= abs(row - CHART_SIZE / 2) < 0.2 * CHART_SIZE
    seen = texture.any(axis=-1) & (smpl_gather() != NOWHERE)
    skin = np.zeros(labels.shape, bool)
    for sample in (seen & np.isin(labels, HANDS), seen & face):
        if sample.sum() < 20:
            continue
        tone = np.median(lab[sample], axis=0)
        # In dim light skin is nearly grey, and grey clothes are not skin.
        reach = min(_SKIN_CHROMA, _SKIN_SHARE * np.hypot(*tone[1:]))
        skin |= (np.hypot(*np.moveaxis(lab[..., 1:] - tone[1:], -1, 0)) < reach) & (
            abs(lab[..., 0] - tone[0]) < _SKIN_LIGHTNESS
        )
    return skin


def _to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    import cv2

    return np.asarray(cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def _to_rgb(lab: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lab [N, 3] -> RGB of at least 1, because black stands for what is not seen."""
    import cv2

    rgb = cv2.cvtColor(lab[None], cv2.COLOR_LAB2RGB)[0]
    return np.asarray(np.clip(np.rint(rgb * 255), 1, 255), np.uint8)
