"""What a person sees: messages, errors, tables and progress.

Results go to stdout; errors and progress go to stderr, so that output can be piped.
"""

import gc
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from typing import Protocol

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree


class Count(Protocol):
    """Called with (done, total, note) as work goes on."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """`note`: such as the loss."""


_SECONDS_BETWEEN_LINES = 10.0


def say(message: str) -> None:
    """Print a message as it is: brackets are no markup, paths are never broken in a pipe."""
    _print(Console(highlight=False), Text(message))


def show_command(command: str) -> None:
    """Print a command so that it can be copied: on one line, which only the terminal wraps."""
    Console(highlight=False).print(Text(f"  {command}"), soft_wrap=True)


def show_error(message: str) -> None:
    """Print an error on stderr: one line, which only a terminal wraps."""
    line = " ".join(message.split())
    _print(Console(stderr=True, highlight=False), Text.assemble(("error: ", "bold red"), line))


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    numbers: Sequence[str] | None = None,
) -> None:
    """Print a table; columns of numbers (None: all but the first) are set to the right."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(
            Text(column),
            justify="right" if column in (columns[1:] if numbers is None else numbers) else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    Console(highlight=False).print(table)


def show_tree(tree: Tree) -> None:
    """Print a tree; only a terminal wraps its lines."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _ENDLESS
    console.print(tree)


_ENDLESS = 100_000
"""Columns, more than any line has."""


def split_columns(titles: Sequence[str], fixed: int) -> Iterator[list[int]]:
    """Yield which columns of a table to show together, so that numbers are never broken.

    The first `fixed` columns stand before the others in each group; the others are taken for as
    wide as a number, or as their title up to twice that.
    """
    width = Console().width - sum(len(title) + 8 for title in titles[:fixed])
    group: list[int] = []
    used = 0
    for column in range(fixed, len(titles)):
        needed = min(max(len(titles[column]), _NUMBER_WIDTH), 2 * _NUMBER_WIDTH) + 2
        if group and used + needed > width:
            yield [*range(fixed), *group]
            group, used = [], 0
        group.append(column)
        used += needed
    yield [*range(fixed), *group]


_NUMBER_WIDTH = 8


def quiet_libraries() -> None:
    """Switch off the progress bars of diffusers and transformers: ours show the progress.

    Called before either is imported, it also keeps diffusers from importing bitsandbytes,
    which takes a second where it is installed and is needed by the 8-bit optimizer alone. Its
    warnings about 4-bit kernels are switched off as well: they are not used.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as transformers_logging

    hidden = "bitsandbytes" not in sys.modules
    if hidden:
        sys.modules["bitsandbytes"] = None  # type: ignore[assignment]  # as if not installed
    try:
        from diffusers.utils import logging as diffusers_logging
    finally:
        if hidden:
            del sys.modules["bitsandbytes"]
    hub_logging.set_verbosity(logging.ERROR)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


@contextmanager
def importing() -> Iterator[None]:
    """Import libraries in the block: quietly, and with Python's garbage collector switched off.

    Torch and diffusers make a million objects while they are imported, none of them garbage; to
    collect takes a sixth of that time.
    """
    gc.disable()
    try:
        quiet_libraries()
        yield
    finally:
        gc.enable()


@contextmanager
def progress(task: str, unit: str) -> Iterator[Count]:
    """Show how far work has come: count, rate, time left and a note, such as the loss.

    On a terminal this is a bar; elsewhere a line now and then, and one at the end.
    """
    console = Console(stderr=True, highlight=False)
    pace = _Pace(unit)
    if not console.is_terminal:
        last = time.monotonic()

        def count_in_lines(done: int, total: int, note: str = "") -> None:
            nonlocal last
            words = pace(done, total)
            if done < total and time.monotonic() - last < _SECONDS_BETWEEN_LINES:
                return
            last = time.monotonic()
            _print(console, Text(_join(f"{task}: {done:,} of {total:,} {unit}", words, note)))

        yield count_in_lines
        return
    bar = _ProgressWithNote(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
        expand=True,
    )
    task_id = bar.add_task(task, total=None, pace="", note="")
    try:

        def count(done: int, total: int, note: str = "") -> None:
            bar.start()  # only now: what is said before stands above it
            bar.update(task_id, completed=done, total=total, pace=pace(done, total), note=note)

        yield count
    finally:
        bar.stop()


class StageProgress(AbstractContextManager["StageProgress"]):
    """Progress of work in stages, each with a bar of its own.

    A stage ends when another one begins, or its own count begins anew.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bars = ExitStack()
        self._stage: str | None = None
        self._done = 0

    def count(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show how far a stage has come."""
        if stage != self._stage or done < self._done:
            self.close()
            self._count = self._bars.enter_context(progress(stage, self._unit))
        self._stage, self._done = stage, done
        self._count(done, total, note)

    def close(self) -> None:
        """End the bar; a stage that goes on gets a new one."""
        self._bars.close()
        self._stage = None

    def __exit__(self, *_: object) -> None:
        self.close()


class _ProgressWithNote(Progress):
    """A bar with its note on a line below, so that both have room."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        for task in self.tasks:
            if task.fields["note"]:
                yield Text(f"  {task.fields['note']}", overflow="ellipsis", no_wrap=True)


class _Pace:
    """Units a second since the first report, and the time left at that rate, in words."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.first: int | None = None
        self.start = 0.0

    def __call__(self, done: int, total: int) -> str:
        now = time.monotonic()
        if self.first is None or done < self.first:
            self.first, self.start = done, now
        if done == self.first or now == self.start:
            return ""
        rate = (done - self.first) / (now - self.start)
        left = timedelta(seconds=round((total - done) / rate))
        pace = f"{rate:.3g}" if rate < 1000 else f"{rate:,.0f}"
        return _join(f"{pace} {self.unit}/s", f"{left} left" if done < total else "")


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=not console.is_terminal)
