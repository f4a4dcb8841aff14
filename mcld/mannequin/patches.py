"""People in random patches: samples from which a small network learns to copy.

What a dressed person looks like is nearly told by one colour for each part of the body, and a
small network, briefly trained, settles for that. Where every chart is painted at random, nothing
helps but to look up each pixel's place in the texture map, which is what ReferenceNet is there for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from mcld.dataset.pictures import FACE_SIZE
from mcld.pipeline import MCLDPipeline
from mcld.surface.charts import CHART_SIZE, NOWHERE, TEXTURE_SIZE, smpl_gather
from mcld.surface.parts import PARTS

COARSENESS = 4
"""Texels of a DensePose chart along a texel of ours."""
SIDE = CHART_SIZE // COARSENESS
PATCHES = (2, 2, 3, 3, 4, 5)
"""Patches along a chart's side; one of these is drawn, the coarser the likelier."""


class Patchwork:
    """Paints people in patches and encodes them.

    Args:
        pipeline: its encoders count.
        size: (height, width) to train at, in pixels.
    """

    def __init__(self, pipeline: MCLDPipeline, size: tuple[int, int]) -> None:
        self.pipeline = pipeline
        self.size = size
        rows, columns = ((np.arange(side) * 2 + 1) * TEXTURE_SIZE // (2 * side) for side in size)
        texels = smpl_gather()[np.ix_(rows, columns)]
        part, place = np.divmod(texels, CHART_SIZE**2)
        row, column = np.divmod(place, CHART_SIZE)
        coarse = (part * SIDE + row // COARSENESS) * SIDE + column // COARSENESS
        self.layout = torch.from_numpy(np.where(texels == NOWHERE, PARTS * SIDE**2, coarse))

    @torch.no_grad()
    def __call__(self, pose: Tensor, generator: torch.Generator) -> dict[str, Any]:
        """Somebody in patches, standing as in `pose`, with the conditions that this picture gives.

        Args:
            pose: [3, H, W] uint8 IUV map, (V, U, I).
            generator: decides all colours.

        Returns:
            target and reference_latents [C, h, w], source and texture [1, D], face [512]: fields of
            `mcld.train.samples.Sample`.
        """
        image, texture = self.paint(pose, generator)
        pipeline = self.pipeline
        latents, texture_latents = pipeline.latents_of([image, texture], *self.size)
        source, texture_embedding = pipeline.embed([image, texture])
        return {
            "target": latents,
            "reference_latents": texture_latents,
            "source": source,
            "texture": texture_embedding,
            "face": torch.zeros(FACE_SIZE),
        }

    def paint(self, pose: Tensor, generator: torch.Generator) -> tuple[Image.Image, Image.Image]:
        """Somebody in patches: the picture and the texture map, of the size to train at."""

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator)

        patches = PATCHES[int(torch.randint(len(PATCHES), (), generator=generator))]
        grid = uniform(PARTS, 3, patches, patches)
        mode = "nearest" if uniform(1) < 0.5 else "bilinear"
        charts = functional.interpolate(grid, (SIDE, SIDE), mode=mode)
        charts = (0.5 + 0.7 * (charts - 0.5) + 0.4 * (uniform(PARTS, 3, 1, 1) - 0.5)).clamp(0, 1)
        colours = charts.permute(0, 2, 3, 1).reshape(-1, 3)
        v, u, part = pose.long()
        part = part.clamp(max=PARTS)  # bicubic resizing overshoots
        row, column = (255 - v) * (CHART_SIZE - 1) // 255, u * (CHART_SIZE - 1) // 255
        places = ((part - 1) * SIDE + row // COARSENESS) * SIDE + column // COARSENESS
        places[part == 0] = len(colours)
        background = 0.85 + 0.15 * uniform(1, 3)
        return (
            _picture(torch.cat([colours, background])[places]),
            _picture(torch.cat([colours, torch.zeros(1, 3)])[self.layout]),
        )


def _picture(pixels: Tensor) -> Image.Image:
    """[H, W, 3] in 0..1 -> RGB."""
    return Image.fromarray((pixels * 255).round().to(torch.uint8).numpy())
