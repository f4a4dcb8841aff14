"""The processes that `accelerate launch`, torchrun or `--processes` start."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = timedelta(days=7)
"""How long processes wait for the slowest of them: it may train encoders, or read a slow disk."""


def on_cpu() -> bool:
    """Whether this machine has no accelerator.

    The library accelerate wants to be told: on such a machine it would take several processes for
    as many runs that know nothing of each other.
    """
    import torch

    return not torch.accelerator.is_available()


def is_first() -> bool:
    """Whether this process is the one that speaks; known before anything is imported."""
    return os.environ.get("RANK", "0") == "0"


def gathered(value: Any) -> Any:
    """A state, any nesting of dictionaries and lists, with every sharded tensor whole, on the CPU.

    FSDP leaves each process a share of a tensor. All processes call this together; what is not
    sharded stays as it is.
    """
    from torch.distributed.tensor import DTensor

    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    if isinstance(value, dict):
        return {key: gathered(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [gathered(inner) for inner in value]
    return value


def sharded_like(value: Tensor, other: Tensor) -> Tensor:
    """The share of a whole tensor that this process holds where `other`, as large, is sharded."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(other, DTensor) or value.shape != other.shape:
        return value
    # Every process has read the whole from the same file: nothing needs to be sent.
    device = other.device_mesh.device_type
    return distribute_tensor(
        value.to(device), other.device_mesh, other.placements, src_data_rank=None
    )
