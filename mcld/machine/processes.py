"""The processes that `accelerate launch`, torchrun or `--processes` start."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Timer
from typing import TYPE_CHECKING, Any, TypeVar

from mcld.errors import MCLDError, SettingsError

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


def count_processes() -> int:
    """How many processes a launcher has started; known before anything is imported.

    Raises SettingsError when its variables contradict each other, as those left over from another
    run may.
    """
    given = {name: os.environ.get(name, "") for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK")}
    wrong = [name for name, text in given.items() if text and not text.isdecimal()]
    if wrong:
        raise SettingsError(f"{wrong[0]}={given[wrong[0]]} is no number: {_LEFT_OVER}")
    count = max(1, int(given["WORLD_SIZE"] or 1))
    if count > 1:
        needed = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
        if missing := [name for name in needed if not os.environ.get(name)]:
            raise SettingsError(
                f"WORLD_SIZE={count} asks for several processes, and {missing[0]} is not set:"
                f" {_LEFT_OVER}"
            )
        if int(given["RANK"]) >= count:
            raise SettingsError(f"RANK={given['RANK']} of WORLD_SIZE={count}: {_LEFT_OVER}")
    return count


_LEFT_OVER = "unset WORLD_SIZE, RANK and LOCAL_RANK if they are left over from another run"


def is_main() -> bool:
    """Whether this process is the one that speaks; known before anything is imported."""
    return os.environ.get("RANK", "0") == "0" or os.environ.get("WORLD_SIZE", "1") in ("", "1")


_NEIGHBOURS = 16
"""Items in a row that one process takes."""


def take_share(items: Sequence[_T], state: PartialState) -> list[_T]:
    """What of some items is this process's: blocks of neighbours, which may have much in common.

    They are dealt out in turn, so that a run that goes on has as much left for each.
    """
    of_block = ((number // _NEIGHBOURS) % state.num_processes for number in range(len(items)))
    return [
        item for item, owner in zip(items, of_block, strict=True) if owner == state.process_index
    ]


def processes() -> PartialState:
    """The processes of this run, which on a CPU end their group before Python ends.

    A thread of PyTorch's gloo backend may hold the last tensor it sent; one that outlives Python
    aborts the process, and a run that was done would count as failed (pytorch/pytorch#190489). With
    NCCL, a process that fails would wait for the others to end the group, and they for it.

    Raises MCLDError when they cannot meet.
    """
    from accelerate import PartialState

    count = count_processes()
    if count == 1:  # accelerate takes what is left over of these for several processes
        for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
            os.environ.pop(name, None)
    with _waiting_for_others(count):
        try:
            state = PartialState(cpu=runs_on_cpu(), timeout=PATIENCE)
        except ValueError as error:  # of other launchers' variables, such as MPI's
            raise SettingsError(
                f"the variables of a launcher are contradictory: {error}"
            ) from error
    if state.backend == "gloo":
        atexit.register(state.destroy_process_group)
    return state


_MEETING_SECONDS = 600
"""How long processes wait for the last of them to begin."""


@contextmanager
def _waiting_for_others(count: int) -> Iterator[None]:
    """While the processes meet, let Ctrl-C and SIGTERM end this one; say so, give up in the end.

    PyTorch waits in C++, where Python's handlers of signals are not called.
    """
    from torch import distributed

    if count == 1 or distributed.is_initialized():
        yield
        return
    rank, where = os.environ["RANK"], f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    waiting = f"process {int(rank) + 1} of {count} waits for the others at {where}"

    def give_up() -> None:
        sys.stderr.write(f"error: {waiting}, in vain for {_MEETING_SECONDS} s: {_LEFT_OVER}\n")
        os._exit(1)

    # Processes of a launcher begin together; of others it is not known whether there are any.
    patience = 30 if "TORCHELASTIC_RUN_ID" in os.environ else 1
    timers = [
        Timer(patience, lambda: sys.stderr.write(f"{waiting}; {_LEFT_OVER}\n")),
        Timer(_MEETING_SECONDS, give_up),
    ]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, signal.SIG_DFL)
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    except (distributed.DistError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise MCLDError(f"{waiting}, and cannot meet them: {reason}; {_LEFT_OVER}") from error
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in handlers.items():
            signal.signal(number, handler)


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
