"""Picture and IUV map of a dressed body, from one pass of rays."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore import EmbreeDevice
from embreex.rtcore_scene import EmbreeScene

from mcld.body.densepose import find_densepose_uv
from mcld.body.pose import Pose
from mcld.body.shape import FloatArray, IntArray, UInt8Array, find_chart_position, load_skin

# Rays of one pixel, in pixels from its centre. The first decides label and chart coordinates; the
# picture is the mean of all five (a rotated grid, so that near-level edges get four steps).
_SAMPLES = np.array(
    [(0.0, 0.0), (-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125)],
    np.float32,
)

Colour = tuple[float, float, float]
"""RGB in 0..1."""

Shading = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
"""What light makes of a surface: its paint [N,C], its normals [N,3] (x right, y up, z towards us)
and its places on the canonical body [N,3], metres -> RGB [N,3] in 0..1."""

FEWER_SAMPLES = np.array([(0.0, 0.0), (1 / 3, 1 / 6), (-1 / 6, -1 / 3)], np.float32)
"""Rays of a pixel where what is seen is grainy anyway: three fifths of the time."""

# A soft lamp beside the camera, fixed to it; the shade is never darker than _AMBIENT.
_LAMP = np.array([-0.25, 0.35, 0.9], np.float32) / np.float32(np.sqrt(0.25**2 + 0.35**2 + 0.9**2))
_AMBIENT = 0.70


def shade_evenly(painted: FloatArray, normal: FloatArray, position: FloatArray) -> FloatArray:
    """The light of a studio: a `Shading`."""
    del position
    light = np.clip(normal @ _LAMP, 0, 1)
    return np.asarray(painted * (_AMBIENT + (1 - _AMBIENT) * light)[:, None])


def show_paint(painted: FloatArray, normal: FloatArray, position: FloatArray) -> FloatArray:
    """The colours as painted: a `Shading`."""
    del normal, position
    return painted


# From where all of the skin is looked at, radians, and in pictures of which size.
_PITCHES, _TURNS, _LOOK = (-0.7, 0.0, 0.7), 8, (512, 512)


@cache
def _open_rays_device() -> EmbreeDevice:
    return EmbreeDevice()


def _look_up_colours(
    atlas: FloatArray, part: UInt8Array, s: FloatArray, t: FloatArray
) -> FloatArray:
    """Bilinear colours [N,C] of the painted atlas [24,N,N,C] at chart positions."""
    size = atlas.shape[1]
    x = np.clip(s * size - 0.5, 0, size - 1.001)
    y = np.clip(t * size - 0.5, 0, size - 1.001)
    column, row = x.astype(np.int32), y.astype(np.int32)
    fx, fy = (x - column)[:, None], (y - row)[:, None]
    corner = ((part.astype(np.int32) - 1) * size + row) * size + column
    texels = atlas.reshape(-1, atlas.shape[-1])
    top = texels[corner] * (1 - fx) + texels[corner + 1] * fx
    bottom = texels[corner + size] * (1 - fx) + texels[corner + size + 1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)


def _place_before_camera(vertices: FloatArray, pose: Pose, height: int, width: int) -> FloatArray:
    """Turn the figure and place it before the camera: x right, y down in pixels, z towards us."""
    cosine, sine = np.cos(pose.turn), np.sin(pose.turn)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]], np.float32)
    seen = vertices @ turn.T
    seen[:, 1] *= -1
    low, high = seen.min(0), seen.max(0)
    scale = find_scale(low, high, pose.fill, height, width)
    seen = (seen - (low + high) / 2) * scale
    free = (np.array([width, height]) - (high - low)[:2] * scale) / 2
    shift = np.clip(np.array(pose.shift) * height, -0.8 * free, 0.8 * free)
    seen[:, :2] += (np.array([width, height]) / 2 + shift).astype(np.float32)
    return np.asarray(seen, np.float32)


def find_scale(
    low: FloatArray, high: FloatArray, fill: float, height: float, width: float
) -> np.float32:
    """Pixels a metre at which a figure fills a frame.

    low, high: its first and last (x, y), metres. fill: its height over the frame's; where it is
    wide, such as with an arm held out, it is drawn smaller, for it may not leave the frame.
    """
    tall, wide = high[1] - low[1], high[0] - low[0]
    return np.float32(min(fill * height / tall, 0.94 * width / wide))


class _Hits(NamedTuple):
    """Where rays meet the skin."""

    window: tuple[slice, slice]
    """Rows and columns of the picture that they go through."""
    struck: npt.NDArray[np.intp]
    """[N] which rays meet it: sample, row, column of the window, counted on."""
    face: npt.NDArray[np.intp]
    """[N] index into the skin's faces."""
    segment: IntArray
    """[N] index into SEGMENTS."""
    position: FloatArray
    """[N, 3] on the canonical body, metres."""
    normal: FloatArray
    """[N, 3] of the posed body; y points down and outwards is negative."""


def _trace(
    seen: FloatArray,
    height: int,
    width: int,
    samples: FloatArray,
    normals: FloatArray | None = None,
) -> _Hits:
    """Send a ray through each pixel for every sample, [S, 2] from the pixel's centre.

    seen: vertices as `_place_before_camera` places them; normals: theirs, if not the skin's own.
    """
    body = load_skin()
    corners = seen[body.faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    if normals is None:
        normals = body.around @ flat
    # y points down here, which turns the faces inside out: the front ones have negative z.
    front = np.flatnonzero(flat[:, 2] < 0)
    scene = EmbreeScene(_open_rays_device())
    TriangleMesh(scene, seen, body.faces[front])  # building it is half the time: front faces only

    left, top = np.clip(np.floor(seen[:, :2].min(0)).astype(int) - 1, 0, (width, height))
    right, bottom = np.clip(np.ceil(seen[:, :2].max(0)).astype(int) + 1, 0, (width, height))
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
    origins = np.empty((len(samples), *rows.shape, 3), np.float32)
    origins[..., 0] = columns + 0.5 + samples[:, 0, None, None]
    origins[..., 1] = rows + 0.5 + samples[:, 1, None, None]
    origins[..., 2] = seen[:, 2].max() + 1
    origins = origins.reshape(-1, 3)
    directions = np.tile(np.array([0, 0, -1], np.float32), (len(origins), 1))
    hits = scene.run(origins, directions, output=True)

    struck = np.flatnonzero(hits["primID"] >= 0)
    number = front[hits["primID"][struck]]
    face = body.faces[number]
    share = np.stack([1 - hits["u"] - hits["v"], hits["u"], hits["v"]], 1)[struck].astype(
        np.float32
    )
    position = np.einsum("nk,nkd->nd", share, body.canonical[face])
    normal = np.einsum("nk,nkd->nd", share, normals[face])
    window = slice(top, bottom), slice(left, right)
    return _Hits(window, struck, number, body.segment[face[:, 0]], position, normal)


def _draw_map(hits: _Hits, height: int, width: int) -> UInt8Array:
    """The IUV map of the first sample's hits."""
    iuv = np.zeros((height, width, 3), np.uint8)
    window = iuv[hits.window]
    rows = window.reshape(-1, 3)
    first = hits.struck < len(rows)
    rows[hits.struck[first]] = np.stack(
        find_densepose_uv(hits.segment[first], hits.position[first]), 1
    )
    iuv[hits.window] = rows.reshape(window.shape)
    return iuv


def render_map(vertices: FloatArray, pose: Pose, height: int, width: int) -> UInt8Array:
    """The IUV map of a posed body, uint8 [H,W,3] (I, U, V), as `render` makes it."""
    return render_placed_map(_place_before_camera(vertices, pose, height, width), height, width)


def render_placed_map(seen: FloatArray, height: int, width: int) -> UInt8Array:
    """The same of a body that is placed: vertices [V,3], x right and y down in pixels, z to us."""
    return _draw_map(_trace(seen, height, width, _SAMPLES[:1]), height, width)


@cache
def find_seen_vertices() -> npt.NDArray[np.intp]:
    """The vertices of the skin that can be seen from some side, ascending: not those within it."""
    body = load_skin()
    seen = []
    for pitch in _PITCHES:
        cosine, sine = np.cos(pitch), np.sin(pitch)
        tilt = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]], np.float32)
        for turn in np.linspace(0, 2 * np.pi, _TURNS, endpoint=False):
            before = Pose("", "", (), float(turn), 0.95, (0.0, 0.0))
            placed = _place_before_camera(body.canonical @ tilt.T, before, *_LOOK)
            seen.append(_trace(placed, *_LOOK, _SAMPLES[:1]).face)
    return np.unique(body.faces[np.concatenate(seen)])


def render(
    vertices: FloatArray,
    atlas: FloatArray,
    background: Colour | FloatArray,
    pose: Pose,
    height: int,
    width: int,
    shade: Shading = shade_evenly,
) -> tuple[UInt8Array, UInt8Array]:
    """Draw a posed body, vertices [V,3] metres of `load_skin()`; the rest is `draw_placed`'s."""
    placed = _place_before_camera(vertices, pose, height, width)
    return draw_placed(placed, atlas, background, height, width, shade)


def draw_placed(
    seen: FloatArray,
    atlas: FloatArray,
    background: Colour | FloatArray,
    height: int,
    width: int,
    shade: Shading = shade_evenly,
    normals: FloatArray | None = None,
    samples: FloatArray = _SAMPLES,
) -> tuple[UInt8Array, UInt8Array]:
    """Draw a body that is placed before one background; the rest is `draw_before`'s."""
    (image,), iuv = draw_before(seen, atlas, [background], height, width, shade, normals, samples)
    return image, iuv


def draw_before(
    seen: FloatArray,
    atlas: FloatArray,
    backgrounds: Sequence[Colour | FloatArray],
    height: int,
    width: int,
    shade: Shading = shade_evenly,
    normals: FloatArray | None = None,
    samples: FloatArray = _SAMPLES,
) -> tuple[list[UInt8Array], UInt8Array]:
    """Draw a body that is placed: vertices [V,3], x right and y down in pixels, z towards us.

    atlas: [24,N,N,C] in 0..1, row t and column s of each part's unit chart; RGB, and what else
    `shade` looks at. backgrounds: RGB in 0..1, one colour or [H,W,3] each. normals: [V,3], as
    `find_normals` has them of `seen`, if not these. samples: [S,2], rays of a pixel, in pixels
    from its centre, which is the first. Returns a picture uint8 [H,W,3] RGB for each background,
    and the IUV map uint8 [H,W,3] (I, U, V). The map is that of each pixel's centre ray, one of
    those that a picture is the mean of.
    """
    hits = _trace(seen, height, width, samples, normals)
    part, s, t = find_chart_position(hits.segment, hits.position)
    normal = hits.normal / (np.linalg.norm(hits.normal, axis=1, keepdims=True) + 1e-9)
    normal *= np.array([-1, 1, -1], np.float32)  # mirroring y also turned the normals inwards
    seen_colours = shade(_look_up_colours(atlas, part, s, t), normal, hits.position)
    images = []
    for background in backgrounds:
        image = np.empty((height, width, 3), np.float32)
        image[:] = background
        colours = np.repeat(image[hits.window][None], len(samples), 0)
        colours.reshape(-1, 3)[hits.struck] = seen_colours
        image[hits.window] = colours.mean(0)
        images.append((image * 255 + 0.5).astype(np.uint8))
    return images, _draw_map(hits, height, width)
