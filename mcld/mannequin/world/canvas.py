"""The unit charts of the 24 parts as something to paint on: where each texel lies on the body."""

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import trimesh

from mcld.body.shape import PARTS, SEGMENTS, TORSO_CROWDING, FloatArray, load_skin

ATLAS_SIZE = 128
"""Rows and columns of one painted chart."""

Colour = tuple[float, float, float]
"""RGB in 0..1."""


def hsv(h: float, s: float, v: float) -> Colour:
    """A colour from hue in turns, saturation and value, the last two clipped to 0..1."""
    return colorsys.hsv_to_rgb(h % 1, min(max(s, 0), 1), min(max(v, 0), 1))


def rgb(colour: npt.NDArray[np.floating]) -> Colour:
    """A colour from an array of three numbers."""
    r, g, b = (float(c) for c in colour)
    return (r, g, b)


@dataclass(frozen=True)
class Canvas:
    """Where each texel of a segment's charts lies: arrays [P,N,N] for its P parts."""

    parts: tuple[int, ...]
    angle: FloatArray  # about the segment's axis, radians, -pi..pi, 0 in front (see SegmentFrame)
    t: FloatArray  # 0..1 along the axis
    girth: float  # circumference, metres
    length: float  # metres
    top: float  # canonical height of t = 0, metres

    @property
    def along(self) -> FloatArray:
        """[P,N,N] metres down the axis from its upper end."""
        return self.t * np.float32(self.length)

    @property
    def height(self) -> FloatArray:
        """[P,N,N] height on the canonical body, metres."""
        return np.float32(self.top) - self.along


@cache
def get_canvas(name: str) -> Canvas:
    """The canvas of a segment, such as "left upper arm"."""
    front, back = PARTS[name]
    centres = (np.arange(ATLAS_SIZE, dtype=np.float32) + 0.5) / ATLAS_SIZE
    t, s = np.meshgrid(centres, centres, indexing="ij")
    parts: tuple[int, ...] = (front, back)
    if name == "head":
        angles = [(s - 1) * np.pi, s * np.pi]
    elif front == back:
        parts, angles = (front,), [(2 * s - 1) * np.pi]
    else:
        ahead = (s - 0.5) * np.pi
        angles = [ahead, np.sign(ahead) * np.pi - ahead]
    if name == "torso":
        t = t ** (1 / TORSO_CROWDING)
    frame = load_skin().frames[SEGMENTS.index(name)]
    length = float(np.linalg.norm(frame.end - frame.start))
    angle = np.stack(angles).astype(np.float32)
    t = np.broadcast_to(t, angle.shape)
    return Canvas(parts, angle, t, 2 * np.pi * frame.girth, length, float(frame.start[1]))


def soft(depth: FloatArray, width: float = 0.004) -> FloatArray:
    """Coverage 0..1 of a shape from the depth inside its outline (metres, negative outside)."""
    return np.asarray(np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1))


def cover(paint: FloatArray, coverage: FloatArray, colour: Colour | FloatArray) -> None:
    """Lay a colour over `paint` [...,3] where `coverage` [...] is 1."""
    paint += coverage[..., None] * (np.asarray(colour, np.float32) - paint)


@cache
def find_torso_surface() -> FloatArray:
    """The canonical position [2,N,N,3] of each texel of the torso's charts, metres.

    Found by rays from the axis outwards: what is drawn on a chest (a print, a neckline) must not be
    squeezed where the body is narrow.
    """
    canvas, body = get_canvas("torso"), load_skin()
    torso = (body.segment[body.faces] == SEGMENTS.index("torso")).all(1)
    mesh = trimesh.Trimesh(body.canonical, body.faces[torso], process=False)
    frame = body.frames[SEGMENTS.index("torso")]
    along = canvas.t[..., None] * (frame.end - frame.start)
    direction = (
        np.sin(canvas.angle)[..., None] * frame.side + np.cos(canvas.angle)[..., None] * frame.front
    )
    # From outside inwards, so that the first hit is the skin and not a surface hidden below it.
    origins = (frame.start + along + direction).reshape(-1, 3)
    struck, ray, _ = mesh.ray.intersects_location(
        origins, -direction.reshape(-1, 3), multiple_hits=False
    )
    surface = frame.start + along + direction * np.float32(0.02)  # the few that miss: at the axis
    surface.reshape(-1, 3)[ray] = struck
    return np.asarray(surface, np.float32)


def lay(
    charts: FloatArray, canvas: Canvas, coverage: FloatArray, paint: FloatArray | Colour
) -> None:
    """Lay `paint` over the charts of one segment where `coverage` is 1."""
    colours = np.broadcast_to(np.clip(paint, 0, 1), (*coverage.shape, 3))
    for part, covered, colour in zip(canvas.parts, coverage, colours, strict=True):
        cover(charts[part - 1], covered, colour)
