"""The patch autoencoder: closed form, linear, and behind AutoencoderKL's interface."""

import numpy as np
import pytest
import torch

from mcld.mannequin.autoencoder import PatchAutoencoder
from mcld.mannequin.world import identity, pose, render


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Eight mannequins, [8, 3, 160, 112] in -1..1."""
    images = [render(identity(3, k), pose(3, k, k), (160, 112))[0] for k in range(8)]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(10 * torch.log10(4 / ((a - b) ** 2).mean()))


def test_forty_eight_components_keep_a_picture_above_thirty_decibels(pictures):
    vae = PatchAutoencoder(48)
    vae.fit(pictures[:6])
    unseen = pictures[6:]
    assert psnr(vae.decode(vae.encode(unseen).latent_dist.mode()).sample, unseen) > 28
    assert psnr(vae.decode(vae.encode(pictures[:6]).latent_dist.mode()).sample, pictures[:6]) > 30


def test_all_components_lose_nothing(pictures):
    vae = PatchAutoencoder(192)
    vae.fit(pictures)
    back = vae.decode(vae.encode(pictures).latent_dist.sample()).sample
    torch.testing.assert_close(back, pictures, atol=2e-3, rtol=0)


def test_latents_have_about_mean_zero_and_mean_variance_one(pictures):
    vae = PatchAutoencoder(48)
    vae.fit(pictures)
    latents = vae.encode(pictures).latent_dist.mode().transpose(0, 1).flatten(1)
    torch.testing.assert_close(latents.mean(1), torch.zeros(48), atol=0.04, rtol=0)
    torch.testing.assert_close(latents.var(1).mean(), torch.tensor(1.0), atol=1e-3, rtol=0)


def test_a_flat_grey_picture_comes_back_flat(pictures):
    vae = PatchAutoencoder(48)
    vae.fit(pictures)
    grey = torch.full((1, 3, 64, 48), 0.2)
    back = vae.decode(vae.encode(grey).latent_dist.mode()).sample
    torch.testing.assert_close(back, grey, atol=0.01, rtol=0)


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(2, 12, 4, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def maps() -> torch.Tensor:
    """Two IUV maps with a texture warped onto them, which shows nothing in the upper half."""
    generator = torch.Generator().manual_seed(1)
    made = 0.1 + 0.9 * torch.rand(2, 6, 32, 24, generator=generator)
    made[:, 2] = torch.randint(25, (2, 32, 24), generator=generator) / 255
    made[:, 3:, :16] = 0
    return made


def test_a_decoder_that_becomes_textured_decodes_as_before(latents, maps):
    vae = PatchAutoencoder(12)
    torch.nn.init.normal_(vae.refinement[-2].weight)
    before = vae.decode(latents).sample
    vae.add_texture()
    assert torch.equal(vae.decode(latents, pose=maps).sample, before)


def test_a_textured_decoder_is_saved_and_loaded_and_looks_at_each_map(latents, maps, tmp_path):
    vae = PatchAutoencoder(12)
    vae.add_texture()
    torch.nn.init.normal_(vae.textured_refinement.conv_out.weight)
    vae.save_pretrained(tmp_path)
    loaded = PatchAutoencoder.from_pretrained(tmp_path)
    decoded = vae.decode(latents, pose=maps).sample
    assert torch.equal(loaded.decode(latents, pose=maps).sample, decoded)
    for channel in range(6):
        changed = maps.clone()
        changed[:, channel] *= 0.5
        assert not torch.equal(vae.decode(latents, pose=changed).sample, decoded)


def test_the_share_of_the_texture_counts_where_there_is_one(latents, maps):
    vae = PatchAutoencoder(12, textured=True)
    decoded = vae.decode(latents, pose=maps).sample
    vae.textured_refinement.conv_out.bias[12:] = 1  # the share; three colours of 2x2 pixels before
    shared = vae.decode(latents, pose=maps).sample
    torch.testing.assert_close(shared[:, :, 16:], maps[:, 3:, 16:] * 2 - 1)
    assert torch.equal(shared[:, :, :16], decoded[:, :, :16])


def test_a_textured_decoder_tells_the_head_from_the_rest(latents, maps):
    vae = PatchAutoencoder(12, textured=True)
    torch.nn.init.normal_(vae.textured_refinement.conv_out.weight)

    def step(label: int) -> float:
        """How far the picture moves when the whole map shows the next part."""
        pictures = []
        for part in (label, label + 1):
            maps[:, 2] = part / 255
            pictures.append(vae.decode(latents, pose=maps).sample)
        return float((pictures[1] - pictures[0]).abs().mean())

    assert step(22) > 2 * step(21)
    assert step(22) > 2 * step(23)


def test_a_textured_decoder_in_half_precision_decodes_nearly_the_same(latents, maps):
    vae = PatchAutoencoder(12, textured=True)
    torch.nn.init.normal_(vae.textured_refinement.conv_out.weight, std=0.05)
    decoded = vae.decode(latents, pose=maps).sample
    vae.to(torch.bfloat16)
    half = vae.decode(latents.bfloat16(), pose=maps.bfloat16()).sample
    assert half.dtype == torch.bfloat16
    assert (half.float() - decoded).abs().mean() < 0.02 * decoded.std()


@pytest.mark.parametrize("channels", [0, 3])
def test_a_textured_decoder_says_that_it_needs_the_pose(latents, maps, channels):
    vae = PatchAutoencoder(12, textured=True)
    with pytest.raises(ValueError, match="needs the pose"):
        vae.decode(latents, pose=maps[:, :channels] if channels else None)


def test_a_decoder_becomes_textured_in_its_own_dtype():
    vae = PatchAutoencoder(12).half()
    vae.add_texture()
    assert {p.dtype for p in vae.parameters()} == {torch.float16}
