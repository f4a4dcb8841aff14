"""The processes that `accelerate launch`, torchrun or `--processes` start."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from mcld.errors import MCLDError

if TYPE_CHECKING:
    from accelerate import PartialState
    from torch import Tensor

_T = TypeVar("_T")

PATIENCE = timedelta(days=7)
"""How long processes wait for the slowest of them: it may train encoders, or read a slow disk."""


def runs_on_cpu() -> bool:
    """Whether there is no accelerator on this machine, or `accelerate launch --cpu` hides it.

    The library accelerate wants to be told: on such a machine it would take several processes for
    as many runs that know nothing of each other.
    """
    import torch
    from accelerate.utils import parse_flag_from_env

    return parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()


def is_main() -> bool:
    """Whether this process is the one that speaks; known before anything is imported."""
    return os.environ.get("RANK", "0") == "0"


def processes() -> PartialState:
    """The processes of this run, which on a CPU end their group before Python ends.

    A thread of PyTorch's gloo backend may hold the last tensor it sent; one that outlives Python
    aborts the process, and a run that was done would count as failed (pytorch/pytorch#190489). With
    NCCL, a process that fails would wait for the others to end the group, and they for it.
    """
    from accelerate import PartialState

    state = PartialState(cpu=runs_on_cpu(), timeout=PATIENCE)
    if state.backend == "gloo":
        atexit.register(state.destroy_process_group)
    return state


def end_processes() -> None:
    """End the group of processes, once all of them have done their work."""
    from accelerate import PartialState

    PartialState().destroy_process_group()


def ignore(*_: object) -> None:
    """What the processes that do not speak take as their callbacks."""


def run_on_main(state: PartialState, work: Callable[[], _T]) -> _T:
    """What the main process finds out or does, told to all; an MCLDError there is raised in all.

    Files may come and go while processes look for them: one looks. All call this together.
    """
    from accelerate.utils import broadcast_object_list

    outcome: list[Any] = [None, None]
    if state.is_main_process:
        try:
            outcome = [work(), None]
        except MCLDError as error:
            outcome = [None, error]
    value, wrong = broadcast_object_list(outcome)
    if wrong is not None:
        raise wrong
    found: _T = value
    return found


def gather_whole(value: Any, *, keep: bool = True) -> Any:
    """A state, any nesting of dictionaries and lists, with every sharded tensor whole, on the CPU.

    FSDP leaves each process a share of a tensor. All processes call this together; those that do
    not `keep` the tensors get None in their place. What is not sharded stays as it is.
    """
    from torch.distributed.tensor import DTensor

    if isinstance(value, DTensor):
        whole = value.full_tensor()
        return whole.cpu() if keep else None
    if isinstance(value, dict):
        return {key: gather_whole(inner, keep=keep) for key, inner in value.items()}
    if isinstance(value, list):
        return [gather_whole(inner, keep=keep) for inner in value]
    return value


def place_like(value: Tensor, other: Tensor) -> Tensor:
    """A whole tensor as `other` of the same shape is placed: in shares, or in its memory format.

    PyTorch's fused optimizers walk through weights and moments as they lie in memory.
    """
    from torch.distributed.tensor import DTensor, distribute_tensor

    if value.shape != other.shape:
        return value
    if not isinstance(other, DTensor):
        if value.stride() == other.stride():
            return value
        return value.new_empty_strided(other.shape, other.stride()).copy_(value)
    # Every process has read the whole from the same file: nothing needs to be sent.
    device = other.device_mesh.device_type
    return distribute_tensor(
        value.contiguous().to(device), other.device_mesh, other.placements, src_data_rank=None
    )
