"""What the files of the networks are called, on disk and where they come from."""

import os
from pathlib import Path
from typing import NamedTuple

from mcld.machine.files import expand_home

AUTHORS = "Lotior/mcld"
"""On the Hugging Face hub: the network of the paper's authors, which they did not put there."""
CHECKPOINTS = Path("checkpoints")
"""Where `mcld weights download` puts it."""
FILE_STEMS = {
    "denoising_unet": ("denoising_unet",),
    "reference_unet": ("reference_unet",),
    "pose_guider": ("pose_guider",),
    "image_projector": ("image_projector", "image_proj_model"),
}
"""Part of the network -> the names its file goes by, ours first."""


def four_files(folder: Path) -> dict[str, Path | None]:
    """Part of the network -> its file in `folder`, None where there is none."""
    return {
        part: next((folder / n for n in file_names(part) if (folder / n).is_file()), None)
        for part in FILE_STEMS
    }


def file_names(part: str) -> list[str]:
    """The names that the file of a part of the network may have, the preferred ones first."""
    return [stem + suffix for stem in FILE_STEMS[part] for suffix in (".safetensors", ".pth")]


class Pretrained(NamedTuple):
    """One of the pretrained networks, and where it comes from."""

    name: str
    """What `mcld weights download` calls it."""
    folder: str
    """Below the pretrained folder, with its config.json."""
    stem: str
    """Of the weights file."""
    repository: str
    """On the Hugging Face hub."""
    inside: str = "."
    """Folder of the repository."""

    def file_names(self) -> tuple[str, ...]:
        """The names its weights file may have, the best first."""
        stems = [self.stem, "pytorch_model"] if self.stem == "model" else [self.stem]
        return tuple(stem + suffix for stem in stems for suffix in (".safetensors", ".bin"))


TORCHVISION = {
    "inception": "inception_v3_google-0cc3c7bd.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
    "vgg16": "vgg16-397923af.pth",
}
"""The networks that evaluation uses: names for `mcld weights` -> torchvision's file names."""


def torchvision_folders(pretrained: Path) -> tuple[Path, Path]:
    """Where their files may lie: the pretrained folder and torch's hub folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = Path(os.environ.get("TORCH_HOME") or f"{cache}/torch")  # as `torch.hub.get_dir` has it
    return pretrained, expand_home(home) / "hub" / "checkpoints"


UNET = Pretrained(
    "unet",
    "stable-diffusion-v1-5/unet",
    "diffusion_pytorch_model",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "unet",
)
VAE = Pretrained("vae", "sd-vae-ft-mse", "diffusion_pytorch_model", "stabilityai/sd-vae-ft-mse")
CONTROLNET = Pretrained(
    "controlnet",
    "control_v11p_sd15_seg",
    "diffusion_pytorch_model",
    "lllyasviel/control_v11p_sd15_seg",
)
IMAGE_ENCODER = Pretrained(
    "image-encoder",
    "image_encoder",
    "model",
    "lambdalabs/sd-image-variations-diffusers",
    "image_encoder",
)
DINOV2 = Pretrained("dinov2", "dinov2-large", "model", "facebook/dinov2-large")
CLIP = Pretrained(
    "clip-l14-336",
    "clip-vit-large-patch14-336",
    "model",
    "openai/clip-vit-large-patch14-336",
)
"""Of evaluation, as `DINOV2`."""
