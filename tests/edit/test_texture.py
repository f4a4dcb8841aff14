"""Texture maps cut apart and sewn together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt

from mcld.edit.texture import (
    GROUPS,
    SEAM,
    fill_group,
    find_pieces,
    group_mask,
    sew,
    shows,
    trim_rims,
)
from mcld.surface.charts import smpl_borders, smpl_labels, smpl_mirror
from mcld.surface.parts import ARMS, HEAD, TORSO


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    """A map that shows all of a body of one colour."""
    return np.where(smpl_labels()[..., None] > 0, colour, 0).astype(np.uint8)


RED, BLUE = plain((200, 40, 40)), plain((40, 40, 200))


@settings(max_examples=15, deadline=None)
@given(st.sets(st.sampled_from(list(GROUPS)), min_size=1), st.integers(0, 2**32 - 1))
def test_what_is_taken_is_the_donors_and_the_rest_is_untouched(groups, seed):
    noise = np.random.default_rng(seed).integers(1, 255, RED.shape)
    source = np.where(RED.any(axis=-1, keepdims=True), noise, 0).astype(np.uint8)
    mixed = sew(source, [(BLUE, group) for group in groups])
    inside = group_mask(sorted(groups))
    np.testing.assert_array_equal(mixed[~inside], source[~inside])
    away = distance_transform_edt(~borders(groups, set(GROUPS) - groups))
    np.testing.assert_array_equal(mixed[inside & (away > SEAM)], BLUE[inside & (away > SEAM)])


def borders(groups: set[str], others: set[str]) -> np.ndarray:
    """The texels of groups that lie beside others on the body."""
    found = np.zeros(smpl_labels().shape, bool)
    parts, beside = (
        {label for name in names for label in GROUPS[name]} for names in (groups, others)
    )
    for (label, other), pixels in smpl_borders().items():
        found.flat[pixels] |= label in parts and other in beside
    return found & group_mask(sorted(groups))


@pytest.mark.parametrize(
    ("group", "beside"),
    [("head", "upper"), ("hands", "upper"), ("feet", "lower"), ("lower", "feet")],
)
def test_a_seam_goes_over_softly_where_the_body_goes_on(group, beside):
    mixed = sew(RED, [(BLUE, group)])
    border = borders({group}, {beside})
    # Neck, wrists and ankles, which lie apart from their neighbours in the layout.
    assert border.sum() > 40
    away = np.where(group_mask([group]), distance_transform_edt(~border), np.inf)
    redness = [mixed[np.rint(away) == d][:, 0].mean() for d in range(SEAM + 1)]
    assert redness == sorted(redness, reverse=True)
    assert redness[0] == 200
    assert redness[3] == pytest.approx(120, abs=25)
    fingertips = group_mask([group]) & (
        distance_transform_edt(~borders({group}, set(GROUPS))) > SEAM
    )
    assert (mixed[fingertips] == (40, 40, 200)).all()


def test_two_donors_meet_without_what_was_there_before():
    green = plain((40, 200, 40))
    mixed = sew(RED, [(BLUE, "upper"), (green, "lower")])
    hips = borders({"lower"}, {"upper"}) | borders({"upper"}, {"lower"})
    near = (distance_transform_edt(~hips) <= SEAM) & group_mask(["upper", "lower"])
    near &= distance_transform_edt(~borders({"upper", "lower"}, {"head", "hands", "feet"})) > SEAM
    assert near.sum() > 1000
    assert mixed[near][:, 0].max() == 40


def test_one_donor_has_no_seams_however_often_they_were_read():
    mixed = sew(RED, [(BLUE, "upper"), (BLUE.copy(), "lower"), (BLUE, "hands")])
    hips = borders({"lower"}, {"upper"}) | borders({"upper"}, {"lower", "hands"})
    assert (mixed[hips] == (40, 40, 200)).all()


def test_a_hole_is_filled_from_the_mirror_image_first():
    labels = smpl_labels()
    photo = np.random.default_rng(0).integers(50, 255, RED.shape).astype(np.uint8)
    photo[labels == 0] = 0
    shown = photo.copy()
    left = np.isin(labels, ARMS[0::2])
    shown[left] = 0
    filled = fill_group(shown, "upper")
    np.testing.assert_array_equal(filled[left], photo.reshape(-1, 3)[smpl_mirror()][left])
    np.testing.assert_array_equal(filled[~left], shown[~left])


def test_what_neither_side_shows_takes_the_groups_own_colours_and_is_never_black():
    labels = smpl_labels()
    shown = np.where(np.isin(labels, (9, 10))[..., None], BLUE, 0).astype(
        np.uint8
    )  # thighs' fronts
    filled = fill_group(shown, "lower")
    legs = group_mask(["lower"])
    assert filled[legs].any(axis=-1).all()
    assert np.abs(filled[legs].astype(int) - (40, 40, 200)).max() <= 1
    assert not filled[~legs].any()


def test_of_what_is_not_seen_at_all_nothing_is_made_up():
    nothing = np.zeros_like(RED)
    np.testing.assert_array_equal(fill_group(nothing, "feet"), nothing)
    assert not shows(nothing, "feet")
    assert shows(RED, "feet")


def test_dark_rims_are_trimmed_off():
    labels = smpl_labels()
    rim = (labels > 0) & ~binary_erosion(labels > 0, iterations=1)
    dark = RED.copy()
    dark[rim] = (20, 4, 4)
    cleaned = trim_rims(dark)
    body = labels > 0
    assert (cleaned[body] == (200, 40, 40)).all(axis=-1).mean() > 0.995
    assert not cleaned[~body].any()


def test_the_dark_line_where_the_two_charts_of_a_face_meet_is_trimmed_off():
    labels = smpl_labels()
    left, right = (binary_dilation(labels == label, iterations=4) for label in (23, 24))
    line = left & right & (distance_transform_edt(np.isin(labels, (23, 24))) > 4)
    assert line.sum() > 1000
    dark = RED.copy()
    dark[line] = (120, 24, 24)
    assert (trim_rims(dark)[line] == (200, 40, 40)).all()


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_has_its_own_place(group):
    others = [name for name in GROUPS if name != group]
    assert group_mask([group]).any()
    assert not (group_mask([group]) & group_mask(others)).any()


@pytest.mark.parametrize(
    ("part", "above"),
    [(11, 7), (12, 8), (13, 9), (14, 10), (19, 15), (20, 16), (21, 17), (22, 18)],
)
def test_up_along_a_shin_or_a_forearm_lies_the_thigh_or_the_upper_arm(part, above):
    [(place, up)] = find_pieces(part)
    labels = smpl_labels()
    while labels[tuple(place.round().astype(int)[::-1])] == part:
        place = place + up
    assert labels[tuple(place.round().astype(int)[::-1])] == above


def test_head_and_torso_stand_upright_in_the_layout():
    for part in HEAD + TORSO:
        for (x, y), up in find_pieces(part):
            assert smpl_labels()[int(y), int(x)] == part
            assert up[1] < -0.9
