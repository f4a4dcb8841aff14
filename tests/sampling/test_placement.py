"""Networks in their place: compiled without a break, and kept in 8 bits."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from mcld.errors import SettingsError
from mcld.mannequin.world import identity, pose, render
from mcld.pipeline import MCLDPipeline
from mcld.sampling.device import choose_device
from mcld.sampling.placement import compile_networks, place, save_vae_memory
from mcld.settings import load_settings

CPU = torch.device("cpu")


def paint(pipeline: MCLDPipeline, **how) -> np.ndarray:
    """A picture of somebody, float [H, W, 3] in 0..1."""
    photo, iuv = render(identity(0, 0), pose(0, 0, 0), (64, 48))
    texture = np.full((512, 512, 3), (180, 90, 60), np.uint8)
    generator = torch.Generator().manual_seed(0)
    on_disk = iuv[..., ::-1].copy()
    made = pipeline(photo, texture, on_disk, generator=generator, output_type="np", **how)
    return made.images[0]


@pytest.fixture
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize(("mode", "low_memory"), [("default", False), ("regional", True)])
def test_a_compiled_network_paints_the_same_without_a_break(
    pipeline, fresh_compiler, mode, low_memory
):
    """A break in a graph is an error; by the compiler's front half, its other takes minutes.

    The hooks that bring networks to a device lie around what is compiled.
    """
    how = {"num_inference_steps": 4, "guidance_scale": 2.0, "guidance_interval": (0.3, 0.8)}
    eager = paint(pipeline, **how, cache_interval=2)
    if low_memory:
        pipeline.enable_model_cpu_offload(device=CPU)
    compile_networks(pipeline, mode, backend="aot_eager")
    np.testing.assert_allclose(paint(pipeline, **how, cache_interval=2), eager, atol=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert not torch._dynamo.utils.counters["graph_break"]


def test_weights_kept_in_8_bits_take_little_room_and_paint_nearly_the_same(pipeline):
    settings = load_settings(None, ["sample.device=cpu"])
    place(pipeline, settings, CPU)
    eager = paint(pipeline)
    size = count_bytes(pipeline)
    small = load_settings(None, ["sample.device=cpu", "sample.storage_dtype=float8"])
    for _ in range(2):  # a network may be placed again
        options = place(pipeline, small, CPU)
        made = paint(pipeline)
        assert options.record()["storage_dtype"] == "float8"
        assert options.dtype == "float32"
        assert count_bytes(pipeline) < 0.35 * size
        assert 0 < np.abs(made - eager).mean() < 0.1


def count_bytes(pipeline: MCLDPipeline) -> int:
    unets = pipeline.denoising_unet, pipeline.reference_unet
    return sum(p.numel() * p.element_size() for unet in unets for p in unet.parameters())


def test_what_is_compiled_is_not_kept_in_8_bits():
    wanted = ["sample.compile=true", "sample.storage_dtype=float8", "sample.device=cpu"]
    with pytest.raises(SettingsError, match="do not go together: leave one out"):
        choose_device(load_settings(None, wanted).sample)


def test_an_autoencoder_short_of_memory_tiles_only_what_is_larger_than_usual():
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
    ).eval()
    usual, larger = torch.randn(2, 4, 64, 8), torch.randn(1, 4, 80, 8)
    with torch.no_grad():
        whole = [vae.decode(latents).sample for latents in (usual, larger)]
        save_vae_memory(vae)
        saved = [vae.decode(latents).sample for latents in (usual, larger)]
    torch.testing.assert_close(saved[0], whole[0], atol=1e-4, rtol=0)
    assert saved[1].shape == whole[1].shape
    assert not torch.allclose(saved[1], whole[1], atol=1e-2)


def test_joined_weights_paint_the_same_picture_and_are_a_setting(pipeline):
    pictures = []
    for word in ("false", "true", "false"):
        settings = load_settings(None, [f"sample.fuse_qkv={word}"])
        place(pipeline, settings, CPU)
        for unet in (pipeline.denoising_unet, pipeline.reference_unet):
            joined = {block.attn1.fused_projections for _, block in unet.transformer_blocks()}
            assert joined == {settings.sample.fuse_qkv}
        pictures.append(paint(pipeline))
    np.testing.assert_allclose(pictures[1], pictures[0], atol=1e-4)
    assert np.array_equal(pictures[2], pictures[0])
