"""Multi-focal Conditioned Latent Diffusion (MCLD): repaint a person in a new pose.

from mcld import MCLDPipeline
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "MCLDPipeline":  # imported when it is first used: `import mcld` loads no torch
        import mcld.networks.folders  # noqa: F401 - diffusers loads only parts that are imported
        from mcld.pipeline import MCLDPipeline

        return MCLDPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
