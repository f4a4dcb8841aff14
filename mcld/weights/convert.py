"""The same weights in other files: the authors' .pth, .safetensors, or a pipeline folder."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from mcld.machine.files import write_folder_whole
from mcld.machine.tensor_files import read_state_dict, write_tensors
from mcld.networks.checkpoints import save_authors_files, save_checkpoint
from mcld.networks.folders import load_weights
from mcld.settings import Settings
from mcld.weights.request import (
    PIPELINE_FILE,
    Format,
    check_conversion,
)


def convert(source: Path, target: Path, to: Format, settings: Settings) -> None:
    """Write the weights in the folder `source` into the new folder `target`, bit for bit.

    to: "pth", four files as the authors' programs read them; "safetensors", the same four;
    "pipeline", a diffusers pipeline folder, whose encoders come from where `load_weights` finds
    them. A pipeline's encoders are left out of four files.

    Raises SettingsError when `target` exists or `source` is a pipeline already, WeightsError when
    the weights are missing or damaged, or do not fit the encoders that a pipeline is to have.
    """
    files = check_conversion(source, target, to)
    with write_folder_whole(target) as temporary:
        if to == "pipeline":
            load_weights(source, settings).save_pretrained(temporary)
            for part, path in files.items():  # in the precision that they came in
                weights = read_state_dict(path)
                write_tensors(temporary / part / PIPELINE_FILE, weights, {"format": "pt"})
        else:
            save = save_authors_files if to == "pth" else save_checkpoint
            save(_read_weights(files), temporary)


def _read_weights(files: dict[str, Path]) -> dict[str, Tensor]:
    """'part.key' -> the tensor, in the precision that it is stored in."""
    return {
        f"{part}.{key}": tensor
        for part, path in files.items()
        for key, tensor in read_state_dict(path).items()
    }
