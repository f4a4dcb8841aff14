"""One picture painted by PyTorch: any network, on any device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mcld.machine.provenance import Provenance
from mcld.machine.threads import limit_threads
from mcld.model.attention import AttentionRecorder
from mcld.person.person import Person
from mcld.pipeline import SCALE_FACTOR
from mcld.sample.attention import draw_attention_sheet, write_attention, write_attention_sheet
from mcld.sample.engine import TORCH, OnStep
from mcld.sample.request import PictureRequest
from mcld.sampling.device import choose_device
from mcld.sampling.inputs import read_inputs
from mcld.sampling.open import OpenPipeline, open_pipeline
from mcld.sampling.paint import as_images, paint
from mcld.sampling.placement import explain_memory
from mcld.sampling_options import SamplingOptions
from mcld.settings import Settings


class TorchEngine:
    """The network of `request.weights`, as `mcld.sample.engine.Engine`.

    Raises SettingsError as `choose_device` does.
    """

    name = TORCH
    opened: OpenPipeline

    def __init__(self, request: PictureRequest, settings: Settings) -> None:
        self.request, self.settings = request, settings
        self._device = choose_device(settings.sample)
        # The estimators would share the GPU with the network.
        self.device = "cpu" if settings.sample.low_memory else str(self._device)
        self.recorder = AttentionRecorder() if request.attention_maps else None
        """What the last picture's attention saw."""

    def open(self, say: Callable[[str], None]) -> SamplingOptions:
        """As `Engine` has it."""
        self.opened = open_pipeline(self.request.weights, self.settings, self._device, say)
        if self.settings.sample.compile:
            say("Compiling the network: its first picture takes minutes longer.")
        return self.opened.options

    @property
    def weights(self) -> str:
        """As `Engine` has it."""
        return self.opened.weights

    def paint(
        self, person: Person, iuv: NDArray[np.uint8], seeds: Sequence[int], on_step: OnStep
    ) -> list[Image.Image]:
        """As `Engine` has it."""
        pipeline, options = self.opened.pipeline, self.opened.options
        sample = self.settings.sample
        with explain_memory(sample, options, self._device), limit_threads(sample.threads):
            with torch.no_grad():
                inputs = read_inputs(pipeline, [person], iuv, options)
                conditions = pipeline.conditions(inputs)
            pictures = []
            for k, seed in enumerate(seeds):
                last = k == len(seeds) - 1
                with pipeline.denoising_unet.record_attention(self.recorder if last else None):

                    def count(done: int, steps: int, before: int = k) -> None:
                        on_step(before * steps + done, len(seeds) * steps)

                    painted = paint(pipeline, conditions, options, [seed], on_step=count)
                    pictures += as_images(painted)
        return pictures

    def write_attention(
        self, person: Person, picture: Image.Image, provenance: Provenance
    ) -> list[Path]:
        """As `Engine` has it: the sheet, and the numbers."""
        options, recorder = self.opened.options, self.recorder
        if recorder is None:
            return []
        latents = options.height // SCALE_FACTOR, options.width // SCALE_FACTOR
        seen = person.photo if options.reference_input == "source" else person.texture
        sheet, numbers = self.request.attention_files
        drawn = draw_attention_sheet(recorder, latents, picture, seen)
        write_attention_sheet(sheet, drawn, provenance)
        write_attention(numbers, recorder)
        return [sheet, numbers]
