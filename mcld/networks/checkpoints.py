"""The network's weights on disk, in the authors' four-file layout.

    {denoising_unet, reference_unet, pose_guider, image_projector}.pth or .safetensors

The authors' keys are ours, so files travel both ways. Their Hugging Face repository calls the last
file image_proj_model.pth; both names are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from mcld.errors import MCLDError, WeightsError
from mcld.machine.files import write_whole
from mcld.machine.tensor_files import load_into, write_tensors
from mcld.model.network import MCLD
from mcld.networks.names import FILE_STEMS, file_names, four_files


def load_checkpoint(network: MCLD, folder: Path) -> None:
    """Load the four files in `folder` into `network`.

    Raises WeightsError when one is missing, damaged, or of another network.
    """
    for part, path in four_files(folder).items():
        if path is None:
            raise WeightsError(f"{folder} holds no {part}: one of {', '.join(file_names(part))}")
        load_into(getattr(network, part), path)


def save_checkpoint(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write a network's state dict into `folder` as four .safetensors files.

    Raises MCLDError when they cannot be written or the disk is full.
    """
    for part, (stem, *_) in FILE_STEMS.items():
        write_tensors(folder / f"{stem}.safetensors", select_part(weights, part))


def save_authors_files(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write a network's state dict into `folder` as the authors' programs read it: four .pth files.

    Raises MCLDError when they cannot be written or the disk is full.
    """
    for part, (stem, *_) in FILE_STEMS.items():
        with write_whole(folder / f"{stem}.pth") as temporary:
            tensors = {key: t.cpu().contiguous() for key, t in select_part(weights, part).items()}
            try:
                torch.save(tensors, temporary)
            except RuntimeError as error:  # how PyTorch says that the disk is full
                raise MCLDError(f"cannot write {folder / stem}.pth: {error}") from error


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """What tells a network's weights from any others: 16 hex digits of names, shapes and values.

    The same for the same values, in whatever files and precision they lie.
    """

    def hashed(key: str) -> str:
        values = weights[key].detach().float().cpu().contiguous()
        return f"{key} {list(values.shape)} {hashlib.sha256(values.numpy().data).hexdigest()}\n"

    with ThreadPoolExecutor() as pool:
        lines = "".join(pool.map(hashed, sorted(weights)))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def select_part(weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Of a network's state dict, that of one part."""
    return {
        key.removeprefix(f"{part}."): tensor
        for key, tensor in weights.items()
        if key.startswith(f"{part}.")
    }
