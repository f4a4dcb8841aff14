"""What weights are to be rewritten, and what of it can be refused at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mcld.dataset.outputs import check_outputs
from mcld.errors import SettingsError, WeightsError
from mcld.networks.names import FILE_STEMS, four_files

Format = Literal["pth", "safetensors", "pipeline"]
PIPELINE_FILE = "diffusion_pytorch_model.safetensors"
"""The file of a part's weights in a pipeline folder."""


def check_conversion(source: Path, target: Path, to: Format) -> dict[str, Path]:
    """Part of the network -> its file in the folder `source`.

    Raises SettingsError when the new folder `target` cannot be, or `source` is a pipeline already,
    WeightsError when weights are missing, MCLDError where nothing can be written.
    """
    if to == "pipeline" and (source / "model_index.json").is_file():
        raise SettingsError(f"{source} is a pipeline folder already")
    if target.exists():
        raise SettingsError(f"{target} exists already: give the name of a new folder")
    check_outputs("TO", [target])
    return _find_files(source)


def check_densepose_conversion(source: Path, target: Path) -> None:
    """Refuse at once what cannot be a conversion of DensePose's weights.

    Raises SettingsError when the new file `target` cannot be, or `source` is converted already,
    WeightsError when it is missing, MCLDError where nothing can be written.
    """
    if not source.is_file():
        raise WeightsError(f"{source} is missing: mcld weights download densepose")
    if source.suffix == ".safetensors":
        raise SettingsError(f"{source} is converted already")
    if target.suffix != ".safetensors":
        raise SettingsError(f"TO {target}: DensePose's weights are written as .safetensors")
    if target.exists():
        raise SettingsError(f"{target} exists already: remove it, or give the name of a new file")
    check_outputs("TO", [target])


def _find_files(folder: Path) -> dict[str, Path]:
    """Part of the network -> its file."""
    if not folder.is_dir():
        raise WeightsError(f"{folder} is no folder of weights: it does not exist")
    found = four_files(folder)
    if (folder / "model_index.json").is_file():
        found = {part: folder / part / PIPELINE_FILE for part in FILE_STEMS}
    files = {part: path for part, path in found.items() if path is not None and path.is_file()}
    if missing := [part for part in FILE_STEMS if part not in files]:
        raise WeightsError(f"{folder} lacks the weights of {' and '.join(missing)}")
    return files
