"""One run that says everything of Stable Diffusion 1.5's size: if it is right, its time and memory.

Weights are random; that changes neither time nor memory. Every figure is a JSON line, printed as
soon as it is known, the most important first, so that a run that is cut off has told the most.

It needs what `pip install .` installs, and downloads no file.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.train import PAPER_PROJECTOR, SD15, VAE, VIT_L, peak_gigabytes, time_steps
from mcld.machine.accelerator import find_accelerator, is_discrete

if TYPE_CHECKING:
    import torch

    from mcld.conditions import FocalConditions
    from mcld.pipeline import MCLDPipeline
    from mcld.sampling_options import SamplingOptions

Line = dict[str, Any]

STEPS = 20
GUIDANCE = 3.5
"""The paper's."""
BATCH = 12
"""Pictures that are trained on at once, the paper's."""
CLOSE = 35.0
"""dB that half precision must come to, beside float32."""


@dataclass(frozen=True)
class Size:
    """What is measured: networks, and the pictures that they make."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    encoder: dict[str, Any]
    projector: dict[str, Any]
    side: int
    """Of the pictures, pixels."""


FULL = Size(SD15, VAE, VIT_L, PAPER_PROJECTOR, 512)
TOY = Size(
    SD15 | {"block_out_channels": (8, 16, 16, 16), "norm_num_groups": 4, "attention_head_dim": 2},
    VAE | {"block_out_channels": (8, 8, 16, 16), "norm_num_groups": 4, "layers_per_block": 1},
    VIT_L
    | {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
    {"dim": 32, "depth": 1, "heads": 2},
    64,
)
"""As deep, and so narrow that a CPU runs it in seconds."""


@dataclass(frozen=True)
class Mode:
    """A way to sample or to train."""

    name: str
    settings: tuple[str, ...] = ()
    """Of mcld, as after `--set`."""
    batch: int = 1
    minutes: float = 0.2
    """That it needs on a large GPU; with less left, it is not begun."""


GPU_SAMPLING = (
    Mode("bfloat16"),
    Mode("bfloat16, 8 at once", batch=8),
    Mode("bfloat16, compiled", ("sample.compile=true",), minutes=1.5),
    Mode("bfloat16, unipc, 10 steps", ("sample.fast=true",)),
    Mode("bfloat16, guided from 0.2 to 0.8", ("sample.guidance_interval=[0.2,0.8]",)),
    Mode("bfloat16, cache of 3 steps", ("sample.cache_interval=3",)),
    Mode("float32", ("sample.dtype=float32",)),
    Mode("float32, TF32", ("sample.dtype=float32", "sample.tf32=true")),
    Mode("bfloat16, low memory", ("sample.low_memory=true",)),
    Mode("bfloat16, kept in float8", ("sample.storage_dtype=float8",)),
    Mode(
        "bfloat16, kept in float8, low memory",
        ("sample.storage_dtype=float8", "sample.low_memory=true"),
    ),
    Mode(
        "bfloat16, blocks compiled",
        ("sample.compile=true", "sample.compile_mode=regional"),
        minutes=1,
    ),
    Mode(
        "bfloat16, CUDA graphs",
        ("sample.compile=true", "sample.compile_mode=reduce-overhead"),
        minutes=1.5,
    ),
    Mode("bfloat16, compiled, low memory", ("sample.compile=true", "sample.low_memory=true"), 1, 1),
    Mode("bfloat16, compiled, 8 at once", ("sample.compile=true",), 8, 1.5),
    Mode("bfloat16, one product for queries, keys and values", ("sample.fuse_qkv=true",)),
    Mode("float16", ("sample.dtype=float16",)),
)
LAST_SAMPLING = (
    Mode("bfloat16, autotuned", ("sample.compile=true", "sample.compile_mode=max-autotune"), 1, 4),
)
GPU_TRAINING = (
    Mode("bf16", (), BATCH, 0.3),
    Mode("bf16, compiled", ("train.compile=true",), BATCH, 1.5),
    Mode("bf16, gradient checkpointing", ("train.gradient_checkpointing=true",), BATCH, 0.3),
    Mode("float32", ("train.precision=no",), BATCH, 0.4),
)
CPU_SAMPLING = (
    Mode("float32"),
    Mode("bfloat16", ("sample.dtype=bfloat16",)),
    Mode("guided from 0.2 to 0.8", ("sample.guidance_interval=[0.2,0.8]",)),
    Mode("cache of 3 steps", ("sample.cache_interval=3",)),
)


@dataclass
class Bench:
    """A run on one device, of one size, until its time is up."""

    device: torch.device
    size: Size
    end: float
    """As `time.monotonic` has it."""
    steps: int = STEPS

    def lines(self, sampling: tuple[Mode, ...], training: tuple[Mode, ...]) -> Iterator[Line]:
        """Checks, sampling, training, where the time goes, and what takes longest."""
        yield from self._told("checks", 0.5, self._check)
        first, *others = sampling
        yield from self.sample(first)
        for mode in training[:1]:
            yield from self._train(mode)
        yield from self._told("where a step's time goes", 0.3, self._profile)
        for mode in others:
            yield from self.sample(mode)
        for mode in training[1:]:
            yield from self._train(mode)

    def sample(self, mode: Mode) -> Iterator[Line]:
        yield from self._told(f"sampling, {mode.name}", mode.minutes, lambda: self._sampled(mode))

    def _train(self, mode: Mode) -> Iterator[Line]:
        yield from self._told(f"training, {mode.name}", mode.minutes, lambda: self._trained(mode))

    def _told(self, what: str, minutes: float, measure: Callable[[], Line]) -> Iterator[Line]:
        """Its line; one that says why there is none, where time or memory do not suffice."""
        import torch

        if time.monotonic() + 60 * minutes > self.end:
            yield {"measured": what, "left out": f"it needs {minutes:g} minutes"}
            return
        started = time.monotonic()
        if is_discrete(self.device):
            torch.accelerator.reset_peak_memory_stats()
        try:
            found = measure()
        except Exception as error:  # noqa: BLE001 - the other modes are to be measured
            found = {"failed": f"{type(error).__name__}: {str(error)[:400]}"}
        gc.collect()
        torch.compiler.reset()
        if is_discrete(self.device):
            torch.accelerator.empty_cache()
        yield {"measured": what, **found, "took, s": round(time.monotonic() - started, 1)}

    def _check(self) -> Line:
        """Small networks: float32 beside the CPU's, and half precision beside float32, in dB."""
        import torch

        found: Line = {}
        pictures = {}
        for name, device, dtype in (
            ("CPU", "cpu", "float32"),
            ("float32", self.device, "float32"),
            ("bfloat16", self.device, "bfloat16"),
            ("float16", self.device, "float16"),
        ):
            there = torch.device(device)
            if there.type == "cpu" and dtype == "float16":
                continue
            torch.manual_seed(0)
            opened = _open(TOY, torch.device("cpu"), (f"sample.dtype={dtype}",), there, 4)
            conditions, noise = _ask(opened, TOY, 1)
            pictures[name] = _paint(opened, conditions, noise).double().cpu()
        found["float32, largest difference to the CPU"] = round(
            float((pictures["float32"] - pictures["CPU"]).abs().max()), 6
        )
        for name in ("bfloat16", "float16"):
            if name in pictures:
                found[f"{name}, dB"] = round(_psnr(pictures[name], pictures["CPU"]), 1)
                found[f"{name} is close"] = found[f"{name}, dB"] >= CLOSE
        return found

    def _sampled(self, mode: Mode) -> Line:
        """Seconds of each part, a picture; the first picture's, which compiles; peak memory."""
        import torch

        torch.manual_seed(0)
        home = torch.device("cpu") if "sample.low_memory=true" in mode.settings else self.device
        opened = _open(self.size, home, mode.settings, self.device, self.steps)
        pipeline, options = opened
        found: Line = {}
        if "sample.compile=true" in mode.settings:
            with torch.compiler.set_stance("force_eager"):
                conditions, noise = _ask(opened, self.size, mode.batch)
                eager = _paint(opened, conditions, noise).double().cpu()
        seconds: dict[str, float] = {}

        @contextmanager
        def timed(part: str) -> Iterator[None]:
            _wait(self.device)
            start = time.perf_counter()
            yield
            _wait(self.device)
            seconds[part] = (time.perf_counter() - start) / mode.batch

        for k in range(2 if self.device.type == "cpu" else 3):  # the last counts
            with timed("picture"):
                with timed("encode"):
                    conditions, noise = _ask(opened, self.size, mode.batch)
                with timed("reference"):
                    focal = pipeline.network.encode(conditions)
                with timed("steps"):
                    latents = pipeline.denoise(conditions, noise, options, focal=focal)
                with timed("decode"):
                    pictures = pipeline.decode(latents, conditions)
                pipeline.maybe_free_model_hooks()
            if k == 0:
                found["first picture, s"] = round(seconds["picture"] * mode.batch, 2)
        for part, value in seconds.items():
            found[f"{part}, s"] = round(value, 4)
        taken = options.num_inference_steps
        if taken != STEPS and "sample.fast=true" not in mode.settings:
            whole = seconds["picture"] + (STEPS / taken - 1) * seconds["steps"]
            found[f"picture of {STEPS} steps, s"] = round(whole, 2)
        found |= self._peak()
        if "sample.compile=true" in mode.settings:
            found["beside eager, dB"] = round(_psnr(pictures.double().cpu(), eager), 1)
        return found

    def _trained(self, mode: Mode) -> Line:
        """Images a second of whole steps, the optimizer's included, and peak memory."""
        import torch
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        from mcld.model import MCLD
        from mcld.settings import load_settings

        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 - one of a process
        warm_up, steps = 3, 8
        given = [
            f"train.batch_size={mode.batch}",
            f"train.images={mode.batch * (warm_up + steps)}",
            *("train.ema_decay=0", "train.workers=2", "train.precision=bf16", *mode.settings),
        ]
        settings = load_settings(Path("configs/deepfashion.yaml"), given)
        accelerator = Accelerator(
            cpu=self.device.type == "cpu", mixed_precision=settings.train.precision
        )
        with torch.device(self.device):
            network = MCLD(*_networks(self.size).values())
        times = time_steps(network, settings, accelerator, self.size.side)
        return {
            "images/s": round(mode.batch * steps / sum(times[warm_up:]), 3),
            "first step, s": round(times[0], 1),
            **self._peak(),
        }

    def _peak(self) -> Line:
        return {"peak GB": peak_gigabytes()} if is_discrete(self.device) else {}

    def _profile(self) -> Line:
        """The operators that two guided steps spend their time in, as shares of it."""
        from torch.profiler import profile

        opened = _open(self.size, self.device, (), self.device, 2)
        conditions, noise = _ask(opened, self.size, 1)
        pipeline, options = opened
        pipeline.denoise(conditions, noise, options)
        with profile() as seen:  # of the CPU, and of the accelerators that PyTorch can look into
            pipeline.denoise(conditions, noise, options)
            _wait(self.device)
        name = "self_device_time_total" if is_discrete(self.device) else "self_cpu_time_total"
        events = seen.key_averages()
        total = sum(getattr(event, name) for event in events) or 1
        ranked = sorted(events, key=lambda event: -getattr(event, name))[:12]
        return {event.key[:60]: round(getattr(event, name) / total, 3) for event in ranked}


def _networks(size: Size) -> dict[str, Any]:
    """The trainable ones, by the names of the pipeline's arguments."""
    from mcld.model import DenoisingUNet, ImageProjector, PoseGuider, ReferenceNet

    return {
        "denoising_unet": DenoisingUNet(**size.unet),
        "reference_unet": ReferenceNet(**size.unet),
        "pose_guider": PoseGuider(size.unet["block_out_channels"][0]),
        "image_projector": ImageProjector(**size.projector),
    }


def _open(
    size: Size,
    home: torch.device,
    changes: tuple[str, ...],
    device: torch.device,
    steps: int = STEPS,
) -> tuple[MCLDPipeline, SamplingOptions]:
    """A pipeline of random weights, made at home and brought to its place."""
    import torch
    from diffusers import AutoencoderKL
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    from mcld.pipeline import MCLDPipeline, ddim_scheduler
    from mcld.sampling.placement import place
    from mcld.settings import load_settings

    side = f"sample.height={size.side}", f"sample.width={size.side}"
    counts = f"sample.num_inference_steps={steps}", f"sample.guidance_scale={GUIDANCE}"
    settings = load_settings(Path("configs/deepfashion.yaml"), [*side, *counts, *changes])
    with torch.device(home):
        pipeline = MCLDPipeline(
            vae=AutoencoderKL(**size.vae),
            image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**size.encoder)),
            feature_extractor=CLIPImageProcessor(),
            scheduler=ddim_scheduler(),
            **_networks(size),
        )
    return pipeline, place(pipeline, settings, device)


def _ask(
    opened: tuple[MCLDPipeline, SamplingOptions], size: Size, batch: int
) -> tuple[FocalConditions, torch.Tensor]:
    """Encoded conditions of some random people, and noise."""
    import torch

    from mcld.pipeline_inputs import PipelineInputs

    pipeline, options = opened
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(batch, 3, size.side, size.side, generator=generator)
    patches = torch.rand(batch, 3, 224, 224, generator=generator)
    pose = (pixels * 24).to(torch.uint8)
    inputs = PipelineInputs(
        source=patches.numpy(),
        texture=patches.numpy(),
        reference=(pixels * 2 - 1).numpy(),
        face=torch.rand(batch, 512, generator=generator).numpy(),
        pose=pose.numpy(),
        warped=None,
        fine_pose=None,
        fine_warped=None,
    )
    with torch.no_grad():
        conditions = pipeline.conditions(inputs)
    return conditions, pipeline.draw_noise(batch, options, torch.Generator().manual_seed(1))


def _paint(
    opened: tuple[MCLDPipeline, SamplingOptions], conditions: FocalConditions, noise: torch.Tensor
) -> torch.Tensor:
    import torch

    pipeline, options = opened
    with torch.no_grad():
        return pipeline.decode(pipeline.denoise(conditions, noise, options), conditions)


def _psnr(picture: torch.Tensor, other: torch.Tensor) -> float:
    error = float((picture - other).square().mean())
    return -10 * math.log10(max(error, 1e-12))


def _wait(device: torch.device) -> None:
    import torch

    if device.type != "cpu":
        torch.accelerator.synchronize()


def _name(accelerator: torch.device) -> str:
    """What the maker calls it; of Apple's, PyTorch does not say."""
    import torch

    module = torch.get_device_module(accelerator)
    return str(module.get_device_name()) if is_discrete(accelerator) else accelerator.type


def gpu(minutes: float, toy: bool) -> Iterator[Line]:
    """Everything on a GPU in so many minutes; toy: small networks, on whatever device there is."""
    import torch

    from mcld.errors import MCLDError

    there = find_accelerator()
    if there is None and not toy:
        raise MCLDError("there is no GPU here: give --toy, or measure the CPU: benchmarks cpu")
    device = there or torch.device("cpu")
    name = "CPU" if there is None else _name(there)
    yield {"measured": "on", "device": name, "torch": torch.__version__}
    bench = Bench(device, TOY if toy else FULL, time.monotonic() + 60 * minutes)
    sampling = (*GPU_SAMPLING, *LAST_SAMPLING)
    if there is None:
        spares = "low_memory", "compile", "float16"
        sampling = tuple(m for m in sampling if not any(s in " ".join(m.settings) for s in spares))
        bench = replace(bench, steps=2)
    yield from bench.lines(sampling, GPU_TRAINING[:1] if toy else GPU_TRAINING)


def cpu(minutes: float, toy: bool) -> Iterator[Line]:
    """Sampling on a CPU; a picture's time is reckoned from a few of its steps."""
    import torch

    bench = Bench(torch.device("cpu"), TOY if toy else FULL, time.monotonic() + 60 * minutes, 3)
    for mode in CPU_SAMPLING:
        yield from bench.sample(mode)
