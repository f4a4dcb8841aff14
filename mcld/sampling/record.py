"""How a picture was made, as it is written beside it or into it."""

from __future__ import annotations

import json
from typing import Any

from torch import nn

from mcld import __version__
from mcld.model.checkpoints import weights_hash
from mcld.pipeline import MCLDPipeline
from mcld.sampling.placement import steps_of
from mcld.settings import SampleSettings

SYNTHETIC = "synthetic image, made by a generative model"


def how_sampled(pipeline: MCLDPipeline, options: SampleSettings) -> dict[str, Any]:
    """Everything besides source, pose, seed and weights that a picture depends on, as JSON has it.

    The pipeline's scheduler and dtype count, as `place` has left them.
    """
    height, width = pipeline.picture_size(options.height, options.width)
    config, scheduler = pipeline.config, pipeline.scheduler
    return {
        "num_inference_steps": steps_of(pipeline, options),
        "guidance_scale": options.guidance_scale or config.guidance_scale,
        "height": height,
        "width": width,
        "dtype": str(pipeline.denoising_unet.dtype).removeprefix("torch."),
        "focal_conditions": list(config.focal_conditions),
        "reference_input": config.reference_input,
        "pose_resample": config.pose_resample,
        "projector_heads": pipeline.image_projector.config.heads,
        "scheduler": type(scheduler).__name__,
        **{
            f"scheduler.{name}": value
            for name, value in sorted(scheduler.config.items())
            if not name.startswith("_")
        },
    }


def png_text(record: dict[str, Any]) -> dict[str, str]:
    """A record as a PNG's text metadata, with what tells the picture from a photo."""
    return {
        "Software": f"mcld {__version__}",
        "Comment": SYNTHETIC,
        "mcld": json.dumps({**record, "version": __version__}),
    }


def hash_of(pipeline: MCLDPipeline) -> str:
    """What tells all networks' weights from others; to be taken before they change dtype."""
    return weights_hash(
        {
            f"{name}.{key}": tensor
            for name, part in pipeline.components.items()
            if isinstance(part, nn.Module)
            for key, tensor in part.state_dict().items()
        }
    )
