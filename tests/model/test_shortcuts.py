"""Steps that are taken by half: guidance in an interval, and deep features that steps share."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mcld.conditions import FocalConditions
from mcld.errors import InputError
from mcld.model.attention import DeepFeatures
from mcld.pipeline import MCLDPipeline, ddim_scheduler
from mcld.sampling_options import SamplingOptions
from tests.golden import authors

STEPS = 6


@pytest.fixture(scope="module", params=authors.FILES, ids=lambda path: path.stem)
def golden(request) -> tuple[dict[str, Tensor], dict]:
    return authors.read(request.param)


@pytest.fixture(scope="module")
def pipeline(golden) -> MCLDPipeline:
    network = authors.network(golden[1]).requires_grad_(False)
    parts = dict.fromkeys(("vae", "image_encoder", "feature_extractor"))
    return MCLDPipeline(**parts, **dict(network.named_children()), scheduler=ddim_scheduler())


@pytest.fixture(scope="module")
def conditions(golden) -> FocalConditions:
    tensors = golden[0]
    return FocalConditions(
        source=tensors["in.clip_source"],
        texture=tensors["in.clip_texture"],
        reference_latents=tensors["in.ref_latents"],
        face=tensors["in.face"][:, 0],
        pose=tensors["in.pose"],
    )


@pytest.fixture(scope="module")
def guided(pipeline) -> SamplingOptions:
    return pipeline.resolve_options(num_inference_steps=STEPS, guidance_scale=3.5)


def denoise(pipeline, conditions, golden, options) -> tuple[Tensor, list[int], int]:
    """The latents, the rows that each step ran, and in how many the whole UNet ran."""
    rows, whole = [], []
    unet = pipeline.denoising_unet
    hooks = [
        unet.conv_in.register_forward_pre_hook(lambda _, given: rows.append(len(given[0]))),
        unet.mid_block.register_forward_pre_hook(lambda *_: whole.append(True)),
    ]
    try:
        latents = pipeline.denoise(conditions, golden[0]["in.latents"], options)
    finally:
        for hook in hooks:
            hook.remove()
    return latents, rows, len(whole)


def test_outside_the_interval_a_step_runs_half_the_rows(pipeline, conditions, golden, guided):
    # The timesteps are 999, 833, 666, 499, 333 and 166.
    options = replace(guided, guidance_interval=(0.3, 0.7))
    _, rows, _ = denoise(pipeline, conditions, golden, options)
    count = len(conditions.pose)
    assert rows == [count, count, 2 * count, 2 * count, 2 * count, count]


def test_an_interval_that_holds_all_steps_changes_nothing(pipeline, conditions, golden, guided):
    whole, *_ = denoise(pipeline, conditions, golden, guided)
    within, *_ = denoise(
        pipeline, conditions, golden, replace(guided, guidance_interval=(0.1, 1.0))
    )
    assert torch.equal(within, whole)


def test_an_interval_that_holds_none_is_no_guidance(pipeline, conditions, golden, guided):
    without, *_ = denoise(pipeline, conditions, golden, replace(guided, guidance_scale=1.0))
    outside, *_ = denoise(
        pipeline, conditions, golden, replace(guided, guidance_interval=(0.0, 0.1))
    )
    torch.testing.assert_close(outside, without, rtol=0, atol=1e-5)


def test_steps_that_share_deep_features_run_the_whole_network_once(
    pipeline, conditions, golden, guided
):
    options = replace(guided, cache_interval=3)
    _, rows, whole = denoise(pipeline, conditions, golden, options)
    assert rows == [2 * len(conditions.pose)] * STEPS
    assert whole == STEPS // 3


def test_where_guidance_begins_and_ends_deep_features_are_made_anew(
    pipeline, conditions, golden, guided
):
    options = replace(guided, cache_interval=STEPS, guidance_interval=(0.3, 0.7))
    _, _, whole = denoise(pipeline, conditions, golden, options)
    assert whole == 3


def test_shared_features_come_nearer_to_the_whole_run_the_fewer_steps_share_them(
    pipeline, conditions, golden, guided
):
    whole, *_ = denoise(pipeline, conditions, golden, guided)
    off = [
        float((denoise(pipeline, conditions, golden, options)[0] - whole).abs().mean())
        for options in (replace(guided, cache_interval=n) for n in (2, STEPS))
    ]
    assert 0 < off[0] < off[1] < float(whole.abs().mean())


@pytest.mark.parametrize("odd", [False, True])
def test_the_network_in_two_parts_is_the_network(pipeline, conditions, golden, odd):
    """Also at sizes that the deepest level does not divide."""
    latents = golden[0]["in.latents"]
    features = pipeline.pose_guider(conditions.pose)
    if odd:
        latents, features = latents[..., :-1, :-3], features[..., :-1, :-3]
    focal, timestep = pipeline.network.encode(conditions), torch.tensor(500)
    whole = pipeline.denoising_unet(latents, timestep, features, focal)
    deep = DeepFeatures()
    assert torch.equal(
        pipeline.denoising_unet(latents, timestep, features, focal, deep=deep), whole
    )
    assert torch.equal(
        pipeline.denoising_unet(latents, timestep, features, focal, deep=deep), whole
    )
    later = pipeline.denoising_unet(latents, torch.tensor(400), features, focal, deep=deep)
    assert not torch.equal(later, whole)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"guidance_interval": (0.7, 0.3)}, r"guidance_interval \(0\.7, 0\.3\) is no interval"),
        ({"guidance_interval": (0.2,)}, "give two shares"),
        ({"guidance_interval": 0.5}, r"guidance_interval 0\.5 is no interval"),
        ({"guidance_interval": "ab"}, "guidance_interval ab is no interval"),
        ({"guidance_interval": (0.0, 1.5)}, "0 to 1, the lower one first"),
        ({"guidance_interval": (float("nan"), 1.0)}, "0 to 1, the lower one first"),
        ({"cache_interval": 0}, "cache_interval 0"),
        ({"cache_interval": 1.5}, r"cache_interval 1\.5"),
    ],
)
def test_intervals_that_are_none_are_refused(pipeline, wrong, said):
    with pytest.raises(InputError, match=said):
        pipeline.resolve_options(**wrong)


def test_a_record_names_what_was_asked_for_and_is_else_what_it_was_before(guided):
    """So that runs of before these ways were there are gone on with."""
    asked = {"guidance_interval": [0.2, 0.8], "cache_interval": 2}
    plain = guided.record()
    assert not asked.keys() & plain.keys()
    changed = replace(guided, guidance_interval=(0.2, 0.8), cache_interval=2).record()
    assert changed == {**plain, **asked}
