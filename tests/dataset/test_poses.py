"""A pose is shown in the shape of another picture, and nobody is stretched."""

import numpy as np
import pytest

from mcld.dataset.poses import frame_pose


def person(height, width, rows, columns):
    iuv = np.zeros((height, width, 3), np.uint8)
    iuv[slice(*rows), slice(*columns)] = 2, 100, 200
    return iuv


@pytest.mark.parametrize("size", [(176, 256), (512, 512), (640, 360), (100, 300)])
@pytest.mark.parametrize(
    "iuv",
    [
        person(400, 300, (40, 360), (100, 200)),
        person(300, 900, (30, 290), (700, 780)),
        person(300, 900, (30, 290), (10, 880)),
        person(900, 300, (500, 800), (100, 200)),
    ],
    ids=["upright", "at the right", "wide", "low"],
)
def test_the_whole_body_is_shown_as_it_is(iuv, size):
    framed = frame_pose(iuv, size)
    assert framed.shape[1] / framed.shape[0] == pytest.approx(size[0] / size[1], rel=0.02)
    rows, columns = np.nonzero(framed[..., 0])
    body = np.nonzero(iuv[..., 0])
    assert len(rows) == len(body[0])
    assert np.ptp(rows) == np.ptp(body[0])
    assert np.ptp(columns) == np.ptp(body[1])


def test_a_pose_of_the_same_shape_is_left_alone():
    iuv = person(400, 300, (40, 360), (100, 200))
    assert frame_pose(iuv, (750, 1000)) is iuv
    assert frame_pose(iuv, (750, 1010)) is iuv


@pytest.mark.parametrize(("rows", "touched"), [((100, 300), -1), ((0, 200), 0)])
def test_a_body_that_is_cut_off_stays_at_the_edge(rows, touched):
    framed = frame_pose(person(300, 300, rows, (10, 290)), (100, 200))
    assert framed.shape[0] > 500
    assert framed[touched, :, 0].any()
    assert not framed[-1 - touched, :, 0].any()


def test_a_whole_body_is_in_the_middle_of_the_ground_it_gets():
    framed = frame_pose(person(300, 300, (50, 250), (10, 290)), (100, 200))
    rows = framed[..., 0].any(1).nonzero()[0]
    assert rows.mean() == pytest.approx(len(framed) / 2, abs=2)


def test_where_it_is_cut_a_body_keeps_some_ground_beside_it():
    framed = frame_pose(person(300, 900, (30, 290), (300, 780)), (176, 256))
    columns = framed[..., 0].any(0).nonzero()[0]
    assert columns[0] > 12
    assert framed.shape[1] - columns[-1] > 12


def test_a_very_long_picture_takes_little_memory():
    framed = frame_pose(person(3000, 2000, (100, 2900), (500, 1500)), (16384, 100))
    assert max(framed.shape) <= 4100
    assert framed[..., 0].any()


def test_a_small_person_in_a_wide_picture_is_not_made_smaller():
    framed = frame_pose(person(300, 900, (30, 290), (700, 780)), (176, 256))
    assert framed.shape[0] == 300
    assert framed[..., 0].any(0).nonzero()[0].mean() == pytest.approx(framed.shape[1] / 2, abs=2)
