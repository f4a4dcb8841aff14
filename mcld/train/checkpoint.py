"""Checkpoints: folders that appear whole or not at all, the newest few of them kept.

<output>/checkpoints/<images seen, 9 digits>/{four .safetensors files, training_state.pt}
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel

from mcld.errors import MCLDError, WeightsError
from mcld.machine.file_kind import describe_content
from mcld.machine.files import write_folder_whole
from mcld.machine.processes import gather_whole, place_like
from mcld.machine.tensor_files import tell_reason
from mcld.model import MCLD
from mcld.networks.checkpoints import load_checkpoint, save_checkpoint
from mcld.train.plan import checkpoints
from mcld.train.post_hoc_ema import PostHocEMA

STATE_FILE = "training_state.pt"


@dataclass(frozen=True)
class State:
    """All that a run changes. Random numbers are derived from the seed and the pictures seen."""

    network: MCLD
    optimizer: torch.optim.Optimizer
    ema: EMAModel | None
    scaler: torch.amp.GradScaler | None
    """Of fp16 training."""
    post_hoc_ema: PostHocEMA | None = None


def save(output: Path, images: int, state: State, keep: int, *, main: bool) -> None:
    """Write the checkpoint of a run that has seen `images` pictures.

    It and those before it are kept, `keep` in all. All processes call this together, since each may
    hold a share of the state; the main one writes.

    Raises MCLDError when it cannot be written or the disk is full; the earlier ones are then still
    there.
    """
    weights = gather_whole(state.network.state_dict(), keep=main)
    rest = gather_whole(_parts(state), keep=main)
    if not main:
        return
    folder = output / "checkpoints" / f"{images:09d}"
    with write_folder_whole(folder) as temporary:
        save_checkpoint(weights, temporary)
        try:
            torch.save({"images": images, **rest}, temporary / STATE_FILE)
        except RuntimeError as error:
            # The disk is full, in many words. A loading process that dies just now tells so, too.
            if str(error).startswith("DataLoader worker"):
                raise
            raise MCLDError(f"cannot write {folder}: {error}") from error
    # What is newer was damaged, or this run would not have gone on from before it.
    older = [other for other in checkpoints(output) if other < folder]
    newer = [other for other in checkpoints(output) if other > folder]
    for other in older[: max(0, len(older) - keep + 1)] + newer:
        shutil.rmtree(other)


def _parts(state: State) -> dict[str, Any]:
    return {
        "optimizer": state.optimizer.state_dict(),
        "ema": state.ema.state_dict() if state.ema else None,
        "scaler": state.scaler.state_dict() if state.scaler else None,
        "post_hoc_ema": state.post_hoc_ema.state_dict() if state.post_hoc_ema else None,
    }


def load_newest(output: Path, state: State, say: Callable[[str], None]) -> int:
    """Read back the newest checkpoint that is whole; return the pictures seen.

    A damaged one is named through `say`. Raises WeightsError when none can be read.
    """
    *older, newest = checkpoints(output)
    try:
        return load(newest, state)
    except WeightsError as error:
        if not older:
            raise
        damaged = str(error)
    for folder in reversed(older):
        say(f"{damaged}; going on from {folder.name} before it")
        try:
            return load(folder, state)
        except WeightsError as error:
            damaged = str(error)
    raise WeightsError(damaged)


def load(folder: Path, state: State) -> int:
    """Read a checkpoint back; return the pictures seen.

    Raises WeightsError when it is damaged or of another network.
    """
    load_checkpoint(state.network, folder)
    path = folder / STATE_FILE
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        # What the settings say now counts, not what they said when it was saved.
        decay = [group["weight_decay"] for group in state.optimizer.param_groups]
        trained = [p for group in state.optimizer.param_groups for p in group["params"]]
        for row, moments in saved["optimizer"]["state"].items():
            for name, moment in moments.items():
                if torch.is_tensor(moment):
                    moments[name] = place_like(moment, trained[row])
        state.optimizer.load_state_dict(saved["optimizer"])
        for group, wanted in zip(state.optimizer.param_groups, decay, strict=True):
            group["weight_decay"] = wanted
        if state.ema and saved["ema"]:
            decay_of_ema = state.ema.decay
            averages = saved["ema"]["shadow_params"]
            saved["ema"]["shadow_params"] = [
                place_like(average, p) for average, p in zip(averages, trained, strict=True)
            ]
            state.ema.load_state_dict(saved["ema"])
            state.ema.decay = decay_of_ema
        if state.scaler and saved["scaler"]:
            state.scaler.load_state_dict(saved["scaler"])
        if state.post_hoc_ema:
            state.post_hoc_ema.load_state_dict(saved["post_hoc_ema"])
        return int(saved["images"])
    except (
        *(OSError, RuntimeError, ValueError, KeyError, EOFError),
        *(TypeError, AttributeError, IndexError, pickle.UnpicklingError),
    ) as error:
        what = describe_content(path) or f"is damaged or of another network: {tell_reason(error)}"
        raise WeightsError(f"{path} {what}") from error
