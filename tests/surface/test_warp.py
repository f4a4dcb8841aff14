"""Texture maps warped onto the body of an IUV map."""

import numpy as np
import pytest

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv
from mcld.surface.charts import smpl_inner, smpl_labels
from mcld.surface.warp import warp_mended, warp_texture


@pytest.fixture
def iuv(dataset: DatasetLayout) -> np.ndarray:
    return read_iuv(dataset.densepose("train", dataset.names("train")[0].removesuffix(".jpg")))


def test_a_map_warped_back_onto_its_own_pose_is_the_photo(dataset: DatasetLayout, iuv):
    stem = dataset.names("train")[0].removesuffix(".jpg")
    photo = read_image(dataset.image("train", stem)).astype(int)
    shown = warp_texture(iuv, read_image(dataset.texture("train", stem)))
    body = iuv[..., 0] > 0
    assert not shown[~body].any()
    seen = body & shown.any(axis=-1)
    assert seen.sum() > 0.9 * body.sum()
    assert np.median(np.abs(shown[seen] - photo[seen])) <= 2


def test_borders_that_are_darker_than_their_inside_are_mended(iuv):
    labels = smpl_labels()
    whole = np.where(labels[..., None] > 0, 200, 0).astype(np.uint8).repeat(3, 2)
    border = smpl_inner() != np.arange(labels.size).reshape(labels.shape)
    dark = np.where(border[..., None], whole // 2, whole)
    body = iuv[..., 0] > 0
    assert (warp_texture(iuv, dark)[body] == 200).mean() < 0.9
    assert (warp_mended(iuv, dark)[body] == 200).mean() > 0.99
    light = 255 - dark
    light[labels == 0] = 0
    assert np.array_equal(warp_mended(iuv, light), warp_texture(iuv, light))  # lighter ones stay


def test_the_side_of_a_head_that_is_seen_stands_in_for_the_other(iuv):
    labels = smpl_labels()
    one_side = np.where(labels[..., None] == 23, 200, 0).astype(np.uint8).repeat(3, 2)
    pose = iuv.copy()
    pose[:8, :, 0], pose[8:16, :, 0], pose[16:24, :, 0] = 23, 24, 16
    shown = warp_mended(pose, one_side).any(axis=-1)
    assert shown[:8].mean() > 0.9
    assert shown[8:16].mean() > 0.9
    assert not shown[16:24].any()
    assert not warp_texture(pose, one_side)[8:16].any()
