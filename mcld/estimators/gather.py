"""One texture map of several photos of a person: of each texel, what sees it best.

A map of one photo shows half a body. Those of more are laid together texel by texel, with the
colours of the first photo, by how well each photo sees the surface there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld.surface.atlas import lay_atlas
from mcld.surface.charts import (
    TEXTURE_SIZE,
    find_texels,
    smpl_borders,
    smpl_labels,
    smpl_scatter,
)
from mcld.surface.parts import PARTS

UInt8Array = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

_EDGE = 0.03
"""How far from a body's edge its pixels count less, in longer sides of it: there maps are wrong,
and colours are mixed with what is behind."""
_SPREAD = 3.0
"""Standard deviation of the blur over how well texels are seen, texels."""
_SHARP, _SMOOTH = 8.0, 2.0
"""Powers of how well a photo sees a texel that details, and that colours, are weighted with."""
_BROAD = 10.0
"""Standard deviation, texels, of what counts as a colour rather than a detail."""
_FEWEST = 300
"""Texels that two photos must share before their colours are compared."""
_FACE = 0.8
"""How far from the middle of the head's front the face reaches, radians."""
_AS_IT_IS = np.ones(3, np.float32)
_LARGEST_GAIN = 1.8
"""Of a channel, that light and camera can account for."""


@dataclass(frozen=True)
class View:
    """A photo of a person, as it is read."""

    photo: UInt8Array
    """[H, W, 3] RGB."""
    iuv: UInt8Array
    """[H, W, 3] (I, U, V)."""
    texture: UInt8Array
    """[512, 512, 3] RGB, the texture map of the photo; black where it has a hole."""


@dataclass(frozen=True)
class Gathered:
    """The texture map of several views."""

    texture: UInt8Array
    """[512, 512, 3] RGB; black where no view shows anything."""
    difference: list[float | None]
    """By how many levels of 255 each view but the first differs from what was gathered before it,
    where both see the body, once colours are matched: the median; None where they share too little.
    """
    gains: list[FloatArray]
    """Of each view, what its colours are multiplied by to be the first's: [3] RGB."""


def gather_textures(views: Sequence[View]) -> Gathered:
    """Lay the texture maps of views of one person together; of one view it is that view's own.

    The first view's colours are the result's: those of the others are matched to what was gathered
    before them, channel by channel, by the median ratio where both see the body.
    """
    first = views[0].texture
    if len(views) == 1:
        return Gathered(first, [], [_AS_IT_IS])
    qualities = [measure_quality(view) for view in views]
    matched, differences, gains = [first.astype(np.float32)], [], [_AS_IT_IS]
    for count, view in enumerate(views[1:], 1):
        before = _blend(matched, qualities[:count])
        together = np.max(qualities[:count], axis=0)
        gain, difference = _match_colours(view.texture, qualities[count], before, together)
        matched.append(np.clip(view.texture * gain, 0, 255).astype(np.float32))
        differences.append(difference)
        gains.append(gain)
    blended = np.rint(np.clip(_blend(matched, qualities), 1, 255)).astype(np.uint8)
    seen = np.max(qualities, axis=0) > 0
    texture = np.where(seen[..., None], blended, 0).astype(np.uint8)
    return Gathered(texture, differences, gains)


def gather_atlases(views: Sequence[View], gains: Sequence[FloatArray]) -> UInt8Array:
    """What the views show, closer than their gathered texture map: an atlas as `lay_atlas` has it.

    Each place is of the view that sees it best, of equals the first. gains: of `gather_textures`.
    """
    atlas, best = lay_atlas(views[0].photo, views[0].iuv), _spread_quality(views[0])
    for view, gain in zip(views[1:], gains[1:], strict=True):
        own, quality = lay_atlas(view.photo, view.iuv), _spread_quality(view)
        own[..., :3] = np.clip(np.rint(own[..., :3] * gain), own[..., 3:] > 0, 255)
        better = (own[..., 3] > 0) & ((quality > best) | (atlas[..., 3] == 0))
        atlas[better], best = own[better], np.where(better, quality, best)
    return atlas


def _spread_quality(view: View) -> FloatArray:
    """How well a view sees each place of the atlas: float32 [24, 200, 200]."""
    return measure_quality(view).ravel()[smpl_scatter()]


def measure_quality(view: View) -> FloatArray:
    """How well a view sees each texel of the SMPL layout: float32 [512, 512], 0 where not at all.

    It is the number of the photo's pixels that fall on a texel, which is large where the photo is
    large, near, and looks straight at the body; those beside an edge of the body, or of a part that
    hides another, count less. Texels that the map's inpainting filled have that of their
    neighbours.
    """
    labels, texels = view.iuv[..., 0], find_texels(view.iuv)
    body = labels > 0
    weight = np.clip(_measure_depth(labels), 0.05, 1)[body]
    size = TEXTURE_SIZE * TEXTURE_SIZE
    counted = np.bincount(texels[body], weight, size).astype(np.float32)
    chart = (smpl_labels() > 0).astype(np.float32)
    seen = view.texture.any(axis=-1)
    near = _blur(counted.reshape(chart.shape), _SPREAD) / np.maximum(_blur(chart, _SPREAD), 1e-6)
    return np.where(seen, np.maximum(near, 1e-6), 0).astype(np.float32)


def measure_face(view: View) -> float:
    """How well a view sees the face: 0 where it does not."""
    return float(np.sqrt(measure_quality(view).ravel()[_find_face()]).sum())


@cache
def _find_face() -> NDArray[np.int64]:
    """The texels of the face, without the rest of the head."""
    from mcld.body.densepose import find_densepose_uv  # here, because it loads much
    from mcld.body.shape import SEGMENTS, load_skin

    skin, head = load_skin(), SEGMENTS.index("head")
    here = np.flatnonzero(skin.segment == head)
    x, y, z = (skin.canonical[here] - skin.frames[head].start).T
    azimuth, latitude = np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
    here = here[(np.abs(azimuth) < _FACE) & (np.abs(latitude) < _FACE)]
    iuv = np.stack(find_densepose_uv(skin.segment[here], skin.canonical[here]), axis=-1)
    return np.unique(find_texels(iuv))


def _measure_depth(labels: UInt8Array) -> FloatArray:
    """How far each pixel is from the next edge, 1 from `_EDGE` on; the picture's rim is none."""
    meet = np.eye(PARTS + 1, dtype=bool)
    for label, other in smpl_borders():
        meet[label, other] = True
    inner = np.ones(labels.shape, bool)
    for axis in (0, 1):
        apart = ~meet[np.delete(labels, -1, axis), np.delete(labels, 0, axis)]
        for one in ((1, 0), (0, 1)):  # neither of the two is inside
            widths = [(0, 0), (0, 0)]
            widths[axis] = one
            inner &= ~np.pad(apart, widths)
    inner &= labels > 0
    if inner.all() or not inner.any():
        return inner.astype(np.float32)
    side = max(np.ptp(np.flatnonzero((labels > 0).any(axis))) for axis in (0, 1)) + 1
    distance = cv2.distanceTransform(inner.astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance / max(_EDGE * side, 1), np.float32)


def _match_colours(
    texture: UInt8Array, quality: FloatArray, goal: FloatArray, goal_quality: FloatArray
) -> tuple[FloatArray, float | None]:
    """What a map's colours are multiplied by to be another's, and by how much they differ then."""
    colours = texture.astype(np.float32)
    shared = (quality > 1e-6) & (goal_quality > 1e-6)
    # Neither black nor burnt out, where no gain is told.
    shared &= (colours.min(-1) > 8) & (colours.max(-1) < 250) & (goal.max(-1) < 250)
    if np.count_nonzero(shared) < _FEWEST:
        return _AS_IT_IS, None
    sure = np.minimum(quality, goal_quality)[shared]
    best = sure >= np.median(sure)
    ours, theirs = colours[shared][best], goal[shared][best]
    gain = np.exp(np.median(np.log(np.maximum(theirs, 1)) - np.log(ours), axis=0))
    gain = np.clip(gain, 1 / _LARGEST_GAIN, _LARGEST_GAIN)
    matched = np.clip(ours * gain, 0, 255)
    before, after = (float(np.median(np.abs(x - theirs).mean(-1))) for x in (ours, matched))
    if after >= before:  # other clothes rather than other light
        return _AS_IT_IS, before
    return gain.astype(np.float32), after


def _blend(colours: Sequence[FloatArray], qualities: Sequence[FloatArray]) -> FloatArray:
    """Maps laid together: their colours softly, their details where each is seen best."""
    seen = [(quality > 0).astype(np.float32) for quality in qualities]
    smooth = [
        _blur(c * s[..., None], _BROAD) / np.maximum(_blur(s, _BROAD), 1e-3)[..., None]
        for c, s in zip(colours, seen, strict=True)
    ]
    highest = np.maximum(np.max(qualities, axis=0), 1e-9)
    shares = [quality / highest for quality in qualities]
    soft = [(_blur(q, _BROAD) * s) ** _SMOOTH for q, s in zip(shares, seen, strict=True)]
    sharp = [q**_SHARP for q in shares]
    result = np.zeros_like(colours[0])
    for layers, weights in (
        (smooth, soft),
        ([c - s for c, s in zip(colours, smooth, strict=True)], sharp),
    ):
        total = np.maximum(np.sum(weights, axis=0), 1e-12)
        for layer, weight in zip(layers, weights, strict=True):
            result += layer * (weight / total)[..., None]
    return result


def _blur(values: FloatArray, spread: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), spread), np.float32)
