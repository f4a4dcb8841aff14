"""Where people stand: walls, floors and grounds of all kinds, light from several sides, cameras."""

from dataclasses import dataclass

import cv2
import numpy as np

from mcld.body.shape import SEGMENTS, FloatArray, load_skin
from mcld.mannequin.world.canvas import Colour, hsv

WALLS = ("plain", "gradient", "room", "blurred", "blocks", "bricks", "street")


@dataclass(frozen=True)
class Wall:
    """What is behind a person: the same in all their pictures."""

    kind: str  # one of WALLS
    colour: Colour
    second: Colour  # of the floor, the mortar, or the gradient's other end
    contrast: float
    horizon: float  # where wall and floor meet, share of the height
    seed: int  # of what is irregular in it


def draw_wall(rng: np.random.Generator) -> Wall:
    """Draw a wall: half of them plain or nearly so, as in fashion photos."""
    pale = rng.random() < 0.55
    colour = hsv(
        rng.random(),
        rng.uniform(0, 0.08) if pale else rng.uniform(0, 0.5),
        rng.uniform(0.75, 1) if pale else rng.uniform(0.1, 0.9),
    )
    change = rng.uniform(0.55, 1.25)
    second = tuple(float(np.clip(c * change + rng.normal(0, 0.04), 0, 1)) for c in colour)
    return Wall(
        kind=str(rng.choice(WALLS, p=[0.3, 0.2, 0.15, 0.12, 0.08, 0.07, 0.08])),
        colour=colour,
        second=(second[0], second[1], second[2]),
        contrast=float(rng.choice([0.05, 0.12, 0.3])),
        horizon=float(rng.uniform(0.7, 0.95)),
        seed=int(rng.integers(2**31)),
    )


def paint_wall(wall: Wall, height: int, width: int) -> FloatArray:
    """The wall as a picture, float32 [H,W,3] RGB in 0..1."""
    rng = np.random.default_rng(wall.seed)
    colour, second = np.array([wall.colour, wall.second], np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    out = np.empty((height, width, 3), np.float32)
    out[:] = colour
    if wall.kind == "gradient":
        angle, middle = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8, 2)
        ahead = (x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)
        far = np.hypot(x - middle[0] * width / height, y - middle[1])
        share = np.clip(ahead + 0.5, 0, 1) if rng.random() < 0.5 else np.clip(far, 0, 1)
        out += share[..., None] * (second - colour)
    elif wall.kind == "room":
        floor = np.clip((y - wall.horizon) * 40, 0, 1)[..., None]
        out += floor * (second - colour)
        if rng.random() < 0.4:  # a skirting board
            out *= 1 - 0.3 * (np.abs(y - wall.horizon + 0.02) < 0.012)[..., None]
        if rng.random() < 0.4:  # floorboards, or a panelled wall
            lines = np.abs((x + 0.3 * rng.random()) * rng.integers(4, 9) % 1 - 0.5) > 0.48
            here = floor[..., 0] > 0.5 if rng.random() < 0.5 else floor[..., 0] < 0.5
            out *= 1 - 0.2 * (lines & here)[..., None]
    elif wall.kind == "bricks":
        rows = y * rng.integers(14, 30)
        columns = x * rng.integers(7, 14) + 0.5 * (np.floor(rows) % 2)
        mortar = (rows % 1 < 0.14) | (columns % 1 < 0.07)
        tones = rng.random((64, 64))
        tone = tones[np.floor(rows).astype(int) % 64, np.floor(columns).astype(int) % 64]
        out *= (1 + wall.contrast * (tone - 0.5))[..., None]
        out[mortar] = second
    elif wall.kind in ("blurred", "blocks", "street"):
        cells = int(rng.choice([3, 6, 14]))
        low = colour + rng.normal(0, wall.contrast, (cells * 3 // 2, cells, 3)).astype(np.float32)
        flag = cv2.INTER_NEAREST if wall.kind == "blocks" else cv2.INTER_CUBIC
        out = np.asarray(cv2.resize(low, (width, height), interpolation=flag), np.float32)
        if wall.kind == "street":  # things of all sizes, sharp and upright
            for _ in range(rng.integers(4, 16)):
                left, top = rng.uniform(-0.1, 0.9, 2) * (width, height)
                right, bottom = np.array([left, top]) + rng.uniform(0.03, 0.3, 2) * (width, height)
                rows, columns = (
                    slice(max(int(start), 0), max(int(end), 0))
                    for start, end in ((top, bottom), (left, right))
                )
                out[rows, columns] = np.clip(colour + rng.normal(0, 2 * wall.contrast, 3), 0, 1)
    vignette = rng.uniform(0, 0.12) * ((x / x.max() - 0.5) ** 2 + (y - 0.5) ** 2)
    out *= 1 - vignette[..., None]
    return np.asarray(np.clip(out, 0, 1), np.float32)


@dataclass(frozen=True)
class Lighting:
    """What lights a person, and how their clothes fold: shades what is painted.

    Directions point to where the light comes from: x right, y up, z towards us.
    """

    lamps: tuple[tuple[Colour, Colour], ...]  # direction, colour
    sky: Colour  # what comes from above
    ground: Colour  # and from below
    folds: FloatArray  # [F,8] of each wave: its direction (3), phase, bending (3), height

    def __call__(self, painted: FloatArray, normal: FloatArray, position: FloatArray) -> FloatArray:
        """Of what is painted, [N,5] RGB, how much of it is cloth, how much it shines: RGB [N,3]."""
        up = normal[:, 1:2] * 0.5 + 0.5
        sky, ground = np.array([self.sky, self.ground], np.float32)
        light = ground + up * (sky - ground)
        shine = np.zeros((len(normal), 1), np.float32)
        for direction, colour in self.lamps:
            towards = np.array(direction, np.float32)
            towards /= np.linalg.norm(towards)
            light = light + np.clip(normal @ towards, 0, 1)[:, None] * np.array(colour, np.float32)
            half = towards + np.array([0, 0, 1], np.float32)
            half /= np.linalg.norm(half)
            shine = shine + (np.clip(normal @ half, 0, 1) ** 24)[:, None] * np.mean(colour)
        depth = np.zeros(len(position), np.float32)
        for wave in self.folds:
            bend = np.sin(position @ wave[4:7])
            depth += wave[7] * np.sin(position @ wave[:3] + wave[3] + bend)
        cloth, gloss = painted[:, 3], painted[:, 4]
        # In the shadow of the chin.
        x, y, z = position.T
        neck = np.exp(-0.5 * (((y - 0.13) / 0.03) ** 2 + (x / 0.06) ** 2)) * (z > -0.02)
        light = light * (1 + cloth * depth - 0.25 * neck)[:, None]
        out = painted[:, :3] * light + (gloss * 0.5)[:, None] * shine
        return np.asarray(np.clip(out, 0, 1), np.float32)


def draw_lighting(rng: np.random.Generator, vary: np.random.Generator) -> Lighting:
    """Draw the light of a studio from `rng`, of one picture in it, and its folds, from `vary`."""
    bright = rng.uniform(0.72, 1.12)
    soft = rng.uniform(0.45, 0.85)
    warm = rng.normal(0, 0.05)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    lamps = []
    for _ in range(rng.integers(1, 4)):
        side, above = rng.uniform(-1.2, 1.2), rng.uniform(-0.1, 1.0)
        side += vary.normal(0, 0.1)
        colour = tint * (1 + rng.normal(0, 0.05, 3))
        lamps.append(((float(side), float(above), float(rng.uniform(0.2, 1))), colour))
    share = bright * (1 - soft) * 1.35 / len(lamps)
    falls = rng.uniform(0.6, 1.0)
    strength = rng.uniform(0.2, 1.0)
    waves = 5
    folds = np.empty((waves, 8), np.float32)
    folds[:, :3] = vary.normal(0, 1, (waves, 3)) * vary.uniform(20, 75, (waves, 1))
    folds[:, 3] = vary.uniform(0, 2 * np.pi, waves)
    folds[:, 4:7] = vary.normal(0, 9, (waves, 3))
    folds[:, 7] = strength * vary.uniform(0.01, 0.06, waves)
    return Lighting(
        lamps=tuple((d, _as_colour(c * share)) for d, c in lamps),
        sky=_as_colour(tint * bright * soft * 1.05),
        ground=_as_colour(tint * bright * soft * falls),
        folds=folds,
    )


def _as_colour(values: FloatArray) -> Colour:
    r, g, b = (float(v) for v in values)
    return (r, g, b)


CROPS = {"whole": 0.46, "knee": 0.16, "hip": 0.22, "headless": 0.04, "portrait": 0.06, "side": 0.06}
"""How photos of fashion are cut, and how often."""


def frame(
    rng: np.random.Generator, seen: FloatArray, crop: str, height: int, width: int
) -> FloatArray:
    """Place a figure in the picture: x right and y down in pixels, z towards us, [V,3].

    seen: [V,3] metres, y up; crop: one of CROPS, measured from the top of the head.
    """
    skull = load_skin().segment == SEGMENTS.index("head")
    crown, sole = seen[skull, 1].max(), seen[:, 1].min()
    tall = crown - sole
    high = max(seen[:, 1].max(), crown) + tall * rng.uniform(0.02, 0.1)
    low = sole - tall * rng.uniform(0.02, 0.07)
    if crop in ("knee", "hip", "portrait"):
        ends = {"knee": (0.62, 0.85), "hip": (0.42, 0.62), "portrait": (0.26, 0.38)}[crop]
        high = crown + tall * rng.uniform(-0.03, 0.07)
        low = crown - tall * rng.uniform(*ends)
    elif crop == "headless":
        high = crown - tall * rng.uniform(0.06, 0.15)
    inside = seen[(seen[:, 1] > low) & (seen[:, 1] < high), 0]
    left, right = inside.min(), inside.max()
    scale = height / (high - low)
    if crop == "whole":  # an arm held out may not leave the frame
        scale = min(scale, 0.95 * width / (right - left))
        low = (low + high - height / scale) / 2
        middle = (left + right) / 2
    else:
        middle = np.median(inside)
    room = width / scale
    if crop == "side":
        middle += rng.choice([-1, 1]) * min(right - left, room) * rng.uniform(0.15, 0.35)
    middle += rng.uniform(-0.25, 0.25) * max(room - (right - left), 0)
    placed = np.empty_like(seen, np.float32)
    placed[:, 0] = (seen[:, 0] - middle) * scale + width / 2
    placed[:, 1] = height - (seen[:, 1] - low) * scale
    placed[:, 2] = seen[:, 2] * scale
    return placed


def cast_shadow(placed: FloatArray, wall: FloatArray, depth: float) -> FloatArray:
    """The wall [H,W,3], darkened around the figure by a soft shadow of some depth, 0..1."""
    height, width = wall.shape[:2]
    cells = 4
    small = np.zeros((height // cells + 1, width // cells + 1), np.float32)
    column, row = (placed[:, :2] / cells).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < small.shape[1]) & (row < small.shape[0])
    small[row[inside], column[inside]] = 1
    blurred = cv2.GaussianBlur(small, (0, 0), height / cells / 28)
    down, right = height // cells // 40, height // cells // 30
    beyond = cv2.copyMakeBorder(blurred, down, 0, right, 0, cv2.BORDER_REPLICATE)
    moved = beyond[: small.shape[0], : small.shape[1]]
    shade = cv2.resize(moved, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wall * (1 - depth * np.clip(shade * 1.5, 0, 1))[..., None], np.float32)
