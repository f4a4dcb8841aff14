"""What a person sees: messages, errors, tables and progress.

Results go to stdout; errors and progress go to stderr, so that output can be piped.
"""

import gc
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text


class Count(Protocol):
    """Told (done, total, note) as work goes on."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """`note`: such as the loss."""


_SECONDS_BETWEEN_LINES = 10.0


def say(message: str) -> None:
    """Print a message as it is: brackets are no markup, paths are never broken in a pipe."""
    _print(Console(highlight=False), Text(message))


def show_command(command: str) -> None:
    """Print a command so that it can be copied: on one line, which only the terminal wraps."""
    Console(highlight=False).print(Text(f"  {command}"), soft_wrap=True)


def fail(message: str) -> None:
    """Print an error on stderr: one line, which only a terminal wraps."""
    line = " ".join(message.split())
    _print(Console(stderr=True, highlight=False), Text.assemble(("error: ", "bold red"), line))


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    numbers: Sequence[str] | None = None,
) -> None:
    """Print a table; columns of numbers, all but the first unless told, are set to the right."""
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


def fitting(titles: Sequence[str], fixed: int) -> Iterator[list[int]]:
    """Which columns of a table to show together, so that numbers are never broken.

    The first `fixed` columns stand before the others in each group; the others are taken for as
    wide as a number, or as their title up to twice that.
    """
    room = Console().width - sum(len(title) + 8 for title in titles[:fixed])
    group: list[int] = []
    used = 0
    for column in range(fixed, len(titles)):
        width = min(max(len(titles[column]), _NUMBER), 2 * _NUMBER) + 2
        if group and used + width > room:
            yield [*range(fixed), *group]
            group, used = [], 0
        group.append(column)
        used += width
    yield [*range(fixed), *group]


_NUMBER = 8


def quiet_libraries() -> None:
    """Switch off the progress bars of diffusers and transformers: ours tell what is going on.

    Called before either is imported, it also keeps diffusers from importing bitsandbytes,
    which takes a second where it is installed and is needed by the 8-bit optimizer alone. What that
    says of its 4-bit kernels is no concern of ours.
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
    """Import libraries in the block: quietly, and with Python's garbage collector at rest.

    Torch and diffusers make a million objects while they are imported, none of them garbage, and to
    walk over them again and again would take a sixth of that time.
    """
    gc.disable()
    try:
        quiet_libraries()
        yield
    finally:
        gc.enable()


@contextmanager
def progress(doing: str, unit: str) -> Iterator[Count]:
    """Show how far work has come: count, rate, time left and a note, such as the loss.

    On a terminal this is a bar; elsewhere a line now and then, and one at the end.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(console, doing, unit)
        return
    bar = _NotedProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        console=console,
        expand=True,
    )
    task = bar.add_task(doing, total=None, pace="", note="")
    pace = _Pace(unit)
    try:

        def count(done: int, total: int, note: str = "") -> None:
            bar.start()  # only now: what is said before stands above it
            bar.update(task, completed=done, total=total, pace=pace(done, total), note=note)

        yield count
    finally:
        bar.stop()


class _NotedProgress(Progress):
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
        return _joined(f"{pace} {self.unit}/s", f"{left} left" if done < total else "")


class _Lines:
    """Progress as plain lines, not too many of them."""

    def __init__(self, console: Console, doing: str, unit: str) -> None:
        self.console = console
        self.doing = doing
        self.pace = _Pace(unit)
        self.last = time.monotonic()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        pace = self.pace(done, total)
        if done < total and time.monotonic() - self.last < _SECONDS_BETWEEN_LINES:
            return
        self.last = time.monotonic()
        count = f"{self.doing}: {done:,} of {total:,} {self.pace.unit}"
        _print(self.console, Text(_joined(count, pace, note)))


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=not console.is_terminal)
