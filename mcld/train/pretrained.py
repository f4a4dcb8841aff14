"""The paper's starting point: Stable Diffusion's weights in both UNets.

    <folder>/stable-diffusion-v1-5/unet      into both UNets
    <folder>/control_v11p_sd15_seg           its conditioning embedding into the pose guider
    <folder>/sd-vae-ft-mse                   the autoencoder, frozen
    <folder>/image_encoder                   the image encoder, frozen

Each as diffusers and transformers write them, .safetensors or .bin. What none of them has (the
projections of face tokens, the image projector, the pose guider's last convolution) starts at
random, or at zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from mcld.errors import WeightsError
from mcld.model import DenoisingUNet, PoseGuider, ReferenceNet
from mcld.model.checkpoints import read_state_dict
from mcld.train.start import image_projector, sampled_pipeline

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from torch import Tensor, nn

    from mcld.pipeline import MCLDPipeline
    from mcld.settings import Settings

_GUIDER_PREFIX = "controlnet_cond_embedding."


class _Source(NamedTuple):
    """One of the pretrained networks, and where it comes from."""

    folder: str
    """Below train.pretrained, with its config.json."""
    stem: str
    """Of the weights file."""
    repository: str
    """On the Hugging Face hub."""
    inside: str = "."
    """Folder of the repository."""


UNET = _Source(
    "stable-diffusion-v1-5/unet",
    "diffusion_pytorch_model",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "unet",
)
VAE = _Source("sd-vae-ft-mse", "diffusion_pytorch_model", "stabilityai/sd-vae-ft-mse")
CONTROLNET = _Source(
    "control_v11p_sd15_seg", "diffusion_pytorch_model", "lllyasviel/control_v11p_sd15_seg"
)
IMAGE_ENCODER = _Source(
    "image_encoder",
    "model",
    "lambdalabs/sd-image-variations-diffusers",
    "image_encoder",
)


def pretrained_pipeline(settings: Settings) -> MCLDPipeline:
    """A pipeline that starts from the pretrained networks in the folder `train.pretrained`.

    The image projector is new, of `settings.model`'s widths, drawn from `train.seed`, as are the
    projections of its tokens.

    Raises WeightsError for a file that is missing, damaged, or does not fit the others.
    """
    root = settings.train.pretrained
    assert root is not None
    files = {source: _weights(root, source) for source in (UNET, CONTROLNET, VAE, IMAGE_ENCODER)}
    torch.manual_seed(settings.train.seed)
    config = DenoisingUNet.load_config(root / UNET.folder)
    denoising_unet = DenoisingUNet.from_config(config)
    reference_unet = ReferenceNet.from_config(config)
    weights = read_state_dict(files[UNET])
    new = [key for key in denoising_unet.state_dict() if ".processor." in key]
    _load(denoising_unet, weights, files[UNET], new)
    _load(reference_unet, weights, files[UNET])
    vae = _loaded(AutoencoderKL, root / VAE.folder)
    image_encoder = _loaded(CLIPVisionModelWithProjection, root / IMAGE_ENCODER.folder)
    width = denoising_unet.config.cross_attention_dim
    embedded = image_encoder.config.projection_dim
    if embedded != width:
        raise WeightsError(
            f"{root / IMAGE_ENCODER.folder} gives embeddings of {embedded} numbers, where the UNet"
            f" reads {width}: it is not that of {IMAGE_ENCODER.repository}"
        )
    return sampled_pipeline(
        settings,
        vae=vae.requires_grad_(False),
        image_encoder=image_encoder.requires_grad_(False),
        feature_extractor=CLIPImageProcessor(),
        denoising_unet=denoising_unet,
        reference_unet=reference_unet,
        pose_guider=_pose_guider(files[CONTROLNET], denoising_unet.config.block_out_channels[0]),
        image_projector=image_projector(settings.model, width),
    )


def _weights(root: Path, source: _Source) -> Path:
    """The weights file of a pretrained network, whose config.json lies beside it."""
    folder = root / source.folder
    stems = (source.stem, "pytorch_model") if source is IMAGE_ENCODER else (source.stem,)
    names = [stem + suffix for stem in stems for suffix in (".safetensors", ".bin")]
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    needed = [] if source is CONTROLNET or (folder / "config.json").is_file() else ["config.json"]
    if found is None:
        needed.insert(0, f"{names[0]} (or .bin)")
    if needed:
        inside = "" if source.inside == "." else f" --include '{source.inside}/*'"
        place = folder.parent if source.inside != "." else folder
        raise WeightsError(
            f"{folder} lacks {' and '.join(needed)}: hf download {source.repository}{inside}"
            f" --local-dir {place}"
        )
    assert found is not None
    return found


def _load(
    module: nn.Module, weights: dict[str, Tensor], path: Path, new: list[str] | None = None
) -> None:
    """Load all weights of `module` but the `new` ones. Raises WeightsError when they do not fit."""
    try:
        missing, unexpected = module.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path} is of another network: {reason}") from error
    wrong = sorted(set(missing) ^ set(new or ())) + sorted(unexpected)
    if wrong:
        raise WeightsError(f"{path} is of another network: it differs in {', '.join(wrong[:3])}")


def _loaded(kind: Any, folder: Path) -> Any:
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"cannot load the weights in {folder}: {reason}") from error


def _pose_guider(path: Path, width: int) -> PoseGuider:
    """A pose guider with a ControlNet's conditioning embedding, but for its last convolution."""
    weights = {
        key.removeprefix(_GUIDER_PREFIX): tensor
        for key, tensor in read_state_dict(path).items()
        if key.startswith(_GUIDER_PREFIX) and not key.startswith(f"{_GUIDER_PREFIX}conv_out")
    }
    layers = ["conv_in", "blocks.1", "blocks.3", "blocks.5"]
    try:
        channels = tuple(len(weights[f"{layer}.bias"]) for layer in layers)
    except KeyError as error:
        raise WeightsError(f"{path} is no ControlNet: it lacks {_GUIDER_PREFIX}{error}") from error
    guider: PoseGuider = PoseGuider(width, channels)
    _load(guider, weights, path, ["conv_out.weight", "conv_out.bias"])
    return guider
