"""Ctrl-C and SIGTERM during training: the step in hand is finished, and saved."""

import signal
import time
from collections.abc import Iterator
from typing import Any, Self, TypeVar

from accelerate import Accelerator

_T = TypeVar("_T")

AGAIN = 1.0
"""Seconds after which another SIGTERM is a second one: launchers and schedulers both send it."""
PATIENCE = 20
"""Seconds that a batch may be waited for once its step is the last one."""


class Interrupt:
    """Notes the first Ctrl-C or SIGTERM while the block runs; a second one stops at once.

    So does the first where `wait_for` waits for long: what loads pictures may be stuck.
    """

    def __init__(self) -> None:
        self._waiting_since: float | None = None
        self._noted: float | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._give_up)
        return self

    def __exit__(self, *_: object) -> None:
        signal.alarm(0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @staticmethod
    def leave_to_parent(_: int) -> None:
        """In a process that loads pictures: its parent decides when it ends."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, _: object) -> None:
        now = time.monotonic()
        if self._noted is None:
            self._noted = now
            signal.alarm(PATIENCE)
        elif number == signal.SIGINT or (
            now - self._noted > AGAIN and self._waiting_since is not None  # and not while saving
        ):
            raise KeyboardInterrupt

    def _give_up(self, *_: object) -> None:
        since = self._waiting_since
        if since is not None and time.monotonic() - since >= PATIENCE:
            raise KeyboardInterrupt
        signal.alarm(PATIENCE)

    def wait_for(self, batches: Iterator[_T]) -> Iterator[_T]:
        """The same batches; a signal does not wait for one that never comes."""
        while True:
            self._waiting_since = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self._waiting_since = None
            yield batch

    @property
    def wanted(self) -> bool:
        """Whether one came to this process."""
        return self._noted is not None

    def check(self, accelerator: Accelerator) -> bool:
        """Whether one came to any of the processes, which all get the same answer."""
        if self.wanted:
            accelerator.set_trigger()
        return bool(accelerator.check_trigger())
