"""Stable Diffusion and its companions in their own files, with small widths."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

BLOCKS = {
    "block_out_channels": (16, 32, 32, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": 16,
    "attention_head_dim": 2,
}


def write_pretrained(root: Path) -> None:
    """Write the pretrained folder of the design."""
    torch.manual_seed(1)
    UNet2DConditionModel(**BLOCKS).save_pretrained(root / "stable-diffusion-v1-5" / "unet")
    ControlNetModel(**BLOCKS, conditioning_embedding_out_channels=(4, 8, 8, 12)).save_pretrained(
        root / "control_v11p_sd15_seg"
    )
    AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
    ).save_pretrained(root / "sd-vae-ft-mse")
    CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=224,
            patch_size=56,
            projection_dim=16,
        )
    ).save_pretrained(root / "image_encoder")
