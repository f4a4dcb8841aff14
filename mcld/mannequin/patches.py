"""People in random patches: samples from which a small network learns to copy.

What a dressed person looks like is nearly told by one colour for each part of the body, and a
small network, briefly trained, settles for that. Where every chart is painted at random, nothing
helps but to look up each pixel's place in the texture map, which is what ReferenceNet is there for.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from mcld.pipeline import TIMESTEPS, MCLDPipeline
from mcld.surface.charts import CHART_SIZE, NOWHERE, TEXTURE_SIZE, locate_uv, smpl_gather
from mcld.surface.parts import PARTS

COARSENESS = 4
"""Texels of a DensePose chart along a texel of ours."""
SIDE = CHART_SIZE // COARSENESS
PATCHES = (2, 2, 3, 3, 4, 5)
"""Patches along a chart's side; one of these is drawn, the coarser the likelier."""


class Patches:
    """Paints people in patches and encodes them: training's `augment`.

    Args:
        pipeline: its encoders count; they are where they work from now on.
        size: (height, width) to train at, in pixels.
        share: of all samples, 0..1.
    """

    def __init__(self, pipeline: MCLDPipeline, size: tuple[int, int], share: float) -> None:
        self.pipeline = pipeline
        self.size = size
        self.share = share
        rows, columns = ((np.arange(side) * 2 + 1) * TEXTURE_SIZE // (2 * side) for side in size)
        texels = smpl_gather()[np.ix_(rows, columns)]
        part, place = np.divmod(texels, CHART_SIZE**2)
        row, column = np.divmod(place, CHART_SIZE)
        coarse = (part * SIDE + row // COARSENESS) * SIDE + column // COARSENESS
        self.layout = torch.from_numpy(np.where(texels == NOWHERE, PARTS * SIDE**2, coarse))

    @torch.no_grad()
    def __call__(
        self, tensors: dict[str, Tensor], generators: list[torch.Generator]
    ) -> dict[str, Tensor]:
        """Put people in patches into the place of some samples of a batch.

        Args:
            tensors: the fields of `mcld.train.samples.Sample`, batch first.
            generators: of each sample; they decide whether it is one, and all colours.

        Returns:
            the same with other targets and conditions in some rows. Their pose stays; nothing is
            warped onto it, for that would be their picture; and they are in the noisier half, where
            the noisy latents do not give the colours away.
        """
        chosen = [
            row for row, g in enumerate(generators) if torch.rand((), generator=g) < self.share
        ]
        if not chosen:
            return tensors
        poses = tensors["pose"][chosen].cpu()
        painted = [
            self.paint(pose, generators[row]) for row, pose in zip(chosen, poses, strict=True)
        ]
        everything = [image for image, _ in painted] + [texture for _, texture in painted]
        pixels = self.pipeline.image_processor.preprocess(everything, *self.size)
        target, reference = self.pipeline.encode_moments(pixels)[0].chunk(2)
        source, texture = self.pipeline.embed(self.pipeline.encoder_pixels(everything)).chunk(2)
        timesteps = tensors["timestep"][chosen]
        made = {
            "target": target,
            "reference_latents": reference,
            "source": source,
            "texture": texture,
            "face": torch.zeros_like(tensors["face"][chosen]),
            "timestep": TIMESTEPS // 2 + timesteps // 2,
        }
        if "warped" in tensors:
            made["warped"] = torch.zeros_like(tensors["warped"][chosen])
        if "shown" in tensors:  # every chart is painted
            made["shown"] = torch.ones_like(tensors["shown"][chosen])
        rows = torch.tensor(chosen, device=timesteps.device)
        return {
            **tensors,
            **{n: tensors[n].index_copy(0, rows, new.to(tensors[n])) for n, new in made.items()},
        }

    def paint(self, pose: Tensor, generator: torch.Generator) -> tuple[Image.Image, Image.Image]:
        """Somebody in patches: the picture and the texture map, of the size to train at.

        pose: uint8 [3, H, W] (I, U, V).
        """

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator)

        patches = PATCHES[int(torch.randint(len(PATCHES), (), generator=generator))]
        grid = uniform(PARTS, 3, patches, patches)
        mode = "nearest" if uniform(1) < 0.5 else "bilinear"
        charts = functional.interpolate(grid, (SIDE, SIDE), mode=mode)
        charts = (0.5 + 0.7 * (charts - 0.5) + 0.4 * (uniform(PARTS, 3, 1, 1) - 0.5)).clamp(0, 1)
        colours = charts.permute(0, 2, 3, 1).reshape(-1, 3)
        part, u, v = pose.long()
        part = part.clamp(max=PARTS)  # bicubic resizing overshoots
        row, column = locate_uv(u, v)
        places = ((part - 1) * SIDE + row // COARSENESS) * SIDE + column // COARSENESS
        places[part == 0] = len(colours)
        background = 0.85 + 0.15 * uniform(1, 3)
        return (
            _as_image(torch.cat([colours, background])[places]),
            _as_image(torch.cat([colours, torch.zeros(1, 3)])[self.layout]),
        )


def _as_image(pixels: Tensor) -> Image.Image:
    """[H, W, 3] in 0..1 -> RGB."""
    return Image.fromarray((pixels * 255).round().to(torch.uint8).numpy())
