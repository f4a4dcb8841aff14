"""A pose in another person's proportions is nearer to that person in that pose."""

from dataclasses import replace

import numpy as np
import pytest

from mcld.body.pose import Pose
from mcld.body.render import render
from mcld.body.shape import BodyShape, pose_vertices
from mcld.errors import InputError
from mcld.estimators.body.estimator import find_places
from mcld.estimators.body.fit import LandmarkedPose, fit_pose, measure_build
from mcld.mannequin.world import pose

SLIGHT = BodyShape("", (0.0,) * 10, 0.92, 0.85, 0.8, 0.9, 0, 0, 0.82, 0.8, 0, 0, head=1.0)
HEAVY = replace(
    SLIGHT, shoulders=1.12, chest=1.2, waist=1.35, hips=1.2, belly=0.05, legs=1.3, arms=1.3
)
CHILD = replace(SLIGHT, betas=(-2.0, 1.5, *(0.0,) * 8), head=1.6)
STANCES = [replace(pose(6, 2, k), fill=0.85, shift=(0.0, 0.0)) for k in (0, 1, 3)]


def photograph(shape: BodyShape, stance: Pose) -> LandmarkedPose:
    atlas = np.full((24, 2, 2, 3), (0.7, 0.5, 0.4), np.float32)
    vertices = pose_vertices(shape, stance.rotation_array())
    image, iuv = render(vertices, atlas, (0.9, 0.92, 0.95), stance, 512, 352)
    places = find_places(image)
    assert places is not None
    return LandmarkedPose(iuv, places)


def measure_overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the pixels of either figure that show the same part in both."""
    same = (one[..., 0] == other[..., 0]) & (one[..., 0] > 0)
    return float(same.sum() / ((one[..., 0] > 0) | (other[..., 0] > 0)).sum())


@pytest.mark.parametrize(("person", "driver"), [(HEAVY, SLIGHT), (SLIGHT, HEAVY), (SLIGHT, CHILD)])
def test_a_fitted_pose_is_nearer_the_truth(person, driver):
    source = photograph(person, STANCES[0])
    gains = []
    for stance in STANCES[1:]:
        driven, truth = photograph(driver, stance), photograph(person, stance)
        fitted = fit_pose(driven, source)
        gains.append(measure_overlap(fitted, truth.iuv) - measure_overlap(driven.iuv, truth.iuv))
    assert np.mean(gains) > 0.02, gains


def test_a_pose_of_the_same_build_stays_as_it_is():
    source = photograph(SLIGHT, STANCES[0])
    driven = photograph(SLIGHT, STANCES[1])
    assert measure_overlap(fit_pose(driven, source), driven.iuv) > 0.85


def test_a_build_is_measured_in_the_trunks_height():
    near = photograph(HEAVY, STANCES[0])
    far = LandmarkedPose(near.iuv[::2, ::2], near.places / 2)
    one, other = measure_build(*near), measure_build(*far)
    for name, value in one.widths.items():
        assert other.widths[name] == pytest.approx(value, rel=0.1)
    assert one.lengths == pytest.approx(other.lengths)
    assert (
        one.widths["trunk"] > 1.15 * measure_build(*photograph(SLIGHT, STANCES[0])).widths["trunk"]
    )


def test_without_a_trunk_nothing_is_measured():
    face = np.zeros((64, 64, 3), np.uint8)
    face[10:50, 10:50, 0] = 23
    with pytest.raises(InputError, match="trunk is not seen"):
        measure_build(face, np.random.default_rng(0).random((33, 3)) * 64)
