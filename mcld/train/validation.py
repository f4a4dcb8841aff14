"""A look at what the network makes of a few fixed pairs, while it trains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from numpy.typing import NDArray
from PIL import Image
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchvision.transforms.functional import pil_to_tensor

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import colour_iuv, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.person.prepared import read_prepared
from mcld.pipeline import MCLDPipeline
from mcld.sampling.inputs import read_inputs
from mcld.sampling.paint import as_images, paint
from mcld.sampling.record import make_provenance
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
        pipeline: whose network is trained.
    """

    def __init__(
        self,
        settings: Settings,
        layout: DatasetLayout,
        pairs: list[tuple[str, str]],
        pipeline: MCLDPipeline,
    ) -> None:
        self.settings = settings
        wanted = min(settings.train.validation_pairs, len(pairs))
        chosen = [pairs[k * len(pairs) // wanted] for k in range(wanted)]
        self.sources = [read_prepared(layout, "test", source) for source, _ in chosen]
        self.targets = [read_prepared(layout, "test", target) for _, target in chosen]
        self.pipeline = pipeline

    @classmethod
    def of_test_split(
        cls,
        settings: Settings,
        layout: DatasetLayout,
        pipeline: MCLDPipeline,
        accelerator: Accelerator,
        say: Callable[[str], None],
    ) -> Validation | None:
        """The validation sheets, where they are wanted and there are pairs for them."""
        if not settings.train.validate_every:
            return None
        if accelerator.distributed_type == DistributedType.FSDP:
            say("no validation sheets: no process has the whole network under FSDP")
            return None
        pairs = layout.pairs("test") if layout.pairs_file("test").exists() else []
        stems = [(a.removesuffix(".jpg"), b.removesuffix(".jpg")) for a, b in pairs]
        prepared = [
            pair for pair in stems if all(layout.is_prepared("test", stem) for stem in pair)
        ]
        if not prepared:
            say("no validation sheets: no pair of the test split is prepared")
            return None
        return cls(settings, layout, prepared, pipeline)

    def run(self, accelerator: Accelerator, images: int, say: Callable[[str], None]) -> None:
        """Sample the pairs with the network of a run that has seen `images` pictures.

        Writes the sheet as PNG into the run's folder, and logs it with PSNR and SSIM.
        """
        pictures = self._sample_pairs(accelerator.device)
        psnr, ssim = self._score(pictures)
        path = self.settings.train.output / FOLDER / f"{images:09d}.png"
        write_png(path, self._draw_sheet(pictures), make_provenance({"images": images}))
        log_validation(accelerator, images, path, psnr, ssim)
        say(f"after {images:,} pictures: PSNR {psnr:.2f} dB, SSIM {ssim:.3f}; see {path}")

    @torch.no_grad()
    def _sample_pairs(self, device: torch.device) -> torch.Tensor:
        """The pairs' pictures, always from the same noise: float32 [N, 3, H, W] in 0..1."""
        pipeline, train, sample = self.pipeline, self.settings.train, self.settings.sample
        options = pipeline.resolve_options(
            train.height, train.width, sample.num_inference_steps, sample.guidance_scale
        )
        frozen = [p for p in (pipeline.vae, pipeline.image_encoder, pipeline.refiner) if p]
        places = [part.device for part in frozen]
        for part in frozen:
            part.to(device)
        network = pipeline.network
        network.eval()
        pictures = []
        for source, target in zip(self.sources, self.targets, strict=True):
            conditions = pipeline.conditions(read_inputs(pipeline, [source], target.iuv, options))
            pictures.append(paint(pipeline, conditions, options, [sample.seed]))
        network.train()
        for part, place in zip(frozen, places, strict=True):
            part.to(place)
        return torch.cat(pictures)

    def _score(self, pictures: torch.Tensor) -> tuple[float, float]:
        """Mean PSNR in dB and SSIM over the pairs, at the size of training, on 0..1."""
        size = pictures.shape[-1], pictures.shape[-2]
        truth = torch.stack([pil_to_tensor(t.photo.resize(size)) for t in self.targets]) / 255
        scores = [
            (
                float(peak_signal_noise_ratio(made, wanted, data_range=1.0)),
                float(structural_similarity_index_measure(made, wanted, data_range=1.0)),  # type: ignore[arg-type]
            )
            for made, wanted in zip(pictures[:, None], truth[:, None], strict=True)
        ]
        psnr, ssim = np.mean(scores, axis=0).tolist()
        return psnr, ssim

    def _draw_sheet(self, pictures: torch.Tensor) -> NDArray[np.uint8]:
        rows = []
        for source, target, made in zip(
            self.sources, self.targets, as_images(pictures), strict=True
        ):
            generated = made.resize(target.photo.size, Image.Resampling.BICUBIC)
            pose = Image.fromarray(colour_iuv(target.iuv))
            rows.append([source.photo, source.texture, pose, generated, target.photo])
        width = round(_CELL * rows[0][-1].width / rows[0][-1].height)
        return contact_sheet(COLUMNS, rows, (width, _CELL))
