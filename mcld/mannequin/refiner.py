"""What refines decoded pictures: the source's own pixels, warped onto the pose.

An eye of three pixels need not pass through latents of eight: a second way in, like that of
diffusers' AsymmetricAutoencoderKL for masked pictures (Zhu et al., 2306.04632).
"""

from itertools import pairwise

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from mcld.mannequin.autoencoder import ResidualBlock
from mcld.surface.parts import HEAD, PARTS

_SEEN = 12
"""Planes that it looks at: decoded 3, IUV 3, what the photo differs by 3, known, shown, head."""


class TextureRefiner(ModelMixin, ConfigMixin):
    """A decoded picture, enlarged, and sharpened by the source's pixels, warped onto the pose.

    Convolutions at a half, a quarter, ... of the enlarged picture's size say of each pixel what
    share of its difference from them to add, and what besides. They start with nothing of both.

    Args:
        channels: of the convolutions at each of these sizes.
        scale: by how much the picture is enlarged along a side.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, channels: tuple[int, ...] = (24, 28), scale: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.conv_in = nn.Conv2d(_SEEN * 4, channels[0], 3, padding=1)  # of 2x2 pixels each
        self.blocks = nn.ModuleList(ResidualBlock(width) for width in channels)
        sizes = list(pairwise(channels))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, stride=2) for a, b in sizes)
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in sizes)
        self.conv_out = nn.Conv2d(channels[0], 4 * 4, 3, padding=1)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):  # or what comes out is too faint to learn from
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
                if name.endswith("convolutions.3"):  # or every residual block doubles the variance
                    module.weight.data *= 0.3
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, decoded: Tensor, pose: Tensor, warped: Tensor) -> Tensor:
        """Decoded [B, 3, h, w], about -1..1 -> enlarged and refined, [B, 3, H, W].

        H and W are `scale` times h and w, and multiples of 2 for each of the channels.
        pose: [B, 3, H, W] (V, U, I) / 255, warped: [B, 4, H, W] RGB / 255 and where that is shown
        rather than guessed, as in `FocalConditions`.
        """
        pose, warped = pose.to(decoded), warped.to(decoded)
        if self.scale > 1:
            decoded = functional.interpolate(decoded, scale_factor=self.scale, mode="bicubic")
        warped, shown = warped.tensor_split([3], dim=1)
        seen = (warped != 0).any(dim=1, keepdim=True).to(warped)
        difference = (warped * 2 - 1 - decoded) * seen
        label = pose[:, 2:] * 255
        head = (label > HEAD[0] - 0.5).to(warped)
        maps = [pose[:, :2] * 2 - 1, label / PARTS * 2 - 1, difference, seen, shown, head]
        level = self.conv_in(functional.pixel_unshuffle(torch.cat([decoded, *maps], dim=1), 2))
        levels = [self.blocks[0](level)]
        for down, block in zip(self.downs, self.blocks[1:], strict=True):
            levels.append(block(down(functional.silu(levels[-1]))))
        level = levels.pop()
        for up, finer in zip(reversed(self.ups), reversed(levels), strict=True):
            larger = functional.interpolate(up(functional.silu(level)), scale_factor=2.0)
            level = finer + larger
        change = functional.pixel_shuffle(self.conv_out(functional.silu(level)), 2)
        added, share = change.tensor_split([3], dim=1)
        return decoded + added + share * difference
