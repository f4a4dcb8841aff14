"""The same weights in other files: the authors' .pth, .safetensors, or a pipeline folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mcld.errors import SettingsError, WeightsError
from mcld.files import folder_written_whole
from mcld.model.checkpoints import (
    FILE_STEMS,
    four_files,
    read_state_dict,
    save_authors_files,
    save_checkpoint,
    write_tensors,
)
from mcld.pretrained import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from mcld.settings import Settings

Format = Literal["pth", "safetensors", "pipeline"]
_IN_PIPELINE = "diffusion_pytorch_model.safetensors"


def convert(source: Path, target: Path, to: Format, settings: Settings) -> None:
    """Write the weights in the folder `source` into the new folder `target`, bit for bit.

    to: "pth", four files as the authors' programs read them; "safetensors", the same four;
    "pipeline", a diffusers pipeline folder, whose encoders come from where `load_weights` finds
    them. A pipeline's encoders are left out of four files.

    Raises SettingsError when `target` exists or `source` is a pipeline already, WeightsError when
    the weights are missing, damaged, or of another network than the settings'.
    """
    if to == "pipeline" and (source / "model_index.json").is_file():
        raise SettingsError(f"{source} is a pipeline folder already")
    if target.exists():
        raise SettingsError(f"{target} exists already: give the name of a new folder")
    weights = _weights(source)
    if to == "pipeline":
        pipeline = load_weights(source, settings)  # which also checks names and shapes
    with folder_written_whole(target) as temporary:
        if to == "pth":
            save_authors_files(weights, temporary)
        elif to == "safetensors":
            save_checkpoint(weights, temporary)
        else:
            pipeline.save_pretrained(temporary)
            for part in FILE_STEMS:  # in the precision that they came in
                prefix = f"{part}."
                tensors = {
                    key.removeprefix(prefix): weights[key]
                    for key in weights
                    if key.startswith(prefix)
                }
                write_tensors(temporary / part / _IN_PIPELINE, tensors, {"format": "pt"})


def _weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of the network's four parts as they lie in the files, by 'part.key'."""
    if not folder.is_dir():
        raise WeightsError(f"{folder} is no folder of weights: it does not exist")
    if (folder / "model_index.json").is_file():
        files: dict[str, Path | None] = {part: folder / part / _IN_PIPELINE for part in FILE_STEMS}
    else:
        files = four_files(folder)
    missing = [part for part, path in files.items() if path is None or not path.is_file()]
    if missing:
        raise WeightsError(f"{folder} lacks the weights of {' and '.join(missing)}")
    return {
        f"{part}.{key}": tensor
        for part, path in files.items()
        if path is not None
        for key, tensor in read_state_dict(path).items()
    }
