"""What refines decoded pictures: the texture map warped onto the pose.

An eye of three pixels need not pass through latents of eight: a second way in, like that of
diffusers' AsymmetricAutoencoderKL for masked pictures (Zhu et al., 2306.04632).
"""

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from mcld.mannequin.autoencoder import ResidualBlock
from mcld.surface.parts import HEAD, PARTS

WIDTHS = (24, 28)
"""Channels of the convolutions at half and a quarter of the picture's size."""


class TextureRefiner(ModelMixin, ConfigMixin):
    """A decoded picture, sharpened by the texture map that is warped onto the pose.

    Convolutions at half and a quarter of the picture's size say of each pixel what share of its
    difference from the texture to add, and what besides. They start with nothing of both.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self) -> None:
        super().__init__()
        fine, coarse = WIDTHS
        # Of 2x2 pixels each: decoded 3, IUV 3, what the texture differs by 3, seen, head
        self.conv_in = nn.Conv2d(11 * 4, fine, 3, padding=1)
        self.fine = ResidualBlock(fine)
        self.down = nn.Conv2d(fine, coarse, 3, padding=1, stride=2)
        self.coarse = ResidualBlock(coarse)
        self.up = nn.Conv2d(coarse, fine, 3, padding=1)
        self.conv_out = nn.Conv2d(fine, 4 * 4, 3, padding=1)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):  # or what comes out is too faint to learn from
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
                if name.endswith("convolutions.3"):  # or every residual block doubles the variance
                    module.weight.data *= 0.3
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, decoded: Tensor, pose: Tensor, warped: Tensor) -> Tensor:
        """Decoded [B, 3, H, W], about -1..1 -> the same, refined.

        pose: [B, 3, H, W] (V, U, I) / 255, warped: [B, 3, H, W] RGB / 255, as in `FocalConditions`.
        H and W are multiples of 4.
        """
        pose, warped = pose.to(decoded), warped.to(decoded)
        seen = warped.any(dim=1, keepdim=True).to(warped)
        difference = (warped * 2 - 1 - decoded) * seen
        label = pose[:, 2:] * 255
        head = (label > HEAD[0] - 0.5).to(warped)
        maps = [pose[:, :2] * 2 - 1, label / PARTS * 2 - 1, difference, seen, head]
        fine = self.conv_in(functional.pixel_unshuffle(torch.cat([decoded, *maps], dim=1), 2))
        fine = self.fine(fine)
        coarse = self.coarse(self.down(functional.silu(fine)))
        up = functional.interpolate(self.up(functional.silu(coarse)), scale_factor=2.0)
        change = functional.pixel_shuffle(self.conv_out(functional.silu(fine + up)), 2)
        added, share = change.tensor_split([3], dim=1)
        return decoded + added + share * difference
