"""How fast and in how much memory the network of Stable Diffusion 1.5's size trains.

On a GPU: whole steps, the optimizer's included, of 12 pictures at 512x512. On a CPU, whose memory
rarely holds four numbers for each of 1.7 billion weights: forward and backward passes of one
picture, without the optimizer's step, and said so in the figures' names. Weights are random; that
changes neither time nor memory.
"""

from __future__ import annotations

import itertools
import resource
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mcld.errors import MCLDError
from mcld.machine.accelerator import find_accelerator, is_discrete

Measure = Callable[[dict[str, Any]], dict[str, float]]

SIZE = (512, 512)
GPU_BATCH = 12
GPU_STEPS = 10
PICTURES = 16
PAPER_PROJECTOR = {"dim": 1280, "depth": 4, "heads": 20}
SD15 = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}
VIT_L = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 768,
}
GPU_VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "no"},
    "bf16": {},
    "bf16, compiled": {"compile": True},
    "bf16, gradient checkpointing": {"gradient_checkpointing": True},
    "bf16, compiled, gradient checkpointing": {"compile": True, "gradient_checkpointing": True},
    "bf16, 8-bit AdamW": {"optimizer": "adamw8bit"},
}
CPU_VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "no"},
    "float32, gradient checkpointing": {"precision": "no", "gradient_checkpointing": True},
    "bf16": {},
}


def train() -> Iterator[tuple[str, float]]:
    """Images a second and peak memory, each variant in a process of its own; then the encoders."""

    gpu = find_accelerator() is not None
    where = "" if gpu else ", 1 image, forward and backward only"
    measured: dict[str, float] = {}
    for name, changes in (GPU_VARIANTS if gpu else CPU_VARIANTS).items():
        found = alone(_trained, changes)
        if found is None:
            print(f"{name}: not measured", file=sys.stderr)
            continue
        measured[name] = found["images/s"]
        for figure, value in found.items():
            yield f"{name}{where}: {figure}", value
    if encoders := alone(_encoded, {}):
        yield "encoding photo and texture map: images/s", encoders["images/s"]
        yield "encoding photo and texture map: peak GB", encoders["peak GB"]
        for name, rate in measured.items():
            together = 1 / (1 / rate + 1 / encoders["images/s"])
            yield f"{name}{where}, encoding every time, no cache: images/s", round(together, 4)


def alone(measure: Measure, changes: dict[str, Any]) -> dict[str, float] | None:
    """What `measure` finds in a process of its own, with its own peak; None when memory ran out."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(sender, measure, changes))
    process.start()
    sender.close()
    try:
        found: dict[str, float] | None = receiver.recv()
    except EOFError as error:
        raise SystemExit("error: a measurement ended without a figure") from error
    finally:
        process.join()
    return found


def _measured(sender: Any, measure: Measure, changes: dict[str, Any]) -> None:
    import psutil

    if find_accelerator() is None:  # memory that runs out is to be an error, not the end
        room = int(0.9 * psutil.virtual_memory().available)
        resource.setrlimit(resource.RLIMIT_DATA, (room, room))
    try:
        sender.send(measure(changes))
    except MCLDError as error:  # a package that is not installed
        print(f"left out: {error}", file=sys.stderr)
        sender.send(None)
    except (RuntimeError, MemoryError) as error:
        if "memory" not in str(error) and not isinstance(error, MemoryError):
            raise
        print("out of memory", file=sys.stderr)
        sender.send(None)


def _trained(changes: dict[str, Any]) -> dict[str, float]:
    import torch
    from accelerate import Accelerator

    from mcld.model import MCLD, DenoisingUNet, ImageProjector, PoseGuider, ReferenceNet
    from mcld.settings import load_settings

    gpu = find_accelerator() is not None
    batch, warm_up, steps = (GPU_BATCH, 2, GPU_STEPS) if gpu else (1, 1, 1)
    settings = load_settings(
        Path("configs/deepfashion.yaml"), [f"train.batch_size={batch}", "train.ema_decay=0"]
    )
    options = settings.train.model_copy(
        update={"images": batch * (warm_up + steps), "workers": 2 if gpu else 0, **changes}
    )
    settings = settings.model_copy(update={"train": options})
    accelerator = Accelerator(cpu=not gpu, mixed_precision=options.precision)
    with torch.device(accelerator.device):
        network = MCLD(
            DenoisingUNet(**SD15),
            ReferenceNet(**SD15),
            PoseGuider(SD15["block_out_channels"][0]),
            ImageProjector(**PAPER_PROJECTOR),
        )
    times = time_steps(network, settings, accelerator, SIZE[0], optimize=gpu)
    rate = batch * steps / sum(times[warm_up:])
    return {"images/s": round(rate, 4), "peak GB": peak_gigabytes()}


def time_steps(
    network: Any, settings: Any, accelerator: Any, side: int, optimize: bool = True
) -> list[float]:
    """Seconds of each step of a run that `settings` describe, on square pictures of that side.

    optimize: False leaves out the optimizer's own steps.
    """
    import torch

    from mcld.train.loop import take_steps
    from mcld.train.samples import TrainingSamples
    from mcld.train.setup import prepare_network

    prepared = prepare_network(network, settings.train, accelerator)
    if not optimize:
        prepared[1].step = lambda: None
    with TemporaryDirectory() as folder:
        cache, stems = sd_cache(Path(folder), side)
        pairs = torch.cartesian_prod(torch.arange(len(stems)), torch.arange(len(stems)))
        samples = TrainingSamples(cache, stems, pairs, torch.ones(1, 768), settings.train)
        times = [time.perf_counter()]
        conditions = settings.model.focal_conditions
        for _ in take_steps(*prepared, accelerator, samples, settings, conditions, 0):
            if accelerator.device.type != "cpu":
                torch.accelerator.synchronize()
            times.append(time.perf_counter())
    return [after - before for before, after in itertools.pairwise(times)]


def _encoded(_: dict[str, Any]) -> dict[str, float]:
    import torch
    from diffusers import AutoencoderKL
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    device = find_accelerator() or torch.device("cpu")
    batch = 1 if device.type == "cpu" else GPU_BATCH
    dtype = torch.float32
    vae = AutoencoderKL(**VAE).to(device, dtype)
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**VIT_L)).to(device, dtype)
    pixels = torch.randn(2 * batch, 3, *SIZE, device=device, dtype=dtype)
    patches = torch.randn(2 * batch, 3, 224, 224, device=device, dtype=dtype)
    times = [time.perf_counter()]
    with torch.no_grad():
        for _ in range(4):
            vae.encode(pixels)
            encoder(pixel_values=patches)
            if device.type != "cpu":
                torch.accelerator.synchronize()
            times.append(time.perf_counter())
    rate = 3 * batch / (times[-1] - times[1])
    return {"images/s": round(rate, 4), "peak GB": peak_gigabytes()}


def peak_gigabytes() -> float:
    """Of an accelerator with memory of its own, that; else of this process."""
    import torch

    accelerator = find_accelerator()
    if accelerator is not None and is_discrete(accelerator):
        return round(torch.accelerator.max_memory_reserved() / 1e9, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 1)


def sd_cache(root: Path, side: int = 512) -> tuple[Any, list[str]]:
    """A cache of encoded square pictures of Stable Diffusion's kind, and their stems."""
    import torch

    from mcld.dataset.layout import DatasetLayout
    from mcld.mannequin.world import identity, pose, render
    from mcld.train.cache import EncodedCache, EncodedPicture

    cache = EncodedCache(root, DatasetLayout(root), "train")
    stems = [f"{k:03d}" for k in range(PICTURES)]
    for k, stem in enumerate(stems):
        _, iuv = render(identity(0, k), pose(0, k, 0), (side, side))
        encoded = EncodedPicture(
            latents=torch.rand(2, 4, side // 8, side // 8),
            texture_latents=torch.rand(2, 4, side // 8, side // 8),
            source=torch.rand(1, 768),
            texture=torch.rand(1, 768),
            face=torch.rand(512),
            pose=torch.from_numpy(iuv).permute(2, 0, 1),
        )
        cache.write(stem, encoded, "")
    return cache, stems
