"""A pipeline, opened and brought to its place."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import SchedulerMixin
from torch import nn

from mcld.machine.signing import Signer, open_signer
from mcld.networks.checkpoints import weights_hash
from mcld.networks.folders import load_pipeline, load_weights
from mcld.pipeline import MCLDPipeline
from mcld.sampling.placement import place
from mcld.sampling_options import SamplingOptions
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
    signer: Signer | None = None
    """Who signs what it paints."""


OpenNetwork = Callable[[Path | None, Settings, torch.device, Callable[[str], None]], OpenPipeline]
"""`open_pipeline`, or one that keeps what it has loaded."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A pipeline as its folder has it, which may be placed again and again."""

    pipeline: MCLDPipeline
    weights: str
    """The hash of all its weights."""
    scheduler: SchedulerMixin
    """That of the weights."""


def load_network(
    weights: Path | None, settings: Settings, say: Callable[[str], None]
) -> LoadedNetwork:
    """Load a pipeline; arguments and errors are `open_pipeline`'s."""
    if weights is None:
        say("Using the embedded mannequin network; give --weights for your own.")
    pipeline = load_pipeline() if weights is None else load_weights(weights, settings)
    return LoadedNetwork(pipeline, hash_pipeline(pipeline), pipeline.scheduler)


def place_network(
    loaded: LoadedNetwork, settings: Settings, device: torch.device, say: Callable[[str], None]
) -> OpenPipeline:
    """Bring a loaded pipeline to its place; arguments and errors are `open_pipeline`'s."""
    pipeline = loaded.pipeline
    pipeline.scheduler = loaded.scheduler
    options = place(pipeline, settings, device)
    if departure := pipeline.describe_departure(options):
        say(departure)
    signer = open_signer(settings.sample.c2pa_certificate, settings.sample.c2pa_key)
    return OpenPipeline(pipeline, device, options, loaded.weights, signer)


def open_pipeline(
    weights: Path | None, settings: Settings, device: torch.device, say: Callable[[str], None]
) -> OpenPipeline:
    """Load a pipeline and bring it to its place.

    weights: a pipeline folder, or one with the four files of the authors' layout; None: the
    embedded one, which is said in a line, as is that `sample` departs from what it was made for.

    Raises WeightsError as `load_weights` does, MCLDError when it does not fit into memory, and what
    `open_signer` raises.
    """
    return place_network(load_network(weights, settings, say), settings, device, say)


def hash_pipeline(pipeline: MCLDPipeline) -> str:
    """What tells all networks' weights from others; to be taken before they change dtype."""
    return weights_hash(
        {
            f"{name}.{key}": tensor
            for name, part in pipeline.components.items()
            if isinstance(part, nn.Module)
            for key, tensor in part.state_dict().items()
        }
    )
