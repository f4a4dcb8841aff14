"""The authors' own network on deterministic weights: numbers to agree with, and how to build it.

`model.safetensors` holds inputs and outputs of their float32 network; the weights are a function of
their names, so none need to be stored.
"""

import gzip
import json
import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from mcld.model import MCLD, DenoisingUNet, ImageProjector, PoseGuider, ReferenceNet

FILES = sorted(Path(__file__).parent.glob("*.safetensors"))
"""One file per configuration of the network; the tests run on every file found here."""

KEYS: dict[str, dict[str, list[int]]] = json.loads(
    gzip.decompress((Path(__file__).parent / "authors_keys.json.gz").read_bytes())
)
"""Part -> key -> shape of the state dicts of the authors' own modules, widths as in `model`."""

BLOCKS = {
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors of a golden file, and its configuration."""
    with safe_open(path, framework="pt") as golden:
        return (
            {name: golden.get_tensor(name) for name in golden.keys()},  # noqa: SIM118 - not a dict
            json.loads(golden.metadata()["config"]),
        )


def authors_weights(module: torch.nn.Module, name: str, salt: str) -> dict[str, torch.Tensor]:
    """The state dict of the authors' module `name`: a weight's seed is its name."""
    weights = {}
    for key, tensor in module.state_dict().items():
        seed = zlib.crc32(f"{salt}{name}.{key}".encode())
        n = np.random.Generator(np.random.Philox(seed)).standard_normal(tuple(tensor.shape))
        if n.ndim == 1 and key.endswith(".weight"):
            n = 1 + 0.1 * n
        elif n.ndim >= 2:
            n = n * prod(n.shape[1:]) ** -0.5
        else:
            n = 0.02 * n
        weights[key] = torch.from_numpy(n.astype(np.float32))
    return weights


def network(config: dict) -> MCLD:
    """The network of `config` with the authors' weights, in float32 and in eval mode."""
    unet = {**BLOCKS, **config["unet"]}
    mcld = MCLD(
        DenoisingUNet(**unet),
        ReferenceNet(**unet),
        PoseGuider(unet["block_out_channels"][0]),
        ImageProjector(**config["resampler"], output_dim=unet["cross_attention_dim"]),
    )
    for name, module in {
        "denoising_unet": mcld.denoising_unet,
        "reference_unet": mcld.reference_unet,
        "pose_guider": mcld.pose_guider,
        "image_proj_model": mcld.image_projector,
    }.items():
        module.load_state_dict(authors_weights(module, name, config["salt"]))
    return mcld.eval()
