"""A garment in another colour."""

import numpy as np
import pytest

from mcld.edit.recolor import recolor
from mcld.edit.texture import group_mask
from mcld.errors import InputError
from mcld.surface.charts import smpl_labels
from mcld.surface.parts import ARMS, HANDS, HEAD, TORSO

SKIN = (224, 172, 140)


def wearing(colour: tuple[int, int, int]) -> np.ndarray:
    """A shirt without sleeves: bare arms, hands and face."""
    labels = smpl_labels()
    texture = np.zeros((*labels.shape, 3), np.uint8)
    texture[np.isin(labels, (*ARMS, *HANDS, *HEAD))] = SKIN
    texture[np.isin(labels, TORSO)] = colour
    return texture


@pytest.mark.parametrize("old", [(160, 30, 40), (235, 235, 235), (25, 25, 30), (90, 120, 90)])
@pytest.mark.parametrize("new", [(128, 48, 32), (20, 30, 120), (240, 240, 230)])
def test_a_plain_garment_takes_the_colour_that_was_asked_for(old, new):
    changed = recolor(wearing(old), "upper", new)
    shirt = np.isin(smpl_labels(), TORSO)
    right = np.abs(changed[shirt].astype(int) - new).max(axis=-1) <= 3
    assert right.mean() > 0.995  # the layout has stray torso texels among the arms'


def test_bare_arms_keep_their_skin_and_everything_else_stays():
    before = wearing((160, 30, 40))
    changed = recolor(before, "upper", (20, 30, 120))
    bare = ~np.isin(smpl_labels(), TORSO)
    np.testing.assert_array_equal(changed[bare], before[bare])


def test_shading_and_pattern_stay_in_their_order_and_white_stays_white():
    texture = wearing((160, 30, 40))
    shirt = np.argwhere(np.isin(smpl_labels(), TORSO))
    shades = np.linspace(0.5, 1.2, 40)
    for k, shade in enumerate(shades):
        rows = shirt[(shirt[:, 0] // 4) % 60 == k]
        texture[rows[:, 0], rows[:, 1]] = np.clip(np.array((160, 30, 40)) * shade, 0, 255)
    stripes = shirt[(shirt[:, 0] // 4) % 60 == 50]
    texture[stripes[:, 0], stripes[:, 1]] = 255
    changed = recolor(texture, "upper", (30, 40, 150))
    lightness = [
        changed[rows[:, 0], rows[:, 1]].mean()
        for k in range(40)
        if len(rows := shirt[(shirt[:, 0] // 4) % 60 == k])
    ]
    assert (np.diff(lightness) > 0).all()
    inside = stripes[(stripes[:, 0] % 4 > 0) & (stripes[:, 0] % 4 < 3)]
    assert (changed[inside[:, 0], inside[:, 1]] >= 250).all()


def test_prints_and_what_hangs_in_of_other_colours_stay_as_they_are():
    texture = wearing((40, 160, 60))
    shirt = np.isin(smpl_labels(), TORSO)
    columns = np.arange(512)[None] % 60
    dots, trousers = shirt & (columns < 20), shirt & (np.arange(512)[:, None] > 440)
    texture[dots], texture[trousers] = (40, 70, 200), (200, 30, 40)
    changed = recolor(texture, "upper", (90, 20, 110))
    for kept in (dots & ~trousers, trousers):
        np.testing.assert_allclose(changed[kept], texture[kept], atol=1)
    right = np.abs(changed[shirt & ~dots & ~trousers].astype(int) - (90, 20, 110)).max(axis=-1) <= 3
    assert right.mean() > 0.99


def test_the_rim_of_the_trousers_is_no_part_of_the_shirt():
    texture, teal = wearing((120, 160, 215)), (78, 109, 129)  # of nearly the same hue
    rim = np.isin(smpl_labels(), TORSO) & (np.arange(512)[:, None] > 420)
    texture[group_mask(["lower"]) | rim] = teal
    changed = recolor(texture, "upper", (200, 20, 20))
    assert ((changed[rim] == teal).all(axis=-1)).mean() > 0.99
    shirt = np.isin(smpl_labels(), TORSO) & ~rim
    assert (changed[shirt][:, 0] > changed[shirt][:, 2].astype(int) + 100).mean() > 0.99


def test_a_small_vest_of_the_trousers_colour_is_a_garment_beside_bare_arms():
    black = (25, 25, 30)
    texture = wearing(black)
    texture[group_mask(["lower"])] = black
    vest = np.isin(smpl_labels(), TORSO) & (np.arange(512)[:, None] < 300)
    texture[np.isin(smpl_labels(), TORSO) & ~vest] = 0
    assert vest.sum() < np.isin(smpl_labels(), ARMS).sum()
    changed = recolor(texture, "upper", (200, 20, 20))
    assert (np.abs(changed[vest].astype(int) - (200, 20, 20)).max(axis=-1) <= 3).mean() > 0.99


def test_where_only_skin_is_seen_there_is_nothing_to_recolor():
    with pytest.raises(InputError, match="no garment to recolor on hands: only skin"):
        recolor(wearing((160, 30, 40)), "hands", (0, 0, 255))
    with pytest.raises(InputError, match="nothing is seen"):
        recolor(wearing((160, 30, 40)), "lower", (0, 0, 255))


def test_what_is_not_seen_stays_so():
    texture = wearing((10, 10, 10))
    hole = group_mask(["upper"]) & (np.arange(512) > 180)
    texture[hole] = 0
    changed = recolor(texture, "upper", (0, 0, 0))
    assert not changed[hole].any()
    assert changed[np.isin(smpl_labels(), TORSO) & ~hole].any(axis=-1).all()


def test_in_dim_light_grey_clothes_are_no_skin():
    texture = wearing((58, 56, 58))
    texture[np.isin(smpl_labels(), (*ARMS, *HANDS, *HEAD))] = (78, 66, 62)
    changed = recolor(texture, "upper", (200, 0, 0))
    shirt = np.isin(smpl_labels(), TORSO)
    assert (changed[shirt, 0] > 150).mean() > 0.99
    np.testing.assert_array_equal(changed[~shirt], texture[~shirt])
