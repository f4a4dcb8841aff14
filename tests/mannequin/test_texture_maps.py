"""Texture maps of training pictures, unpacked once."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image, read_iuv, write_png
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.mannequin.texture_maps import TextureMaps


@pytest.fixture
def own(dataset: DatasetLayout, tmp_path: Path) -> DatasetLayout:
    """A copy of the dataset that a test may change."""
    return DatasetLayout(Path(shutil.copytree(dataset.root, tmp_path / "own")))


def test_what_is_warped_is_what_sampling_sees_without_decoding_again(own, tmp_path):
    stems = [name.removesuffix(".jpg") for name in own.names("train")]
    maps = TextureMaps(tmp_path / "maps", own, "train")
    counts: list[tuple[int, int]] = []
    maps.unpack(stems, lambda *count: counts.append(count))
    assert counts[-1] == (len(stems), len(stems))
    iuv, texture = read_iuv(own.densepose("train", stems[1])), own.texture("train", stems[0])
    guider = TexturedPoseGuider
    wanted = guider.look(iuv, guider.complete(read_image(texture)))
    texture.write_bytes(b"no PNG any more")
    warped = maps.warp(stems[0], torch.from_numpy(iuv).permute(2, 0, 1))
    assert np.array_equal(warped.permute(1, 2, 0), wanted)


def test_a_map_that_has_changed_is_unpacked_again_and_no_other(own, tmp_path):
    stems = [name.removesuffix(".jpg") for name in own.names("train")]
    maps = TextureMaps(tmp_path / "maps", own, "train")
    maps.unpack(stems, lambda *_: None)
    changed = own.texture("train", stems[2])
    write_png(changed, np.full((512, 512, 3), 77, np.uint8))
    os.utime(changed, ns=(1, changed.stat().st_mtime_ns + 10**9))
    counts: list[tuple[int, int]] = []
    maps.unpack(stems, lambda *count: counts.append(count))
    assert counts == [(1, 1)]
    assert (np.load(maps.path(stems[2]))[..., :3] == 77).all()
