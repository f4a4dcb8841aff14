"""How numbers are made, so that they can stand beside others that were made so.

A protocol is a few lines of YAML; those of this project, and of papers whose code could be read,
are in `protocols/`. What a file does not say is as in mcld-1.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mcld.errors import SettingsError
from mcld.machine.yaml_file import read_yaml

DEFAULT = "mcld-1"
VERSION = 1
"""Of what the fields mean: part of every hash."""

Filter = Literal[
    "pillow-nearest",
    "pillow-bilinear",
    "pillow-bicubic",
    "pillow-lanczos",
    "opencv-nearest",
    "opencv-bilinear",
    "opencv-bicubic",
    "opencv-area",
]
"""A library and its filter. Pillow's widen when a picture shrinks (antialiasing), OpenCV's do not,
but for area."""


class Protocol(BaseModel):
    """What changes the numbers of the same pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = DEFAULT
    source: str = ""
    """Where it was read."""
    shape: Literal["narrow", "square"] = Field(
        "narrow",
        description="what photos are resized to, and results of another size with them: 176x256 and"
        " 352x512, or 256x256 and 512x512, which squeezes what is narrow",
    )
    resize: Filter = Field(
        "pillow-bicubic", description="how photos, true and real ones, are resized"
    )
    photo_jpeg: int | None = Field(
        None, ge=1, le=100, description="quality of the JPEG as which resized photos are saved"
    )
    result_resize: Filter = Field(
        "pillow-bicubic", description="how results are resized that are of the other shape"
    )
    result_jpeg: int | None = Field(
        None, ge=1, le=100, description="quality of the JPEG as which results are saved"
    )
    network_resize: Filter | None = Field(
        None, description="how squares are made narrow for all but PSNR and SSIM"
    )
    pad_white: bool = Field(
        False, description="whether PSNR and SSIM see narrow pictures with white beside them"
    )
    real: Literal["train", "test"] = Field(
        "train", description="the photos that FID compares generated pictures with"
    )
    ssim_window: int = Field(
        51, ge=3, le=151, description="side of SSIM's uniform window, pixels, odd"
    )
    ssim_256_sigma: float = Field(
        1.5, gt=0, le=10, description="of SSIM-256's Gaussian window, pixels"
    )

    @field_validator("ssim_window")
    @classmethod
    def _check_window(cls, side: int) -> int:
        if side % 2 == 0:
            raise ValueError(f"{side} is even: a window needs a pixel in its middle")
        return side

    @property
    def definition(self) -> dict[str, Any]:
        """All that changes numbers."""
        return self.model_dump(exclude={"name", "source"})

    @property
    def hash(self) -> str:
        """What tells its definition from others, 12 hex digits."""
        content = json.dumps([VERSION, self.definition], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def real_name(self) -> str:
        """What the photos of `real` are called in a sentence."""
        return "training" if self.real == "train" else self.real

    def list_photo_knobs(self) -> dict[str, Any]:
        """The fields that change photos."""
        return self.model_dump(include={"shape", "resize", "photo_jpeg", "network_resize"})

    def list_result_knobs(self) -> dict[str, Any]:
        """The fields that change results."""
        return self.model_dump(include={"shape", "result_resize", "result_jpeg", "network_resize"})

    def describe_photos(self) -> str:
        """How true pictures are made, in words."""
        text = f"resized with {_NAMES[self.resize]}, to 8 bits"
        if self.shape == "square":
            text += ", to a square"
        if self.photo_jpeg:
            text += f", saved as JPEG of quality {self.photo_jpeg}"
        if self.shape == "square" and self.network_resize:
            text += f"; for all but PSNR and SSIM made narrow with {_NAMES[self.network_resize]}"
        if self.pad_white:
            text += "; for PSNR and SSIM padded to a square with white"
        return text

    def describe_results(self) -> str:
        """What becomes of results, in words; empty for nothing."""
        jpeg = f"saved as JPEG of quality {self.result_jpeg}" if self.result_jpeg else ""
        square = "made square" if self.shape == "square" else ""
        return ", ".join(filter(None, (square, jpeg)))

    def list_differences(self, other: Protocol) -> list[str]:
        """The fields in which another protocol differs, in their order."""
        return [name for name, value in self.definition.items() if value != other.definition[name]]


_NAMES: dict[str, str] = {
    "pillow-nearest": "Pillow, to the nearest pixel",
    "pillow-bilinear": "Pillow, bilinearly with antialiasing",
    "pillow-bicubic": "Pillow, bicubically with antialiasing",
    "pillow-lanczos": "Pillow, by Lanczos' filter with antialiasing",
    "opencv-nearest": "OpenCV, to the nearest pixel",
    "opencv-bilinear": "OpenCV, bilinearly without antialiasing",
    "opencv-bicubic": "OpenCV, bicubically without antialiasing",
    "opencv-area": "OpenCV, by areas",
}
_FOLDER = Path(__file__).parent / "protocols"


def list_protocols() -> list[str]:
    """The names of those that come along."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_protocol(name: str) -> Protocol:
    """The protocol of a name, or in a YAML file.

    Raises SettingsError for what is neither, and for a file that says what no protocol can.
    """
    path = _FOLDER / f"{name}.yaml"
    if name not in list_protocols():
        path = Path(name)
        if path.suffix not in (".yaml", ".yml"):
            known = ", ".join(list_protocols())
            raise SettingsError(
                f"--protocol {name}: there are {known}; or give a YAML file, see docs/evaluation.md"
            )
    content = read_yaml(path, "--protocol")
    if not isinstance(content, dict):
        raise SettingsError(f"--protocol {path} must hold `field: value` lines")
    try:
        return Protocol.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        known = ", ".join(Protocol.model_fields)
        what = f"there are {known}" if first["type"] == "extra_forbidden" else first["msg"]
        raise SettingsError(f"--protocol {path}: {where}: {what}") from error
