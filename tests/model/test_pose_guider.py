"""The pose guider, and what it makes of a texture map warped onto the IUV map."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mcld.model import PoseGuider


@pytest.fixture
def guider() -> PoseGuider:
    torch.manual_seed(0)
    made: PoseGuider = PoseGuider(8, (4, 4, 4, 4))
    nn.init.normal_(made.conv_out.weight)
    return made


@pytest.fixture
def maps() -> Tensor:
    """Two IUV maps with a texture warped onto them, which shows nothing in the upper half."""
    made = 0.1 + 0.9 * torch.rand(2, 6, 32, 24, generator=torch.Generator().manual_seed(1))
    made[:, 3:, :16] = 0
    return made


def test_a_guider_that_becomes_textured_says_what_it_said_before(guider, maps):
    before = guider(maps[:, :3])
    assert before.shape == (2, 8, 4, 3)
    guider.add_texture()
    assert torch.equal(guider(maps), before)


def test_what_is_warped_onto_the_map_counts_where_it_shows_something(guider, maps):
    before = guider(maps[:, :3])
    guider.add_texture()
    nn.init.normal_(guider.patch_embedding.weight)
    moved = (guider(maps) - before).abs().amax(dim=1)
    assert not moved[:, :2].any()
    assert moved[:, 2:].min() > 0.01


def test_a_plain_guider_refuses_what_is_warped_onto_the_map(guider, maps):
    with pytest.raises(RuntimeError, match="channels"):
        guider(maps)


def test_a_textured_guider_is_saved_and_loaded(guider, maps, tmp_path: Path):
    guider.add_texture()
    nn.init.normal_(guider.patch_embedding.weight)
    guider.save_pretrained(tmp_path)
    loaded = PoseGuider.from_pretrained(tmp_path)
    assert torch.equal(loaded(maps), guider(maps))


def test_it_becomes_textured_in_its_own_dtype(guider):
    guider.to(torch.float16).add_texture()
    assert {p.dtype for p in guider.parameters()} == {torch.float16}
