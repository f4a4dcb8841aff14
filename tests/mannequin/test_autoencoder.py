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
