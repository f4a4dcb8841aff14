"""The pose guider: a target IUV map becomes features that join the denoising UNet at `conv_in`."""

from typing import ClassVar

import numpy as np
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from numpy.typing import NDArray
from torch import Tensor

from mcld.surface.warp import mark_shown


class PoseGuider(ControlNetConditioningEmbedding, ModelMixin, ConfigMixin):
    """Eight-fold downsampling convolutions: a ControlNet's conditioning embedding.

    Args:
        conditioning_embedding_channels: channels of the output, the denoising UNet's first width.
        block_out_channels: width at each resolution, full size first.

    The last convolution starts at zero, so that an untrained guider changes nothing.
    """

    resample: ClassVar[str] = "bicubic"
    """How IUV maps are brought to the network's size, unless a pipeline says otherwise."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        conditioning_embedding_channels: int = 320,
        block_out_channels: tuple[int, ...] = (16, 32, 96, 256),
    ) -> None:
        super().__init__(
            conditioning_embedding_channels, block_out_channels=tuple(block_out_channels)
        )

    @staticmethod
    def look(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """What the guider sees besides a pose: nothing; a subclass may see the texture map.

        iuv: uint8 [H, W, 3] (I, U, V); texture: of the source, as `complete` made it.
        Returns None, or uint8 [H, W, 3] RGB, which `forward` gets as `warped`.
        """
        del iuv, texture
        return None

    @staticmethod
    def complete(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A source's texture map, uint8 RGB of any size, as `look` takes it: `mark_shown`'s."""
        return mark_shown(texture)

    def forward(self, pose: Tensor, warped: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] IUV map, (V, U, I) / 255 in 0..1 -> [B, C, H/8, W/8] pose features."""
        del warped
        return super().forward(pose)  # type: ignore[no-any-return]
