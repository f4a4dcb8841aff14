"""The pose guider: a target IUV map becomes features that join the denoising UNet at `conv_in`."""

from itertools import pairwise

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional


class PoseGuider(ModelMixin, ConfigMixin):
    """Eight-fold downsampling convolutions, the layout of a ControlNet's conditioning embedding.

    Args:
        conditioning_embedding_channels: channels of the output, the denoising UNet's first width.
        block_out_channels: width at each resolution, full size first.

    The last convolution starts at zero, so that an untrained guider changes nothing.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        conditioning_embedding_channels: int = 320,
        block_out_channels: tuple[int, ...] = (16, 32, 96, 256),
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

    def forward(self, pose: Tensor) -> Tensor:
        """[B, 3, H, W] IUV map, (V, U, I) / 255 in 0..1 -> [B, C, H/8, W/8] pose features."""
        features = functional.silu(self.conv_in(pose))
        for block in self.blocks:
            features = functional.silu(block(features))
        return self.conv_out(features)  # type: ignore[no-any-return]
