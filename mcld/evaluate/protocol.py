"""How numbers are made, so that they can stand beside others that were made so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Protocol:
    """What changes the numbers of the same pictures."""

    name: str = "mcld-1"
    resize: str = "pillow-bicubic"
    """How the true and the real pictures are brought to the size of the results."""
    real: str = "train"
    """The split whose pictures generated ones are compared with as a set."""
    ssim_window: int = 51
    """Side of SSIM's uniform window, pixels."""
    ssim_256_sigma: float = 1.5
    """Of SSIM-256's Gaussian window, pixels."""

    def list_picture_knobs(self) -> dict[str, Any]:
        """The fields that change the pictures themselves, and so every number."""
        return {"resize": self.resize}

    @property
    def is_plain(self) -> bool:
        """Whether it makes pictures as all versions before protocols had names did."""
        return self.list_picture_knobs() == Protocol().list_picture_knobs() and self.real == "train"
