"""A body is fitted to its map, and a pose is drawn in another body's proportions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcld.body.fit import draw_fitted_map, fit_body, place_alike
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
    iou, labels = agree(iuv, draw_fitted_map(fitted, fitted.shape))
    assert iou > 0.92
    assert labels > 0.93


@pytest.mark.parametrize(("driver", "source"), [(CHILD, ADULT), (ADULT, CHILD)])
def test_a_pose_is_drawn_in_the_proportions_of_another(driver, source):
    iuv, own = draw("waving", driver, 15), draw("walking", source, -20)
    fitted = fit_body(iuv, "pose.png")
    drawn = draw_fitted_map(fitted, fit_body(own, "source.png").shape)
    turn = Rotation.from_euler("y", 15, degrees=True)
    given = read_gallery("waving")
    orientation = (turn * Rotation.from_rotvec(given.orientation)).as_rotvec()
    known = fitted._replace(shape=driver, rotations=given.rotations, orientation=orientation)
    truth = draw_fitted_map(known, source)
    before, after = agree(truth, iuv), agree(truth, drawn)
    assert after[0] > max(0.88, before[0] + 0.05)
    assert after[1] > max(0.93, before[1])


def test_who_lies_is_fitted_lying():
    iuv = np.ascontiguousarray(np.rot90(draw("standing", ADULT)))
    fitted = fit_body(iuv, "pose.png")
    up = Rotation.from_rotvec(fitted.orientation).apply([0, 1, 0])
    assert up[0] < -0.95
    assert agree(iuv, draw_fitted_map(fitted, fitted.shape))[0] > 0.9


def test_a_body_stays_in_the_picture_where_that_of_the_pose_does():
    iuv = draw("arms-up", CHILD)[40:-20]
    assert not iuv[[0, -1]].any()
    drawn = draw_fitted_map(fit_body(iuv, "pose.png"), replace(ADULT, head=3.0))
    assert drawn.any()
    assert not drawn[[0, -1]].any()


def test_what_is_beyond_the_edge_makes_nobody_smaller():
    iuv = draw("hands-on-hips", CHILD)
    cut = iuv[: round(len(iuv) * 0.55)]
    fitted = fit_body(cut, "pose.png")
    drawn = draw_fitted_map(fitted, replace(ADULT, betas=(5.0, *ADULT.betas[1:])))
    assert drawn[-1].any()
    posed = pose_vertices(replace(ADULT, betas=(5.0, *ADULT.betas[1:])), fitted.rotations)
    turned = Rotation.from_rotvec(fitted.orientation).apply(posed)
    placed = place_alike(turned, fitted.vertices, fitted.places)
    assert np.nonzero(drawn[..., 0])[0].min() == pytest.approx(placed[:, 1].min(), abs=3)


def test_who_is_broad_where_it_is_seen_is_broad_where_it_is_not():
    broad = plain_shape(chest=1.3, waist=1.4, hips=1.3, shoulders=1.2, arms=1.3, legs=1.3)
    iuv = draw("standing", broad)
    fitted = fit_body(iuv[: round(len(iuv) * 0.45)], "me.png")
    assert fitted.shape.legs > 1.1


def test_a_large_map_is_read_smaller():
    iuv = draw("waving", ADULT)
    large = iuv.repeat(3, 0).repeat(3, 1)
    fitted = fit_body(large, "pose.png")
    assert fitted.size == (1024, 704)
    assert agree(iuv, draw_fitted_map(fitted, fitted.shape))[0] > 0.92


def test_what_a_map_does_not_show_stands():
    iuv = draw("hands-on-hips", ADULT)
    cut = iuv[: round(len(iuv) * 0.55)]
    fitted = fit_body(cut, "pose.png")
    posed = pose_vertices(fitted.shape, fitted.rotations)
    turned = Rotation.from_rotvec(fitted.orientation).apply(posed)
    placed = place_alike(turned, fitted.vertices, fitted.places)
    assert placed[:, 1].max() > 0.9 * len(iuv)


def keep_head(iuv):
    return np.where(np.isin(iuv[..., :1], (23, 24)), iuv, 0)


def keep_nothing(iuv):
    return iuv * 0


def keep_some_pixels(iuv):
    return iuv[400:440:8, 330:370:8]


def keep_collar(iuv):
    trunk = np.flatnonzero((iuv[..., 0] == 2).any(1))
    iuv[trunk[0] + 8 :] = 0
    return iuv


def keep_one_point(iuv):
    patch = np.zeros_like(iuv)
    patch[500:506, 300:308] = 2, 128, 128
    return patch


@pytest.mark.parametrize(
    "keep", [keep_head, keep_nothing, keep_some_pixels, keep_collar, keep_one_point]
)
def test_too_little_of_a_body_is_refused(keep):
    with pytest.raises(InputError, match=r"me\.png shows too little of its body to be measured"):
        fit_body(keep(draw("standing", ADULT)), "me.png")
