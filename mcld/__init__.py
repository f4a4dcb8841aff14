"""Multi-focal Conditioned Latent Diffusion (MCLD): repaint a person in a new pose.

    from mcld import MCLDPipeline

The classes named here are imported when they are first used, so that `import mcld` loads no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "DenoisingUNet": "mcld.model",
    "ImageProjector": "mcld.model",
    "MCLDPipeline": "mcld.pipeline",
    "PatchAutoencoder": "mcld.model",
    "PoseGuider": "mcld.model",
    "ReferenceNet": "mcld.model",
}


def __getattr__(name: str) -> Any:
    # Diffusers looks a pipeline's parts up here, by the names in model_index.json.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
