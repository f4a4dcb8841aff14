"""People as photos show them: mannequins in real proportions, dressed, lit and cut as models are.

    image, iuv = photograph(seed=0, index=7, picture=0)
    image, iuv, before_nothing = photograph_twice(seed=0, index=7, picture=0)

They are the identities of the world (`mcld.mannequin.world.identity`) with what a doll lacks:
natural heads, hair that stands off, skirts, loose clothes, fabrics, folds, light, a wall behind.
"""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from mcld.body.render import FEWER_SAMPLES, draw_before
from mcld.body.shape import (
    SEGMENTS,
    BodyShape,
    FloatArray,
    UInt8Array,
    find_normals,
    load_skin,
    pose_vertices,
)
from mcld.mannequin.world.canvas import (
    ATLAS_SIZE,
    Colour,
    find_torso_surface,
    get_canvas,
    hsv,
    lay,
    soft,
)
from mcld.mannequin.world.clothes import Clothes, paint_bottom, paint_shoes, paint_top
from mcld.mannequin.world.dolls import identity, render
from mcld.mannequin.world.fabrics import Fabric, draw_fabric, lay_fabric, mottle
from mcld.mannequin.world.face import Face, find_hairline, paint_head, paint_long_hair
from mcld.mannequin.world.figures import (
    Looseness,
    Skirt,
    find_smooth_normals,
    loosen,
    put_on_skirt,
    see,
    vary_pose,
)
from mcld.mannequin.world.poses import pose
from mcld.mannequin.world.scenes import (
    CROPS,
    Wall,
    cast_shadow,
    draw_lighting,
    draw_wall,
    frame,
    paint_wall,
)

DOLLS = 4
"""Every so manieth of the people is a doll: who learns from both worlds knows both."""
GROUND = np.array([0.84, 0.86, 0.88], np.float32)
"""What figures stand before when they are pictured alone, RGB in 0..1."""
_LIMBS = tuple(f"{side} {half}" for side in ("left", "right") for half in ("upper", "lower"))
_ARMS, _LEGS = (["torso", *(f"{name} {limb}" for name in _LIMBS)] for limb in ("arm", "leg"))
_WHITE = (1.0, 1.0, 1.0)
_CLOSURES = ("", "buttons", "zip", "lapels", "pocket")


@dataclass(frozen=True)
class Subject:
    """Who is photographed, what they wear, and where all their pictures are taken."""

    body: BodyShape
    face: Face
    clothes: Clothes
    loose: Looseness
    skirt: Skirt | None
    skirt_is_top: bool
    """A dress, a tunic or a coat: painted as the top is, down to the skirt's hem."""
    closure: str
    """What is on the chest, one of _CLOSURES."""
    hat: Colour | None
    top_fabric: Fabric
    bottom_fabric: Fabric
    wall: Wall
    shadow: float
    """How dark the shadow on the wall is, 0..1."""
    gain: Colour
    """Of the camera, for each channel."""
    seed: int
    """Of what is irregular in their skin."""


@lru_cache(maxsize=8)
def draw_subject(seed: int, index: int) -> Subject:
    """Subject number `index` (0, 1, ...) of the world `seed`; a function of the two alone."""
    someone = identity(seed, index)
    rng = np.random.default_rng(np.random.SeedSequence([seed, index, 3]))
    woman = someone.body.gender == "WOMEN"
    body = replace(
        someone.body,
        betas=tuple(float(b) for b in np.clip(rng.normal(0, 0.8, 10), -2, 2)),
        head=float(rng.uniform(1.02, 1.25)),
    )
    face = _make_natural(someone.face)
    skirt, is_top = None, False
    wear = _tone_down(rng, someone.clothes)
    if rng.random() < (0.5 if woman else 0.1):
        is_top = bool(rng.random() < 0.55)
        low = 0.35 if is_top else 0.45
        skirt = Skirt(float(rng.uniform(low, 1.9 if woman else 0.9)), float(rng.uniform(0.14, 0.3)))
        wear = replace(
            wear,
            legs=skirt.hem / 2 if not is_top or rng.random() < 0.6 else wear.legs,
            tights=wear.tights if rng.random() < 0.5 else None,
            belt=wear.belt if rng.random() < 0.3 else None,
        )
    stands_off = rng.random(4) ** 2
    volume = 0.045 if face.style in ("bob", "long", "fringe") else 0.025
    return Subject(
        body=body,
        face=face,
        clothes=wear,
        loose=Looseness(
            trunk=float(0.04 * stands_off[0]),
            arms=float(0.032 * stands_off[1]),
            legs=float(0.045 * stands_off[2]),
            head=float(0 if face.style == "bald" else 0.004 + volume * stands_off[3]),
        ),
        skirt=skirt,
        skirt_is_top=is_top,
        closure=str(rng.choice(_CLOSURES, p=[0.45, 0.18, 0.12, 0.13, 0.12])),
        hat=hsv(rng.random(), rng.uniform(0, 0.7), rng.uniform(0.1, 0.9))
        if rng.random() < 0.07
        else None,
        top_fabric=draw_fabric(rng, (_draw_tint(rng), wear.top_second, _draw_tint(rng))),
        bottom_fabric=replace(
            draw_fabric(rng, (_draw_tint(rng), wear.bottom_second, _draw_tint(rng))), lettering=""
        ),
        wall=draw_wall(rng),
        shadow=float(rng.uniform(0, 0.35) if rng.random() < 0.5 else 0),
        gain=tuple(float(g) for g in rng.uniform(0.94, 1.06, 3)),  # type: ignore[arg-type]
        seed=int(rng.integers(2**31)),
    )


def _draw_tint(rng: np.random.Generator) -> Colour:
    return colorsys.hsv_to_rgb(rng.random(), rng.random() ** 0.7, rng.uniform(0.1, 1))


def _make_natural(face: Face) -> Face:
    """Features of a natural size: a doll's eyes are larger than life."""
    return replace(
        face,
        eye_size=face.eye_size * 0.56,
        eye_gap=face.eye_gap * 0.95,
        brow=face.brow * 0.6,
        mouth=face.mouth * 0.8,
    )


def _tone_down(rng: np.random.Generator, wear: Clothes) -> Clothes:
    """What people wear rather than dolls: mostly plain, often grey, black, white or blue."""

    def tone(colour: Colour) -> Colour:
        kind = rng.random()
        hue, saturation, value = colorsys.rgb_to_hsv(*colour)
        if kind < 0.3:
            return hsv(hue, saturation * rng.uniform(0, 0.2), rng.random() ** 0.8)
        if kind < 0.5:
            return hsv(rng.uniform(0.55, 0.68), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.75))
        if kind < 0.7:
            return hsv(hue, saturation * rng.uniform(0.3, 0.8), value * rng.uniform(0.4, 1))
        return colour

    plain = rng.random() < 0.5
    return replace(
        wear,
        top=tone(wear.top),
        top_second=tone(wear.top_second),
        bottom=tone(wear.bottom),
        bottom_second=tone(wear.bottom_second),
        shoes=tone(wear.shoes),
        pattern=str(rng.choice(["plain", "plain", "jacket", "block"])) if plain else wear.pattern,
        period=float(rng.uniform(0.03, 0.22)),
        bottom_pattern="plain" if rng.random() < 0.6 else wear.bottom_pattern,
    )


@dataclass(frozen=True)
class _Garment:
    """What is painted at once, of one fabric."""

    paint: Callable[[FloatArray, Clothes], None]
    wear: Clothes
    fabric: Fabric
    segments: list[str]

    def find_coverage(self) -> FloatArray:
        """Where it covers the body, [24,N,N] in 0..1: as much as a white one turns black white."""
        white = replace(
            self.wear,
            top=_WHITE,
            top_second=_WHITE,
            bottom=_WHITE,
            bottom_second=_WHITE,
            tights=None,
            shaft=0.0,
            belt=None,
        )
        charts = np.zeros((24, ATLAS_SIZE, ATLAS_SIZE, 3), np.float32)
        self.paint(charts, white)
        return charts[..., 0]


def _list_garments(subject: Subject) -> list[_Garment]:
    """From the body outwards."""
    wear, top = subject.clothes, subject.top_fabric
    garments = [_Garment(paint_bottom, wear, subject.bottom_fabric, _LEGS)]
    if subject.skirt and subject.skirt_is_top:
        pattern = wear.pattern if wear.pattern in ("bands", "stripes", "checks") else "plain"
        skirt = replace(
            wear,
            bottom=wear.top_second if wear.pattern == "block" else wear.top,
            bottom_second=wear.top_second,
            bottom_pattern=pattern,
            legs=subject.skirt.hem / 2,
            tights=None,
            shaft=0.0,
            belt=None,
        )
        garments.append(_Garment(paint_bottom, skirt, replace(top, lettering=""), _LEGS))
    return [*garments, _Garment(paint_top, wear, top, _ARMS)]


@lru_cache(maxsize=2)
def paint_subject(subject: Subject) -> FloatArray:
    """The painted charts: float32 [24,ATLAS_SIZE,ATLAS_SIZE,5] in 0..1.

    RGB, how much of it is cloth, and how much it shines; otherwise as `atlas.paint` has them.
    """
    rng = np.random.default_rng(subject.seed)
    wear, skin = subject.clothes, subject.face.skin
    whole = np.zeros((24, ATLAS_SIZE, ATLAS_SIZE, 5), np.float32)
    charts = np.full((24, ATLAS_SIZE, ATLAS_SIZE, 3), skin, np.float32)
    for name in ("left hand", "right hand", "left lower arm", "right lower arm"):
        canvas = get_canvas(name)
        lay(
            charts,
            canvas,
            np.full_like(canvas.t, 0.3),
            np.array(skin, np.float32) * (1, 0.85, 0.82),
        )
    mottle(rng, charts, rng.uniform(0.05, 0.18))
    for garment in _list_garments(subject):
        coverage, fabric = garment.find_coverage(), garment.fabric
        garment.paint(charts, garment.wear)
        lay_fabric(charts, garment.segments, coverage, fabric, skin)
        whole[..., 3] = np.maximum(whole[..., 3], coverage)
        shines = 0.5 if fabric.weave == "leather" else 0.04
        whole[..., 4] += coverage * (np.float32(shines) - whole[..., 4])
    _close(charts, subject)
    paint_shoes(charts, wear)
    paint_head(charts, subject.face)
    paint_long_hair(charts, subject.face)
    if subject.hat:
        canvas = get_canvas("head")
        lay(charts, canvas, soft((0.5 - canvas.t) * np.float32(np.pi) - 0.45, 0.05), subject.hat)
    whole[..., :3] = charts
    uncovered = 1 - whole[..., 3]
    whole[..., 4] += uncovered * np.float32(rng.uniform(0, 0.12))
    whole.flags.writeable = False
    return whole


def _close(charts: FloatArray, subject: Subject) -> None:
    """Paint what is on the chest over the top, and a collar."""
    canvas = get_canvas("torso")
    x, y = np.moveaxis(find_torso_surface()[..., :2], -1, 0)
    ahead = (np.abs(canvas.angle) < np.pi / 2) & (canvas.height > subject.clothes.hem)
    dark = np.asarray(subject.clothes.top, np.float32) * np.float32(0.6)
    light = np.asarray(subject.clothes.top_second, np.float32)

    def ink(depth: FloatArray, colour: FloatArray, share: float = 1.0) -> None:
        lay(charts, canvas, share * soft(depth) * ahead, colour)

    side = np.abs(x)
    if subject.closure == "buttons":
        ink(0.0022 - np.abs(side - 0.014), dark, 0.8)
        ink(0.007 - np.hypot(x, (y + 0.5) % 0.08 - 0.04), light)
        ink(
            np.minimum(0.05 - np.abs(side - 0.045), 0.012 - np.abs(y - 0.1 + 0.3 * side)), dark, 0.5
        )
    elif subject.closure == "zip":
        ink(0.005 - side, np.array([0.75, 0.75, 0.78], np.float32))
        ink(0.002 - np.abs(side - 0.008), dark)
    elif subject.closure == "lapels":
        edge = np.clip((0.12 - y) * 0.42, 0, None)  # of the opening, narrower the lower
        opening = np.clip(0.075 - edge, 0, 0.075)
        ink(np.minimum(opening - side, y + 0.1), light)
        ink(np.minimum(0.02 + 0.3 * opening - np.abs(side - opening - 0.02), y + 0.08), dark)
        if subject.seed % 2:
            ink(np.minimum(0.016 - side, y + 0.16), np.asarray(subject.top_fabric.colours[0]))
    elif subject.closure == "pocket":
        at = 0.07 if subject.seed % 2 else -0.07
        box = np.maximum(np.abs(x - at) - 0.038, np.abs(y + 0.01) - 0.045)
        ink(0.0022 - np.abs(box), dark)


def _add_relief(vertices: FloatArray, subject: Subject) -> FloatArray:
    """Hair that stands off and falls beside the neck, sockets of eyes, a jaw; [V,3] metres."""
    body, face = load_skin(), subject.face
    here = np.flatnonzero(body.segment == SEGMENTS.index("head"))
    centre = body.frames[SEGMENTS.index("head")].start
    x, y, z = (body.canonical[here] - centre).T
    azimuth, latitude = np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
    hairy = np.clip((latitude - find_hairline(face, azimuth)) / 0.15, 0, 1)
    far = subject.loose.head * hairy
    if face.style in ("bob", "long"):  # beside and behind the neck
        below = np.clip((-0.7 - latitude) / 0.4, 0, 1) * hairy
        far += below * (0.03 + subject.loose.head)
    if subject.hat:
        far = np.maximum(far, 0.015 * np.clip((latitude - 0.45) / 0.1, 0, 1))
    front = np.clip(np.cos(azimuth), 0, 1)
    eyes = np.exp(-(((np.abs(x) - 0.034) / 0.015) ** 2) - ((y - 0.006) / 0.012) ** 2)
    jaw = np.clip((-0.02 - y) / 0.06, 0, 1) * np.clip(1 - hairy, 0, 1) * (latitude > -1.1)
    far = far - 0.004 * eyes * front - 0.012 * jaw * np.abs(np.sin(azimuth))
    normals, out = find_normals(vertices), vertices.copy()
    out[here] += normals[here] * far[:, None]
    if face.style == "long":
        back = np.flatnonzero(body.segment == SEGMENTS.index("torso"))
        x, y, z = body.canonical[back].T
        fall = (
            np.clip((0.1 - np.abs(x)) / 0.03, 0, 1) * np.clip((y + 0.1) / 0.05, 0, 1) * (z < -0.03)
        )
        out[back] += normals[back] * (0.02 * fall)[:, None]
    return np.asarray(out, np.float32)


def photograph(
    seed: int, index: int, picture: int, size: tuple[int, int] = (256, 176)
) -> tuple[UInt8Array, UInt8Array]:
    """Picture number `picture` of person `index`, and its exact IUV map: uint8 [H,W,3] each.

    size is (height, width) in pixels. A function of the four alone.
    """
    image, iuv, _ = photograph_twice(seed, index, picture, size)
    return image, iuv


def is_doll(index: int) -> bool:
    """Whether person number `index` is a doll before a plain ground."""
    return index % DOLLS == DOLLS - 1


def photograph_twice(
    seed: int, index: int, picture: int, size: tuple[int, int] = (256, 176)
) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """As `photograph`, and the same before GROUND, uint8 [H,W,3], without the camera's noise.

    A doll's picture is twice the same.
    """
    if is_doll(index):
        image, iuv = render(identity(seed, index), pose(seed, index, picture), size)
        return image, iuv, image
    return photograph_subject(draw_subject(seed, index), seed, index, picture, size)


def photograph_subject(
    subject: Subject, seed: int, index: int, picture: int, size: tuple[int, int] = (256, 176)
) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """As `photograph_twice` of a person who is no doll, with another subject in their place.

    In the same pose, from the same point of view, with the same noise.
    """
    height, width = size
    stance = pose(seed, index, picture)
    rng = np.random.default_rng(np.random.SeedSequence([seed, index, 4, picture]))
    if rng.random() < 0.6:
        stance = vary_pose(rng, stance)
    vertices = pose_vertices(subject.body, stance.rotation_array())
    if subject.skirt:
        vertices = put_on_skirt(vertices, subject.skirt)
    loose = replace(subject.loose, head=0.0)  # hair does not stand off faces
    vertices = _add_relief(loosen(vertices, loose), subject)
    pitch, roll = np.radians(rng.normal(0, (5, 2)))
    seen = see(vertices, stance.turn, pitch, roll, rng.uniform(2.2, 10))
    crop = str(rng.choice(list(CROPS), p=list(CROPS.values())))
    exposed = _expose(rng, subject, frame(rng, seen, crop, height, width), size)
    if not exposed[1][..., 0].any():  # cut away
        exposed = _expose(rng, subject, frame(rng, seen, "whole", height, width), size)
    return exposed


def _expose(
    rng: np.random.Generator, subject: Subject, placed: FloatArray, size: tuple[int, int]
) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """What `photograph_twice` gives of a figure that is placed before the camera."""
    wall = paint_wall(subject.wall, *size)
    if subject.shadow:
        wall = cast_shadow(placed, wall, subject.shadow)
    light = draw_lighting(np.random.default_rng([subject.seed, 1]), rng)
    charts, normals = paint_subject(subject), find_smooth_normals(placed)
    gain = np.asarray(subject.gain, np.float32)
    (image, alone), iuv = draw_before(
        placed, charts, [wall, GROUND / gain], *size, light, normals, FEWER_SAMPLES
    )
    tinted = np.clip(alone * gain + 0.5, 0, 255).astype(np.uint8)
    return _develop(rng, image, subject.gain), iuv, tinted


def _develop(rng: np.random.Generator, image: UInt8Array, gain: Colour) -> UInt8Array:
    """What a camera makes of it: its colours, a little noise, a little softness."""
    seen = image * np.asarray(gain, np.float32)
    if rng.random() < 0.3:
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.3, 0.7)), np.float32)
    seen = seen + rng.uniform(0, 4) * rng.standard_normal(image.shape, np.float32)
    return np.asarray(np.clip(seen + 0.5, 0, 255).astype(np.uint8))
