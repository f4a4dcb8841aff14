"""A body is fitted to its map, and a pose is drawn in another body's proportions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcld.body.fit import FittedBody, draw_fitted_map, fit_body, place_alike
from mcld.body.parameters import read_gallery
from mcld.body.pose_map import draw_pose_map
from mcld.body.shape import plain_shape, pose_vertices
from mcld.errors import InputError

ADULT = plain_shape((0.5, -0.5, 0.3), head=1.1)
CHILD = plain_shape((-2.0, 1.5, -1.0), head=1.6, legs=1.15, waist=1.15)


def draw(pose, shape, turn=0.0):
    return draw_pose_map(read_gallery(pose), turn, shape=shape)


def agree(one, other):
    """IoU of the silhouettes, and share of the same labels in both."""
    a, b = one[..., 0], other[..., 0]
    both = (a > 0) & (b > 0)
    return both.sum() / ((a > 0) | (b > 0)).sum(), (a == b)[both].mean()


@pytest.mark.parametrize(
    ("pose", "turn"),
    [("walking", 0), ("hand-on-hip", 160), ("arms-up", 30), ("standing-left", 0), ("sitting", 20)],
)
def test_a_body_drawn_as_it_was_fitted_is_the_map(pose, turn):
    iuv = draw(pose, ADULT, turn)
    fitted = fit_body(iuv, "pose.png")
    iou, labels = agree(iuv, draw_fitted_map(fitted, fitted.shape, iuv))
    assert iou > 0.92
    assert labels > 0.93


@pytest.mark.parametrize(("driver", "source"), [(CHILD, ADULT), (ADULT, CHILD)])
def test_a_pose_is_drawn_in_the_proportions_of_another(driver, source):
    iuv, own = draw("waving", driver, 15), draw("walking", source, -20)
    fitted = fit_body(iuv, "pose.png")
    drawn = draw_fitted_map(fitted, fit_body(own, "source.png").shape, iuv)
    turn = Rotation.from_euler("y", 15, degrees=True)
    given = read_gallery("waving")
    orientation = (turn * Rotation.from_rotvec(given.orientation)).as_rotvec()
    known = FittedBody(driver, given.rotations, orientation, fitted.vertices, fitted.places)
    truth = draw_fitted_map(known, source, iuv)
    before, after = agree(truth, iuv), agree(truth, drawn)
    assert after[0] > max(0.88, before[0] + 0.05)
    assert after[1] > max(0.93, before[1])


def test_who_lies_is_fitted_lying():
    iuv = np.ascontiguousarray(np.rot90(draw("standing", ADULT)))
    fitted = fit_body(iuv, "pose.png")
    up = Rotation.from_rotvec(fitted.orientation).apply([0, 1, 0])
    assert up[0] < -0.95
    assert agree(iuv, draw_fitted_map(fitted, fitted.shape, iuv))[0] > 0.9


def test_a_body_stays_in_the_picture_where_that_of_the_pose_does():
    iuv = draw("arms-up", CHILD)[40:-20]
    assert not iuv[[0, -1]].any()
    drawn = draw_fitted_map(fit_body(iuv, "pose.png"), replace(ADULT, head=3.0), iuv)
    assert drawn.any()
    assert not drawn[[0, -1]].any()
    cut = iuv[: len(iuv) // 2]
    assert draw_fitted_map(fit_body(cut, "pose.png"), ADULT, cut)[-1].any()


def test_what_a_map_does_not_show_stands():
    iuv = draw("hands-on-hips", ADULT)
    cut = iuv[: round(len(iuv) * 0.55)]
    fitted = fit_body(cut, "pose.png")
    posed = pose_vertices(fitted.shape, fitted.rotations)
    turned = Rotation.from_rotvec(fitted.orientation).apply(posed)
    placed = place_alike(turned, fitted.vertices, fitted.places)
    assert placed[:, 1].max() > 0.9 * len(iuv)


@pytest.mark.parametrize("part", ["head", "nothing", "a few pixels"])
def test_too_little_of_a_body_is_refused(part):
    iuv = draw("standing", ADULT)
    if part == "head":
        iuv[~np.isin(iuv[..., 0], (23, 24))] = 0
    elif part == "nothing":
        iuv[:] = 0
    else:
        iuv = iuv[::250, ::250]
    with pytest.raises(InputError, match=r"me\.png shows too little of its body to be measured"):
        fit_body(iuv, "me.png")
