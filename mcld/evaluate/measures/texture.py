"""Whether a result wears what its source wears."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcld.errors import InputError
from mcld.evaluate.metric import Column, Numbers, PairMetric

if TYPE_CHECKING:
    from mcld.evaluate.pairs import Pair


class TextureError(PairMetric):
    """The texture map of the result beside that of the source."""

    name = "texture"
    columns = (
        Column("texture_error", "Texture error", -1, 2),
        Column("texture_psnr", "Texture PSNR", 1, 2),
        Column("texture_share", "Texture share", 0, 4, share=True),
    )
    text = (
        "the result, unrolled by the target's map without what lies within 2 pixels of its outline"
        " (at 176x256), against the source's texture map, over the"
        " texels that both show: mean absolute difference in levels of 255, PSNR, and the share of"
        " these texels of those that the result shows"
    )
    needs = ("target_iuv", "source_texture")

    def measure(self, pair: Pair) -> Numbers:
        """Without a texel that both show there is only the share."""
        from mcld.evaluate.texture_error import compare_textures, unroll

        own, source = unroll(pair.generated, pair.target_iuv), pair.source_texture
        if source.shape != own.shape:
            (high, wide), (height, width) = own.shape[:2], source.shape[:2]
            raise InputError(f"its source's texture map is {width}x{height}, not {wide}x{high}")
        return compare_textures(source, own)
