"""Regions of a person, cut out by the map."""

import numpy as np
import pytest

from mcld.evaluate.regions import PARTS_OF, SIDE, cut_region
from mcld.mannequin.world.people import photograph
from mcld.surface.parts import PARTS


def test_regions_are_the_whole_body_and_no_part_is_in_two():
    assert sorted(part for parts in PARTS_OF.values() for part in parts) == list(
        range(1, PARTS + 1)
    )


@pytest.fixture(scope="module")
def picture() -> tuple[np.ndarray, np.ndarray]:
    return photograph(1, 4, 0, (256, 176))


def test_what_lies_outside_a_region_changes_nothing_and_what_lies_inside_does(picture):
    image, iuv = picture
    for region, parts in PARTS_OF.items():
        inside = np.isin(iuv[..., 0], parts)
        other = image.copy()
        other[~inside] = 255 - other[~inside]
        first, second = cut_region(region, iuv, image, other)
        assert first.shape == (SIDE, SIDE, 3)
        np.testing.assert_array_equal(first, second)
        other[inside] = 255 - other[inside]
        assert np.abs(cut_region(region, iuv, other)[0].astype(int) - first).mean() > 1


def test_a_region_is_its_box_in_its_proportions_on_grey():
    iuv = np.zeros((256, 176, 3), np.uint8)
    iuv[10:138, 100:132, 0] = 1  # four times as high as wide
    image = np.full((256, 176, 3), 10, np.uint8)
    (cut,) = cut_region("torso", iuv, image)
    assert (cut[:, 48:80] == 10).all()
    assert (cut[:, :46] == 128).all()
    assert (cut[:, 82:] == 128).all()


def test_a_region_that_is_hardly_seen_is_not_cut(picture):
    image, iuv = picture
    few = np.zeros_like(iuv)
    few[100:115, 100:117, 0] = 23
    assert cut_region("head", few, image) is None
    few[100:116, 100:116, 0] = 23
    assert cut_region("head", few, image) is not None
    assert cut_region("legs", few, image) is None
