"""A figure to pose by hand: what a drag does to it, and how it is shown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mcld.body.parameters import BodyParameters
from mcld.body.pose_map import find_camera, turn_body
from mcld.body.posing import HANDLES, NAMES, drag_joint, find_joints, find_root
from mcld.body.render import FEWER_SAMPLES, draw_placed, find_scale, shade_evenly
from mcld.body.shape import plain_shape
from mcld.surface.charts import find_texels

Size = tuple[int, int]
"""Height and width of a picture, pixels."""

SIZE: Size = (512, 352)
"""Of the figure that is posed."""
_FILL = 0.92
_WIDE = SIZE[1] / SIZE[0]
_FLAT = 0.4
"""Sine of the angle between a bone and the picture, below which it counts as lying in it."""
_PAINT = 0.8
"""Of a figure that wears nothing, 0..1."""
_GROUND = (0.93, 0.93, 0.92)
_ATLAS = np.full((24, 2, 2, 3), _PAINT, np.float32)


class Camera(NamedTuple):
    """How a figure, turned before the camera, lies in its picture."""

    scale: float
    """Heights of the picture a metre."""
    x: float
    """What is in the middle of the picture, metres."""
    y: float


class View(NamedTuple):
    """From where a figure is looked at: degrees, as `draw_pose_map` has them."""

    turn: float = 0.0
    pitch: float = 0.0


class Drag(NamedTuple):
    """Where a joint is dragged to, in a picture of the shape of `SIZE`."""

    handle: str
    x: float
    """0..1 of the picture's width, from the left."""
    y: float
    """0..1 of its height, from the top."""
    depth: float | None = None
    """Metres towards the camera; None: as the bones have it."""


class Drawing(NamedTuple):
    """A picture of a figure."""

    picture: NDArray[np.uint8]
    """uint8 [H, W, 3] RGB."""
    camera: Camera
    joints: dict[str, tuple[float, float, float]]
    """Where each joint is, as a `Drag` has it."""


def drag(body: BodyParameters, view: View, camera: Camera | None, drag: Drag) -> BodyParameters:
    """The body after a drag, as seen through a camera; None: the one that it is framed with.

    Raises SettingsError for a joint that cannot be dragged.
    """
    if drag.handle not in HANDLES:
        return drag_joint(body, drag.handle, np.zeros(3))  # which says so
    scale, x, y = camera or frame(body, view)
    before = _find_turn(body, view)
    places = before.apply(find_joints(body).places)
    own, root = (places[NAMES.index(name)] for name in (drag.handle, find_root(drag.handle)))
    across = np.array([x + (drag.x - 0.5) * _WIDE / scale, y - (drag.y - 0.5) / scale])
    depth = drag.depth
    if depth is None and drag.handle.endswith(("Wrist", "Ankle")):
        depth = own[2]
    elif depth is None:
        # A bone that is seen shorter points further to the camera, or away from it.
        length = np.linalg.norm(own - root)
        deep = np.sqrt(max(length**2 - np.sum((across - root[:2]) ** 2), 0.0))
        side = np.sign(own[2] - root[2])
        if abs(own[2] - root[2]) < _FLAT * length:  # it tells no side: what is ahead of the body
            side = np.sign(before.apply([0, 0, 1])[2]) or 1.0
        depth = root[2] + side * deep
    target = before.inv().apply([*across, depth])
    return drag_joint(body, drag.handle, target)


def frame(body: BodyParameters, view: View) -> Camera:
    """The camera that a whole figure is seen through, as `draw_pose_map` frames it."""
    seen = turn_body(body, plain_shape(), *view)
    low, high = seen.min(0), seen.max(0)
    middle = (low + high) / 2
    scale = find_scale(low, high, _FILL, 1, _WIDE)
    return Camera(float(scale), float(middle[0]), float(middle[1]))


def draw(
    body: BodyParameters,
    view: View,
    camera: Camera | None = None,
    texture: NDArray[np.uint8] | None = None,
    size: Size = SIZE,
) -> Drawing:
    """Draw a figure of plain build.

    camera: None: one that frames it; with one, which holds still while a joint is dragged, edges
    are rougher and the picture is there in half the time. texture: a map in the SMPL layout, uint8
    [512, 512, 3], that it wears; where that is black, it is plain. size: in the shape of `SIZE`.
    """
    samples = FEWER_SAMPLES if camera is None else FEWER_SAMPLES[:1]
    camera = camera or frame(body, view)
    scale, x, y = camera
    height, width = size
    large = scale * height
    placed = (turn_body(body, plain_shape(), *view) - (x, y, 0)) * (large, -large, large)
    placed[:, :2] += (width / 2, height / 2)
    seen = np.asarray(placed, np.float32)
    picture, iuv = draw_placed(seen, _ATLAS, _GROUND, height, width, shade_evenly, samples=samples)
    if texture is not None:
        worn = texture.reshape(-1, 3)[find_texels(iuv)]
        shown = (iuv[..., 0] > 0) & worn.any(-1)
        lit = worn * (picture / (255 * _PAINT))
        picture = np.where(shown[..., None], np.clip(lit, 0, 255), picture).astype(np.uint8)
    places = _find_turn(body, view).apply(find_joints(body).places) - (x, y, 0)
    joints = {
        name: (0.5 + px * scale / _WIDE, 0.5 - py * scale, z)
        for name, (px, py, z) in zip(NAMES, places.tolist(), strict=True)
    }
    return Drawing(picture, camera, joints)


def bake_view(body: BodyParameters, view: View) -> BodyParameters:
    """The body turned as it is looked at, so that it is seen so without a view."""
    turned = _find_turn(body, view).as_rotvec()
    return body._replace(orientation=np.asarray(turned, np.float32))


def _find_turn(body: BodyParameters, view: View) -> Rotation:
    return Rotation.from_matrix(find_camera(*view)) * Rotation.from_rotvec(body.orientation)
