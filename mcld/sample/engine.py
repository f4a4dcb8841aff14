"""What runs the network that paints one picture: ONNX Runtime or PyTorch.

PyTorch and the libraries around it take longer to import than a small network takes to paint. The
network that came with mcld lies here as graphs, too, which need none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.errors import MCLDError, SettingsError
from mcld.estimators.pose import resolve_pose_estimator
from mcld.machine.provenance import Provenance
from mcld.networks.places import EMBEDDED
from mcld.person.person import Person
from mcld.sample.request import PictureRequest
from mcld.sampling.inputs import read_inputs
from mcld.sampling.onnx_pipeline import OnnxPipeline
from mcld.sampling_options import SamplingOptions
from mcld.settings import SampleSettings, SchedulerSettings, Settings

OnStep = Callable[[int, int], None]

TORCH = "torch"
"""PyTorch's name, as `sample.engine` has it."""
GRAPHS = EMBEDDED / "onnx"
"""The graphs of the network that came with mcld; their weights are in its pipeline folder."""


class Engine(Protocol):
    """Paints pictures of a person."""

    name: str
    """As `sample.engine` has it, and the record."""
    device: str
    """Where people are read."""

    def open(self, say: Callable[[str], None]) -> SamplingOptions:
        """Load the network and return how it samples; raises what `open_pipeline` raises."""

    @property
    def weights(self) -> str:
        """The hash of its weights, once it is open."""

    def paint(
        self, person: Person, iuv: NDArray[np.uint8], seeds: Sequence[int], on_step: OnStep
    ) -> list[Image.Image]:
        """The network's pictures of a person in a pose, uint8 [H, W, 3] (I, U, V), one a seed.

        on_step: told (steps done, steps to do), over all pictures.
        """

    def write_attention(
        self, person: Person, picture: Image.Image, provenance: Provenance
    ) -> list[Path]:
        """Write where the last picture's attention went; return the files, of which may be none."""


class OnnxEngine:
    """The network that came with mcld, as graphs, which do not tell of their attention."""

    name = "onnx"
    device = "cpu"

    def __init__(self, settings: SampleSettings) -> None:
        self.settings = settings
        self.pipeline = OnnxPipeline.open(GRAPHS, EMBEDDED, settings.threads)
        self.weights = self.pipeline.weights
        # While the person is read, most of which one core does alone.
        self._preparing = Thread(target=self._prepare)
        self._preparing.start()

    def _prepare(self) -> None:
        with suppress(MCLDError):  # which is raised again where the graphs are needed
            self.pipeline.prepare()

    def open(self, say: Callable[[str], None]) -> SamplingOptions:
        """As `Engine` has it."""
        self._preparing.join()
        say("Using the embedded mannequin network; give --weights for your own.")
        return self.pipeline.resolve_options(self.settings.keep)

    def paint(
        self, person: Person, iuv: NDArray[np.uint8], seeds: Sequence[int], on_step: OnStep
    ) -> list[Image.Image]:
        """As `Engine` has it."""
        inputs = read_inputs(self.pipeline, [person], iuv, self.pipeline.options)
        return [Image.fromarray(p) for p in self.pipeline.paint(inputs, seeds, on_step)]

    def write_attention(
        self, person: Person, picture: Image.Image, provenance: Provenance
    ) -> list[Path]:
        """Nothing."""
        del person, picture, provenance
        return []


def resolve_engine(request: PictureRequest, settings: Settings) -> str:
    """The engine of `sample.engine`; when that is not set, ONNX Runtime for what it can do.

    Where DensePose reads bodies, PyTorch is needed anyway. Raises SettingsError where ONNX Runtime
    is asked for what it cannot do.
    """
    wanted = settings.sample.engine
    if wanted == TORCH:
        return TORCH
    obstacle = _find_obstacle(request, settings)
    if wanted is None:
        light = obstacle is None and resolve_pose_estimator(settings.prepare) == "embedded"
        return OnnxEngine.name if light else TORCH
    if obstacle:
        raise SettingsError(
            "--engine onnx paints single pictures of the network that came with mcld, as it was"
            f" saved, in float32 on the CPU, and this asks for {obstacle}: leave one out"
        )
    return OnnxEngine.name


def _find_obstacle(request: PictureRequest, settings: Settings) -> str | None:
    """What is asked for that the graphs of the network that came with mcld do not do, if any."""
    asked = settings.sample
    graphs = OnnxPipeline.open(GRAPHS).options
    obstacles = {
        "other weights": request.weights is not None,
        "attention maps": request.attention_maps,
        "another device": asked.device not in (None, "cpu"),
        "another dtype": asked.dtype not in (None, graphs.dtype),
        "another size": (asked.height or graphs.height, asked.width or graphs.width)
        != (graphs.height, graphs.width),
        "more steps": asked.num_inference_steps not in (None, graphs.num_inference_steps),
        "guidance": asked.guidance_scale not in (None, graphs.guidance_scale)
        or asked.guidance_interval != graphs.guidance_interval,
        "DeepCache": asked.cache_interval != graphs.cache_interval,
        "another scheduler": asked.scheduler is not None
        or settings.scheduler != SchedulerSettings(),
        "compilation": asked.compile,
        "less memory": asked.low_memory or asked.storage_dtype is not None,
    }
    return next((what for what, is_asked in obstacles.items() if is_asked), None)
