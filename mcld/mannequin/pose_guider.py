"""A pose guider that sees the source's texture map, warped onto the pose.

What the photo shows of the target is then there without a search, as in Neverova et al.
(1809.01995).
"""

from typing import Self

import numpy as np
import torch
from diffusers import ModelMixin  # noqa: F401 - where diffusers looks up what it can load
from diffusers.configuration_utils import register_to_config
from numpy.typing import NDArray
from torch import Tensor, nn

from mcld.model import PoseGuider
from mcld.surface.warp import mark_completed, warp_texture


class TexturedPoseGuider(PoseGuider):
    """A pose guider, and an embedding of the warped texture, patch by patch, that is added to it.

    The embedding starts at zero: what is warped onto a pose says nothing yet.
    """

    resample = "nearest"
    """A label blended with its neighbour's is another part, whose texels would be looked up."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        conditioning_embedding_channels: int = 320,
        block_out_channels: tuple[int, ...] = (16, 32, 96, 256),
    ) -> None:
        super().__init__(  # by name, or diffusers' configuration takes them for defaults
            conditioning_embedding_channels=conditioning_embedding_channels,
            block_out_channels=block_out_channels,
        )
        side = 2 ** (len(block_out_channels) - 1)
        self.patch_embedding = nn.Conv2d(4, conditioning_embedding_channels, side, stride=side)
        for parameter in self.patch_embedding.parameters():
            nn.init.zeros_(parameter)

    @classmethod
    def from_plain(cls, guider: PoseGuider) -> Self:
        """A textured guider that says what a plain one says, in its dtype."""
        textured: Self = cls(
            conditioning_embedding_channels=guider.config.conditioning_embedding_channels,
            block_out_channels=tuple(guider.config.block_out_channels),
        )
        textured.to(guider.conv_out.weight)
        textured.load_state_dict(guider.state_dict(), strict=False)
        return textured

    @staticmethod
    def look(iuv: NDArray[np.uint8], texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The texture map warped onto the pose, as `PoseGuider.look` has it."""
        return warp_texture(iuv, texture[..., :3])

    @staticmethod
    def complete(texture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A source's texture map, uint8 RGB of any size: `mark_completed`'s."""
        return mark_completed(texture)

    def forward(self, pose: Tensor, warped: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] IUV map, (V, U, I) / 255, and [B, 3, H, W] RGB / 255 -> pose features.

        warped: 0 where nothing is seen. The features are [B, C, H/8, W/8].
        """
        assert warped is not None
        seen = (warped != 0).any(dim=1, keepdim=True).to(warped)
        # Where nothing is seen, neither light nor dark.
        patches = torch.cat([(warped - 0.5) * seen, seen], dim=1)
        return super().forward(pose) + self.patch_embedding(patches)  # type: ignore[no-any-return]
