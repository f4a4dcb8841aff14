import numpy as np
from UVTextureConverter import Atlas2Normal

from mcld.surface.charts import (
    CHART_SIZE,
    NOWHERE,
    TEXTURE_SIZE,
    chart_masks,
    find_texels,
    smpl_borders,
    smpl_gather,
    smpl_labels,
    smpl_mirror,
)
from mcld.surface.parts import PARTS


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


def test_a_pixel_of_the_map_is_found_again_through_its_u_and_v() -> None:
    part, place = np.divmod(smpl_gather()[smpl_labels() > 0], CHART_SIZE**2)
    row, column = np.divmod(place, CHART_SIZE)
    # The smallest bytes whose pixel this is.
    u, v = -(-column * 255 // (CHART_SIZE - 1)), 255 - -(-row * 255 // (CHART_SIZE - 1))
    iuv = np.stack([part + 1, u, v], axis=-1).astype(np.uint8)[None]
    found = np.stack(np.unravel_index(find_texels(iuv)[0], smpl_labels().shape), axis=-1)
    # Neighbouring pixels of the layout may show one place of the atlas, and seams show some twice.
    away = np.abs(found - np.argwhere(smpl_labels() > 0)).max(axis=-1)
    assert (away <= 3).mean() > 0.98


def test_the_mirror_image_of_the_mirror_image_is_near_and_of_the_same_part() -> None:
    labels, mirror = smpl_labels().ravel(), smpl_mirror().ravel()
    partners = {k: k - 1 + 2 * (k % 2) for k in range(3, 25)} | {1: 1, 2: 2, 0: 0}
    assert (labels[mirror] == np.vectorize(partners.get)(labels)).all()
    body = np.flatnonzero(labels)
    back = np.stack(np.unravel_index(mirror[mirror[body]], smpl_labels().shape), axis=-1)
    there = np.stack(np.unravel_index(body, smpl_labels().shape), axis=-1)
    distance = np.abs(back - there).max(axis=-1)
    assert np.median(distance) <= 2
    assert np.quantile(distance, 0.9) <= 12


def test_left_and_right_lie_where_each_others_mirror_images_do() -> None:
    # The layout shows the torso's front upright, its middle at column 161.
    rows, columns = np.nonzero(smpl_labels() == 2)
    right = (columns > 175) & (columns < 250)
    mirrored = np.unravel_index(smpl_mirror()[rows[right], columns[right]], (512, 512))
    assert np.median(np.abs(mirrored[1] - (322 - columns[right]))) <= 4
    assert np.median(np.abs(mirrored[0] - rows[right])) <= 8


def test_parts_meet_where_they_do_on_a_body() -> None:
    borders = smpl_borders()
    touching = {frozenset(pair) for pair in borders}
    assert {frozenset(pair) for pair in ((1, 23), (21, 4), (12, 5), (1, 2))} <= touching
    assert not {frozenset(pair) for pair in ((3, 4), (5, 6), (3, 23), (5, 1))} & touching
    for (label, other), pixels in borders.items():
        assert (other, label) in borders
        assert (smpl_labels().ravel()[pixels] == label).all()
