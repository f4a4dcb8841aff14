"""The paper's starting point: Stable Diffusion's weights in both UNets.

A ControlNet's conditioning embedding goes into the pose guider; autoencoder and image encoder are
taken as they are. What none of them has (the projections of face tokens, the image projector, the
pose guider's last convolution) starts at random, or at zero.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcld.errors import WeightsError
from mcld.machine.tensor_files import read_state_dict
from mcld.model import DenoisingUNet, PoseGuider, ReferenceNet
from mcld.model.projector import new_image_projector
from mcld.networks.folders import read_guider_channels
from mcld.networks.names import CONTROLNET, UNET
from mcld.networks.stable_diffusion import find_weights, load_frozen_parts, read_unet_config
from mcld.settings import ModelSettings

_GUIDER_PREFIX = "controlnet_cond_embedding."


def load_pretrained(root: Path, model: ModelSettings, seed: int) -> dict[str, Any]:
    """The parts of a pipeline that starts from the pretrained networks in the folder `root`.

    The image projector is new, of `model`'s widths, drawn from `seed`, as are the projections of
    its tokens.

    Raises WeightsError for a file that is missing, damaged, or does not fit the others.
    """
    files = {source: find_weights(root, source) for source in (UNET, CONTROLNET)}
    config = read_unet_config(root)
    width = config["cross_attention_dim"]
    frozen = load_frozen_parts(root, width)
    torch.manual_seed(seed)
    denoising_unet = DenoisingUNet.from_config(config)
    reference_unet = ReferenceNet.from_config(config)
    weights = read_state_dict(files[UNET])
    new = [key for key in denoising_unet.state_dict() if ".processor." in key]
    _load(denoising_unet, weights, files[UNET], new)
    read = {k: w for k, w in weights.items() if not k.startswith(ReferenceNet.OUTPUT_LAYERS)}
    _load(reference_unet, read, files[UNET])
    return {
        **frozen,
        "denoising_unet": denoising_unet,
        "reference_unet": reference_unet,
        "pose_guider": _load_pose_guider(
            files[CONTROLNET], denoising_unet.config.block_out_channels[0]
        ),
        "image_projector": new_image_projector(model, width),
    }


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


def _load_pose_guider(path: Path, width: int) -> PoseGuider:
    """A pose guider with a ControlNet's conditioning embedding, but for its last convolution."""
    weights = {
        key.removeprefix(_GUIDER_PREFIX): tensor
        for key, tensor in read_state_dict(path).items()
        if key.startswith(_GUIDER_PREFIX) and not key.startswith(f"{_GUIDER_PREFIX}conv_out")
    }
    try:
        channels = read_guider_channels(weights)
    except KeyError as error:
        raise WeightsError(f"{path} is no ControlNet: it lacks {_GUIDER_PREFIX}{error}") from error
    guider: PoseGuider = PoseGuider(width, channels)
    _load(guider, weights, path, ["conv_out.weight", "conv_out.bias"])
    return guider
