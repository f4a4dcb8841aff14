"""DINOv2 and CLIP, shallow and of random weights, in the files that the Hub has."""

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model

from mcld.networks.names import CLIP, DINOV2


def write_encoders(root: Path) -> None:
    """Write them into a pretrained folder: DINOv2 as .safetensors, all of CLIP as .bin."""
    torch.manual_seed(0)
    layout = {"num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 14}
    dino = Dinov2Model(Dinov2Config(hidden_size=1024, mlp_ratio=1, image_size=518, **layout))
    _shake(dino)
    dino.save_pretrained(root / DINOV2.folder)
    vision = {"hidden_size": 32, "intermediate_size": 64, "image_size": 336, **layout}
    vision["projection_dim"] = 768  # which the Hub's config has twice
    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "vocab_size": 64}
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=768))
    _shake(clip)
    clip.config.save_pretrained(root / CLIP.folder)
    torch.save(clip.state_dict(), root / CLIP.folder / "pytorch_model.bin")


def _shake(network: torch.nn.Module) -> None:
    """Random weights are so small that all pictures would look alike to it."""
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
