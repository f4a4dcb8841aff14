"""The pretrained networks that MCLD starts from, under their public names.

    <pretrained>/stable-diffusion-v1-5/unet      the layout of both UNets, and where they start
    <pretrained>/control_v11p_sd15_seg           where the pose guider starts
    <pretrained>/sd-vae-ft-mse                   the autoencoder, frozen
    <pretrained>/image_encoder                   the image encoder, frozen

Each as diffusers and transformers write them, .safetensors or .bin.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError
from torch import nn
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from mcld.errors import WeightsError
from mcld.machine.tensor_files import explain_unreadable
from mcld.networks.names import CONTROLNET, IMAGE_ENCODER, UNET, VAE, Pretrained


def find_weights(root: Path, source: Pretrained) -> Path:
    """The weights file of a pretrained network, whose config.json lies beside it.

    Raises WeightsError, with the command that brings what is missing.
    """
    folder = root / source.folder
    names = source.file_names()
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    needed = [] if source is CONTROLNET or (folder / "config.json").is_file() else ["config.json"]
    if found is None:
        raise _missing_files(root, source, [f"{names[0]} (or .bin)", *needed])
    if needed:
        raise _missing_files(root, source, needed)
    return found


def read_unet_config(root: Path) -> dict[str, Any]:
    """The configuration of both UNets. Raises WeightsError when it is missing or damaged."""
    path = root / UNET.folder / "config.json"
    if not path.is_file():
        raise _missing_files(root, UNET, ["config.json"])
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config["cross_attention_dim"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{path} is no UNet's configuration: {error}") from error
    return config


def load_frozen_parts(root: Path, width: int) -> dict[str, Any]:
    """The pipeline's parts that are never trained: vae, image_encoder and feature_extractor.

    width: of the UNets' context, which the embeddings must have.

    Raises WeightsError for what is missing, damaged, or does not fit.
    """
    for source in (VAE, IMAGE_ENCODER):
        find_weights(root, source)
    vae = _load_folder(AutoencoderKL, root / VAE.folder)
    image_encoder = _load_folder(CLIPVisionModelWithProjection, root / IMAGE_ENCODER.folder)
    embedded = image_encoder.config.projection_dim
    if embedded != width:
        raise WeightsError(
            f"{root / IMAGE_ENCODER.folder} gives embeddings of {embedded} numbers, where the UNet"
            f" reads {width}: it is not that of {IMAGE_ENCODER.repository}"
        )
    return {
        "vae": vae.requires_grad_(False),
        "image_encoder": image_encoder.requires_grad_(False),
        "feature_extractor": CLIPImageProcessor(),
    }


def _missing_files(root: Path, source: Pretrained, names: list[str]) -> WeightsError:
    return WeightsError(
        f"{root / source.folder} lacks {' and '.join(names)}: mcld weights download {source.name}"
    )


def _load_folder(kind: Any, folder: Path) -> Any:
    try:
        module = kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(explain_unreadable(folder, error)) from error
    align_weights(module)
    return module


def align_weights(module: nn.Module) -> None:
    """Copy all weights to memory that begins where PyTorch's own does.

    Weights that were just loaded lie as they did in their file, sometimes. On a CPU a matrix
    product rounds otherwise there, so that the same picture would differ from run to run.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone(memory_format=torch.preserve_format)
