"""How fast and in how much memory pictures are made.

At Stable Diffusion 1.5's size the weights are random; that changes neither time nor memory.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.train import PAPER_PROJECTOR, SD15, VAE, VIT_L, alone, peak_gigabytes

SIZE = (512, 512)
STEPS = 20
GUIDANCE = 3.5
GPU_VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {},
    "bfloat16, compiled": {"compile": True},
    "float16, low memory": {"dtype": "float16", "low_memory": True},
    "bfloat16, batches of 8": {"batch": 8},
    "bfloat16, compiled, batches of 8": {"compile": True, "batch": 8},
}
CPU_VARIANTS: dict[str, dict[str, Any]] = {"float32": {"dtype": "float32"}}


def sample() -> Iterator[tuple[str, float]]:
    """Figures of the embedded network from the shell prompt, then of the full size by parts."""
    import torch

    with TemporaryDirectory() as folder:
        yield "embedded, from the shell prompt to the picture: seconds", _from_the_prompt(folder)
    gpu = torch.cuda.is_available()
    for name, changes in (GPU_VARIANTS if gpu else CPU_VARIANTS).items():
        found = alone(_full_size, changes)
        if found is None:
            print(f"{name}: not measured", file=sys.stderr)
            continue
        for figure, value in found.items():
            yield f"{name}: {figure}", value


def _from_the_prompt(folder: str) -> float:
    """The median of three runs of `mcld sample`, after one that fills the page cache."""
    dataset = Path(folder) / "mannequin"
    subprocess.run(
        [sys.executable, "-m", "mcld_cli", "prepare", dataset, "--mannequins", "2"],
        check=True,
        capture_output=True,
    )
    source = min((dataset / "train").iterdir())
    pose = max((dataset / "train_densepose").iterdir())
    out = Path(folder) / "out.png"
    command = [sys.executable, "-m", "mcld_cli", "sample", "--source", source, "--pose", pose]
    times = []
    for _ in range(4):
        start = time.perf_counter()
        subprocess.run([*command, "--out", out], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return round(sorted(times[1:])[1], 2)


def _full_size(changes: dict[str, Any]) -> dict[str, float]:
    """Seconds of each part of a picture, and of the picture; on a CPU, 20 times one step's."""
    import torch
    from diffusers import AutoencoderKL
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    from mcld.model import DenoisingUNet, ImageProjector, PoseGuider, ReferenceNet
    from mcld.pipeline import MCLDPipeline, PipelineInputs, ddim_scheduler
    from mcld.sampling.placement import place
    from mcld.settings import load_settings

    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    settings = load_settings(Path("configs/deepfashion.yaml"), [])
    batch = changes.pop("batch", 1)
    options = settings.sample.model_copy(update=changes)
    settings = settings.model_copy(update={"sample": options})
    with torch.device("cpu" if options.low_memory else device):
        pipeline = MCLDPipeline(
            vae=AutoencoderKL(**VAE),
            image_encoder=CLIPVisionModelWithProjection(CLIPVisionConfig(**VIT_L)),
            feature_extractor=CLIPImageProcessor(),
            denoising_unet=DenoisingUNet(**SD15),
            reference_unet=ReferenceNet(**SD15),
            pose_guider=PoseGuider(SD15["block_out_channels"][0]),
            image_projector=ImageProjector(**PAPER_PROJECTOR),
            scheduler=ddim_scheduler(),
        )
    sampled = place(pipeline, settings, device)
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    pixels = torch.rand(batch, 3, *SIZE)
    pose = torch.randint(25, (batch, 3, *SIZE), dtype=torch.uint8)
    patches = torch.rand(batch, 3, 224, 224)
    inputs = PipelineInputs(patches, patches, pixels, torch.rand(batch, 512), pose, None)
    noise = pipeline.draw_noise(batch, sampled, torch.Generator().manual_seed(0))
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if gpu:
            torch.cuda.synchronize()
        seconds[part] = (time.perf_counter() - start) / batch

    def picture() -> None:
        with timed("picture"):
            with timed("encode"):
                conditions = pipeline.conditions(inputs)
            with timed("steps"):  # and the reference
                latents = pipeline.denoise(conditions, noise, sampled)
            with timed("decode"):
                pipeline.decode(latents, conditions)
            pipeline.maybe_free_model_hooks()

    steps = STEPS if gpu else 1
    sampled = replace(sampled, num_inference_steps=steps, guidance_scale=GUIDANCE)
    with torch.no_grad():
        for _ in range(3 if gpu else 2):  # the last counts
            picture()
        peak = peak_gigabytes()
        conditions = pipeline.conditions(inputs)
        with timed("reference"):
            pipeline.network.encode(conditions)
    step = (seconds["steps"] - seconds["reference"]) / steps
    whole = seconds["picture"] + (STEPS - steps) * step
    name = "a picture" if gpu else f"a picture, its {STEPS} steps reckoned from one"
    return {
        "encode, s": round(seconds["encode"], 4),
        "reference, s": round(seconds["reference"], 4),
        "step, s": round(step, 4),
        "decode, s": round(seconds["decode"], 4),
        f"{name}, s": round(whole, 3),
        "peak GB": peak,
    }
