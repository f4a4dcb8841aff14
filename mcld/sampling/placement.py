"""Where and how a pipeline runs: device, dtype, scheduler, compiled or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)
from torch import nn
from torch.compiler import config as compiler

from mcld.errors import MCLDError
from mcld.machine.accelerator import is_discrete, ran_out_of_memory
from mcld.pipeline import SCALE_FACTOR, MCLDPipeline
from mcld.sampling_options import SamplingOptions
from mcld.settings import SampleSettings, SchedulerSettings, Settings

SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ddim": (DDIMScheduler, {}),
    "dpm++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++"}),
    "unipc": (UniPCMultistepScheduler, {}),
    "euler": (EulerDiscreteScheduler, {}),
}
"""`sample.scheduler` -> diffusers' class and what else it is told."""


FAST_SCHEDULER, FAST_STEPS = "unipc", 10
"""What `sample.fast` takes; the table in docs/sampling.md is why."""


def choose_dtype(options: SampleSettings, device: torch.device) -> torch.dtype:
    """The dtype of `sample.dtype` on that device."""
    if options.dtype is None:
        return torch.bfloat16 if is_discrete(device) else torch.float32
    dtype: torch.dtype = getattr(torch, options.dtype)
    return dtype


def place(pipeline: MCLDPipeline, settings: Settings, device: torch.device) -> SamplingOptions:
    """Bring a pipeline to its device and dtype, and give it the scheduler asked for.

    Where `sample.fast` makes the steps fewer, it is a scheduler that needs few. With
    `sample.low_memory` the networks stay in main memory; each comes to the device when it is
    needed, and leaves it when the next one comes.

    Returns how it samples from now on: as set, and where nothing is, as the weights were saved
    with. Raises MCLDError when the weights do not fit into the device's memory.
    """
    options = settings.sample
    steps = options.num_inference_steps
    wanted = pipeline.resolve_options(num_inference_steps=steps).num_inference_steps
    fewer = options.fast and wanted > FAST_STEPS
    name = FAST_SCHEDULER if fewer else options.scheduler
    pipeline.scheduler = _make_scheduler(pipeline, settings.scheduler, name)
    _move(pipeline, options, device)
    if options.low_memory:
        pipeline.enable_model_cpu_offload(device=device)
        if isinstance(pipeline.vae, AutoencoderKL):
            save_vae_memory(pipeline.vae)
    for unet in (pipeline.denoising_unet, pipeline.reference_unet):
        if options.fuse_qkv:
            unet.fuse_qkv_projections()
        else:
            unet.unfuse_qkv_projections()
    if options.storage_dtype:
        store_in_float8(pipeline)
    if options.compile:
        compile_networks(pipeline, "regional" if options.low_memory else options.compile_mode)
    torch.set_float32_matmul_precision("high" if options.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = options.tf32  # of convolutions, which PyTorch allows
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.resolve_options(
        options.height,
        options.width,
        FAST_STEPS if fewer else steps,
        options.guidance_scale,
        options.keep,
        options.guidance_interval,
        options.cache_interval,
        options.storage_dtype,
    )


def save_vae_memory(vae: AutoencoderKL) -> None:
    """Let an autoencoder decode one picture at a time, and larger ones than usual in tiles.

    Tiles differ a little from the whole picture, as their group norms do; up to `_TILE` pixels a
    side there is but one.
    """
    vae.enable_slicing()
    vae.enable_tiling()
    vae.tile_sample_min_size, vae.tile_latent_min_size = _TILE, _TILE // SCALE_FACTOR


_TILE = 512


def _move(pipeline: MCLDPipeline, options: SampleSettings, device: torch.device) -> None:
    """Bring the networks to their home and dtype. Raises MCLDError when they do not fit there."""
    home = torch.device("cpu") if options.low_memory else device
    try:
        for part in pipeline.components.values():
            if isinstance(part, nn.Module):  # diffusers' own `to` warns of what does not concern us
                nn.Module.to(part, home, choose_dtype(options, device))
        half = choose_dtype(options, device) != torch.float32
        if is_discrete(device) or (device.type == "cpu" and half):
            # On a CPU it pays in half precision alone: decoding takes two thirds of the time.
            for part in (pipeline.denoising_unet, pipeline.reference_unet, pipeline.vae):
                part.to(memory_format=torch.channels_last)
    except RuntimeError as error:
        if not ran_out_of_memory(error):
            raise
        raise MCLDError(
            f"the weights do not fit into the memory of {device}:"
            f" {_join_ways(_save_memory(options, device))}"
        ) from error


def compile_networks(pipeline: MCLDPipeline, mode: str, backend: str = "inductor") -> None:
    """Have the networks compiled when they first run, without a break in any graph.

    mode: "regional" for the denoising UNet's transformer blocks alone; else each network whole, the
    denoising UNet in this mode of `torch.compile`. CUDA graphs, which two of the modes use, write
    over a network's last outputs: they suit the denoising UNet alone, which is run again and again.
    backend: of `torch.compile`.
    """
    if mode == "regional":
        # Every block looks up its own part of the conditions: all have one code, but each a graph.
        compiler.recompile_limit = max(compiler.recompile_limit, _GRAPHS)
        pipeline.denoising_unet.compile_repeated_blocks(fullgraph=True, backend=backend)
        return
    given = {} if mode == "default" else {"mode": mode}
    pipeline.denoising_unet.compile(fullgraph=True, backend=backend, **given)
    vae = pipeline.vae
    for network in (pipeline.reference_unet, pipeline.image_encoder, vae.encoder, vae.decoder):
        network.compile(fullgraph=True, backend=backend)


_GRAPHS = 128
"""Of the transformer blocks, at most: 16 of Stable Diffusion's UNet, each for several sizes."""


def store_in_float8(pipeline: MCLDPipeline) -> None:
    """Keep the weights of the UNets in 8 bits; each layer is cast to its dtype while it runs.

    Norms stay as they are. It happens once to a network, however often it is placed.
    """
    for unet in (pipeline.denoising_unet, pipeline.reference_unet):
        if not any(hasattr(module, "_diffusers_hook") for module in unet.modules()):
            unet.enable_layerwise_casting(torch.float8_e4m3fn)


def _make_scheduler(
    pipeline: MCLDPipeline, settings: SchedulerSettings, name: str | None
) -> SchedulerMixin:
    """That of the weights, or the one named; but for what the settings change."""
    changes = settings.model_dump(
        include=settings.model_fields_set, exclude={"train_beta_schedule"}
    )
    kind: Any = type(pipeline.scheduler)
    if name is not None:
        kind, also = SCHEDULERS[name]
        changes |= also
    return kind.from_config(pipeline.scheduler.config, **changes)


@contextmanager
def explain_memory(
    settings: SampleSettings, options: SamplingOptions, device: torch.device, at_once: int = 1
) -> Iterator[None]:
    """Turn running out of memory into an MCLDError that says what to lower.

    settings: as asked for; options, device: how and where is sampled; at_once: pictures a batch.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        memory = isinstance(error, MemoryError) or ran_out_of_memory(error)
        if not memory and "can't allocate memory" not in str(error):
            raise
        ways = [f"lower --size, {options.height}x{options.width}"]
        if at_once > 1:
            ways.insert(0, f"lower sample.batch_size, {at_once}")
        if device.type == "cpu":
            ways += ["give --dtype bfloat16"] if options.dtype == "float32" else []
        else:
            ways += _save_memory(settings, device)[:-1]
        raise MCLDError(f"out of memory: {_join_ways(ways)}") from error


def _save_memory(options: SampleSettings, device: torch.device) -> list[str]:
    """What would need less of a GPU's memory, in words; the last is to go without one."""
    ways = []
    if not options.low_memory and is_discrete(device):
        ways.append("give --low-memory")
    if choose_dtype(options, device) == torch.float32:
        ways.append("give --dtype bfloat16")
    return [*ways, "give --device cpu"]


def _join_ways(ways: list[str]) -> str:
    return ", or ".join(ways)
