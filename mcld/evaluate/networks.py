"""The networks that some metrics need, from the files of their makers."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.image.lpips import _LPIPS
from torchvision.models import alexnet, inception_v3

from mcld.errors import WeightsError
from mcld.model.checkpoints import read_state_dict
from mcld.pretrained import TORCHVISION, torchvision_folders

if TYPE_CHECKING:
    from pathlib import Path

FEATURES = 2048


def torchvision_file(name: str, pretrained: Path) -> Path:
    """The weights file of a torchvision network, by its name for `mcld weights`.

    Raises WeightsError, with the command that brings it, when it is not on this machine.
    """
    for folder in torchvision_folders(pretrained):
        if (path := folder / TORCHVISION[name]).is_file():
            return path
    raise WeightsError(
        f"{TORCHVISION[name]} is not in {pretrained} nor in torch's hub folder: `mcld weights"
        f" download {name}` brings it"
    )


class LPIPS(nn.Module):
    """Learned perceptual distance of two pictures (Zhang et al., 2018), version 0.1 on AlexNet.

    Its linear layers come with torchmetrics, its backbone from `backbone`, torchvision's file.

    Raises WeightsError when the file is damaged or of another network.
    """

    def __init__(self, backbone: Path) -> None:
        super().__init__()
        network = alexnet(weights=None)
        _load(network, backbone)
        weights = network.features.state_dict()
        self.network = _LPIPS(pretrained=True, net="alex", pnet_rand=True)
        # slice2.3.weight there is features.3.weight here.
        names = {name: name.partition(".")[2] for name in self.network.net.state_dict()}
        self.network.net.load_state_dict({name: weights[own] for name, own in names.items()})
        self.eval()

    @torch.no_grad()
    def forward(self, generated: Tensor, truth: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..1, both -> [B], 0 for equal pictures."""
        distances: Tensor = self.network(generated, truth, normalize=True)
        return distances.flatten()


class Inception(nn.Module):
    """The 2048 pooled features of torchvision's Inception v3, as pose-transfer papers take them.

    That is the network of IMAGENET1K_V1, not the TensorFlow port that pytorch-fid uses, and its
    input is scaled as if it had been normalised for ImageNet, which it has not.

    weights: torchvision's file. Raises WeightsError when it is damaged or of another network.
    """

    num_features = FEATURES

    def __init__(self, weights: Path) -> None:
        super().__init__()
        with warnings.catch_warnings():  # of how long it takes to draw random weights
            warnings.simplefilter("ignore")
            self.network = inception_v3(weights=None, transform_input=True, init_weights=False)
        _load(self.network, weights)
        self.network.fc = nn.Identity()
        self.network.AuxLogits = None
        self.key = hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
        """What tells these weights from others."""
        self.eval()

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """[B, 3, H, W] in 0..1 -> [B, 2048]."""
        resized = functional.interpolate(pictures, (299, 299), mode="bilinear", align_corners=False)
        features: Tensor = self.network(resized)
        return features


def _load(network: nn.Module, path: Path) -> None:
    try:
        network.load_state_dict(read_state_dict(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path} is no file of this network: {reason}") from error
