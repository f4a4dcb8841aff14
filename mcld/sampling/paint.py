"""Conditions to pictures: noise, denoise, decode."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from mcld.conditions import FocalConditions
from mcld.machine.processes import ignore
from mcld.model.attention import FocalContext
from mcld.pipeline import MCLDPipeline
from mcld.sampling_options import SamplingOptions

OnStep = Callable[[int, int], None]
"""Called with (steps done, steps to do), over all pictures."""


@torch.no_grad()
def paint(
    pipeline: MCLDPipeline,
    conditions: FocalConditions,
    options: SamplingOptions,
    seeds: Sequence[int],
    *,
    at_once: int = 1,
    on_step: OnStep = ignore,
    focal: FocalContext | None = None,
) -> Tensor:
    """The pictures of N people and poses, float32 [N, 3, H, W] in 0..1, on the CPU.

    Args:
        pipeline: the networks, in their place.
        conditions: of the N pictures.
        options: how to sample.
        seeds: of each picture's starting noise.
        at_once: pictures that share a batch.
        on_step: told how far it is; what it raises stops the work.
        focal: of the one person whom all show, as `MCLDPipeline.denoise` has it.
    """
    steps, total = options.num_inference_steps, options.num_inference_steps * len(seeds)
    pictures = []
    for start in range(0, len(seeds), at_once):
        rows = slice(start, start + at_once)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds[rows]]

        def count(
            _: MCLDPipeline,
            step: int,
            __: int,
            state: dict[str, Tensor],
            before: int = start * steps,
            together: int = len(generators),
        ) -> dict[str, Tensor]:
            on_step(before + (step + 1) * together, total)
            return state

        latents = pipeline.denoise(
            conditions[rows],
            pipeline.draw_noise(len(generators), options, generators),
            options,
            generator=generators,
            callback_on_step_end=count,
            focal=focal,
        )
        pictures.append(pipeline.decode(latents, conditions[rows]).cpu())
    pipeline.maybe_free_model_hooks()
    return torch.cat(pictures)


def as_images(pictures: Tensor) -> list[Image.Image]:
    """float32 [N, 3, H, W] in 0..1 -> RGB pictures."""
    pixels = (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return [Image.fromarray(picture) for picture in pixels.numpy()]
