"""The backbone: ResNet-101 and a feature pyramid, five maps of 256 channels at strides 4 to 64."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils import fuse_conv_bn_weights
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

CHANNELS = 256
STRIDES = (4, 8, 16, 32, 64)
"""Of the pyramid's maps, p2 to p6."""


def make_backbone() -> BackboneWithFPN:
    """Torchvision's ResNet-101 with its pyramid; maps "0" to "3" are p2 to p5, "pool" is p6."""
    resnet = ResNet(Bottleneck, [3, 4, 23, 3], norm_layer=FrozenBatchNorm2d)
    # The weights are of the original ResNet, which halves a map in a block's first convolution;
    # torchvision's does it in the second.
    for stage in (resnet.layer2, resnet.layer3, resnet.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    return BackboneWithFPN(
        resnet,
        {f"layer{k}": str(k - 1) for k in (1, 2, 3, 4)},
        [CHANNELS * 2**k for k in range(4)],
        CHANNELS,
    )


def fold_norms(body: nn.Module) -> None:
    """Fold the frozen norms of a ResNet into its convolutions: the same values, in less time."""
    pairs: list[tuple[Any, str, str]] = [(body, "conv1", "bn1")]
    for block in body.modules():
        if isinstance(block, Bottleneck):
            pairs += [(block, f"conv{k}", f"bn{k}") for k in (1, 2, 3)]
            if block.downsample is not None:
                pairs.append((block.downsample, "0", "1"))
    for parent, convolution, norm in pairs:
        _fold(parent.get_submodule(convolution), parent.get_submodule(norm))
        parent.register_module(norm, nn.Identity())


def _fold(convolution: nn.Conv2d, norm: FrozenBatchNorm2d) -> None:
    values = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    mean, variance, weight, bias = (value.double() for value in values)
    folded = fuse_conv_bn_weights(
        convolution.weight.double(), None, mean, variance, norm.eps, weight, bias
    )
    convolution.weight, convolution.bias = (
        nn.Parameter(value.detach().float(), requires_grad=False) for value in folded
    )
