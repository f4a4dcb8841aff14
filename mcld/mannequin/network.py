"""A new small network with random weights."""

from typing import Any

import torch
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from mcld.errors import SettingsError
from mcld.mannequin.autoencoder import PatchAutoencoder
from mcld.model import DenoisingUNet, PoseGuider, ReferenceNet
from mcld.model.projector import new_image_projector
from mcld.settings import MannequinSettings, ModelSettings
from mcld.surface.parts import PARTS


def new_network(widths: MannequinSettings, model: ModelSettings, seed: int) -> dict[str, Any]:
    """The parts of a pipeline, and what else it is made with, of some widths.

    The weights are random, drawn from `seed`. Raises SettingsError when the widths do not fit
    together.
    """
    _check_widths(widths, model)
    torch.manual_seed(seed)
    levels = len(widths.block_out_channels)
    unet = {
        "in_channels": widths.latent_channels,
        "out_channels": widths.latent_channels,
        "block_out_channels": widths.block_out_channels,
        "layers_per_block": widths.layers_per_block,
        "attention_head_dim": widths.attention_heads,  # diffusers' name for the number of heads
        "norm_num_groups": widths.norm_num_groups,
        "cross_attention_dim": widths.cross_attention_dim,
        "down_block_types": ("CrossAttnDownBlock2D",) * levels,
        "up_block_types": ("CrossAttnUpBlock2D",) * levels,
        "use_linear_projection": True,
    }
    pose_guider = PoseGuider(widths.block_out_channels[0], widths.pose_channels)
    # Part labels end at 24 of 255, where U and V reach 1: let all three start with a like weight.
    pose_guider.conv_in.weight.data[:, 2] *= 255 / PARTS
    pixels = widths.image_encoder_size
    return {
        "vae": PatchAutoencoder(widths.latent_channels, decoder_channels=widths.decoder_channels),
        "image_encoder": CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=widths.image_encoder_width,
                intermediate_size=2 * widths.image_encoder_width,
                num_hidden_layers=widths.image_encoder_layers,
                num_attention_heads=widths.attention_heads,
                image_size=pixels,
                patch_size=8,
                projection_dim=widths.cross_attention_dim,
            )
        ),
        "feature_extractor": CLIPImageProcessor(
            size={"height": pixels, "width": pixels}, do_center_crop=False
        ),
        "denoising_unet": DenoisingUNet(**unet),
        "reference_unet": ReferenceNet(**unet),
        "pose_guider": pose_guider,
        "image_projector": new_image_projector(model, widths.cross_attention_dim),
        "pose_resample": "nearest",  # a blended label is another part, and these pictures are small
    }


def _check_widths(widths: MannequinSettings, model: ModelSettings) -> None:
    heads, groups = widths.attention_heads, widths.norm_num_groups
    shared = (
        *(("mannequin.block_out_channels", w, "mannequin.norm_num_groups", groups)
          for w in widths.block_out_channels),
        *(("mannequin.block_out_channels", w, "mannequin.attention_heads", heads)
          for w in widths.block_out_channels),
        ("mannequin.image_encoder_width", widths.image_encoder_width,
         "mannequin.attention_heads", heads),
        ("model.projector_dim", model.projector_dim,
         "model.projector_heads", model.projector_heads),
    )  # fmt: skip
    for name, width, divisor_name, divisor in shared:
        if width % divisor:
            raise SettingsError(f"{name}: {width} is not divisible by {divisor_name}, {divisor}")
