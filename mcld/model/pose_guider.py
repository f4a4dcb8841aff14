"""The pose guider: a target IUV map becomes features that join the denoising UNet at `conv_in`.

A *textured* guider sees, beside the map, the source's texture map warped onto its body: what the
photo shows of the target is then there without a search, as in Neverova et al. (1809.01995).
"""

from itertools import pairwise

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional


class PoseGuider(ModelMixin, ConfigMixin):
    """Eight-fold downsampling convolutions, the layout of a ControlNet's conditioning embedding.

    Args:
        conditioning_embedding_channels: channels of the output, the denoising UNet's first width.
        block_out_channels: width at each resolution, full size first.
        textured: whether the texture map comes with the IUV map.

    The last convolution starts at zero, so that an untrained guider changes nothing.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        conditioning_embedding_channels: int = 320,
        block_out_channels: tuple[int, ...] = (16, 32, 96, 256),
        textured: bool = False,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, block_out_channels[0], kernel_size=3, padding=1)
        self.blocks = nn.ModuleList()
        for narrow, wide in pairwise(block_out_channels):
            self.blocks.append(nn.Conv2d(narrow, narrow, kernel_size=3, padding=1))
            self.blocks.append(nn.Conv2d(narrow, wide, kernel_size=3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(
            block_out_channels[-1], conditioning_embedding_channels, kernel_size=3, padding=1
        )
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)
        if textured:
            self.add_texture()

    def add_texture(self) -> None:
        """Become a textured guider, to which what is warped onto the map says nothing yet."""
        widths, features = self.config.block_out_channels, self.conv_out.out_channels
        side = 2 ** (len(widths) - 1)
        self.patch_embedding = nn.Conv2d(4, features, side, stride=side).to(self.conv_out.weight)
        for parameter in self.patch_embedding.parameters():
            nn.init.zeros_(parameter)
        self.register_to_config(textured=True)

    def forward(self, pose: Tensor) -> Tensor:
        """[B, 3, H, W] IUV map, (V, U, I) / 255 in 0..1 -> [B, C, H/8, W/8] pose features.

        [B, 6, H, W] for a textured guider, whose last three are RGB / 255, 0 where nothing is seen.
        """
        if not self.config.textured:
            return self._features(pose)
        iuv, texture = pose.tensor_split([3], dim=1)
        seen = texture.any(dim=1, keepdim=True).to(texture)
        # Where nothing is seen, neither light nor dark.
        patches = torch.cat([(texture - 0.5) * seen, seen], dim=1)
        return self._features(iuv) + self.patch_embedding(patches)  # type: ignore[no-any-return]

    def _features(self, iuv: Tensor) -> Tensor:
        features = functional.silu(self.conv_in(iuv))
        for block in self.blocks:
            features = functional.silu(block(features))
        return self.conv_out(features)  # type: ignore[no-any-return]
