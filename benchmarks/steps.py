"""What fewer steps cost, and steps that are taken by half: nearness to the full run, and time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from mcld.conditions import FocalConditions
    from mcld.pipeline import MCLDPipeline
    from mcld.sampling_options import SamplingOptions

STEP_COUNTS = (1, 2, 4, 6, 8, 10, 12, 20, 50)
MANY_STEPS = 100
GUIDANCE = 3.5
"""The paper's."""
STEPS = 20
"""Of the runs that are shortened."""
SHORTCUTS: dict[str, dict[str, Any]] = {
    "all of it": {},
    "no guidance": {"guidance_scale": 1.0},
    "guided from 0.2 to 1": {"guidance_interval": (0.2, 1.0)},
    "guided from 0.4 to 1": {"guidance_interval": (0.4, 1.0)},
    "guided from 0 to 0.8": {"guidance_interval": (0.0, 0.8)},
    "guided from 0 to 0.6": {"guidance_interval": (0.0, 0.6)},
    "guided from 0.2 to 0.8": {"guidance_interval": (0.2, 0.8)},
    "cache of 2 steps": {"cache_interval": 2},
    "cache of 3 steps": {"cache_interval": 3},
    "cache of 5 steps": {"cache_interval": 5},
    "guided from 0.4 to 1, cache of 2": {"guidance_interval": (0.4, 1.0), "cache_interval": 2},
    "unipc, 10 steps": {"num_inference_steps": 10},
}
"""Name of a way to sample -> what it changes."""
RUNS = 3
"""Of every shortcut in turn, of which the fastest counts."""


@dataclass
class _Pairs:
    """Some test pairs, ready to be denoised: each from the same noise in every run."""

    pipeline: MCLDPipeline
    options: SamplingOptions
    conditions: FocalConditions
    noise: torch.Tensor
    truth: torch.Tensor
    """float32 [N, 3, H, W] in 0..1, at the network's own size."""

    def run(self, options: SamplingOptions) -> tuple[torch.Tensor, float]:
        """Their pictures, like `truth`, and seconds of denoising one."""
        import torch

        start = time.perf_counter()
        latents = self.pipeline.denoise(self.conditions, self.noise, options)
        seconds = time.perf_counter() - start
        with torch.no_grad():
            pictures = self.pipeline.decode(latents, self.conditions)
        small = torch.nn.functional.interpolate(pictures.cpu(), self.truth.shape[-2:], mode="area")
        return small, seconds / len(self.noise)


def _open_pairs(dataset: Path, count: int, weights: Path | None, guidance: float | None) -> _Pairs:
    import torch

    from mcld.dataset.layout import DatasetLayout
    from mcld.errors import InputError
    from mcld.networks.folders import load_weights
    from mcld.networks.places import EMBEDDED
    from mcld.person.prepared import read_prepared
    from mcld.pipeline_inputs import PipelineInputs
    from mcld.sampling.device import choose_device
    from mcld.sampling.inputs import read_inputs
    from mcld.sampling.placement import place
    from mcld.settings import load_settings

    settings = load_settings(None, [])
    pipeline = load_weights(weights or EMBEDDED, settings)
    place(pipeline, settings, choose_device(settings.sample))
    options = pipeline.resolve_options(guidance_scale=guidance)
    size = options.height, options.width
    layout = DatasetLayout(dataset)
    inputs, truths = [], []
    pairs = layout.pairs("test")[:count]
    if not pairs:
        raise InputError(f"{layout.pairs_file('test')} names no pair")
    for source, target in pairs:
        person = read_prepared(layout, "test", Path(source).stem)
        goal = read_prepared(layout, "test", Path(target).stem)
        inputs.append(read_inputs(pipeline, [person], goal.iuv, options))
        truths.append(pipeline.image_processor.preprocess(goal.photo, *size)[0])
    with torch.no_grad():
        conditions = pipeline.conditions(PipelineInputs.cat(inputs))
    generators = [torch.Generator().manual_seed(k) for k in range(len(inputs))]
    noise = pipeline.draw_noise(len(inputs), options, generators)
    return _Pairs(pipeline, options, conditions, noise, torch.stack(truths) / 2 + 0.5)


def _psnr(pictures: torch.Tensor, other: torch.Tensor) -> float:
    """Mean over pictures, dB."""
    error = (pictures - other).square().mean(dim=(1, 2, 3))
    return round(float((-10 * error.clamp(min=1e-10).log10()).mean()), 2)


def steps(
    dataset: Path, count: int, weights: Path | None, guidance: float | None
) -> Iterator[dict[str, Any]]:
    """Every scheduler at few steps: its PSNR to a run of 100 DDIM steps and to the truth, and time.

    The pictures of `count` test pairs, each from the same noise; the PSNR of pictures of the
    network's own size, their mean; seconds of denoising a picture.
    """
    from mcld.sampling.placement import SCHEDULERS

    pairs = _open_pairs(dataset, count, weights, guidance)
    own = pairs.pipeline.scheduler

    def run(name: str, number: int) -> tuple[torch.Tensor, float]:
        kind, also = SCHEDULERS[name]
        pairs.pipeline.scheduler = kind.from_config(own.config, **also)
        return pairs.run(replace(pairs.options, num_inference_steps=number))

    many, _ = run("ddim", MANY_STEPS)
    run("ddim", 1)
    for name in SCHEDULERS:
        for number in STEP_COUNTS:
            pictures, seconds = run(name, number)
            yield {
                "scheduler": name,
                "steps": number,
                f"PSNR to {MANY_STEPS} steps": _psnr(pictures, many),
                "PSNR to the truth": _psnr(pictures, pairs.truth),
                "s a picture": round(seconds, 3),
            }


def shortcuts(
    dataset: Path, count: int, weights: Path | None, guidance: float | None
) -> Iterator[dict[str, Any]]:
    """Guidance in an interval and DeepCache, beside 20 whole DDIM steps: PSNR to their pictures and
    to the truth, and time as a share of theirs.
    """
    from mcld.sampling.placement import SCHEDULERS

    pairs = _open_pairs(dataset, count, weights, guidance or GUIDANCE)
    own = pairs.pipeline.scheduler
    pictures: dict[str, torch.Tensor] = {}
    seconds: dict[str, list[float]] = {name: [] for name in SHORTCUTS}
    for _ in range(RUNS):
        for name, changes in SHORTCUTS.items():
            kind, also = SCHEDULERS["unipc" if name.startswith("unipc") else "ddim"]
            pairs.pipeline.scheduler = kind.from_config(own.config, **also)
            options = replace(pairs.options, **{"num_inference_steps": STEPS, **changes})
            pictures[name], took = pairs.run(options)
            seconds[name].append(took)
    (whole, longest), *_ = zip(pictures.values(), map(min, seconds.values()), strict=True)
    for name, made in pictures.items():
        yield {
            "sampled with": name,
            f"PSNR to {STEPS} whole steps": _psnr(made, whole),
            "PSNR to the truth": _psnr(made, pairs.truth),
            "share of the time": round(min(seconds[name]) / longest, 2),
        }
