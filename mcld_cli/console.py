"""What a person sees: messages, errors, tables and progress; and what a program reads.

Results go to stdout; errors and progress go to stderr, so that output can be piped. With --json,
stdout gets one JSON object, and everything else goes to stderr. Where nobody looks, in a file or
a pipe, lines are whole and there are no bars, whatever FORCE_COLOR says.
"""

import codecs
import gc
import io
import json
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from typing import Protocol

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from mcld.errors import MCLDError


class Count(Protocol):
    """Called with (done, total, note) as work goes on."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """`note`: such as the loss."""


_SECONDS_BETWEEN_LINES = 10.0


_answers_in_json = False
_keeps_stdout = False
_ENDLESS = 100_000
"""Columns of a line that nobody looks at."""
_ASCII = {"↑": "^", "↓": "v", "→": "->", "…": "...", "–": "-", "×": "x", "·": "-", "§": "section "}


def answer_in_json(wanted: bool) -> None:
    """Let `show_result` print JSON on stdout, and everything else go to stderr; or not."""
    global _answers_in_json, _keeps_stdout
    _answers_in_json = _keeps_stdout = wanted


def keep_stdout() -> None:
    """Let everything but `show_text` and `show_result` go to stderr."""
    global _keeps_stdout
    _keeps_stdout = True


def show_text(text: str) -> None:
    """Print a text on stdout as it is."""
    if sys.stdout is not None:
        with _explain_full_disk():
            sys.stdout.write(text)
            sys.stdout.flush()


def show_result(result: Mapping[str, object]) -> bool:
    """Print what came of a command as one JSON object, if that is wanted; return whether it is.

    Paths are texts.
    """
    if _answers_in_json:
        show_text(json.dumps(result, default=str, indent=2) + "\n")
    return _answers_in_json


def fit_encoding() -> None:
    """Let no output fail for want of a sign in the terminal's encoding."""
    codecs.register_error("mcld", _replace_unknown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="mcld")


def _replace_unknown(error: UnicodeError) -> tuple[str | bytes, int]:
    """In ASCII, what an encoding lacks; what is no text, such as in a file's name, escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    replaced = "".join(
        _ASCII.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in lacking
    )
    return replaced, error.end


def _open_console(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr or _keeps_stdout, highlight=False)
    if not _is_watched(console):
        console.width = _ENDLESS
    return console


def _is_watched(console: Console) -> bool:
    """Whether somebody looks at a terminal. FORCE_COLOR asks for colours, not for that."""
    return console.file.isatty()


@contextmanager
def _explain_full_disk() -> Iterator[None]:
    """Raise MCLDError where the output cannot be written; that its reader is gone is no error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence_stdout()
        raise MCLDError(f"cannot write the output: {error.strerror}") from error


def silence_stdout() -> None:
    """Throw away what is still to be printed, for which there is no place."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_ESCAPED = {k: f"\\x{k:02x}" for k in (*range(32), *range(127, 160)) if chr(k) not in "\t\n"}
"""Control characters, as of odd file names, which a terminal would obey -> how they are shown."""


def say(message: str) -> None:
    """Print a message as it is: brackets are no markup, paths are never broken in a pipe."""
    _print(Text(message.translate(_ESCAPED)))


def show_command(*words: object) -> None:
    """Print a command so that it can be copied: quoted, on a line, which only a terminal wraps."""
    command = shlex.join(map(str, words))
    with _explain_full_disk():
        _open_console().print(Text(f"  {command}"), soft_wrap=True)


def show_error(message: str) -> None:
    """Print an error on stderr: one line, which only a terminal wraps."""
    line = " ".join(message.split()).translate(_ESCAPED)
    _print(Text.assemble(("error: ", "bold red"), line), stderr=True)


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    numbers: Sequence[str] | None = None,
    whole: Sequence[str] = (),
) -> None:
    """Print a table.

    numbers: columns that are set to the right (None: all but the first); whole: columns whose
    cells are never broken. Only a terminal breaks any.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(
            Text(column),
            justify="right" if column in (columns[1:] if numbers is None else numbers) else "left",
            overflow="fold",
            no_wrap=column in whole,
        )
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        table.add_row(*(Text(cell.translate(_ESCAPED)) for cell in cells))
    _print(table)


def show_tree(tree: Tree) -> None:
    """Print a tree; only a terminal wraps its lines."""
    _print(tree)


def split_columns(titles: Sequence[str], fixed: int) -> Iterator[list[int]]:
    """Yield which columns of a table to show together, so that numbers are never broken.

    The first `fixed` columns stand before the others in each group; the others are taken for as
    wide as a number, or as their title up to twice that.
    """
    width = _open_console().width - sum(len(title) + 8 for title in titles[:fixed])
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


def _quiet_bitsandbytes() -> None:
    """Switch off what it says of its 4-bit kernels when transformers imports it: none is used."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def quiet_libraries() -> None:
    """Switch off the progress bars of diffusers and transformers: ours show the progress.

    Called before either is imported, it also keeps diffusers from importing bitsandbytes,
    which takes a second where it is installed and is needed by the 8-bit optimizer alone.
    """
    _quiet_bitsandbytes()
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
    """Import libraries in the block with Python's garbage collector switched off.

    Torch and diffusers make a million objects while they are imported, none of them garbage; to
    collect takes a sixth of that time. Whoever imports bitsandbytes besides is spared its warnings
    about 4-bit kernels: they are not used.
    """
    _quiet_bitsandbytes()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def importing_diffusers() -> Iterator[None]:
    """The same, and diffusers and transformers are quiet from then on."""
    with importing():
        quiet_libraries()
        yield


@contextmanager
def progress(task: str, unit: str) -> Iterator[Count]:
    """Show how far work has come: count, rate, time left and a note, such as the loss.

    On a terminal this is a bar; elsewhere a line now and then, and one at the end.
    """
    console = _open_console(stderr=True)
    pace = _Pace(unit)
    if not _is_watched(console):
        last = time.monotonic()

        def count_in_lines(done: int, total: int, note: str = "") -> None:
            nonlocal last
            words = pace(done, total)
            if done < total and time.monotonic() - last < _SECONDS_BETWEEN_LINES:
                return
            last = time.monotonic()
            _print(Text(_join(f"{task}: {done:,} of {total:,} {unit}", words, note)), stderr=True)

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
    """Units a second since the first report, and the time left at that rate, in words.

    Nothing is said before it means something: the first unit may have waited for what the others
    do not wait for, such as a process that starts.
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.first: int | None = None
        self.mark = 0
        self.started = self.marked = 0.0

    def __call__(self, done: int, total: int) -> str:
        now = time.monotonic()
        if self.first is None or done < self.first:
            self.first = self.mark = done
            self.started = self.marked = now
        elif self.mark == self.first:  # counted from the end of the first unit
            self.mark, self.marked = done, now
        if self.first < done == total and now > self.started:
            return self._describe_rate((done - self.first) / (now - self.started))
        if done == self.mark or now - self.marked < _SECONDS_BEFORE_ESTIMATE:
            return ""
        rate = (done - self.mark) / (now - self.marked)
        return (
            f"{self._describe_rate(rate)}, {timedelta(seconds=round((total - done) / rate))} left"
        )

    def _describe_rate(self, rate: float) -> str:
        return f"{rate:.3g} {self.unit}/s" if rate < 1000 else f"{rate:,.0f} {self.unit}/s"


_SECONDS_BEFORE_ESTIMATE = 3.0
"""Of work, before its rate is told."""


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _print(content: RenderableType, *, stderr: bool = False) -> None:
    with _explain_full_disk():
        _open_console(stderr=stderr).print(content)
