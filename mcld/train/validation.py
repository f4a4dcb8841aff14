"""A look at what the network makes of a few fixed pairs, while it trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from PIL import Image
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchvision.transforms.functional import pil_to_tensor

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import coloured_iuv, read_iuv, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.model import MCLD
from mcld.networks.folders import load_pipeline
from mcld.person import read_picture
from mcld.settings import Settings
from mcld.train.trackers import log_validation

FOLDER = "validation"
COLUMNS = ("source", "texture", "pose", "generated", "target")
_CELL = 264
"""Height of one picture on the sheet, pixels."""


class Validation:
    """Fixed pairs of the test split, evenly spread; of people that training never sees.

    Args:
        settings: `train.validation_pairs`, the size, and how to sample.
        layout: the dataset.
        pairs: stems of prepared test pictures, (source, target), at least one pair.
        folder: the pipeline folder, for its frozen parts.
    """

    def __init__(
        self,
        settings: Settings,
        layout: DatasetLayout,
        pairs: list[tuple[str, str]],
        folder: Path,
    ) -> None:
        self.settings = settings
        self.size = settings.train.height, settings.train.width
        wanted = min(settings.train.validation_pairs, len(pairs))
        chosen = [pairs[k * len(pairs) // wanted] for k in range(wanted)]
        self.sources = [read_picture(layout, "test", source) for source, _ in chosen]
        self.targets = [read_picture(layout, "test", target) for _, target in chosen]
        self.poses = [coloured_iuv(read_iuv(layout.densepose("test", t))) for _, t in chosen]
        self.folder = folder

    def run(
        self, network: MCLD, accelerator: Accelerator, images: int, say: Callable[[str], None]
    ) -> None:
        """Sample the pairs with the network of a run that has seen `images` pictures.

        Writes the sheet as PNG into the run's folder, and logs it with PSNR and SSIM.
        """
        pictures = self._sampled(network, accelerator.device)
        psnr, ssim = self._scores(pictures)
        path = self.settings.train.output / FOLDER / f"{images:09d}.png"
        write_png(path, self._sheet(pictures))
        log_validation(accelerator, images, path, psnr, ssim)
        say(f"after {images:,} pictures: PSNR {psnr:.2f} dB, SSIM {ssim:.3f}; see {path}")

    @torch.no_grad()
    def _sampled(self, network: MCLD, device: torch.device) -> torch.Tensor:
        """The pairs' pictures, always from the same noise: float32 [N, 3, H, W] in 0..1."""
        pipeline = load_pipeline(self.folder, **dict(network.named_children()))
        pipeline.to(device)
        pipeline.set_progress_bar_config(disable=True)
        height, width = self.size
        sample = self.settings.sample
        network.eval()
        made = [
            pipeline(
                source.image,
                source.texture,
                target.pose,
                source.face[None],
                height=height,
                width=width,
                num_inference_steps=sample.num_inference_steps,
                guidance_scale=sample.guidance_scale,
                generator=torch.Generator().manual_seed(sample.seed),
                output_type="pt",
                return_dict=False,
            )[0]
            for source, target in zip(self.sources, self.targets, strict=True)
        ]
        network.train()
        return torch.cat(made).float().cpu()

    def _scores(self, pictures: torch.Tensor) -> tuple[float, float]:
        """Mean PSNR in dB and SSIM over the pairs, at the size of training, on 0..1."""
        truth = torch.stack([pil_to_tensor(t.image.resize(self.size[::-1])) for t in self.targets])
        truth = truth.float() / 255
        scores = [
            (
                float(peak_signal_noise_ratio(made, wanted, data_range=1.0)),
                float(structural_similarity_index_measure(made, wanted, data_range=1.0)),  # type: ignore[arg-type]
            )
            for made, wanted in zip(pictures[:, None], truth[:, None], strict=True)
        ]
        psnr, ssim = np.mean(scores, axis=0).tolist()
        return psnr, ssim

    def _sheet(self, pictures: torch.Tensor) -> NDArray[np.uint8]:
        rows = []
        for source, target, pose, made in zip(
            self.sources, self.targets, self.poses, pictures, strict=True
        ):
            generated = Image.fromarray((made * 255).round().byte().permute(1, 2, 0).numpy())
            generated = generated.resize(target.image.size, Image.Resampling.BICUBIC)
            pose_map = Image.fromarray(pose)
            rows.append([source.image, source.texture, pose_map, generated, target.image])
        width = round(_CELL * rows[0][-1].width / rows[0][-1].height)
        return contact_sheet(COLUMNS, rows, (width, _CELL))
