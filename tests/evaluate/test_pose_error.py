"""The pose of a result beside the one that was asked for."""

import numpy as np
import pytest

from mcld.estimators.body.estimator import EmbeddedPose
from mcld.estimators.body.landmarks import PhotoLandmarks
from mcld.evaluate.pose_error import JOINTS, compare_maps, measure_pckh
from mcld.mannequin.world.people import photograph


def squares(*boxes: tuple[int, int, int]) -> np.ndarray:
    """A map of 256x176 with squares of 40 pixels: (label, row, column)."""
    iuv = np.zeros((256, 176, 3), np.uint8)
    for label, row, column in boxes:
        iuv[row : row + 40, column : column + 40] = label, 100, 50
    return iuv


def test_an_equal_map_has_no_error_and_one_of_nobody_has_no_overlap():
    wanted = squares((1, 10, 10), (23, 100, 100))
    assert compare_maps(wanted, wanted) == {"pose_iou": 1.0, "pose_uv": 0.0}
    assert compare_maps(wanted, None) == {"pose_iou": 0.0}
    assert compare_maps(wanted, wanted * 0) == {"pose_iou": 0.0}
    assert compare_maps(wanted * 0, wanted) == {}


def test_overlap_is_the_mean_over_the_parts_that_the_target_shows():
    wanted = squares((1, 10, 10), (23, 100, 100))
    found = squares((1, 10, 30), (23, 100, 100), (5, 200, 10))  # one moved by half, one too many
    assert compare_maps(wanted, found)["pose_iou"] == pytest.approx((1 / 3 + 1) / 2)
    found = squares((1, 10, 10))
    assert compare_maps(wanted, found)["pose_iou"] == pytest.approx(1 / 2)


def test_a_part_of_a_few_pixels_does_not_count():
    wanted, found = squares((1, 10, 10)), squares((1, 10, 10))
    wanted[200:205, 100:105] = 3, 0, 0
    assert compare_maps(wanted, found)["pose_iou"] == 1
    wanted[200:210, 100:110] = 3, 0, 0
    assert compare_maps(wanted, found)["pose_iou"] == pytest.approx(1 / 2)


def test_u_and_v_are_compared_where_labels_agree():
    wanted, found = squares((1, 10, 10), (23, 100, 100)), squares((1, 10, 10), (24, 100, 100))
    found[found[..., 0] == 1, 1] += 51  # 0.2
    found[found[..., 0] == 24, 2] = 255
    assert compare_maps(wanted, found)["pose_uv"] == pytest.approx(0.1)


def landmarks(places: np.ndarray) -> PhotoLandmarks:
    return PhotoLandmarks(places.astype(np.float32), np.ones(33), np.ones(33, bool))


def test_keypoints_are_right_within_half_the_heads_size():
    places = np.random.default_rng(0).uniform(0, 200, (33, 2))
    places[[7, 8]], places[[11, 12]] = ((90, 20), (110, 20)), ((70, 60), (130, 60))
    truth = landmarks(places)  # the middle of the ears is 40 above that of the shoulders
    assert measure_pckh(truth, truth) == 1
    assert measure_pckh(truth, landmarks(places + (12, 15.9))) == 1  # noqa: RUF005 - numbers
    assert measure_pckh(truth, landmarks(places + (12, 16.1))) == 0  # noqa: RUF005
    moved = places.copy()
    moved[[15, 16, 0]] += 30  # two wrists, and the nose, which is no joint
    assert measure_pckh(truth, landmarks(moved)) == pytest.approx(10 / 12)
    unseen = truth._replace(visibility=np.where(np.isin(np.arange(33), (15, 16)), 0.1, 1.0))
    assert measure_pckh(unseen, landmarks(moved)) == 1
    outside = truth._replace(inside=~np.isin(np.arange(33), (15,)))
    assert measure_pckh(outside, landmarks(moved)) == pytest.approx(10 / 11)


def test_of_a_truth_without_a_person_there_is_no_number_and_a_result_without_one_has_none_right():
    truth = landmarks(np.zeros((33, 2)))
    assert measure_pckh(None, truth) is None
    assert measure_pckh(truth._replace(inside=np.zeros(33, bool)), truth) is None
    assert measure_pckh(truth, None) == 0


def test_the_house_reader_finds_another_pose_to_be_one():
    reader = EmbeddedPose()
    (image, iuv), (other, _) = (photograph(1, 4, k, (256, 176)) for k in (0, 2))
    truth = reader.read_landmarks(image)
    assert truth is not None
    assert truth.places[list(JOINTS)][truth.inside[list(JOINTS)]].max() < 256
    moved = np.roll(image, 3, axis=1)
    right, wrong = (measure_pckh(truth, reader.read_landmarks(p)) for p in (moved, other))
    assert right > 0.9 > wrong
    own, theirs = (compare_maps(iuv, p and p.iuv) for p in reader.estimate([image, other]))
    assert own["pose_iou"] > theirs["pose_iou"]
    assert reader.read_landmarks(np.full((256, 176, 3), 200, np.uint8)) is None
    assert reader.read_landmarks(image[:8, :8]) is None
