"""What this machine can do, and what each missing thing would bring."""

import importlib.util
import os
from dataclasses import dataclass

from mcld.machine.accelerator import find_accelerator, is_discrete
from mcld.settings import Settings
from mcld.weights.catalogue import Item, catalogue


@dataclass(frozen=True)
class Ability:
    """One thing that mcld can do."""

    what: str
    here: str
    """How it is done on this machine."""
    better: str = ""
    """What something that is missing would bring, and the command that brings it."""


def find_abilities(settings: Settings) -> list[Ability]:
    """What can be done here, the most needed first."""
    missing = {item.name: item for item in catalogue(settings) if not item.is_present()}
    return [
        _find_device(),
        _find_poses("densepose" in missing),
        _find_faces(settings.prepare.face_pack, missing),
        *(_find_use(use, missing) for use in _USES),
    ]


_USES = (
    (
        "painting",
        "the embedded network, of generated people",
        "the paper's network, at 512x512",
        ("unet", "vae", "image-encoder", "mcld"),
    ),
    (
        "training",
        "small networks, from nothing",
        "the paper's network, from Stable Diffusion",
        ("unet", "vae", "image-encoder", "controlnet"),
    ),
    (
        "scoring",
        "PSNR and SSIM",
        "FID, LPIPS and faces",
        ("inception", "alexnet", "buffalo_s"),
    ),
)
"""What can be done; how without weights, and how with these."""


def _find_device() -> Ability:
    import torch

    device = find_accelerator()
    if device is not None and is_discrete(device):
        gpu = torch.get_device_module(device).get_device_properties(0)
        rocm = f", by ROCm {torch.version.hip}" if torch.version.hip else ""
        return Ability("computing", f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GB{rocm}")
    if device is not None:
        memory = torch.mps.recommended_max_memory() / 2**30
        return Ability("computing", f"Apple's GPU (mps), {memory:.0f} GB of the machine's memory")
    return Ability(
        "computing",
        f"CPU, {os.cpu_count()} cores",
        "an NVIDIA GPU paints with the paper's network in seconds, not minutes",
    )


def _find_poses(is_missing: bool) -> Ability:
    poses = "poses of photos"
    if not is_missing:
        detectron2 = all(map(importlib.util.find_spec, ("detectron2", "densepose")))
        return Ability(poses, "DensePose" + (", also by detectron2" if detectron2 else ""))
    return Ability(
        poses,
        "the embedded reader of bodies",
        "DensePose reads hands, feet and clothes more exactly: mcld weights download densepose",
    )


def _find_faces(pack: str, missing: dict[str, Item]) -> Ability:
    faces = "faces of photos"
    needs = []
    if importlib.util.find_spec("insightface") is None:
        needs.append("pip install 'mcld[face]'")
    if pack in missing:
        needs.append(f"mcld weights download {pack}")
    if not needs:
        return Ability(faces, "ArcFace")
    return Ability(
        faces,
        "a small picture of the head, which the embedded network knows faces by",
        f"ArcFace, which the paper's network knows them by: {' and '.join(needs)}",
    )


def _find_use(use: tuple[str, str, str, tuple[str, ...]], missing: dict[str, Item]) -> Ability:
    what, without, better, names = use
    lacking = [name for name in names if name in missing]
    if not lacking:
        return Ability(what, f"{without}; {better}")
    size = sum(missing[name].gigabytes for name in lacking)
    command = f"mcld weights download {' '.join(lacking)}"
    return Ability(what, without, f"{better}, {size:.1f} GB: {command}")
