"""A pipeline, opened and brought to its place."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from mcld.networks.folders import load_pipeline, load_weights
from mcld.pipeline import MCLDPipeline, SamplingOptions
from mcld.sampling.placement import place
from mcld.sampling.record import hash_pipeline
from mcld.settings import Settings


@dataclass(frozen=True)
class OpenPipeline:
    """A pipeline that is ready to sample."""

    pipeline: MCLDPipeline
    device: torch.device
    options: SamplingOptions
    """How it samples."""
    weights: str
    """The hash of all its weights, as a record names them."""


def open_pipeline(
    weights: Path | None, settings: Settings, device: torch.device, say: Callable[[str], None]
) -> OpenPipeline:
    """Load a pipeline and bring it to its place.

    weights: a pipeline folder, or one with the four files of the authors' layout; None: the
    embedded one, which is said in a line, as is that `sample` departs from what it was made for.

    Raises WeightsError as `load_weights` does, MCLDError when it does not fit into memory.
    """
    if weights is None:
        say("Using the embedded mannequin network; give --weights for your own.")
    pipeline = load_pipeline() if weights is None else load_weights(weights, settings)
    hashed = hash_pipeline(pipeline)
    options = place(pipeline, settings, device)
    if departure := pipeline.describe_departure(options):
        say(departure)
    return OpenPipeline(pipeline, device, options, hashed)
