"""The mannequin world: what is drawn, where its labels lie, and what it depends on."""

import dataclasses
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld.body import shape as body
from mcld.body.pose import JOINTS, Pose
from mcld.body.render import render as render_painted
from mcld.body.render import show_paint
from mcld.mannequin.world import VIEWS, atlas, identity, pose, render

LEFT = (4, 5, 8, 10, 12, 14, 15, 17, 19, 21, 24)
RIGHT = (3, 6, 7, 9, 11, 13, 16, 18, 20, 22, 23)


def standing(turn_degrees: float = 0.0) -> Pose:
    """Arms hanging a little away from the body, turned about the vertical."""
    rotations = np.zeros((21, 3))
    rotations[JOINTS.index("L_Shoulder"), 2] = -1.1
    rotations[JOINTS.index("R_Shoulder"), 2] = 1.1
    as_tuples = tuple((float(x), float(y), float(z)) for x, y, z in rotations)
    return Pose("standing", "front", as_tuples, float(np.radians(turn_degrees)), 0.92, (0.0, 0.0))


@cache
def seen(turn_degrees: float) -> tuple[np.ndarray, np.ndarray]:
    return render(identity(0, 0), standing(turn_degrees))


def middle_column(iuv: np.ndarray, part: int) -> float:
    return float(np.nonzero(iuv[..., 0] == part)[1].mean())


def test_the_same_seed_gives_the_same_bytes() -> None:
    first = render(identity(3, 5), pose(3, 5, 1))
    atlas.paint.cache_clear()
    body.shape_body.cache_clear()
    second = render(identity(3, 5), pose(3, 5, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_people_differ_from_each_other_and_between_seeds() -> None:
    painted = [
        atlas.paint(someone.face, someone.clothes)
        for someone in (identity(0, 0), identity(0, 1), identity(1, 0))
    ]
    for a in range(3):
        for b in range(a):
            assert np.abs(painted[a] - painted[b]).mean() > 0.03


def test_a_front_view_shows_fronts_and_the_persons_left_on_the_right() -> None:
    _, iuv = seen(0.0)
    labels = np.bincount(iuv[..., 0].ravel(), minlength=25)
    assert labels[2] > 1000
    assert labels[1] < 0.02 * labels[2]
    for front, back in ((9, 7), (10, 8), (13, 11), (14, 12), (15, 17), (16, 18)):
        assert labels[front] > 5 * labels[back], (front, back)
    middle = iuv.shape[1] / 2
    assert all(middle_column(iuv, part) > middle for part in LEFT if labels[part])
    assert all(middle_column(iuv, part) < middle for part in RIGHT if labels[part])


def test_a_back_view_shows_backs_and_the_persons_left_on_the_left() -> None:
    _, iuv = seen(180.0)
    labels = np.bincount(iuv[..., 0].ravel(), minlength=25)
    assert labels[1] > 1000
    assert labels[2] < 0.02 * labels[1]
    for front, back in ((9, 7), (10, 8), (13, 11), (14, 12), (15, 17), (16, 18)):
        assert labels[back] > 5 * labels[front], (front, back)
    middle = iuv.shape[1] / 2
    assert all(middle_column(iuv, part) < middle for part in LEFT if labels[part])
    assert all(middle_column(iuv, part) > middle for part in RIGHT if labels[part])


def test_a_side_view_shows_one_half_of_the_head() -> None:
    for turn, shown, hidden in ((90.0, 23, 24), (-90.0, 24, 23)):
        labels = np.bincount(seen(turn)[1][..., 0].ravel(), minlength=25)
        assert labels[shown] > 20 * labels[hidden]


def test_every_part_is_somewhere_to_be_seen() -> None:
    shown = set()
    for turn in (0.0, 90.0, -90.0, 180.0):
        shown |= set(np.unique(seen(turn)[1][..., 0]))
    assert shown == set(range(25))


def test_parts_lie_where_parts_of_a_body_lie() -> None:
    _, iuv = seen(0.0)
    row = {k: float(np.nonzero(iuv[..., 0] == k)[0].mean()) for k in (24, 2, 10, 14, 5, 15, 19, 4)}
    assert row[24] < row[2] < row[10] < row[14] < row[5]
    assert row[15] < row[19] < row[4]


def test_heads_are_a_dolls() -> None:
    for index in range(4):
        front = dataclasses.replace(pose(0, index, 0), turn=0.0)
        _, iuv = render(identity(0, index), front)
        rows, columns = np.nonzero(np.isin(iuv[..., 0], (23, 24)))
        body, _ = np.nonzero(iuv[..., 0])
        assert np.ptp(rows) > 0.21 * np.ptp(body)
        assert np.ptp(columns) > 0.15 * np.ptp(body)


def test_the_background_is_flat_and_the_labels_say_where_it_is() -> None:
    someone = identity(0, 2)
    image, iuv = render(someone, pose(0, 2, 0))
    plain = np.round(np.array(someone.background) * 255).astype(int)
    off = np.abs(image.astype(int) - plain).max(-1) > 1
    inside = iuv[..., 0] > 0
    assert not iuv[~inside].any()
    near = np.zeros_like(inside)  # a pixel at the silhouette is a mixture
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near |= np.roll(inside, (down, right), (0, 1))
    assert not off[~near].any()


def test_the_picture_is_what_the_map_says() -> None:
    """One pure colour for each part, unlit: away from borders each label shows its own colour."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (25, 3)).astype(np.float32)
    atlas = np.ones((24, 8, 8, 3), np.float32) * colours[1:, None, None] / 255
    stance = pose(0, 0, 3)
    vertices = body.pose_vertices(identity(0, 0).body, stance.rotation_array())
    background = (
        float(colours[0, 0]) / 255,
        float(colours[0, 1]) / 255,
        float(colours[0, 2]) / 255,
    )
    image, iuv = render_painted(vertices, atlas, background, stance, 256, 176, show_paint)
    labels = iuv[..., 0]
    core = np.ones(labels.shape, bool)
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)):
        core &= np.roll(labels, (down, right), (0, 1)) == labels
    error = np.abs(image.astype(float) - colours[labels]).max(-1)
    # Where one limb hides behind another, or a joint's gap is narrower than a pixel, rays differ.
    assert (error[core] <= 1).mean() > 0.995


def test_edges_are_smooth_and_labels_are_not() -> None:
    image, iuv = seen(0.0)
    someone = identity(0, 0)
    plain = np.array(someone.background) * 255
    edge = (iuv[..., 0] > 0) ^ np.roll(iuv[..., 0] > 0, 1, 1)
    colours = {tuple(c) for c in np.rint(image[edge] - plain).astype(int)}
    assert len(colours) > 50
    assert iuv[..., 0].max() <= 24


@pytest.mark.parametrize("size", [(64, 48), (101, 77), (128, 96), (176, 256)])
def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    image, iuv = render(identity(0, 1), pose(0, 1, 0), size)
    assert image.shape == iuv.shape == (*size, 3)
    assert image.dtype == iuv.dtype == np.uint8
    assert (iuv[..., 0] > 0).mean() > 0.05


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(0, 10**6), st.integers(0, 15))
def test_everyone_stays_in_the_frame_and_fills_it(seed: int, index: int, picture: int) -> None:
    _, iuv = render(identity(seed, index), pose(seed, index, picture), (96, 66))
    labels = iuv[..., 0]
    assert not labels[[0, -1]].any()
    assert not labels[:, [0, -1]].any()
    rows, columns = np.nonzero(labels)
    tall, wide = np.ptp(rows) / 96, np.ptp(columns) / 66
    assert tall > 0.85 or wide > 0.85
    assert tall > 0.6


def test_a_set_of_pictures_shows_all_sides() -> None:
    views = [pose(0, 4, k).view for k in range(len(VIEWS))]
    assert {"front", "turned", "side", "back"} == set(views)


def test_another_persons_clothes_change_the_picture_but_not_the_map() -> None:
    someone, other, stance = identity(0, 0), identity(0, 1), pose(0, 0, 0)
    image, iuv = render(someone, stance)
    dressed, same = render(dataclasses.replace(someone, clothes=other.clothes), stance)
    assert np.array_equal(iuv, same)
    head = np.isin(iuv[..., 0], (23, 24))
    changed = (image != dressed).any(-1)
    assert changed[np.isin(iuv[..., 0], (1, 2))].mean() > 0.8
    assert changed[head].mean() < 0.1
