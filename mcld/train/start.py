"""A new network with random weights, of the widths in the settings."""

from __future__ import annotations

from typing import Any

import torch
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from mcld.errors import SettingsError
from mcld.mannequin.autoencoder import PatchAutoencoder
from mcld.model import DenoisingUNet, ImageProjector, PoseGuider, ReferenceNet
from mcld.pipeline import SCALE_FACTOR, MCLDPipeline, ddim_scheduler
from mcld.settings import ModelSettings, Settings, TrainSettings
from mcld.surface.parts import PARTS


def new_pipeline(settings: Settings) -> MCLDPipeline:
    """A pipeline of `settings.model`'s widths with random weights, drawn from `train.seed`.

    Raises SettingsError when the widths do not fit together.
    """
    _check_widths(settings.model)
    torch.manual_seed(settings.train.seed)
    model = settings.model
    levels = len(model.block_out_channels)
    unet = {
        "in_channels": model.latent_channels,
        "out_channels": model.latent_channels,
        "block_out_channels": model.block_out_channels,
        "layers_per_block": model.layers_per_block,
        "attention_head_dim": model.attention_heads,  # diffusers' name for the number of heads
        "norm_num_groups": model.norm_num_groups,
        "cross_attention_dim": model.cross_attention_dim,
        "down_block_types": ("CrossAttnDownBlock2D",) * levels,
        "up_block_types": ("CrossAttnUpBlock2D",) * levels,
        "use_linear_projection": True,
    }
    pose_guider = PoseGuider(model.block_out_channels[0], model.pose_channels)
    # Part labels end at 24 of 255, where U and V reach 1: let all three start with a like weight.
    pose_guider.conv_in.weight.data[:, 2] *= 255 / PARTS
    pixels = model.image_encoder_size
    return sampled_pipeline(
        settings,
        vae=PatchAutoencoder(model.latent_channels, decoder_channels=model.decoder_channels),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=model.image_encoder_width,
                intermediate_size=2 * model.image_encoder_width,
                num_hidden_layers=model.image_encoder_layers,
                num_attention_heads=model.attention_heads,
                image_size=pixels,
                patch_size=8,
                projection_dim=model.cross_attention_dim,
            )
        ),
        feature_extractor=CLIPImageProcessor(
            size={"height": pixels, "width": pixels}, do_center_crop=False
        ),
        denoising_unet=DenoisingUNet(**unet),
        reference_unet=ReferenceNet(**unet),
        pose_guider=pose_guider,
        image_projector=image_projector(model, model.cross_attention_dim),
        pose_resample="nearest",  # a blended label is another part, and these pictures are small
    )


def image_projector(model: ModelSettings, width: int) -> ImageProjector:
    """A new image projector whose tokens have `width` numbers, those of the UNets' context."""
    projector: ImageProjector = ImageProjector(
        dim=model.projector_dim,
        depth=model.projector_depth,
        dim_head=model.projector_dim // model.projector_heads,
        heads=model.projector_heads,
        output_dim=width,
    )
    return projector


def sampled_pipeline(settings: Settings, **parts: Any) -> MCLDPipeline:
    """A pipeline of these parts and facts that samples as the settings say."""
    pipeline = MCLDPipeline(
        **parts,
        scheduler=ddim_scheduler(
            settings.scheduler.beta_schedule,
            settings.scheduler.beta_start,
            settings.scheduler.beta_end,
        ),
        focal_conditions=list(settings.model.focal_conditions),
        reference_input=settings.model.reference_input,
    )
    remember_sampling(pipeline, settings)
    remember_size(pipeline, settings.train)
    return pipeline


def remember_size(pipeline: MCLDPipeline, options: TrainSettings) -> None:
    """Let the network sample at the size it is trained at, when it is not told another."""
    size = options.height // SCALE_FACTOR, options.width // SCALE_FACTOR
    for unet in (pipeline.denoising_unet, pipeline.reference_unet):
        unet.register_to_config(sample_size=size)


def remember_sampling(pipeline: MCLDPipeline, settings: Settings) -> None:
    """Let the network sample and edit as the settings say, where they say anything."""
    said = {
        "num_inference_steps": settings.sample.num_inference_steps,
        "guidance_scale": settings.sample.guidance_scale,
        "edit_strength": settings.edit.strength,
    }
    pipeline.register_to_config(**{name: v for name, v in said.items() if v is not None})


def _check_widths(model: ModelSettings) -> None:
    shared = (
        ("block_out_channels", model.block_out_channels, "norm_num_groups"),
        ("block_out_channels", model.block_out_channels, "attention_heads"),
        ("image_encoder_width", (model.image_encoder_width,), "attention_heads"),
        ("projector_dim", (model.projector_dim,), "projector_heads"),
    )
    for name, widths, divisor in shared:
        for width in widths:
            if width % getattr(model, divisor):
                raise SettingsError(
                    f"model.{name}: {width} is not divisible by model.{divisor},"
                    f" {getattr(model, divisor)}"
                )
