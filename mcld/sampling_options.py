"""How pictures are sampled, resolved: from settings and what the weights were saved with."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

EVERYWHERE = (0.0, 1.0)
"""The guidance interval that is the whole noise schedule."""


@dataclass(frozen=True)
class SamplingOptions:
    """How pictures are sampled, all of it resolved: it paints them, and it is their record."""

    num_inference_steps: int
    """Denoising steps, at least 1."""
    guidance_scale: float
    """s of classifier-free guidance, at least 1, which is none."""
    height: int
    """Of what the network makes, pixels, a multiple of 8."""
    width: int
    """Likewise."""
    dtype: str
    """Of the networks, such as "float32"."""
    focal_conditions: list[str]
    """Which of source, texture and face the network gets."""
    reference_input: str
    """What ReferenceNet sees, "texture" or "source"."""
    pose_resample: str
    """How IUV maps are resized, "bicubic" or "nearest"."""
    projector_heads: int
    """Heads of the image projector, which its weights do not tell."""
    keep: str
    """What of the source's photo stays in a new pose, "background" or "nothing"."""
    scheduler: str
    """The scheduler's class."""
    scheduler_config: dict[str, Any]
    """What the scheduler was made with."""
    guidance_interval: tuple[float, float] = EVERYWHERE
    """(low, high) of the timesteps that are guided, as shares of the schedule: 0 is the clean
    picture, 1 is noise."""
    cache_interval: int = 1
    """Steps that share their deep features (DeepCache); 1: each has its own."""
    storage_dtype: str | None = None
    """What the UNets' weights are kept in between their layers' turns; None: in `dtype`."""

    def record(self) -> dict[str, Any]:
        """As JSON has it, without nesting: what a picture depends on besides its inputs.

        What has a default and is left at it is not named: records from before it was there, and
        runs that are to be gone on with, stay what they were.
        """
        left = {f.name for f in fields(self) if getattr(self, f.name) == f.default}
        record = {name: value for name, value in asdict(self).items() if name not in left}
        if "guidance_interval" in record:
            record["guidance_interval"] = list(record["guidance_interval"])
        config = record.pop("scheduler_config")
        return {**record, **{f"scheduler.{name}": value for name, value in config.items()}}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Of what `asdict` gave, as JSON has it. Raises KeyError or TypeError for anything else."""
        low, high = values["guidance_interval"]
        return cls(**{**values, "guidance_interval": (low, high)})
