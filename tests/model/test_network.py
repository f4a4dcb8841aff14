"""Our network on the authors' weights gives the authors' numbers."""

from pathlib import Path

import pytest
import torch

from mcld.conditions import FocalConditions
from mcld.model import MCLD
from mcld.model.attention import FocalContext
from mcld.pipeline import MCLDPipeline, ddim_scheduler
from mcld.sampling_options import SamplingOptions
from tests.golden import authors

TOLERANCE = {"rtol": 0, "atol": 2e-4}


@pytest.fixture(scope="module", params=authors.FILES, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def golden(file: Path) -> dict[str, torch.Tensor]:
    return authors.read(file)[0]


@pytest.fixture(scope="module")
def config(file: Path) -> dict:
    return authors.read(file)[1]


@pytest.fixture(scope="module")
def mcld(config: dict) -> MCLD:
    return authors.network(config).requires_grad_(False)


@pytest.fixture(scope="module")
def conditions(golden: dict[str, torch.Tensor]) -> FocalConditions:
    return FocalConditions(
        source=golden["in.clip_source"],
        texture=golden["in.clip_texture"],
        reference_latents=golden["in.ref_latents"],
        face=golden["in.face"][:, 0],
        pose=golden["in.pose"],
    )


def test_face_tokens_are_the_authors(mcld, golden, conditions):
    torch.testing.assert_close(
        mcld.image_projector(conditions.face), golden["out.face_tokens"], **TOLERANCE
    )


def test_pose_features_are_the_authors(mcld, golden, conditions):
    torch.testing.assert_close(
        mcld.pose_guider(conditions.pose), golden["out.pose_features"], **TOLERANCE
    )


def test_every_reference_feature_is_the_authors(mcld, golden, conditions):
    features = mcld.reference_unet(conditions.reference_latents, conditions.source)
    banks = {k.removeprefix("out.bank."): v for k, v in golden.items() if "out.bank." in k}
    assert features.keys() == banks.keys()
    for block, bank in banks.items():
        torch.testing.assert_close(features[block], bank, **TOLERANCE, msg=block)


def test_the_prediction_with_reference_is_the_authors(mcld, golden, conditions):
    prediction = mcld(golden["in.latents"], golden["in.timesteps"], conditions)
    torch.testing.assert_close(prediction, golden["out.train_pred"], **TOLERANCE)


def test_the_prediction_without_reference_is_the_authors(mcld, golden, conditions):
    focal = mcld.encode(conditions)
    alone = FocalContext(reference={}, aggregated=focal.aggregated, face=focal.face)
    prediction = mcld.denoising_unet(
        golden["in.latents"], golden["in.timesteps"], mcld.pose_guider(conditions.pose), alone
    )
    torch.testing.assert_close(prediction, golden["out.train_pred_uncond"], **TOLERANCE)


def test_the_first_guided_step_is_the_authors(mcld, golden, conditions, config):
    prediction = mcld.denoising_unet(
        torch.cat([golden["in.latents"]] * 2),
        torch.tensor(config["sampler_timesteps"][0]),
        torch.cat([mcld.pose_guider(conditions.pose)] * 2),
        mcld.encode(conditions),
    )
    torch.testing.assert_close(prediction, golden["out.cfg_pred_0"], **TOLERANCE)


def test_the_whole_guided_ddim_run_is_the_authors(mcld, golden, conditions, config):
    pipeline = sampler(mcld)
    pipeline.scheduler.set_timesteps(config["steps"])
    assert pipeline.scheduler.timesteps.tolist() == config["sampler_timesteps"]
    latents = pipeline.denoise(conditions, golden["in.latents"], sampled_as(pipeline, config))
    torch.testing.assert_close(latents, golden["out.sampled_latents"], rtol=0, atol=1e-4)


def test_in_half_precision_the_whole_run_stays_close(config, golden, conditions):
    """The whole guided run, 35 dB and more below the range of the latents."""
    half = authors.network(config).to(torch.bfloat16)
    pipeline = sampler(half)
    latents = pipeline.denoise(
        conditions.to(torch.bfloat16), golden["in.latents"], sampled_as(pipeline, config)
    )
    wanted = golden["out.sampled_latents"]
    span = wanted.max() - wanted.min()
    assert 10 * torch.log10(span**2 / (latents - wanted).square().mean()) > 35


def sampler(network) -> MCLDPipeline:
    """The paper's sampler around a network, without encoders."""
    parts = dict.fromkeys(("vae", "image_encoder", "feature_extractor"))
    return MCLDPipeline(**parts, **dict(network.named_children()), scheduler=ddim_scheduler())


def sampled_as(pipeline: MCLDPipeline, config: dict) -> SamplingOptions:
    steps, guidance = config["steps"], config["guidance"]
    return pipeline.resolve_options(num_inference_steps=steps, guidance_scale=guidance)


def test_dropped_samples_are_the_unconditional_branch_of_guidance(mcld, golden, conditions):
    """One batch of dropped and kept samples gives what each gives alone."""
    latents, timestep = golden["in.latents"], torch.tensor([999, 999])
    guided = golden["out.cfg_pred_0"]
    mixed = mcld(latents, timestep, conditions, dropped=1)
    torch.testing.assert_close(mixed, torch.stack([guided[0], guided[3]]), **TOLERANCE)
    none_kept = mcld(latents, timestep, conditions, dropped=2)
    torch.testing.assert_close(none_kept, guided[:2], **TOLERANCE)


@pytest.mark.parametrize("unet", ["denoising_unet", "reference_unet"])
def test_exactly_the_parameters_named_unused_get_no_gradient(unet, config, golden, conditions):
    mcld = authors.network(config)
    mcld(golden["in.latents"], golden["in.timesteps"], conditions).sum().backward()
    module = getattr(mcld, unet)
    names = {id(p): name for name, p in module.named_parameters()}
    unused = {names[id(p)] for p in module.unused_parameters()}
    assert {name for name, p in module.named_parameters() if p.grad is None} == unused


def test_gradient_checkpointing_keeps_less_and_changes_no_gradient(config, golden, conditions):
    """What autograd keeps between the passes is a fraction; every gradient stays as it was."""

    def kept_and_gradients(mcld: MCLD) -> tuple[int, dict[str, torch.Tensor]]:
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        latents, timesteps = golden["in.latents"], golden["in.timesteps"]
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            prediction = mcld(latents, timesteps, conditions, dropped=1)
        prediction.square().sum().backward()
        parameters = dict(mcld.named_parameters())
        weights = {p.untyped_storage().data_ptr() for p in parameters.values()}
        activations = sum(size for place, size in kept.items() if place not in weights)
        return activations, {n: p.grad for n, p in parameters.items() if p.grad is not None}

    plain, expected = kept_and_gradients(authors.network(config))
    checkpointing = authors.network(config)
    checkpointing.enable_gradient_checkpointing()
    kept, gradients = kept_and_gradients(checkpointing)
    assert kept < plain / 6
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)
