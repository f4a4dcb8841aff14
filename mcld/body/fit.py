"""The body of an IUV map, and a pose drawn anew with another body's proportions.

A map names the point of the skin that each of its pixels shows. So the skinned body is fitted to it
by least squares: rotations of the joints, lengths, girths and an orthographic camera, with a prior
where the map tells nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

from mcld.body.densepose import find_densepose_uv
from mcld.body.parameters import list_gallery, read_gallery
from mcld.body.pose import JOINTS
from mcld.body.render import find_seen_vertices, render_placed_map
from mcld.body.shape import BETAS, SEGMENTS, BodyShape, FloatArray, load_skin, pose_vertices
from mcld.body.skinning import GIRTHS, BodyVector, SkinnedBody, make_shape
from mcld.errors import InputError
from mcld.machine.threads import limit_threads
from mcld.surface.parts import PARTS

# What PyTorch loads to differentiate, the first time, warns of itself.
warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)

_POINTS = 700
"""Pixels of a map that are fitted to, about."""
_LEAST = 60
"""Vertices seen, from which on a body can be told."""
_LEAST_OF_TRUNK, _MOST = 0.2, (0.05, 0.95)
"""Of the trunk's height, metres, and between which shares of what is seen of it."""
_LONGEST = 1024
"""Pixels of a map's longer side, that a fit needs at most."""
_NEAR = 14.0
"""U and V levels between a pixel and the vertex it shows, at most."""
_UNITS = 300.0
"""What one label is, in levels, when vertices are looked up."""
_SPREAD = 0.014
"""How far off pixels lie, in longer sides of what the map shows."""
_SPREAD_OF_JOINTS = 0.008
"""The same of joints: each counts as much as three pixels."""
_FACING, _FACING_SPREAD = 0.1, 0.15
"""What a map shows faces the camera: the cosine from which on it surely does."""
_STANDING = "standing"
"""The pose of the gallery that is the likeliest."""
_LEAST_TURN = np.radians(12)
"""The prior's spread of a joint's turn, at least."""
_SHARED, _APART = GIRTHS[:6], 0.06
"""Girths that are much alike in one body, and the spread of their difference from their mean."""
_GIRTHS = {
    **dict.fromkeys(_SHARED, (1.0, 0.2)),
    "belly": (0.01, 0.03),
    "bust": (0.015, 0.02),
    "head": (1.2, 0.3),
}
"""Mean and spread of the prior of GIRTHS."""
_FARTHEST = 0.1
"""Median distance of a body that fits, in longer sides of what the map shows."""
_EDGE, _CUT = 0.01, 0.03
"""Of a picture's sides: what a whole body keeps free, and how far beyond the edge one is cut."""
_USUAL = 0.2
"""Of the prior's spread of shapes, for bodies of usual build."""
_SIDES = 12
"""Sides that a body is first looked for from."""
_MOST_STEPS = 40
_DOWN = torch.tensor([1.0, -1.0], dtype=torch.float64)
"""In pictures y points down."""


class FittedBody(NamedTuple):
    """A body, and where a map shows it."""

    shape: BodyShape
    rotations: FloatArray
    """[21, 3] axis-angle of the joints, radians."""
    orientation: FloatArray
    """[3] axis-angle of the whole, y up, z towards the camera."""
    vertices: NDArray[np.intp]
    """[N] vertices of the skin that the map shows."""
    places: FloatArray
    """[N, 2] the pixels (x, y) that show them."""
    size: tuple[int, int]
    """Height and width of the map, as it was read."""


def fit_body(
    iuv: NDArray[np.uint8], name: str, joints: Mapping[str, FloatArray] | None = None
) -> FittedBody:
    """Fit a body to an IUV map, uint8 [H, W, 3] (I, U, V); a large one is read smaller.

    joints: where some of JOINTS are, (x, y) in pixels of the map; the body is then of usual build,
    for a map that was made of them does not tell it.

    Raises InputError, in which the map is called `name`, where it shows too little of a body.
    """
    step = -(-max(iuv.shape[:2]) // _LONGEST)
    iuv = iuv[::step, ::step]
    vertices, places = _match(iuv)
    seen = np.unique(vertices)
    skin = load_skin()
    trunk = skin.canonical[seen[skin.segment[seen] == SEGMENTS.index("torso")], 1]
    if len(seen) < _LEAST or len(trunk) < 2 or np.ptp(np.quantile(trunk, _MOST)) < _LEAST_OF_TRUNK:
        raise InputError(
            f"{name} shows too little of its body to be measured: leave out --fit-body"
        )
    problem = _Problem(vertices, places, {k: at / step for k, at in (joints or {}).items()})
    with limit_threads():  # and by "lm", whose steps start no threads either
        found = least_squares(
            problem.measure,
            problem.start(),
            problem.differentiate,
            method="lm",
            max_nfev=_MOST_STEPS,
        )
    if problem.measure_distance(found.x) > _FARTHEST:
        raise InputError(f"no body fits the map of {name}: leave out --fit-body")
    body = BodyVector.split(torch.from_numpy(found.x))
    return FittedBody(
        make_shape(body.shape.numpy()),
        body.rotations.numpy().astype(np.float32),
        body.orientation.numpy().astype(np.float32),
        vertices,
        places,
        iuv.shape[:2],
    )


def draw_fitted_map(pose: FittedBody, shape: BodyShape) -> NDArray[np.uint8]:
    """The IUV map of a body of another shape in a fitted pose, uint8 [H, W, 3] of the pose's size.

    It stands as it best covers what the map of the pose shows, and leaves the picture only where
    that one's body does.
    """
    own, other = (_place(pose, one) for one in (pose.shape, shape))
    return render_placed_map(_keep_inside(other, own, pose.size), *pose.size)


def _place(pose: FittedBody, shape: BodyShape) -> FloatArray:
    posed = pose_vertices(shape, pose.rotations)
    turned = Rotation.from_rotvec(pose.orientation).apply(posed)
    return place_alike(turned, pose.vertices, pose.places)


def place_alike(turned: FloatArray, vertices: NDArray[np.intp], places: FloatArray) -> FloatArray:
    """Scale and shift a body so that some of its vertices lie near the places [N, 2] of a map.

    turned: [V, 3] metres, as the camera sees it. Returns [V, 3], x right and y down in pixels, z
    towards the camera.
    """
    seen = turned * np.array([1, -1, 1])
    those = seen[vertices, :2]
    middle, goal = those.mean(0), places.mean(0)
    scale = ((those - middle) * (places - goal)).sum() / np.square(those - middle).sum()
    seen = seen * scale
    seen[:, :2] += goal - middle * scale
    return np.asarray(seen, np.float32)


def _keep_inside(seen: FloatArray, own: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Make a placed body smaller, and move it, until it leaves a picture of a size (H, W) at no
    side but where the pose's own does.
    """
    room = np.array(size[::-1])
    first, last = own[:, :2].min(0), own[:, :2].max(0)
    low = np.where(first < -_CUT * room, -np.inf, np.minimum(first, _EDGE * room))
    high = np.where(last > (1 + _CUT) * room, np.inf, np.maximum(last, (1 - _EDGE) * room))
    first, last = seen[:, :2].min(0), seen[:, :2].max(0)
    factor = min(1, ((high - low) / (last - first)).min())
    middle = (first + last) / 2
    placed = seen * factor
    placed[:, :2] += middle * (1 - factor)
    first, last = middle - (last - first) / 2 * factor, middle + (last - first) / 2 * factor
    placed[:, :2] += np.maximum(low - first, 0) - np.maximum(last - high, 0)
    return np.asarray(placed, np.float32)


@cache
def _load_chart() -> tuple[KDTree, NDArray[np.intp]]:
    """The vertices of the skin that can be seen, to be found by what a map says of them."""
    skin, seen = load_skin(), find_seen_vertices()
    iuv = np.stack(find_densepose_uv(skin.segment[seen], skin.canonical[seen]), 1)
    return KDTree(iuv * (_UNITS, 1, 1)), seen


def _match(iuv: NDArray[np.uint8]) -> tuple[NDArray[np.intp], FloatArray]:
    """Some pixels of a map: the vertices they show, [N], and their places, [N, 2] (x, y).

    Of small parts there are more than their share.
    """
    label = iuv[..., 0]
    roots = np.sqrt(np.bincount(label.ravel(), minlength=PARTS + 1)[1 : PARTS + 1])
    pixels = []
    for part, root in enumerate(roots, 1):
        here = np.flatnonzero(label == part)
        count = min(round(_POINTS * root / roots.sum()), len(here)) if len(here) else 0
        pixels.append(here[np.linspace(0, len(here) - 1, count).astype(int)])
    y, x = np.unravel_index(np.concatenate(pixels), label.shape)
    tree, vertices = _load_chart()
    _, nearest = tree.query(iuv[y, x] * (_UNITS, 1, 1), distance_upper_bound=_NEAR)
    near = nearest < len(vertices)
    return vertices[nearest[near]], np.stack([x, y], 1)[near] + 0.5


class _Problem:
    """What is to be small."""

    def __init__(
        self, vertices: NDArray[np.intp], places: FloatArray, joints: Mapping[str, FloatArray]
    ) -> None:
        self._body = SkinnedBody(vertices)
        self._joints = [JOINTS.index(name) + 1 for name in joints]  # after the pelvis
        goals = [places, *(np.array([at], float) for at in joints.values())]
        self._goals = torch.from_numpy(np.concatenate(goals))
        self._places = self._goals[: len(places)]
        spread = [_SPREAD] * len(places) + [_SPREAD_OF_JOINTS] * len(joints)
        self._size = float(np.ptp(places, axis=0).max())
        self._off = torch.tensor(spread, dtype=torch.float64)[:, None] * self._size
        self._mean, self._spread = _load_prior()
        if joints:
            self._spread = self._spread.clone()
            BodyVector.split(self._spread).shape.mul_(_USUAL)

    def start(self) -> FloatArray:
        """The likeliest pose, from the side and as large as it fits best."""
        tried = [self._look_from(turn) for turn in np.arange(_SIDES) * 2 * np.pi / _SIDES]
        return min(tried, key=lambda x: float(np.square(self.measure(x)).sum()))

    def _look_from(self, turn: float) -> FloatArray:
        """The likeliest pose turned about the vertical, rolled, scaled and shifted as fits best."""
        x = self._mean.clone()
        body = BodyVector.split(x)
        side = Rotation.from_euler("y", turn)
        body.orientation[:] = torch.from_numpy(side.as_rotvec())
        goal = self._places.mean(0)
        seen = self._body.pose(body)[0][:, :2] * _DOWN
        # The best roll and scale of points of the plane, as complex numbers, is one quotient.
        flat, aim = (
            torch.view_as_complex((points - points.mean(0)).contiguous())
            for points in (seen, self._places)
        )
        factor = (flat.conj() * aim).sum() / flat.abs().square().sum()
        roll = Rotation.from_euler("z", -float(factor.angle()))
        body.orientation[:] = torch.from_numpy((roll * side).as_rotvec())
        body.scale[:] = factor.abs().log()
        seen = self._body.pose(body)[0][:, :2] * _DOWN
        body.shift[:] = goal - seen.mean(0) * factor.abs()
        return np.asarray(x.numpy())

    def measure_distance(self, x: FloatArray) -> float:
        """How far off the vertices lie, the median, in longer sides of what the map shows."""
        body = BodyVector.split(torch.from_numpy(x))
        return float((self._see(body)[0] - self._goals).norm(dim=1).median()) / self._size

    def measure(self, x: FloatArray) -> FloatArray:
        return np.asarray(self._measure(torch.from_numpy(x)).numpy())

    def differentiate(self, x: FloatArray) -> FloatArray:
        with torch.no_grad():
            slopes = torch.func.jacfwd(self._measure)(torch.from_numpy(x))
        return np.asarray(slopes.numpy())

    def _see(self, body: BodyVector) -> tuple[Tensor, Tensor]:
        """Places in the picture of vertices and joints, and the vertices' normals."""
        posed, normals, joints = self._body.pose(body)
        points = torch.cat([posed, joints[self._joints]])
        return points[:, :2] * _DOWN * body.scale.exp() + body.shift, normals

    def _measure(self, x: Tensor) -> Tensor:
        body = BodyVector.split(x)
        seen, normals = self._see(body)
        off = (seen - self._goals) / self._off
        # What is far off counts less: as the root of its distance.
        off = off / (1 + off.square().sum(1, keepdim=True) / 9) ** 0.25
        away = (_FACING - normals[:, 2]).clamp(min=0) / _FACING_SPREAD
        girths = body.shape[BETAS:][: len(_SHARED)]
        apart = (girths - girths.mean()) / _APART
        return torch.cat([off.flatten(), away, apart, (x - self._mean) / self._spread])


@cache
def _load_prior() -> tuple[Tensor, Tensor]:
    """Mean and spread of a body's parameters, [88] each: it stands, or is as in the gallery."""
    poses = np.stack([read_gallery(name).rotations for name in list_gallery()])
    standing = read_gallery(_STANDING).rotations
    free = np.full(3, 1e3)
    girths = np.array([_GIRTHS[name] for name in GIRTHS]).T
    mean = [standing.ravel(), np.zeros(3), np.zeros(BETAS), girths[0], np.zeros(3)]
    spread = [
        np.maximum(np.sqrt(np.square(poses - standing).mean(0)), _LEAST_TURN).ravel(),
        free,
        np.ones(BETAS),
        girths[1],
        free,
    ]
    return torch.from_numpy(np.concatenate(mean)), torch.from_numpy(np.concatenate(spread))
