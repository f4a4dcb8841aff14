"""On the way from one person to another."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mcld.conditions import FocalConditions
from mcld.edit.interpolate import blend_conditions, blend_textures, slerp
from mcld.edit.request import parse_amounts
from mcld.errors import SettingsError

vectors = st.lists(st.floats(-10, 10, allow_nan=False, width=32), min_size=6, max_size=6).map(
    torch.tensor
)
amounts = st.floats(0, 1)


@given(vectors, vectors, amounts)
def test_embeddings_move_from_end_to_end_with_lengths_in_between(a, b, amount):
    torch.testing.assert_close(slerp(a, b, 0.0), a, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(slerp(a, b, 1.0), b, atol=1e-4, rtol=1e-4)
    length, ends = slerp(a, b, amount).norm(), (a.norm(), b.norm())
    assert torch.isfinite(length)
    # Shorter where the two point opposite ways, and the line goes through the middle.
    assert length <= max(ends) + 1e-4
    if torch.cosine_similarity(a, b, dim=0).abs() < 0.99:
        assert length >= min(ends) - 1e-4


def test_the_way_is_an_arc_of_even_steps():
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    for amount in (0.25, 0.5, 0.75):
        x, y = slerp(a, b, amount).tolist()
        assert np.hypot(x, y) == pytest.approx(2 + 2 * amount)
        assert np.arctan2(y, x) == pytest.approx(amount * np.pi / 2)


def test_no_face_fades_in_along_a_straight_line():
    none, face = torch.zeros(4), torch.tensor([1.0, 2.0, 3.0, 4.0])
    torch.testing.assert_close(slerp(none, face, 0.5), face / 2)
    torch.testing.assert_close(slerp(face, -face, 0.25), face / 2)


@pytest.mark.parametrize(
    ("text", "found"),
    [("0:1:3", (0, 0.5, 1)), ("0.25", (0.25,)), ("1:0:2", (1, 0)), ("0.2:0.4:2", (0.2, 0.4))],
)
def test_an_amount_is_a_number_or_a_range(text, found):
    assert parse_amounts(text) == pytest.approx(found)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "0:1",
        "0:1:1",
        "0:1:0",
        "0:2:3",
        "-1:1:3",
        "0:1:3:4",
        "nan",
        "0:1:99",
        "2",
        ".5:.5:3",
    ],
)
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(
        SettingsError, match=r"--amount .*: give one number from 0 to 1, or FROM:TO"
    ):
        parse_amounts(text)


def test_texture_maps_mix_and_at_zero_nothing_changes(shown_bodies):
    a, b = shown_bodies
    body = a.any(axis=-1)
    start, middle, end = blend_textures(a, b, (0.0, 0.5, 1.0))
    assert start is a
    halfway = (a[body].astype(float) + b[body]) / 2
    assert np.abs(middle[body].astype(float) - halfway).max() <= 1
    np.testing.assert_array_equal(end[body], b[body])


def test_the_texture_laid_on_the_pose_is_that_in_between():
    def rows(value: float) -> FocalConditions:
        shapes = ((1, 1, 4), (1, 1, 4), (1, 2, 3, 3), (1, 512), *[(1, 3, 24, 24)] * 4)
        return FocalConditions(*(torch.full(shape, value) for shape in shapes))

    made = blend_conditions(rows(1.0), rows(3.0), rows(2.0), 0.5)
    assert (made.pose == 2).all()
    for seen in (made.warped, made.fine_pose, made.fine_warped):
        assert (seen == 2).all()
    assert (made.reference_latents == 2).all()
    assert blend_conditions(rows(1.0), rows(3.0), rows(1.0), 0).pose.eq(1).all()


@pytest.fixture
def shown_bodies():
    from mcld.surface.charts import smpl_labels

    body = smpl_labels()[..., None] > 0
    return [np.where(body, c, 0).astype(np.uint8) for c in ((200, 40, 40), (40, 40, 200))]
