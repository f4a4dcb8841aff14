"""A rendered body lies on DensePose's charts, as maps that DensePose made of photos have them."""

from functools import cache

import numpy as np
import pytest

from mcld.body.densepose import find_densepose_uv
from mcld.body.parameters import read_gallery
from mcld.body.pose_map import draw_pose_map
from mcld.body.shape import load_skin
from mcld.surface.charts import chart_masks
from tests.surface.test_limb_charts import MEASURED

# Forearms are bent in those photos.
BENT = (19, 20, 21, 22)
FEET = {5: ((0.12, 0.93), (0.99, 0)), 6: ((-0.06, -0.91), (-0.97, 0))}
HEAD = {23: ((1, 0), (0, -1)), 24: ((1, 0), (0, -1))}


@cache
def standing(turn: float, pitch: float) -> np.ndarray:
    return draw_pose_map(read_gallery("standing"), turn, pitch)


def find_gradients(iuv: np.ndarray, part: int) -> list[np.ndarray]:
    """Mean gradients (x, y) of U and V over a part, of unit length."""
    label = iuv[..., 0]
    inside = (label[1:-1, 1:-1] == part) & (label[1:-1, 2:] == part) & (label[1:-1, :-2] == part)
    inside &= (label[2:, 1:-1] == part) & (label[:-2, 1:-1] == part)
    means = []
    for channel in (1, 2):
        value = iuv[..., channel].astype(float)
        across = (value[1:-1, 2:] - value[1:-1, :-2])[inside]
        down = (value[2:, 1:-1] - value[:-2, 1:-1])[inside]
        smooth = (np.abs(across) < 40) & (np.abs(down) < 40)  # no seam of the chart between
        mean = np.array([across[smooth].mean(), down[smooth].mean()])
        means.append(mean / np.linalg.norm(mean))
    return means


@pytest.mark.parametrize("part", [*MEASURED, *FEET, *HEAD])
def test_u_and_v_run_in_pictures_as_densepose_has_them(part):
    if part in MEASURED:
        *measured, view = MEASURED[part]
    else:
        measured, view = (FEET | HEAD)[part], "front"
    turn, pitch = 0.0 if view == "front" else 180.0, 0.0
    if part in FEET:  # photos show feet from above; the figure's point outwards
        turn, pitch = {5: -15.0, 6: 15.0}[part], 30.0
    found = find_gradients(standing(turn, pitch), part)
    for ours, theirs in zip(found, measured, strict=True):
        cosine = ours @ np.array(theirs) / np.linalg.norm(theirs)
        assert cosine > (0.6 if part in BENT else 0.8)


def test_the_skin_lies_inside_the_charts():
    rng = np.random.default_rng(0)
    skin = load_skin()
    corners = skin.faces[rng.integers(0, len(skin.faces), 20_000)]
    share = rng.dirichlet((1, 1, 1), len(corners))
    position = np.einsum("nk,nkd->nd", share, skin.canonical[corners]).astype(np.float32)
    part, u, v = find_densepose_uv(skin.segment[corners[:, 0]], position)
    row, column = (255 - v.astype(int)) * 199 // 255, u.astype(int) * 199 // 255
    near = np.zeros(len(part), bool)  # an edge runs through a pixel
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            place = np.clip(row + down, 0, 199), np.clip(column + right, 0, 199)
            near |= chart_masks()[part - 1, *place]
    assert near.mean() > 0.999
    for label in range(1, 25):  # and fills them
        chart = chart_masks()[label - 1]
        here = part == label
        seen = np.zeros((10, 10), bool)
        seen[row[here] // 20, column[here] // 20] = True
        used = chart.reshape(10, 20, 10, 20).mean((1, 3)) > 0.5
        assert (seen & used).sum() > 0.6 * used.sum(), label


def test_front_and_back_meet_along_the_sides():
    """Where a part borders on its other side, both say nearly the same height on the limb."""
    iuv = draw_pose_map(read_gallery("standing-left"))
    label, u = iuv[..., 0].astype(int), iuv[..., 1].astype(float)
    for front, back in ((14, 12), (10, 8)):
        pairs = (label[:, :-1] == front) & (label[:, 1:] == back)
        pairs |= (label[:, :-1] == back) & (label[:, 1:] == front)
        rows, columns = np.nonzero(pairs)
        assert len(rows) > 50
        is_front = label[rows, columns] == front
        one = np.where(is_front, u[rows, columns], u[rows, columns + 1])
        other = np.where(is_front, u[rows, columns + 1], u[rows, columns])
        assert abs(np.corrcoef(one, other)[0, 1]) > 0.97
