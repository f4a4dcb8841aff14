"""A pose guider that sees the texture map warped onto the pose."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.model import PoseGuider


@pytest.fixture
def plain() -> PoseGuider:
    torch.manual_seed(0)
    made: PoseGuider = PoseGuider(8, (4, 4, 4, 4))
    nn.init.normal_(made.conv_out.weight)
    return made


@pytest.fixture
def textured(plain: PoseGuider) -> TexturedPoseGuider:
    made = TexturedPoseGuider.from_plain(plain)
    nn.init.normal_(made.patch_embedding.weight)
    return made


@pytest.fixture
def pose() -> Tensor:
    return torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def warped() -> Tensor:
    """A texture that shows nothing in the upper half."""
    made = 0.1 + 0.9 * torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(2))
    made[:, :, :16] = 0
    return made


def test_made_of_a_plain_one_it_says_what_that_said(plain, pose, warped):
    before = plain(pose)
    assert before.shape == (2, 8, 4, 3)
    assert torch.equal(TexturedPoseGuider.from_plain(plain)(pose, warped), before)


def test_what_is_warped_onto_the_pose_counts_where_it_shows_something(
    plain, textured, pose, warped
):
    moved = (textured(pose, warped) - plain(pose)).abs().amax(dim=1)
    assert not moved[:, :2].any()
    assert moved[:, 2:].min() > 0.01


def test_it_is_saved_and_loaded(textured, pose, warped, tmp_path: Path):
    textured.save_pretrained(tmp_path)
    loaded = TexturedPoseGuider.from_pretrained(tmp_path)
    assert torch.equal(loaded(pose, warped), textured(pose, warped))


def test_it_is_made_in_the_dtype_of_the_plain_one(plain):
    made = TexturedPoseGuider.from_plain(plain.to(torch.float16))
    assert {p.dtype for p in made.parameters()} == {torch.float16}


def test_the_texture_map_it_looks_at_may_have_another_size():
    iuv = np.zeros((24, 16, 3), np.uint8)
    iuv[8:] = (2, 120, 120)
    whole = np.full((512, 512, 3), 90, np.uint8)
    complete, look = TexturedPoseGuider.complete, TexturedPoseGuider.look
    seen = look(iuv, complete(whole))
    assert np.array_equal(look(iuv, complete(whole[::2, ::2])), seen)
    assert seen.shape == (24, 16, 3)
    assert (seen[8:] == 90).all()
    assert not seen[:8].any()
