"""Ctrl-C and SIGTERM during training: the step in hand is finished, and saved."""

import signal
from typing import Any, Self

from accelerate import Accelerator


class Interrupt:
    """Notes the first Ctrl-C or SIGTERM while the block runs; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self._wanted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @staticmethod
    def leave_to_parent(_: int) -> None:
        """In a process that loads pictures: its parent decides when it ends."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, _: object) -> None:
        if self._wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._wanted = True

    def check(self, accelerator: Accelerator) -> bool:
        """Whether one came to any of the processes, which all get the same answer."""
        if self._wanted:
            accelerator.set_trigger()
        return bool(accelerator.check_trigger())
