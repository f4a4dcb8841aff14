"""The paper's starting point: Stable Diffusion's weights in both UNets.

A ControlNet's conditioning embedding goes into the pose guider; autoencoder and image encoder are
taken as they are. What none of them has (the projections of face tokens, the image projector, the
pose guider's last convolution) starts at random, or at zero.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mcld.errors import WeightsError
from mcld.model import DenoisingUNet, PoseGuider, ReferenceNet
from mcld.model.checkpoints import read_state_dict
from mcld.networks.folders import (
    CONTROLNET,
    UNET,
    frozen_parts,
    guider_channels,
    unet_config,
    weights_file,
)
from mcld.pipeline import MCLDPipeline
from mcld.settings import Settings
from mcld.train.start import image_projector, sampled_pipeline

_GUIDER_PREFIX = "controlnet_cond_embedding."


def pretrained_pipeline(settings: Settings) -> MCLDPipeline:
    """A pipeline that starts from the pretrained networks in the folder `train.pretrained`.

    The image projector is new, of `settings.model`'s widths, drawn from `train.seed`, as are the
    projections of its tokens.

    Raises WeightsError for a file that is missing, damaged, or does not fit the others.
    """
    root = settings.train.pretrained
    assert root is not None
    files = {source: weights_file(root, source) for source in (UNET, CONTROLNET)}
    config = unet_config(root)
    width = config["cross_attention_dim"]
    frozen = frozen_parts(root, width)
    torch.manual_seed(settings.train.seed)
    denoising_unet = DenoisingUNet.from_config(config)
    reference_unet = ReferenceNet.from_config(config)
    weights = read_state_dict(files[UNET])
    new = [key for key in denoising_unet.state_dict() if ".processor." in key]
    _load(denoising_unet, weights, files[UNET], new)
    read = {k: w for k, w in weights.items() if not k.startswith(ReferenceNet.OUTPUT_LAYERS)}
    _load(reference_unet, read, files[UNET])
    return sampled_pipeline(
        settings,
        **frozen,
        denoising_unet=denoising_unet,
        reference_unet=reference_unet,
        pose_guider=_pose_guider(files[CONTROLNET], denoising_unet.config.block_out_channels[0]),
        image_projector=image_projector(settings.model, width),
    )


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


def _pose_guider(path: Path, width: int) -> PoseGuider:
    """A pose guider with a ControlNet's conditioning embedding, but for its last convolution."""
    weights = {
        key.removeprefix(_GUIDER_PREFIX): tensor
        for key, tensor in read_state_dict(path).items()
        if key.startswith(_GUIDER_PREFIX) and not key.startswith(f"{_GUIDER_PREFIX}conv_out")
    }
    try:
        channels = guider_channels(weights)
    except KeyError as error:
        raise WeightsError(f"{path} is no ControlNet: it lacks {_GUIDER_PREFIX}{error}") from error
    guider: PoseGuider = PoseGuider(width, channels)
    _load(guider, weights, path, ["conv_out.weight", "conv_out.bias"])
    return guider
