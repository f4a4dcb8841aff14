"""What is computed for the page, one thing after the other."""

from __future__ import annotations

import logging
import secrets
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Literal

from mcld.errors import MCLDError, StoppedError
from mcld.machine.processes import ignore

_LOGGER = logging.getLogger(__name__)
State = Literal["queued", "running", "done", "failed", "cancelled"]

_WAITING = 64
"""Jobs that wait, at most, of all sessions."""


@dataclass(eq=False)
class Job:
    """Something to compute; the page asks again and again how far it is."""

    kind: Literal["person", "picture", "sequence"]
    request: dict[str, Any]
    """As the page asked for it."""
    title: str
    root: Path
    """The folder that its own lies in."""
    work: Callable[[Job], None]
    """Does it; raises StoppedError where it was cancelled, an MCLDError for what cannot be done."""
    describe: Callable[[str], str]
    """What becomes of messages before they are shown."""
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    state: State = "queued"
    stage: str = ""
    done: int = 0
    total: int = 0
    said: list[str] = field(default_factory=list)
    error: str | None = None
    frames: Path | None = None
    """The folder of a sequence's frames while it is painted."""
    answer: dict[str, Any] = field(default_factory=dict)
    """What came of it, as JSON has it."""
    _cancelled: bool = False

    @property
    def folder(self) -> Path:
        """Where its files go."""
        return self.root / self.id

    @property
    def is_shown(self) -> bool:
        """Whether it makes something to look at in the history."""
        return self.kind != "person"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "failed", "cancelled")

    def cancel(self) -> None:
        """Let it end as soon as it looks."""
        self._cancelled = True
        if self.state == "queued":
            self.state = "cancelled"

    def look(self) -> None:
        """Raise StoppedError if it was cancelled."""
        if self._cancelled:
            raise StoppedError("cancelled")

    def begin(self, stage: str) -> None:
        """Say what is done now."""
        self.look()
        self.stage, self.done, self.total = stage, 0, 0

    def count(self, done: int, total: int) -> None:
        """Say how far it is."""
        self.look()
        self.done, self.total = done, total

    def say(self, line: str) -> None:
        """Keep a line for the page."""
        self.said.append(self.describe(line))

    def run(self) -> None:
        """Do it, and keep how it ended. Raises what is a bug of ours."""
        if self._cancelled:
            return
        self.state = "running"
        try:
            self.work(self)
            self.look()
            self.state = "done"
        except Exception as error:
            if self._cancelled:  # its files may be gone, and whatever came of that
                self.answer = {}
                shutil.rmtree(self.folder, ignore_errors=True)
                self.state = "cancelled"
                return
            is_told = isinstance(error, MCLDError)
            told = f"unexpected {type(error).__name__}: {error}; please report it"
            self.error = self.describe(str(error)) if is_told else told
            self.state = "failed"
            if not is_told:
                raise
        finally:
            self.stage = ""


class Queue:
    """Does jobs one after the other, in a thread of its own."""

    def __init__(self) -> None:
        self._prepare: Callable[[], None] = ignore
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._changed = Condition()
        self._ends = False
        self._thread = Thread(target=self._work, name="jobs", daemon=True)

    def start(self, prepare: Callable[[], None] = ignore) -> None:
        """Begin; prepare: done in the thread before the first job."""
        self._prepare = prepare
        self._thread.start()

    def add(self, job: Job) -> bool:
        """Let a job wait its turn; return whether there is room for it."""
        with self._changed:
            self._drop_cancelled()
            if len(self._waiting) >= _WAITING:
                return False
            self._waiting.append(job)
            self._changed.notify()
            return True

    def count(self) -> int:
        """Jobs that wait or are done now."""
        with self._changed:
            self._drop_cancelled()
            return len(self._waiting) + (self._current is not None)

    def count_before(self, job: Job) -> int:
        """Jobs that come before one that waits."""
        with self._changed:
            self._drop_cancelled()
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._current is not None)

    def end(self, seconds: float) -> bool:
        """Stop: what waits is cancelled; what is done now may take so long to notice.

        Returns whether it did.
        """
        with self._changed:
            self._ends = True
            for job in [*self._waiting, *([self._current] if self._current else [])]:
                job.cancel()
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _drop_cancelled(self) -> None:
        self._waiting = deque(job for job in self._waiting if not job.has_ended)

    def _work(self) -> None:
        try:
            self._prepare()
        except Exception:  # told by whatever needs it
            _LOGGER.exception("the studio could not load what it needs")
        while True:
            with self._changed:
                self._current = None
                while not self._waiting:
                    if self._ends:
                        return
                    self._changed.wait()
                self._current = self._waiting.popleft()
            try:
                self._current.run()
            except Exception:  # told on the page; the next job is done all the same
                _LOGGER.exception("a job of the studio broke")
