"""What an identity wears and how its face looks, painted on the unit charts of the 24 parts."""

import colorsys
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
import trimesh

from mcld.dataset.mannequin.body import PARTS, SEGMENTS, TORSO_CROWDING, FloatArray, skin

ATLAS_SIZE = 128
"""Rows and columns of one painted chart."""

Colour = tuple[float, float, float]  # RGB in 0..1

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
PATTERNS = ("plain", "bands", "stripes", "checks", "dots", "motif", "block", "jacket")
MOTIFS = ("disc", "ring", "star", "heart", "diamond", "cross", "letter")


@dataclass(frozen=True)
class Face:
    """What tells a person apart above the collar, and the colour of the skin everywhere."""

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


def _hsv(h: float, s: float, v: float) -> Colour:
    return colorsys.hsv_to_rgb(h % 1, min(max(s, 0), 1), min(max(v, 0), 1))


def _cloth_colour(rng: np.random.Generator) -> Colour:
    hue, kind = rng.random(), rng.random()
    if kind < 0.45:  # saturated
        return _hsv(hue, rng.uniform(0.6, 0.95), rng.uniform(0.55, 0.95))
    if kind < 0.65:  # muted
        return _hsv(hue, rng.uniform(0.2, 0.45), rng.uniform(0.45, 0.8))
    if kind < 0.78:  # pastel
        return _hsv(hue, rng.uniform(0.18, 0.35), rng.uniform(0.85, 0.97))
    if kind < 0.9:  # dark
        return _hsv(hue, rng.uniform(0.3, 0.7), rng.uniform(0.15, 0.35))
    grey = rng.choice([0.1, 0.3, 0.5, 0.7, 0.95])  # black to white
    return (float(grey), float(grey), float(grey))


def _luma(colour: Colour) -> float:
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def _contrasting(rng: np.random.Generator, other: Colour, least: float = 0.28) -> Colour:
    """A cloth colour that is told from `other` at a glance, by its lightness."""
    while True:
        colour = _cloth_colour(rng)
        if abs(_luma(colour) - _luma(other)) > least:
            return colour


def face(rng: np.random.Generator, gender: str) -> Face:
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
            _hsv(rng.uniform(0.94, 1.02), rng.uniform(0.55, 0.85), rng.uniform(0.5, 0.85))
        )
    frames = None
    if rng.random() < 0.22:
        frames = ((0.06, 0.06, 0.07), (0.45, 0.10, 0.10), (0.12, 0.20, 0.45))[rng.integers(3)]
    beard = ""
    if not woman:
        beard = str(rng.choice(["", "stubble", "moustache", "full"], p=[0.5, 0.15, 0.12, 0.23]))
    return Face(
        skin=_rgb(complexion),
        hair=_rgb(np.clip(hair * rng.uniform(0.85, 1.15), 0, 1)),
        style=str(rng.choice(HAIR_STYLES, p=styles)),
        parting=float(rng.uniform(-1, 1)),
        eyes=_EYE_COLOURS[rng.integers(len(_EYE_COLOURS))],
        eye_gap=float(rng.uniform(0.030, 0.037)),
        eye_size=float(rng.uniform(0.016, 0.021)),
        brow=float(rng.uniform(0.006, 0.009) if woman else rng.uniform(0.008, 0.013)),
        brow_slant=float(rng.uniform(-0.25, 0.25)),
        lips=_rgb(lips),
        mouth=float(rng.uniform(0.021, 0.031)),
        glasses=frames,
        beard=beard,
    )


def clothes(rng: np.random.Generator, gender: str) -> Clothes:
    """Draw an outfit."""
    woman = gender == "WOMEN"
    top = _cloth_colour(rng)
    pattern = str(rng.choice(PATTERNS, p=[0.16, 0.16, 0.11, 0.13, 0.12, 0.18, 0.07, 0.07]))
    bottom = _cloth_colour(rng)
    while np.abs(np.subtract(bottom, top)).max() < 0.2:  # a suit in one colour hides its seams
        bottom = _cloth_colour(rng)
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
    shoes = _cloth_colour(rng)
    tucked = rng.random() < 0.4
    return Clothes(
        pattern=pattern,
        motif=str(rng.choice(MOTIFS)),
        top=top,
        top_second=_contrasting(rng, top),
        period=float(rng.uniform(0.13, 0.2)),
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
        bottom_second=_contrasting(rng, bottom, 0.22),
        bottom_pattern=str(
            rng.choice(
                ["plain", "bands", "stripes", "checks", "seam"],
                p=[0.56, 0.09, 0.1, 0.11, 0.14],
            )
        ),
        legs=float(legs),
        tights=_cloth_colour(rng) if kind == "tights" else None,
        belt=_contrasting(rng, bottom, 0.15) if tucked and rng.random() < 0.6 else None,
        shoes=shoes,
        sole=((0.95, 0.95, 0.93), (0.12, 0.1, 0.1), (0.55, 0.36, 0.2))[rng.integers(3)],
        shaft=float(rng.choice([0.0, 0.07, rng.uniform(0.2, 0.6)], p=[0.6, 0.2, 0.2])),
    )


def _rgb(colour: npt.NDArray[np.floating]) -> Colour:
    r, g, b = (float(c) for c in colour)
    return (r, g, b)


@dataclass(frozen=True)
class _Canvas:
    """Where each texel of a segment's charts lies: arrays [P,N,N] for its P parts."""

    parts: tuple[int, ...]
    angle: FloatArray  # about the segment's axis, radians, -pi..pi, 0 in front (see SegmentFrame)
    t: FloatArray  # 0..1 along the axis
    girth: float  # circumference, metres
    length: float  # metres
    top: float  # canonical height of t = 0, metres

    @property
    def along(self) -> FloatArray:
        return self.t * np.float32(self.length)

    @property
    def height(self) -> FloatArray:
        return np.float32(self.top) - self.along


@cache
def _canvas(name: str) -> _Canvas:
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
    frame = skin().frames[SEGMENTS.index(name)]
    length = float(np.linalg.norm(frame.end - frame.start))
    angle = np.stack(angles).astype(np.float32)
    t = np.broadcast_to(t, angle.shape)
    return _Canvas(parts, angle, t, 2 * np.pi * frame.girth, length, float(frame.start[1]))


def _soft(depth: FloatArray, width: float = 0.004) -> FloatArray:
    """Coverage 0..1 of a shape from the depth inside its outline (metres, negative outside)."""
    return np.asarray(np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1))


def _cover(paint: FloatArray, coverage: FloatArray, colour: Colour | FloatArray) -> None:
    """Lay a colour over `paint` [...,3] where `coverage` [...] is 1."""
    paint += coverage[..., None] * (np.asarray(colour, np.float32) - paint)


def _wave(phase: FloatArray, period: float, share: float = 0.5) -> FloatArray:
    """Coverage of a stripe that takes `share` of each turn of `phase` (in turns)."""
    distance = np.abs((phase + 0.5) % 1 - 0.5)  # from the middle of the stripe, in turns
    return _soft((share / 2 - distance) * period)


# Where the torso meets the neck on the canonical body, metres.
_NECK_BASE = 0.125
_NECK_HALF_WIDTH = 0.075
_MOTIF_RADIUS = 0.1


@cache
def _torso_surface() -> FloatArray:
    """The canonical position [2,N,N,3] of each texel of the torso's charts, metres.

    Found by rays from the axis outwards: what is drawn on a chest (a print, a neckline) must not be
    squeezed where the body is narrow.
    """
    canvas, body = _canvas("torso"), skin()
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


def _pattern(canvas: _Canvas, kind: str, period: float, along: FloatArray) -> FloatArray:
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
        return _soft(np.float32(0.3 * period) - np.hypot(x, y))
    if kind == "seam":  # a stripe down the outside of the leg
        outside = np.float32(np.pi / 2 if canvas.parts[0] in (10, 14) else -np.pi / 2)
        return _soft(np.float32(0.026) - np.abs(canvas.angle - outside) * canvas.girth / 6.3)
    return np.zeros_like(along)


def _motif(kind: str, x: FloatArray, y: FloatArray) -> FloatArray:
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
    return _soft(depth * np.float32(_MOTIF_RADIUS))


def _paint_top(charts: FloatArray, wear: Clothes) -> None:
    canvas = _canvas("torso")
    paint = np.broadcast_to(np.asarray(wear.top, np.float32), (*canvas.t.shape, 3)).copy()
    x, y = np.moveaxis(_torso_surface()[..., :2], -1, 0)
    ahead = np.abs(canvas.angle) < np.pi / 2
    if wear.pattern == "motif":
        _cover(paint, _motif(wear.motif, x, y + np.float32(0.045)) * ahead, wear.top_second)
    elif wear.pattern == "block":
        _cover(paint, _soft(canvas.height + np.float32(0.06)), wear.top_second)
    elif wear.pattern == "jacket":  # worn open over something in the second colour
        _cover(paint, _soft(np.float32(0.045) - np.abs(x)) * ahead, wear.top_second)
    else:
        cloth = _pattern(canvas, wear.pattern, wear.period, canvas.along)
        _cover(paint, cloth, wear.top_second)
    side = np.abs(x) / np.float32(_NECK_HALF_WIDTH)
    fall = 1 - side if wear.vee else np.sqrt(np.clip(1 - side**2, 0, 1))
    opening = np.where(ahead, wear.neck, 0.012) * np.clip(fall, 0, 1) + y - np.float32(_NECK_BASE)
    opening = np.minimum(opening, np.float32(_NECK_HALF_WIDTH) - np.abs(x))
    # Not on the shoulders' ridge, where a row of the chart is wider than the neckline is sharp.
    turned = np.where(ahead, np.abs(canvas.angle), np.pi - np.abs(canvas.angle))
    opening = np.minimum(opening, 0.1 * (np.float32(1.1) - turned))
    covered = _soft(canvas.height - np.float32(wear.hem)) * (1 - _soft(opening))
    _lay(charts, canvas, covered, paint)

    for side in ("left ", "right "):
        for limb, share in (
            ("upper arm", wear.sleeve * 2),
            ("lower arm", wear.sleeve * 2 - 1),
        ):
            canvas = _canvas(side + limb)
            along = canvas.along + np.float32(0.26 if limb == "lower arm" else 0)
            colour = wear.top_second if wear.pattern == "block" else wear.top
            paint = np.broadcast_to(np.asarray(colour, np.float32), (*canvas.t.shape, 3)).copy()
            if wear.pattern not in ("plain", "motif", "block", "jacket"):
                cloth = _pattern(canvas, wear.pattern, wear.period, along)
                _cover(paint, cloth, wear.top_second)
            # Without sleeves the shoulder still has a strap's width of cloth.
            end = 0.1 if share == 0 and limb == "upper arm" else share
            _lay(
                charts,
                canvas,
                _soft(np.float32(end * canvas.length) - canvas.along),
                paint,
            )


def _paint_bottom(charts: FloatArray, wear: Clothes) -> None:
    canvas = _canvas("torso")
    paint = np.broadcast_to(np.asarray(wear.bottom, np.float32), (*canvas.t.shape, 3)).copy()
    pattern = wear.bottom_pattern if wear.bottom_pattern != "seam" else "plain"
    _cover(paint, _pattern(canvas, pattern, 0.15, canvas.along), wear.bottom_second)
    _lay(charts, canvas, _soft(np.float32(-0.27) - canvas.height), paint)
    if wear.belt:
        belt = _soft(np.float32(0.018) - np.abs(canvas.height + 0.3))
        _lay(charts, canvas, belt, np.asarray(wear.belt, np.float32))
    for side in ("left ", "right "):
        for limb, share in (
            ("upper leg", wear.legs * 2),
            ("lower leg", wear.legs * 2 - 1),
        ):
            canvas = _canvas(side + limb)
            if wear.tights:
                whole = np.ones_like(canvas.t)
                _lay(charts, canvas, whole, np.asarray(wear.tights, np.float32))
            paint = np.broadcast_to(
                np.asarray(wear.bottom, np.float32), (*canvas.t.shape, 3)
            ).copy()
            along = np.float32(0.16) - canvas.height  # from the torso's top: the pattern goes on
            cloth = _pattern(canvas, wear.bottom_pattern, 0.15, along)
            _cover(paint, cloth, wear.bottom_second)
            _lay(
                charts,
                canvas,
                _soft(np.float32(share * canvas.length) - canvas.along),
                paint,
            )
            if limb == "lower leg" and wear.shaft:
                shaft = _soft(canvas.along - np.float32((1 - wear.shaft) * canvas.length))
                _lay(charts, canvas, shaft, np.asarray(wear.shoes, np.float32))


def _paint_shoes(charts: FloatArray, wear: Clothes) -> None:
    for side in ("left ", "right "):
        canvas = _canvas(side + "foot")
        paint = np.broadcast_to(np.asarray(wear.shoes, np.float32), (*canvas.t.shape, 3)).copy()
        _cover(paint, _soft(np.abs(canvas.angle) - np.float32(2.2), 0.1), wear.sole)
        if wear.shaft == 0:  # laces or a bar over the instep
            tongue = np.minimum(0.5 - np.abs(canvas.angle), 0.16 - np.abs(canvas.t - 0.55))
            _cover(paint, 0.6 * _soft(tongue, 0.05), wear.sole)
        _lay(charts, canvas, np.ones_like(canvas.t), paint)


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


def _paint_head(charts: FloatArray, looks: Face) -> None:
    canvas = _canvas("head")
    azimuth, latitude = canvas.angle, (np.float32(0.5) - canvas.t) * np.float32(np.pi)
    direction = np.stack(
        [
            np.sin(azimuth) * np.cos(latitude),
            np.sin(latitude),
            np.cos(azimuth) * np.cos(latitude),
        ]
    )
    # Where the ray in this direction leaves the skull: metres to the left and up of its centre.
    radius = 1 / np.linalg.norm(direction / skin().head_size[:, None, None, None], axis=0)
    x, y = direction[0] * radius, direction[1] * radius
    ahead = np.cos(azimuth) > 0.1
    tone = np.asarray(looks.skin, np.float32)
    paint = np.broadcast_to(tone, (*azimuth.shape, 3)).copy()

    blush = 0.35 * np.exp(-0.5 * (((np.abs(x) - 0.045) / 0.016) ** 2 + ((y + 0.03) / 0.013) ** 2))
    _cover(paint, blush * ahead, tone * np.asarray((1.0, 0.72, 0.68), np.float32))
    shade = _soft(np.float32(0.0035) - np.abs(np.hypot(np.abs(x) - 0.0, (y + 0.034) * 2.2) - 0.012))
    _cover(paint, 0.5 * shade * ahead * (y < -0.033), tone * np.float32(0.55))

    from_mouth = y + np.float32(0.064) - 7 * x**2  # the corners turn up a little
    mouth = np.hypot(x / np.float32(looks.mouth), from_mouth / np.float32(0.0115))
    if looks.beard:
        chin = np.minimum(-0.036 - y - 0.02 * np.cos(3 * azimuth), 1.45 - np.abs(azimuth))
        strap = np.minimum(0.014 - np.abs(y + 0.044), 0.034 - np.abs(x))
        area = strap if looks.beard == "moustache" else np.maximum(chin, strap)
        strength = 0.4 if looks.beard == "stubble" else 0.95
        below_chin = latitude > -1.15
        _cover(
            paint,
            strength * _soft(area, 0.008) * below_chin,
            np.asarray(looks.hair, np.float32) * 0.9,
        )
    _cover(paint, _soft((1 - mouth) * 0.0115) * ahead, looks.lips)
    line = np.minimum(looks.mouth - np.abs(x), 0.0016 - np.abs(from_mouth))
    _cover(paint, 0.6 * _soft(line) * ahead, np.asarray(looks.lips, np.float32) * 0.4)

    eye_x = np.abs(x) - np.float32(looks.eye_gap)
    height = np.float32(looks.eye_size * 0.6)
    lens = np.hypot(eye_x / np.float32(looks.eye_size), (y - 0.004) / height)
    _cover(paint, _soft((1.25 - lens) * height) * ahead, tone * np.float32(0.35))  # lashes
    _cover(paint, _soft((1 - lens) * height) * ahead, (0.97, 0.97, 0.96))
    iris = np.hypot(eye_x, y - 0.004)
    white = (lens < 1.1) & ahead
    _cover(paint, _soft(np.float32(looks.eye_size * 0.52) - iris) * white, looks.eyes)
    _cover(
        paint,
        _soft(np.float32(looks.eye_size * 0.24) - iris) * white,
        (0.03, 0.03, 0.03),
    )
    brow_y = 0.031 + looks.brow_slant * (np.abs(x) - 0.034)
    brow = np.minimum(looks.brow / 2 - np.abs(y - brow_y), 0.023 - np.abs(eye_x))
    brow_colour = np.asarray(looks.hair, np.float32) * 0.75
    _cover(paint, _soft(brow) * ahead, brow_colour)

    edge = np.interp(
        np.abs(azimuth) / np.pi, _AZIMUTHS, _HAIRLINES[looks.style]
    ) - 0.16 * looks.parting * np.sin(azimuth) * (np.abs(azimuth) < np.pi / 2)
    strands = 1 + 0.13 * np.sin(azimuth * 23 + 3 * np.sin(latitude * 4 + looks.parting * 3))
    hair = np.clip(np.asarray(looks.hair, np.float32) * strands[..., None], 0, 1)
    thick = 0.7 if looks.style in ("crop", "bald") else 1.0
    _cover(paint, thick * _soft((latitude - edge).astype(np.float32), 0.06), hair)

    if looks.glasses:
        rim = np.hypot(eye_x / 0.027, (y - 0.003) / 0.021)
        frame = _soft(np.float32(0.0042) - np.abs(rim - 1) * np.float32(0.023))
        bridge = np.minimum(0.012 - np.abs(x), 0.003 - np.abs(y - 0.008))
        temple = np.minimum(0.0035 - np.abs(y - 0.008), np.abs(x) - 0.055)
        temple = np.minimum(temple, 1.7 - np.abs(azimuth))
        wire = np.maximum(_soft(temple), np.maximum(_soft(bridge), frame) * ahead)
        _cover(paint, wire, looks.glasses)
    _lay(charts, canvas, np.ones_like(canvas.t), paint)


def _paint_long_hair(charts: FloatArray, looks: Face) -> None:
    """Hair that falls on the back, over the clothes."""
    if looks.style not in ("long", "tail"):
        return
    canvas = _canvas("torso")
    x = _torso_surface()[..., 0]
    back = np.abs(canvas.angle) > np.pi / 2
    half, reach = (0.1, 0.24) if looks.style == "long" else (0.03, 0.18)
    depth = np.minimum(half - np.abs(x), reach - canvas.along - 2 * x**2 / half)
    strands = 1 + 0.13 * np.sin(x * 260)
    _lay(
        charts, canvas, _soft(depth) * back, np.asarray(looks.hair, np.float32) * strands[..., None]
    )


def _lay(charts: FloatArray, canvas: _Canvas, coverage: FloatArray, paint: FloatArray) -> None:
    """Lay `paint` over the charts of one segment where `coverage` is 1."""
    for k, part in enumerate(canvas.parts):
        colour = paint[k] if paint.ndim == 4 else paint
        _cover(charts[part - 1], coverage[k], np.clip(colour, 0, 1))


@lru_cache(maxsize=2)
def paint(looks: Face, wear: Clothes) -> FloatArray:
    """The painted charts: float32 [24,ATLAS_SIZE,ATLAS_SIZE,3] RGB in 0..1.

    Index k is part label k + 1; rows are t (along the limb), columns s (around it).
    """
    charts = np.empty((24, ATLAS_SIZE, ATLAS_SIZE, 3), np.float32)
    charts[:] = looks.skin
    _paint_bottom(charts, wear)
    _paint_top(charts, wear)
    _paint_shoes(charts, wear)
    _paint_head(charts, looks)
    _paint_long_hair(charts, looks)
    charts.flags.writeable = False
    return charts
