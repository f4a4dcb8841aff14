"""The loss on the authors' inputs is the authors' loss."""

import pytest
import torch
from diffusers import DDIMScheduler

from mcld.train.loss import face_mask, mcld_loss, min_snr_weights
from tests.golden import authors


@pytest.fixture(scope="module", params=authors.FILES, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> dict[str, torch.Tensor]:
    return authors.read(request.param)[0]


@pytest.fixture(scope="module")
def scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
    )


def test_noisy_latents_and_velocity_are_the_authors(golden, scheduler):
    inputs = (golden["in.loss_latents"], golden["in.loss_noise"], golden["in.loss_timesteps"])
    torch.testing.assert_close(scheduler.add_noise(*inputs), golden["out.loss_noisy"])
    torch.testing.assert_close(scheduler.get_velocity(*inputs), golden["out.loss_velocity"])


def test_min_snr_weights_are_the_authors(golden, scheduler):
    weights = min_snr_weights(scheduler.alphas_cumprod, golden["in.loss_timesteps"], gamma=5.0)
    torch.testing.assert_close(weights, golden["out.loss_weights"])


def test_the_face_mask_is_the_authors(golden):
    mask = face_mask(golden["in.loss_part_labels"], golden["in.loss_latents"].shape[-2:])
    assert torch.equal(mask.to(torch.uint8), golden["out.loss_face_mask"])
    assert mask.any()


def test_the_loss_is_the_authors(golden):
    losses = mcld_loss(
        golden["in.loss_pred"],
        golden["out.loss_velocity"],
        golden["out.loss_face_mask"].float(),
        golden["out.loss_weights"],
    )
    torch.testing.assert_close(losses, golden["out.loss_per_sample"])
    torch.testing.assert_close(losses.mean(), golden["out.loss"][0])


def test_pure_noise_has_weight_one(scheduler):
    """At zero terminal SNR the signal is gone: s is 1 there, below any gamma."""
    assert min_snr_weights(scheduler.alphas_cumprod, torch.tensor([999]), gamma=5.0) == 1
