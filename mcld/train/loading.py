"""The batches of a run, loaded by processes of their own, and what becomes of these."""

import errno
import re
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader, get_worker_info

from mcld.errors import InputError, MCLDError
from mcld.machine.accelerator import is_discrete
from mcld.settings import TrainSettings
from mcld.train.interrupt import Interrupt
from mcld.train.plan import LITTLE_SHARED_MEMORY, SHARED_MEMORY, check_shared_memory
from mcld.train.samples import Batch, BatchSampler, Sample, TrainingSamples, collate

_FULL = f"{SHARED_MEMORY}, through which batches are handed over, is full: {LITTLE_SHARED_MEMORY}"


def load_batches(
    samples: TrainingSamples,
    options: TrainSettings,
    numbers: BatchSampler,
    device: torch.device,
) -> Generator[Batch]:
    """The batches of this process, on the CPU.

    Raises InputError for a sample that cannot be loaded, and MCLDError when there is no room to
    hand a batch over. The loading processes end with the generator, however it ends.
    """
    check_shared_memory(options, 1)  # the others may have begun already
    loader = DataLoader(
        samples,
        batch_sampler=numbers,
        collate_fn=_hand_over,
        num_workers=options.workers,
        worker_init_fn=Interrupt.leave_to_parent,
        pin_memory=is_discrete(device),
    )
    batches: Any = None
    try:
        batches = iter(loader)
        yield from batches
    except (InputError, _SharedMemoryError) as error:
        line = str(error).strip().splitlines()[-1]  # after a traceback of the process's own
        kind = InputError if isinstance(error, InputError) else MCLDError
        raise kind(re.sub(r"^mcld\.[\w.]+: ", "", line)) from error
    except OSError as error:
        if options.workers and error.errno == errno.ENOSPC:  # there is not even room for a lock
            raise MCLDError(_FULL) from error
        raise
    finally:
        _end(getattr(batches, "_workers", []))


class _SharedMemoryError(MCLDError):
    """There is no room to hand a batch over. PyTorch raises it anew, of its text alone."""


def _hand_over(samples: list[Sample]) -> Batch:
    """A batch; of a loading process, in the memory that it shares with who asked for it.

    PyTorch would share it in a thread whose errors nobody hears of, and the other side would wait
    for ever.
    """
    batch = collate(samples)
    if get_worker_info() is not None:
        try:
            for tensor in batch.tensors.values():
                tensor.share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise _SharedMemoryError(_FULL) from error
    return batch


def _end(loading: list[BaseProcess]) -> None:
    """End loading processes: they heed no signal that can be heeded, and one may be stuck."""
    if not loading:
        return
    heard = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or PyTorch would take it for a fault
    try:
        for process in loading:
            process.kill()
            process.join()
    finally:
        signal.signal(signal.SIGCHLD, heard)


@contextmanager
def explain_lost_process() -> Iterator[None]:
    """Say why a loading process is lost, wherever in the block PyTorch hears of it.

    Raises MCLDError.
    """
    try:
        yield
    except RuntimeError as error:
        told = str(error)
        if not told.startswith("DataLoader worker"):
            raise
        if "Bus error" in told:  # written to shared memory that was not there
            raise MCLDError(_FULL) from error
        raise MCLDError(
            "a process that loads pictures died, perhaps for want of memory: set train.workers"
            " lower, or to 0, and go on"
        ) from error
