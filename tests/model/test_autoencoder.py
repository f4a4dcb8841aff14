"""The patch autoencoder: closed form, linear, and behind AutoencoderKL's interface."""

import numpy as np
import pytest
import torch

from mcld.dataset.mannequin import identity, pose, render
from mcld.model import PatchAutoencoder


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
    """Two IUV maps with a texture warped onto them."""
    return torch.rand(2, 6, 32, 24, generator=torch.Generator().manual_seed(1))


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


def test_a_textured_decoder_says_that_it_needs_the_pose(latents):
    vae = PatchAutoencoder(12, textured=True)
    with pytest.raises(ValueError, match="needs the pose"):
        vae.decode(latents)


def test_a_decoder_becomes_textured_in_its_own_dtype():
    vae = PatchAutoencoder(12).half()
    vae.add_texture()
    assert {p.dtype for p in vae.parameters()} == {torch.float16}
