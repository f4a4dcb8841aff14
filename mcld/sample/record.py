"""How a picture was made, as it is written beside it or into it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mcld import __version__
from mcld.model.checkpoints import weights_hash

if TYPE_CHECKING:
    from mcld.pipeline import MCLDPipeline
    from mcld.settings import SampleSettings

SYNTHETIC = "synthetic image, made by a generative model"


def how_sampled(pipeline: MCLDPipeline, options: SampleSettings) -> dict[str, Any]:
    """Everything besides source, pose and seed that a picture depends on.

    The pipeline's scheduler and weights count, as `place` has left them.
    """
    height, width = pipeline.picture_size(options.height, options.width)
    scheduler = pipeline.scheduler
    return {
        "num_inference_steps": options.num_inference_steps or pipeline.config.num_inference_steps,
        "guidance_scale": options.guidance_scale or pipeline.config.guidance_scale,
        "scheduler": type(scheduler).__name__,
        "beta_schedule": scheduler.config.beta_schedule,
        "height": height,
        "width": width,
        "dtype": str(pipeline.denoising_unet.dtype).removeprefix("torch."),
    }


def png_text(record: dict[str, Any]) -> dict[str, str]:
    """A record as a PNG's text metadata, with what tells the picture from a photo."""
    return {
        "Software": f"mcld {__version__}",
        "Comment": SYNTHETIC,
        "mcld": json.dumps({**record, "version": __version__}),
    }


def hash_of(pipeline: MCLDPipeline) -> str:
    """What tells the network's weights from others; to be taken before they change dtype."""
    return weights_hash(pipeline.network.state_dict())
