"""What is to be exported, and what of it can be refused at once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mcld.dataset.outputs import check_outputs
from mcld.errors import MCLDError, SettingsError
from mcld.settings import SampleSettings

PACKAGES = ("onnx", "onnxscript")


@dataclass(frozen=True)
class ExportRequest:
    """A pipeline for other programs.

    Raises SettingsError for a folder that cannot be and for ways to sample that graphs do not hold,
    MCLDError where nothing can be written, or the extra `onnx` is not installed.
    """

    out: Path
    """A new folder."""
    weights: Path | None
    """A pipeline folder, or one with the four files of the authors' layout; None: the embedded."""
    sampling: SampleSettings
    """How the graphs are to sample."""

    def __post_init__(self) -> None:
        if self.out.exists():
            raise SettingsError(f"--out {self.out} exists already: give the name of a new folder")
        if not_kept := [name for name, asked in self._list_unkept().items() if asked]:
            raise SettingsError(
                f"graphs cannot hold {' and '.join(not_kept)}: leave it out; they are made on the"
                " CPU, and sample by DDIM in float32, guided at every step or at none"
            )
        check_outputs("--out", [self.out])
        if missing := [name for name in PACKAGES if find_spec(name) is None]:
            raise MCLDError(f"exporting needs {' and '.join(missing)}: pip install 'mcld[onnx]'")

    def _list_unkept(self) -> dict[str, bool]:
        usual, asked = SampleSettings(), self.sampling
        return {
            "sample.device": asked.device not in (None, "cpu"),
            "sample.scheduler": asked.scheduler not in (None, "ddim"),
            "sample.dtype": asked.dtype not in (None, "float32"),
            **{
                f"sample.{name}": getattr(asked, name) != getattr(usual, name)
                for name in (
                    *("fast", "guidance_interval", "cache_interval", "compile", "low_memory"),
                    "storage_dtype",
                )
            },
        }
