"""What clothes are made of: weaves, prints, lettering and lace, laid over painted charts."""

from dataclasses import dataclass

import cv2
import numpy as np

from mcld.body.shape import FloatArray, UInt8Array
from mcld.mannequin.world.canvas import Canvas, Colour, find_torso_surface, get_canvas, soft

WEAVES = ("smooth", "melange", "knit", "denim", "leather")
PRINTS = ("flowers", "camouflage", "leaves", "sprinkles", "lace")
_TILE = 96
"""Pixels along the side of a print's tile."""
_CHEST = 160
"""Pixels along the side of what is written on a chest, and how wide that is, metres."""
_CHEST_WIDTH = 0.34


@dataclass(frozen=True)
class Fabric:
    """What a garment is made of."""

    weave: str  # one of WEAVES
    print: str  # one of PRINTS, or ''
    colours: tuple[Colour, Colour, Colour]  # of the print and the lettering
    period: float  # of the print, metres
    lettering: str  # on the chest, or ''
    seed: int  # of what is irregular in it


def draw_fabric(rng: np.random.Generator, colours: tuple[Colour, Colour, Colour]) -> Fabric:
    """Draw what a garment is made of."""
    letters = "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789"), rng.integers(2, 8)))
    return Fabric(
        weave=str(rng.choice(WEAVES, p=[0.36, 0.2, 0.18, 0.18, 0.08])),
        print=str(rng.choice(PRINTS, p=[0.3, 0.2, 0.2, 0.2, 0.1])) if rng.random() < 0.2 else "",
        colours=colours,
        period=float(rng.uniform(0.12, 0.34)),
        lettering=letters if rng.random() < 0.2 else "",
        seed=int(rng.integers(2**31)),
    )


def lay_fabric(
    charts: FloatArray,
    segments: list[str],
    coverage: FloatArray,
    fabric: Fabric,
    skin: Colour,
) -> None:
    """Lay a fabric over the painted charts [24,N,N,3] of some segments where `coverage` is 1.

    coverage [24,N,N] of the garment; skin: what shows through lace.
    """
    tile = _draw_print(fabric, skin) if fabric.print else None
    for name in segments:
        canvas = get_canvas(name)
        rows = np.array(canvas.parts) - 1
        covered = coverage[rows][..., None]
        around = canvas.angle * np.float32(canvas.girth / (2 * np.pi))
        paint = charts[rows]
        if tile is not None:
            print_ = _look_up(tile, around / fabric.period, -canvas.height / fabric.period)
            paint = paint + print_[..., 3:] * (print_[..., :3] - paint)
        paint = np.clip(paint * _weave(fabric, canvas, around)[..., None], 0, 1)
        if fabric.lettering and name == "torso":
            paint = _write(paint, canvas, fabric)
        charts[rows] += covered * (paint - charts[rows])


def _weave(fabric: Fabric, canvas: Canvas, around: FloatArray) -> FloatArray:
    """How light the weave is at each texel, about 1."""
    rng = np.random.default_rng([fabric.seed, canvas.parts[0]])
    grain = rng.standard_normal(around.shape, np.float32)
    if fabric.weave == "melange":
        return 1 + 0.07 * grain
    if fabric.weave == "knit":
        ribs = np.sin(around * np.float32(2 * np.pi / 0.022))
        rows = np.sin(canvas.along * np.float32(2 * np.pi / 0.03))
        return np.asarray(0.96 + 0.08 * ribs + 0.04 * rows + 0.02 * grain)
    if fabric.weave == "denim":
        streaks = np.stack([cv2.blur(g, (1, 7)) for g in grain])
        faded = np.exp(-0.5 * (canvas.angle / 0.5) ** 2 - 0.5 * ((canvas.t - 0.5) / 0.3) ** 2)
        seam = soft(0.004 - np.abs(np.abs(around) - np.float32(canvas.girth / 4)), 0.006)
        return np.asarray(0.92 + 0.12 * streaks + 0.3 * faded - 0.3 * seam)
    return 1 + 0.015 * grain


def _draw_print(fabric: Fabric, skin: Colour) -> FloatArray:
    """A print's tile, [_TILE,_TILE,4]: RGB and how much it covers; its edges fit together."""
    rng = np.random.default_rng(fabric.seed)
    tile = np.zeros((_TILE, _TILE, 4), np.float32)
    if fabric.print == "camouflage":
        for colour in fabric.colours:
            spots = _draw_noise(rng, _TILE, 5) > 0.6
            tile[spots] = (*colour, 1)
        return tile
    if fabric.print == "lace":
        y, x = np.mgrid[:_TILE, :_TILE] * (2 * np.pi * 6 / _TILE)
        holes = (np.sin(x) * np.sin(y) > 0.1) | (np.sin(x / 2) * np.sin(y / 2) > 0.75)
        tile[holes] = (*skin, 0.75)
        return tile
    drawn = np.zeros((_TILE, _TILE, 4), np.uint8)
    for _ in range({"flowers": 9, "leaves": 14, "sprinkles": 40}[fabric.print]):
        place, angle = rng.uniform(0, _TILE, 2), rng.uniform(0, 360)
        colour, middle = fabric.colours[rng.integers(3)], fabric.colours[0]
        for shift in np.ndindex(3, 3):  # what leaves on one side comes in on the other
            x, y = (place + (np.array(shift) - 1) * _TILE).tolist()
            _draw_figure(drawn, fabric.print, x, y, angle, _as_bytes(colour), _as_bytes(middle))
    return np.asarray(drawn / np.float32(255))


def _as_bytes(colour: Colour) -> tuple[float, ...]:
    return (*(round(255 * c) for c in colour), 255)


def _draw_figure(
    tile: UInt8Array,
    kind: str,
    x: float,
    y: float,
    angle: float,
    colour: tuple[float, ...],
    middle: tuple[float, ...],
) -> None:
    """One flower, leaf or sprinkle."""
    if kind == "sprinkles":
        cv2.circle(tile, (round(x), round(y)), 2, colour, -1, cv2.LINE_AA)
    elif kind == "leaves":
        cv2.ellipse(tile, (round(x), round(y)), (13, 4), angle, 0, 360, colour, -1, cv2.LINE_AA)
    else:
        for petal in np.radians(angle + np.arange(0, 360, 72)):
            centre = round(x + 7 * np.cos(petal)), round(y + 7 * np.sin(petal))
            cv2.circle(tile, centre, 5, colour, -1, cv2.LINE_AA)
        cv2.circle(tile, (round(x), round(y)), 3, middle, -1, cv2.LINE_AA)


def _draw_noise(rng: np.random.Generator, side: int, cells: int) -> FloatArray:
    """Smooth noise that repeats, [side,side], spread evenly over 0..1."""
    coarse = np.tile(rng.random((cells, cells), np.float32), (3, 3))
    whole = cv2.resize(coarse, (3 * side, 3 * side), interpolation=cv2.INTER_CUBIC)
    middle = whole[side : 2 * side, side : 2 * side]
    return np.asarray((middle - middle.min()) / (np.ptp(middle) + 1e-6))


def _look_up(tile: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """The tile at places counted in tiles, which repeat."""
    column, row = ((place % 1 * len(tile)).astype(np.int32) % len(tile) for place in (x, y))
    return np.asarray(tile[row, column])


def _write(paint: FloatArray, canvas: Canvas, fabric: Fabric) -> FloatArray:
    """Letters, in one line or two, and a frame around or a line below, on the torso's front."""
    rng = np.random.default_rng([fabric.seed, 1])
    board = np.zeros((_CHEST, _CHEST), np.uint8)
    lines = [fabric.lettering]
    if len(fabric.lettering) > 3 and rng.random() < 0.5:
        half = len(fabric.lettering) // 2
        lines = [fabric.lettering[:half], fabric.lettering[half:]]
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    thick = int(rng.integers(2, 6))
    size = _CHEST * rng.uniform(0.5, 0.95)
    bottom = 40
    for line in lines:
        (width, _), _ = cv2.getTextSize(line, font, 1, thick)
        scale = min(size / width, 2.2)
        (width, height), _ = cv2.getTextSize(line, font, scale, thick)
        bottom += height + 8
        left = (_CHEST - width) // 2
        cv2.putText(board, line, (left, bottom), font, scale, 255, thick, cv2.LINE_AA)
    if rng.random() < 0.3:
        cv2.line(board, (30, bottom + 10), (_CHEST - 30, bottom + 10), 255, 4)
    elif rng.random() < 0.2:
        cv2.rectangle(board, (8, 26), (_CHEST - 8, min(bottom + 14, _CHEST - 2)), 255, 3)
    x, y = np.moveaxis(find_torso_surface()[..., :2], -1, 0)
    ahead = np.abs(canvas.angle) < np.pi / 2
    column = (x / _CHEST_WIDTH + 0.5) * _CHEST
    row = (0.09 - y) / _CHEST_WIDTH * _CHEST
    ink = np.stack(
        [
            cv2.remap(board, c.astype(np.float32), r.astype(np.float32), cv2.INTER_LINEAR)
            for c, r in zip(column, row, strict=True)
        ]
    )
    ink = (np.float32(1 / 255) * ink * ahead)[..., None]
    return np.asarray(paint + ink * (np.array(fabric.colours[1], np.float32) - paint))


def mottle(rng: np.random.Generator, charts: FloatArray, strength: float) -> None:
    """Make the painted charts [24,N,N,3] uneven, as skin is: lighter here, redder there."""
    side = charts.shape[1]
    light, red = (
        np.stack([_draw_noise(rng, side, int(rng.integers(3, 9))) for _ in range(len(charts))])
        for _ in range(2)
    )
    charts *= 1 + strength * (light[..., None] - 0.5)
    charts[..., 1:] *= 1 - 0.5 * strength * red[..., None]
    np.clip(charts, 0, 1, out=charts)
