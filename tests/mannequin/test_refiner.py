"""What refines a decoded picture: the source's pixels, warped onto the pose."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mcld.mannequin.refiner import TextureRefiner


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture
def decoded() -> Tensor:
    return 2 * torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(0)) - 1


def enlarge(planes: Tensor) -> Tensor:
    return planes.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


@pytest.fixture
def pose() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    made = 0.1 + 0.9 * torch.rand(2, 3, 32, 24, generator=generator)
    made[:, 2] = torch.randint(25, (2, 32, 24), generator=generator) / 255
    return made


@pytest.fixture
def warped() -> Tensor:
    """A photo that shows nothing of the upper half, and the left one."""
    made = 0.1 + 0.9 * torch.rand(2, 4, 32, 24, generator=torch.Generator().manual_seed(2))
    made[:, 3:] = (torch.arange(24) < 12).float()
    made[:, :, :16] = 0
    return made


@pytest.fixture
def refiner() -> TextureRefiner:
    torch.manual_seed(3)
    made: TextureRefiner = TextureRefiner()
    nn.init.normal_(made.conv_out.weight)
    return made


def test_untrained_it_changes_nothing(decoded, pose, warped):
    assert torch.equal(TextureRefiner()(decoded, pose, warped), decoded)


def test_it_is_saved_and_loaded_and_looks_at_everything(
    refiner, decoded, pose, warped, tmp_path: Path
):
    refiner.save_pretrained(tmp_path)
    loaded = TextureRefiner.from_pretrained(tmp_path)
    refined = refiner(decoded, pose, warped)
    assert torch.equal(loaded(decoded, pose, warped), refined)
    for k, channels in ((1, 3), (2, 4)):
        for channel in range(channels):
            changed = [decoded, pose.clone(), warped.clone()]
            changed[k][:, channel] *= 0.5
            assert not torch.equal(refiner(*changed), refined)


def test_the_share_of_the_texture_counts_where_there_is_one(decoded, pose, warped):
    refiner = TextureRefiner()
    refiner.conv_out.bias[12:] = 1  # the share; three colours of 2x2 pixels before
    refined = refiner(decoded, pose, warped)
    torch.testing.assert_close(refined[:, :, 16:], warped[:, :3, 16:] * 2 - 1)
    assert torch.equal(refined[:, :, :16], decoded[:, :, :16])


def test_it_enlarges_and_what_it_blends_in_is_as_fine_as_the_larger_map(decoded, pose, warped):
    refiner = TextureRefiner(channels=(8, 12, 16), scale=2)
    fine = enlarge(warped)
    fine[:, :, 40:, ::2] *= 0.5  # more than the smaller picture could hold
    enlarged = refiner(decoded, enlarge(pose), fine)
    assert enlarged.shape == (2, 3, 64, 48)
    back = nn.functional.avg_pool2d(enlarged, 2)  # of noise, bicubic keeps the most
    assert (back - decoded).abs().mean() < 0.3 * decoded.std()
    refiner.conv_out.bias[12:] = 1
    refined = refiner(decoded, enlarge(pose), fine)
    torch.testing.assert_close(refined[:, :, 32:], fine[:, :3, 32:] * 2 - 1)
    assert torch.equal(refined[:, :, :32], enlarged[:, :, :32])


def test_every_size_that_it_works_at_counts(decoded, pose, warped):
    torch.manual_seed(0)
    refiner = TextureRefiner(channels=(8, 12, 16))
    nn.init.normal_(refiner.conv_out.weight)
    refined = refiner(decoded, pose, warped)
    for block in refiner.blocks:
        bias = block.convolutions[-1].bias
        bias += 1
        assert not torch.equal(refiner(decoded, pose, warped), refined)
        bias -= 1


def test_it_tells_the_head_from_the_rest(refiner, decoded, pose, warped):
    def step(label: int) -> float:
        """How far the picture moves when the whole map shows the next part."""
        pictures = []
        for part in (label, label + 1):
            pose[:, 2] = part / 255
            pictures.append(refiner(decoded, pose, warped))
        return float((pictures[1] - pictures[0]).abs().mean())

    assert step(22) > 2 * step(21)
    assert step(22) > 2 * step(23)


def test_in_half_precision_it_says_nearly_the_same(refiner, decoded, pose, warped):
    nn.init.normal_(refiner.conv_out.weight, std=0.05)
    refined = refiner(decoded, pose, warped)
    refiner.to(torch.bfloat16)
    half = refiner(decoded.bfloat16(), pose, warped)
    assert half.dtype == torch.bfloat16
    assert (half.float() - refined).abs().mean() < 0.02 * refined.std()
