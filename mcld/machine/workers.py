"""Processes that work for this one."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from mcld.errors import MCLDError

_T = TypeVar("_T")
_R = TypeVar("_R")


def work_in_processes(
    work: Callable[[_T], _R], items: Sequence[_T], workers: int, what: str
) -> Iterator[_R]:
    """Yield what `work` makes of each item, in the order in which they are done.

    `work` is sent to every process once and keeps what it loads; one worker is this process.
    what: is being done, for messages. Raises MCLDError when a process dies.
    """
    workers = min(workers, len(items))
    if workers < 2:
        yield from map(work, items)
        return
    # Spawned, because a forked child of a process with threads, or with CUDA, may hang.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(work, max(1, (os.cpu_count() or 1) // workers)),
    )
    try:
        for task in as_completed([pool.submit(_work_on, item) for item in items]):
            yield task.result()
    except BrokenProcessPool as error:
        raise MCLDError(
            f"a process of {what} died, perhaps for want of memory: run again to go on, with fewer"
            " --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_work: Callable[[Any], Any]
"""What this process does, if it works for another one."""


def _start(work: Callable[[Any], Any], threads: int) -> None:
    """Follow the parent: leave Ctrl-C to it, and end when it ends, however it ends.

    On Ctrl-C a worker ends the picture in hand and takes no further one. When the parent is killed
    a worker ends at once, so that it does not write into a folder that another run has taken over.
    """
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if parent := multiprocessing.parent_process():

        def end_with_parent() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=end_with_parent, daemon=True).start()
    # PyTorch, which is imported by the work that needs it, reads these as it is imported.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    import cv2

    cv2.setNumThreads(1)


def _work_on(item: Any) -> Any:
    return _work(item)
