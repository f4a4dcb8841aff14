"""Checkpoints: folders that appear whole or not at all, the newest few of them kept.

    <output>/checkpoints/<images seen, 9 digits>/{four .safetensors files, training_state.pt}

Random numbers are no part of the state: they are derived from the seed and the pictures seen.
"""

from __future__ import annotations

import pickle
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mcld.errors import WeightsError
from mcld.files import folder_written_whole
from mcld.model.checkpoints import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from diffusers.training_utils import EMAModel

    from mcld.model import MCLD

STATE_FILE = "training_state.pt"


def checkpoints(output: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    folder = output / "checkpoints"
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"\d{9}", path.name))


def save(
    output: Path,
    images: int,
    network: MCLD,
    optimizer: torch.optim.Optimizer,
    ema: EMAModel | None,
    keep: int,
) -> Path:
    """Write the checkpoint of a run that has seen `images` pictures; remove all but `keep`.

    Raises MCLDError when it cannot be written; the earlier ones are then still there.
    """
    folder = output / "checkpoints" / f"{images:09d}"
    with folder_written_whole(folder) as temporary:
        save_checkpoint(network, temporary)
        state = {
            "images": images,
            "optimizer": optimizer.state_dict(),
            "ema": ema.state_dict() if ema else None,
        }
        torch.save(state, temporary / STATE_FILE)
    for old in checkpoints(output)[:-keep]:
        shutil.rmtree(old)
    return folder


def load(
    folder: Path, network: MCLD, optimizer: torch.optim.Optimizer, ema: EMAModel | None
) -> int:
    """Read a checkpoint back; return the pictures seen.

    Raises WeightsError when it is damaged or of another network.
    """
    load_checkpoint(network, folder)
    path = folder / STATE_FILE
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        optimizer.load_state_dict(state["optimizer"])
        if ema and state["ema"]:
            ema.load_state_dict(state["ema"])
        return int(state["images"])
    except (
        *(OSError, RuntimeError, ValueError, KeyError, EOFError),
        *(TypeError, AttributeError, pickle.UnpicklingError),
    ) as error:
        raise WeightsError(f"{path} is damaged or of another network: {error}") from error
