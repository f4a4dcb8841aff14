"""Photos laid onto DensePose's charts."""

import numpy as np
import pytest
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv
from mcld.mannequin.world import identity, pose, render
from mcld.surface.atlas import find_places, lay_atlas, warp_atlas
from mcld.surface.charts import smpl_labels
from mcld.surface.warp import warp_texture

WHOLE = np.full((512, 512, 4), 255, np.uint8)
"""A texture map without holes."""


@pytest.fixture
def stem(dataset: DatasetLayout) -> str:
    return dataset.names("train")[0].removesuffix(".jpg")


@pytest.fixture
def photo(dataset: DatasetLayout, stem: str) -> np.ndarray:
    return read_image(dataset.image("train", stem))


@pytest.fixture
def iuv(dataset: DatasetLayout, stem: str) -> np.ndarray:
    return read_iuv(dataset.densepose("train", stem))


def test_a_photo_warped_back_onto_its_own_pose_is_the_photo_closer_than_by_the_texture_map(
    dataset, stem, photo, iuv
):
    warped = warp_atlas(iuv, lay_atlas(photo, iuv), WHOLE)
    body = iuv[..., 0] > 0
    assert not warped[~body].any()
    assert (warped[body][:, 3] == 255).all()
    off = np.abs(warped[..., :3].astype(int) - photo)[body]
    by_texture = warp_texture(iuv, read_image(dataset.texture("train", stem)))
    assert off.mean() < 0.5 < 0.5 * np.abs(by_texture.astype(int) - photo)[body].mean()


def test_of_pixels_on_one_place_the_mean_counts(photo):
    iuv = np.zeros((2, 2, 3), np.uint8)
    iuv[0] = (2, 128, 128)
    pixels = np.array([[[10, 20, 30], [30, 40, 50]], [[255, 255, 255]] * 2], np.uint8)
    atlas = lay_atlas(pixels, iuv).reshape(-1, 4)
    assert atlas[find_places(iuv[0, 0])].tolist() == [20, 30, 40, 255]
    assert not atlas.reshape(24, -1)[np.arange(24) != 1].any()  # nor what is no body


def test_gaps_between_the_pixels_of_a_small_photo_are_filled_and_what_is_far_is_not():
    photo, iuv = render(identity(5, 0), pose(5, 0, 0), (512, 352))
    whole = lay_atlas(photo, iuv)
    small = (88, 128)
    less = np.asarray(Image.fromarray(iuv).resize(small, Image.Resampling.NEAREST))
    atlas = lay_atlas(np.asarray(Image.fromarray(photo).resize(small)), less)
    front, both = atlas[1], (atlas[1, ..., 3] > 0) & (whole[1, ..., 3] > 0)
    assert both.sum() > 0.75 * (whole[1, ..., 3] > 0).sum()
    assert np.abs(front[both].astype(int) - whole[1][both]).mean() < 20
    assert (atlas[..., 3] > 0).mean() < 0.5  # one side of a body
    assert set(np.unique(atlas[..., 3])) == {0, 255}


def test_what_the_photo_does_not_show_is_the_texture_maps(photo, iuv):
    completed = np.zeros((512, 512, 4), np.uint8)
    completed[smpl_labels() > 0] = (1, 2, 3, 255)
    atlas = lay_atlas(photo, iuv)
    behind = iuv.copy()
    behind[..., 0] = np.where(iuv[..., 0] == 2, 1, iuv[..., 0])  # the back, which it does not show
    back, other = behind[..., 0] == 1, (behind[..., 0] > 0) & (behind[..., 0] != 1)
    warped = warp_atlas(behind, atlas, completed)
    assert (warped[back] == (1, 2, 3, 255)).all(axis=-1).mean() > 0.9
    assert np.array_equal(warped[other], warp_atlas(iuv, atlas, WHOLE)[other])
    alone = warp_atlas(behind, None, completed)
    assert (alone[behind[..., 0] > 0] == (1, 2, 3, 255)).all()


def test_what_is_erased_from_the_texture_map_does_not_come_back_from_the_photo(photo, iuv):
    erased = np.where(smpl_labels()[..., None] == 2, np.uint8([9, 9, 9, 0]), WHOLE)
    warped = warp_atlas(iuv, lay_atlas(photo, iuv), erased)
    assert (warped[iuv[..., 0] == 2] == (9, 9, 9, 0)).all()


def test_black_clothes_are_shown_and_no_hole(photo, iuv):
    atlas = lay_atlas(np.zeros_like(photo), iuv)
    assert (atlas[..., :3] == atlas[..., 3:] // 255).all()
