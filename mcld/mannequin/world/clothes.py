"""What an identity wears: drawn at random, painted on the charts of torso and limbs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mcld.body.shape import FloatArray
from mcld.mannequin.world.canvas import (
    Canvas,
    Colour,
    cover,
    find_torso_surface,
    get_canvas,
    hsv,
    lay,
    soft,
)

PATTERNS = ("plain", "bands", "stripes", "checks", "dots", "motif", "block", "jacket")
MOTIFS = ("disc", "ring", "star", "heart", "diamond", "cross", "letter")


@dataclass(frozen=True)
class Clothes:
    """A top, trousers or the like, and shoes. Lengths are shares of the limb they cover."""

    pattern: str  # of the top, one of PATTERNS
    motif: str  # one of MOTIFS
    top: Colour
    top_second: Colour
    period: float  # of the pattern, metres
    sleeve: float  # 0 none, 0.5 to the elbow, 1 to the wrist
    neck: float  # depth of the neckline, metres
    vee: bool
    hem: float  # height of the top's lower edge on the canonical body, metres
    bottom: Colour
    bottom_second: Colour
    bottom_pattern: str  # 'plain', 'bands', 'stripes', 'checks' or 'seam'
    legs: float  # 0.5 to the knee, 1 to the ankle
    tights: Colour | None  # what the rest of the leg wears
    belt: Colour | None
    shoes: Colour
    sole: Colour
    shaft: float  # how much of the lower leg a boot or a sock covers


def _draw_colour(rng: np.random.Generator) -> Colour:
    hue, kind = rng.random(), rng.random()
    if kind < 0.45:  # saturated
        return hsv(hue, rng.uniform(0.6, 0.95), rng.uniform(0.55, 0.95))
    if kind < 0.65:  # muted
        return hsv(hue, rng.uniform(0.2, 0.45), rng.uniform(0.45, 0.8))
    if kind < 0.78:  # pastel
        return hsv(hue, rng.uniform(0.18, 0.35), rng.uniform(0.85, 0.97))
    if kind < 0.9:  # dark
        return hsv(hue, rng.uniform(0.3, 0.7), rng.uniform(0.15, 0.35))
    grey = rng.choice([0.1, 0.3, 0.5, 0.7, 0.95])  # black to white
    return (float(grey), float(grey), float(grey))


def _luma(colour: Colour) -> float:
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def _draw_contrasting(rng: np.random.Generator, other: Colour, least: float = 0.28) -> Colour:
    """A cloth colour that is told from `other` at a glance, by its lightness."""
    while True:
        colour = _draw_colour(rng)
        if abs(_luma(colour) - _luma(other)) > least:
            return colour


def draw_clothes(rng: np.random.Generator, gender: str) -> Clothes:
    """Draw an outfit."""
    woman = gender == "WOMEN"
    top = _draw_colour(rng)
    pattern = str(rng.choice(PATTERNS, p=[0.16, 0.16, 0.11, 0.13, 0.12, 0.18, 0.07, 0.07]))
    bottom = _draw_colour(rng)
    while np.abs(np.subtract(bottom, top)).max() < 0.2:  # a suit in one colour hides its seams
        bottom = _draw_colour(rng)
    kind = str(
        rng.choice(
            ["trousers", "shorts", "tights"],
            p=[0.55, 0.25, 0.2] if woman else [0.7, 0.3, 0],
        )
    )
    legs = {
        "trousers": rng.uniform(0.88, 1.0),
        "shorts": rng.uniform(0.2, 0.5),
        "tights": 0.24,
    }[kind]
    shoes = _draw_colour(rng)
    tucked = rng.random() < 0.4
    return Clothes(
        pattern=pattern,
        motif=str(rng.choice(MOTIFS)),
        top=top,
        top_second=_draw_contrasting(rng, top),
        period=float(rng.uniform(0.16, 0.24)),
        sleeve=float(
            rng.choice(
                [0.0, rng.uniform(0.28, 0.45), rng.uniform(0.6, 0.8), 1.0],
                p=[0.2, 0.37, 0.08, 0.35],
            )
        ),
        neck=float(rng.uniform(0.01, 0.09)),
        vee=bool(rng.random() < 0.35),
        hem=float(-0.29 if tucked else rng.uniform(-0.4, -0.32)),
        bottom=bottom,
        bottom_second=_draw_contrasting(rng, bottom, 0.22),
        bottom_pattern=str(
            rng.choice(
                ["plain", "bands", "stripes", "checks", "seam"],
                p=[0.56, 0.09, 0.1, 0.11, 0.14],
            )
        ),
        legs=float(legs),
        tights=_draw_colour(rng) if kind == "tights" else None,
        belt=_draw_contrasting(rng, bottom, 0.15) if tucked and rng.random() < 0.6 else None,
        shoes=shoes,
        sole=((0.95, 0.95, 0.93), (0.12, 0.1, 0.1), (0.55, 0.36, 0.2))[rng.integers(3)],
        shaft=float(rng.choice([0.0, 0.07, rng.uniform(0.2, 0.6)], p=[0.6, 0.2, 0.2])),
    )


# Where the torso meets the neck on the canonical body, metres.
_NECK_BASE = 0.125
_NECK_HALF_WIDTH = 0.075
_MOTIF_RADIUS = 0.1


def _wave(phase: FloatArray, period: float, share: float = 0.5) -> FloatArray:
    """Coverage of a stripe that takes `share` of each turn of `phase` (in turns)."""
    distance = np.abs((phase + 0.5) % 1 - 0.5)  # from the middle of the stripe, in turns
    return soft((share / 2 - distance) * period)


def _draw_pattern(canvas: Canvas, kind: str, period: float, along: FloatArray) -> FloatArray:
    """Coverage of a garment's second colour. `along` runs down the limb, metres.

    Round a limb a pattern repeats a whole number of times, so that it goes on across the seams.
    """
    repeats = max(2, 2 * round(canvas.girth / period / 2))
    round_it = canvas.angle * np.float32(repeats / (2 * np.pi))
    across = canvas.girth / repeats
    if kind == "bands":
        return _wave(along / period, period)
    if kind == "stripes":
        return _wave(round_it, across)
    if kind == "checks":
        first, second = _wave(along / period, period), _wave(round_it, across)
        return first + second - 2 * first * second
    if kind == "dots":
        row = np.floor(along / period)
        x = ((round_it + 0.5 * (row % 2)) % 1 - 0.5) * across
        y = (along / period % 1 - 0.5) * period
        return soft(np.float32(0.3 * period) - np.hypot(x, y))
    if kind == "seam":  # a stripe down the outside of the leg
        outside = np.float32(np.pi / 2 if canvas.parts[0] in (10, 14) else -np.pi / 2)
        return soft(np.float32(0.026) - np.abs(canvas.angle - outside) * canvas.girth / 6.3)
    return np.zeros_like(along)


def _draw_motif(kind: str, x: FloatArray, y: FloatArray) -> FloatArray:
    """Coverage of a print 0.2 m across around the origin; y up, metres."""
    x, y = x / np.float32(_MOTIF_RADIUS), y / np.float32(_MOTIF_RADIUS)
    radius = np.hypot(x, y)
    if kind == "disc":
        depth = 1 - radius
    elif kind == "ring":
        depth = 0.27 - np.abs(radius - 0.73)
    elif kind == "star":
        swing = np.abs((np.arctan2(x, y) / (2 * np.pi) * 5 + 0.5) % 1 - 0.5) * 2
        depth = (1.1 - 0.65 * swing) - radius
    elif kind == "heart":
        depth = 0.75 - np.hypot(x, (y + 0.1 - 0.75 * np.sqrt(np.abs(x))) * 1.05)
    elif kind == "diamond":
        depth = 1.05 - np.abs(x) - np.abs(y)
    elif kind == "cross":
        thin, long = np.minimum(np.abs(x), np.abs(y)), np.maximum(np.abs(x), np.abs(y))
        depth = np.minimum(0.3 - thin, 1 - long)
    else:  # the letter T
        bar = np.minimum(0.27 - np.abs(y - 0.65), 0.85 - np.abs(x))
        stem = np.minimum(0.25 - np.abs(x), 0.92 - np.abs(y))
        depth = np.maximum(bar, stem)
    return soft(depth * np.float32(_MOTIF_RADIUS))


def _list_limbs(limb: str, share: float) -> Iterator[tuple[str, Canvas, float]]:
    """'upper' or 'lower', its canvas and how much of it is covered; share: of the whole limb."""
    for side in ("left", "right"):
        yield "upper", get_canvas(f"{side} upper {limb}"), share * 2
        yield "lower", get_canvas(f"{side} lower {limb}"), share * 2 - 1


def paint_top(charts: FloatArray, wear: Clothes) -> None:
    """Paint the top over the charts [24,N,N,3] of torso and arms."""
    canvas = get_canvas("torso")
    paint = np.full((*canvas.t.shape, 3), wear.top, np.float32)
    x, y = np.moveaxis(find_torso_surface()[..., :2], -1, 0)
    ahead = np.abs(canvas.angle) < np.pi / 2
    if wear.pattern == "motif":
        cover(paint, _draw_motif(wear.motif, x, y + np.float32(0.045)) * ahead, wear.top_second)
    elif wear.pattern == "block":
        cover(paint, soft(canvas.height + np.float32(0.06)), wear.top_second)
    elif wear.pattern == "jacket":  # worn open over something in the second colour
        cover(paint, soft(np.float32(0.045) - np.abs(x)) * ahead, wear.top_second)
    else:
        cover(
            paint, _draw_pattern(canvas, wear.pattern, wear.period, canvas.along), wear.top_second
        )
    side = np.abs(x) / np.float32(_NECK_HALF_WIDTH)
    fall = 1 - side if wear.vee else np.sqrt(np.clip(1 - side**2, 0, 1))
    opening = np.where(ahead, wear.neck, 0.012) * np.clip(fall, 0, 1) + y - np.float32(_NECK_BASE)
    opening = np.minimum(opening, np.float32(_NECK_HALF_WIDTH) - np.abs(x))
    # Not on the shoulders' ridge, where a row of the chart is wider than the neckline is sharp.
    turned = np.where(ahead, np.abs(canvas.angle), np.pi - np.abs(canvas.angle))
    opening = np.minimum(opening, 0.1 * (np.float32(1.1) - turned))
    covered = soft(canvas.height - np.float32(wear.hem)) * (1 - soft(opening))
    lay(charts, canvas, covered, paint)

    for limb, canvas, share in _list_limbs("arm", wear.sleeve):
        along = canvas.along + np.float32(0.26 if limb == "lower" else 0)
        colour = wear.top_second if wear.pattern == "block" else wear.top
        paint = np.full((*canvas.t.shape, 3), colour, np.float32)
        if wear.pattern not in ("plain", "motif", "block", "jacket"):
            cover(paint, _draw_pattern(canvas, wear.pattern, wear.period, along), wear.top_second)
        # Without sleeves the shoulder still has a strap's width of cloth.
        end = 0.1 if share == 0 and limb == "upper" else share
        lay(charts, canvas, soft(np.float32(end * canvas.length) - canvas.along), paint)


def paint_bottom(charts: FloatArray, wear: Clothes) -> None:
    """Paint trousers, shorts or tights over the charts [24,N,N,3] of torso and legs."""
    canvas = get_canvas("torso")
    paint = np.full((*canvas.t.shape, 3), wear.bottom, np.float32)
    pattern = wear.bottom_pattern if wear.bottom_pattern != "seam" else "plain"
    cover(paint, _draw_pattern(canvas, pattern, 0.15, canvas.along), wear.bottom_second)
    lay(charts, canvas, soft(np.float32(-0.27) - canvas.height), paint)
    if wear.belt:
        belt = soft(np.float32(0.018) - np.abs(canvas.height + 0.3))
        lay(charts, canvas, belt, wear.belt)
    for limb, canvas, share in _list_limbs("leg", wear.legs):
        if wear.tights:
            lay(charts, canvas, np.ones_like(canvas.t), wear.tights)
        paint = np.full((*canvas.t.shape, 3), wear.bottom, np.float32)
        along = np.float32(0.16) - canvas.height  # from the torso's top: the pattern goes on
        cover(paint, _draw_pattern(canvas, wear.bottom_pattern, 0.15, along), wear.bottom_second)
        lay(charts, canvas, soft(np.float32(share * canvas.length) - canvas.along), paint)
        if limb == "lower" and wear.shaft:
            shaft = soft(canvas.along - np.float32((1 - wear.shaft) * canvas.length))
            lay(charts, canvas, shaft, wear.shoes)


def paint_shoes(charts: FloatArray, wear: Clothes) -> None:
    """Paint shoes over the charts [24,N,N,3] of the feet."""
    for side in ("left ", "right "):
        canvas = get_canvas(side + "foot")
        paint = np.full((*canvas.t.shape, 3), wear.shoes, np.float32)
        cover(paint, soft(np.abs(canvas.angle) - np.float32(2.2), 0.1), wear.sole)
        if wear.shaft == 0:  # laces or a bar over the instep
            tongue = np.minimum(0.5 - np.abs(canvas.angle), 0.16 - np.abs(canvas.t - 0.55))
            cover(paint, 0.6 * soft(tongue, 0.05), wear.sole)
        lay(charts, canvas, np.ones_like(canvas.t), paint)
