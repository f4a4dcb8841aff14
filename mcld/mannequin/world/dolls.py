"""Dolls: dressed, posed figures with large heads, in whole before a plain ground.

An identity is made of independent pieces, so that one can be exchanged for another's:
`dataclasses.replace(someone, clothes=other.clothes)` is the same person in other clothes.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

from mcld.body.pose import Pose
from mcld.body.render import render as _render
from mcld.body.shape import BodyShape, UInt8Array, draw_body_shape, pose_vertices
from mcld.mannequin.world.atlas import paint
from mcld.mannequin.world.canvas import Colour
from mcld.mannequin.world.clothes import Clothes, draw_clothes
from mcld.mannequin.world.face import Face, draw_face


@dataclass(frozen=True)
class Identity:
    """A person of the mannequin world, and the studio all their pictures are taken in."""

    body: BodyShape
    face: Face
    clothes: Clothes
    background: Colour


def identity(seed: int, index: int) -> Identity:
    """Person number `index` (0, 1, ...) of the world `seed`; a function of the two alone."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
    shape = draw_body_shape(rng)
    return Identity(
        body=shape,
        face=draw_face(rng, shape.gender),
        clothes=draw_clothes(rng, shape.gender),
        background=colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.07), rng.uniform(0.9, 0.98)),
    )


def render(
    person: Identity, stance: Pose, size: tuple[int, int] = (256, 176)
) -> tuple[UInt8Array, UInt8Array]:
    """Take a picture of `person` standing as `stance` says; size is (height, width) in pixels.

    Returns the picture, uint8 [H,W,3] RGB, and its IUV map, uint8 [H,W,3] in the order (I, U, V).
    Both come from one pass of rays: the map says for each pixel's centre what is seen there.
    """
    vertices = pose_vertices(person.body, stance.rotation_array())
    atlas = paint(person.face, person.clothes)
    return _render(vertices, atlas, person.background, stance, *size)
