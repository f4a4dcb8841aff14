"""The same weights in other files: the authors' .pth, .safetensors, or a pipeline folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import Tensor

from mcld.errors import SettingsError, WeightsError
from mcld.machine.files import write_folder_whole
from mcld.networks.checkpoints import (
    four_files,
    read_state_dict,
    save_authors_files,
    save_checkpoint,
    write_tensors,
)
from mcld.networks.folders import load_weights
from mcld.networks.names import FILE_STEMS
from mcld.settings import Settings

Format = Literal["pth", "safetensors", "pipeline"]
_PIPELINE_FILE = "diffusion_pytorch_model.safetensors"


def convert(source: Path, target: Path, to: Format, settings: Settings) -> None:
    """Write the weights in the folder `source` into the new folder `target`, bit for bit.

    to: "pth", four files as the authors' programs read them; "safetensors", the same four;
    "pipeline", a diffusers pipeline folder, whose encoders come from where `load_weights` finds
    them. A pipeline's encoders are left out of four files.

    Raises SettingsError when `target` exists or `source` is a pipeline already, WeightsError when
    the weights are missing or damaged, or do not fit the encoders that a pipeline is to have.
    """
    if to == "pipeline" and (source / "model_index.json").is_file():
        raise SettingsError(f"{source} is a pipeline folder already")
    if target.exists():
        raise SettingsError(f"{target} exists already: give the name of a new folder")
    files = _find_files(source)
    with write_folder_whole(target) as temporary:
        if to == "pipeline":
            load_weights(source, settings).save_pretrained(temporary)
            for part, path in files.items():  # in the precision that they came in
                weights = read_state_dict(path)
                write_tensors(temporary / part / _PIPELINE_FILE, weights, {"format": "pt"})
        else:
            save = save_authors_files if to == "pth" else save_checkpoint
            save(_read_weights(files), temporary)


def _find_files(folder: Path) -> dict[str, Path]:
    """Part of the network -> its file."""
    if not folder.is_dir():
        raise WeightsError(f"{folder} is no folder of weights: it does not exist")
    found = four_files(folder)
    if (folder / "model_index.json").is_file():
        found = {part: folder / part / _PIPELINE_FILE for part in FILE_STEMS}
    files = {part: path for part, path in found.items() if path is not None and path.is_file()}
    if missing := [part for part in FILE_STEMS if part not in files]:
        raise WeightsError(f"{folder} lacks the weights of {' and '.join(missing)}")
    return files


def _read_weights(files: dict[str, Path]) -> dict[str, Tensor]:
    """'part.key' -> the tensor, in the precision that it is stored in."""
    return {
        f"{part}.{key}": tensor
        for part, path in files.items()
        for key, tensor in read_state_dict(path).items()
    }
