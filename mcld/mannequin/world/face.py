"""How an identity looks above the collar: drawn at random, painted on the head's charts."""

from dataclasses import dataclass

import numpy as np

from mcld.body.shape import FloatArray, load_skin
from mcld.mannequin.world.canvas import (
    Colour,
    cover,
    find_torso_surface,
    get_canvas,
    hsv,
    lay,
    rgb,
    soft,
)

_SKIN_TONES = (
    (0.98, 0.86, 0.77),
    (0.95, 0.79, 0.67),
    (0.89, 0.70, 0.55),
    (0.78, 0.58, 0.42),
    (0.62, 0.43, 0.30),
    (0.46, 0.31, 0.22),
    (0.34, 0.23, 0.17),
)
_HAIR_COLOURS = (
    (0.08, 0.07, 0.07),
    (0.20, 0.13, 0.09),
    (0.36, 0.22, 0.13),
    (0.55, 0.34, 0.18),
    (0.83, 0.67, 0.40),
    (0.60, 0.24, 0.12),
    (0.62, 0.62, 0.64),
    (0.72, 0.20, 0.38),
    (0.22, 0.36, 0.62),
)
_EYE_COLOURS = (
    (0.24, 0.14, 0.08),
    (0.20, 0.42, 0.68),
    (0.20, 0.46, 0.28),
    (0.42, 0.46, 0.50),
    (0.48, 0.32, 0.10),
)
HAIR_STYLES = ("short", "crop", "fringe", "bob", "long", "tail", "bald")


@dataclass(frozen=True)
class Face:
    """What tells a person apart above the collar, and the colour of the skin everywhere.

    Metres are those of a head of natural size (see `body.HEAD_SCALE`).
    """

    skin: Colour
    hair: Colour
    style: str  # one of HAIR_STYLES
    parting: float  # -1..1, where the hairline peaks
    eyes: Colour
    eye_gap: float  # metres from the middle of the face to an eye's
    eye_size: float  # half width, metres
    brow: float  # thickness, metres
    brow_slant: float
    lips: Colour
    mouth: float  # half width, metres
    glasses: Colour | None
    beard: str  # '', 'stubble', 'moustache' or 'full'


def draw_face(rng: np.random.Generator, gender: str) -> Face:
    """Draw a face and hair; beards are men's, long hair mostly women's."""
    woman = gender == "WOMEN"
    tone = rng.uniform(0, len(_SKIN_TONES) - 1)
    below = int(tone)
    light, dark = np.array(_SKIN_TONES[below]), np.array(_SKIN_TONES[min(below + 1, 6)])
    complexion = light + (tone - below) * (dark - light)
    odds = np.array([0.2, 0.2, 0.16, 0.13, 0.14, 0.07, 0.05, 0.03, 0.02])
    if tone > 3.2:  # dark skin seldom has fair hair
        odds *= (3, 2, 1, 0.2, 0.1, 0.1, 1, 1, 1)
    hair = np.array(_HAIR_COLOURS[rng.choice(9, p=odds / odds.sum())])
    styles = (
        [0.06, 0.02, 0.14, 0.24, 0.38, 0.16, 0.0]
        if woman
        else [0.48, 0.2, 0.14, 0.04, 0.04, 0.0, 0.1]
    )
    lips = complexion * (0.86, 0.6, 0.6)
    if woman and rng.random() < 0.6:
        lips = np.array(
            hsv(rng.uniform(0.94, 1.02), rng.uniform(0.55, 0.85), rng.uniform(0.5, 0.85))
        )
    frames = None
    if rng.random() < 0.22:
        frames = ((0.06, 0.06, 0.07), (0.45, 0.10, 0.10), (0.12, 0.20, 0.45))[rng.integers(3)]
    beard = ""
    if not woman:
        beard = str(rng.choice(["", "stubble", "moustache", "full"], p=[0.5, 0.15, 0.12, 0.23]))
    return Face(
        skin=rgb(complexion),
        hair=rgb(np.clip(hair * rng.uniform(0.85, 1.15), 0, 1)),
        style=str(rng.choice(HAIR_STYLES, p=styles)),
        parting=float(rng.uniform(-1, 1)),
        eyes=_EYE_COLOURS[rng.integers(len(_EYE_COLOURS))],
        eye_gap=float(rng.uniform(0.031, 0.038)),
        eye_size=float(rng.uniform(0.019, 0.026)),
        brow=float(rng.uniform(0.006, 0.010) if woman else rng.uniform(0.009, 0.016)),
        brow_slant=float(rng.uniform(-0.25, 0.25)),
        lips=rgb(lips),
        mouth=float(rng.uniform(0.022, 0.036)),
        glasses=frames,
        beard=beard,
    )


# Lower edge of the hair by style: latitude (radians) over azimuth (0 front .. 1 back).
_AZIMUTHS = (0.0, 0.14, 0.24, 0.31, 0.36, 0.42, 0.5, 0.62, 0.86, 0.92, 1.0)
_HAIRLINES = {
    "short": (0.62, 0.62, 0.58, 0.45, 0.1, -0.1, -0.05, -0.35, -0.45, -0.5, -0.5),
    "crop": (0.72, 0.68, 0.6, 0.5, 0.3, 0.1, 0.0, -0.2, -0.35, -0.4, -0.4),
    "fringe": (0.36, 0.36, 0.38, 0.3, -0.1, -0.3, -0.3, -0.45, -0.5, -0.55, -0.55),
    "bob": (0.66, 0.6, 0.5, 0.2, -0.75, -0.8, -0.8, -0.85, -0.85, -0.85, -0.85),
    "long": (0.66, 0.6, 0.48, 0.15, -1.0, -1.45, -1.6, -1.6, -1.6, -1.6, -1.6),
    "tail": (0.62, 0.6, 0.55, 0.42, 0.2, 0.0, -0.1, -0.4, -0.55, -1.6, -1.6),
    "bald": (9.0, 9.0, 9.0, 9.0, 9.0, 0.05, 0.0, -0.25, -0.35, -0.4, -0.4),
}


def find_hairline(looks: Face, azimuth: FloatArray) -> FloatArray:
    """The latitude at which the hair ends, radians, by azimuth: 0 in front, -pi..pi."""
    return np.interp(
        np.abs(azimuth) / np.pi, _AZIMUTHS, _HAIRLINES[looks.style]
    ) - 0.16 * looks.parting * np.sin(azimuth) * (np.abs(azimuth) < np.pi / 2)


def paint_head(charts: FloatArray, looks: Face) -> None:
    """Paint face and hair over the charts [24,N,N,3] of the head."""
    canvas = get_canvas("head")
    azimuth, latitude = canvas.angle, (np.float32(0.5) - canvas.t) * np.float32(np.pi)
    direction = np.stack(
        [
            np.sin(azimuth) * np.cos(latitude),
            np.sin(latitude),
            np.cos(azimuth) * np.cos(latitude),
        ]
    )
    # Where the ray in this direction leaves the skull: metres to the left and up of its centre.
    radius = 1 / np.linalg.norm(direction / load_skin().head_size[:, None, None, None], axis=0)
    x, y = direction[0] * radius, direction[1] * radius
    ahead = np.cos(azimuth) > 0.1
    tone = np.asarray(looks.skin, np.float32)
    paint = np.full((*azimuth.shape, 3), tone, np.float32)

    blush = 0.35 * np.exp(-0.5 * (((np.abs(x) - 0.045) / 0.016) ** 2 + ((y + 0.03) / 0.013) ** 2))
    cover(paint, blush * ahead, tone * np.asarray((1.0, 0.72, 0.68), np.float32))
    shade = soft(np.float32(0.0035) - np.abs(np.hypot(np.abs(x) - 0.0, (y + 0.034) * 2.2) - 0.012))
    cover(paint, 0.5 * shade * ahead * (y < -0.033), tone * np.float32(0.55))

    from_mouth = y + np.float32(0.064) - 7 * x**2  # the corners turn up a little
    mouth = np.hypot(x / np.float32(looks.mouth), from_mouth / np.float32(0.0125))
    if looks.beard:
        chin = np.minimum(-0.036 - y - 0.02 * np.cos(3 * azimuth), 1.45 - np.abs(azimuth))
        strap = np.minimum(0.014 - np.abs(y + 0.044), 0.034 - np.abs(x))
        area = strap if looks.beard == "moustache" else np.maximum(chin, strap)
        strength = 0.4 if looks.beard == "stubble" else 0.95
        below_chin = latitude > -1.15
        cover(
            paint,
            strength * soft(area, 0.008) * below_chin,
            np.asarray(looks.hair, np.float32) * 0.9,
        )
    cover(paint, soft((1 - mouth) * 0.0125) * ahead, looks.lips)
    line = np.minimum(looks.mouth - np.abs(x), 0.0016 - np.abs(from_mouth))
    cover(paint, 0.6 * soft(line) * ahead, np.asarray(looks.lips, np.float32) * 0.4)

    eye_x = np.abs(x) - np.float32(looks.eye_gap)
    height = np.float32(looks.eye_size * 0.64)
    lens = np.hypot(eye_x / np.float32(looks.eye_size), (y - 0.004) / height)
    cover(paint, soft((1.25 - lens) * height) * ahead, tone * np.float32(0.35))  # lashes
    cover(paint, soft((1 - lens) * height) * ahead, (0.97, 0.97, 0.96))
    iris = np.hypot(eye_x, y - 0.004)
    white = (lens < 1.1) & ahead
    cover(paint, soft(np.float32(looks.eye_size * 0.6) - iris) * white, looks.eyes)
    cover(
        paint,
        soft(np.float32(looks.eye_size * 0.28) - iris) * white,
        (0.03, 0.03, 0.03),
    )
    brow_y = 0.035 + looks.brow_slant * (np.abs(x) - 0.034)
    brow = np.minimum(looks.brow / 2 - np.abs(y - brow_y), 0.023 - np.abs(eye_x))
    brow_colour = np.asarray(looks.hair, np.float32) * 0.75
    cover(paint, soft(brow) * ahead, brow_colour)

    edge = find_hairline(looks, azimuth)
    strands = 1 + 0.13 * np.sin(azimuth * 23 + 3 * np.sin(latitude * 4 + looks.parting * 3))
    hair = np.clip(np.asarray(looks.hair, np.float32) * strands[..., None], 0, 1)
    thick = 0.7 if looks.style in ("crop", "bald") else 1.0
    cover(paint, thick * soft((latitude - edge).astype(np.float32), 0.06), hair)

    if looks.glasses:
        rim = np.hypot(eye_x / 0.030, (y - 0.003) / 0.025)
        frame = soft(np.float32(0.0065) - np.abs(rim - 1) * np.float32(0.027))
        bridge = np.minimum(0.012 - np.abs(x), 0.004 - np.abs(y - 0.008))
        temple = np.minimum(0.005 - np.abs(y - 0.008), np.abs(x) - 0.055)
        temple = np.minimum(temple, 1.7 - np.abs(azimuth))
        wire = np.maximum(soft(temple), np.maximum(soft(bridge), frame) * ahead)
        cover(paint, wire, looks.glasses)
    lay(charts, canvas, np.ones_like(canvas.t), paint)


def paint_long_hair(charts: FloatArray, looks: Face) -> None:
    """Hair that falls on the back, over the clothes."""
    if looks.style not in ("long", "tail"):
        return
    canvas = get_canvas("torso")
    x = find_torso_surface()[..., 0]
    back = np.abs(canvas.angle) > np.pi / 2
    half, reach = (0.1, 0.24) if looks.style == "long" else (0.03, 0.18)
    depth = np.minimum(half - np.abs(x), reach - canvas.along - 2 * x**2 / half)
    strands = 1 + 0.13 * np.sin(x * 260)
    lay(charts, canvas, soft(depth) * back, np.asarray(looks.hair, np.float32) * strands[..., None])
