"""Features of many pictures, on the disk: none is extracted twice, and memory does not grow."""

from __future__ import annotations

import secrets
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import numpy as np
import torch
from numpy.typing import NDArray

from mcld.errors import MCLDError
from mcld.evaluate.fid import FeatureSums
from mcld.machine.files import UNFINISHED

CHUNK = 1024
"""Rows that are in memory at once."""
_TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape"}
"""How names of files are written, whatever bytes they have."""

Rows = NDArray[np.float32]


class FeatureFile:
    """Rows of features by the name of what they are of.

    Each run that adds rows does so in two files of its own in `folder`: NAME.RUN.f32, the rows as
    they lie in memory, and NAME.RUN.txt, with a line each: the row's checksum, a mark of 0 or 1,
    and the name. Rows that were cut short or damaged are as if they were not there.

    width: numbers of a row; say: told when they cannot be written there, and go to a temporary
    folder, as they do without `folder`.
    """

    def __init__(
        self, folder: Path | None, name: str, width: int, say: Callable[[str], None]
    ) -> None:
        self.folder, self.name, self.width, self.say = folder, name, width, say
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._marks: dict[str, bool] = {}
        self._places: dict[str, tuple[Path, int]] = {}
        self._scanned: dict[Path, int] = {}
        """Files of rows that others write, and how many bytes each had when it was looked at."""
        self._own: set[Path] = set()
        self._shared: set[Path] = set()
        self._writing: tuple[Path, BinaryIO, TextIO] | None = None
        self.scan()

    def scan(self) -> None:
        """Look for rows that others have written since."""
        folders = self._shared | ({self.folder} if self.folder else set())
        for path in sorted(p for folder in folders for p in folder.glob(f"{self.name}.*.f32")):
            with suppress(OSError):
                size = path.stat().st_size
                if path not in self._own and self._scanned.get(path) != size:
                    self._scanned[path] = size
                    self._scan(path)

    def share(self, folders: Sequence[Path | None]) -> None:
        """Look in the `folder` of every process from now on: some may be temporary ones."""
        self._shared = {folder for folder in folders if folder}

    def _scan(self, path: Path) -> None:
        with (  # a line of which nothing can be made is where the file ends
            suppress(OSError, ValueError),
            path.open("rb") as rows,
            path.with_suffix(".txt").open(**_TEXT) as lines,
        ):
            for number, line in enumerate(lines):
                checksum, mark, name = line.rstrip("\n").split(" ", 2)
                row = rows.read(4 * self.width)
                if len(row) < 4 * self.width or not line.endswith("\n"):
                    return
                if f"{zlib.crc32(row):08x}" == checksum:
                    self._note(name, mark == "1", path, number)

    def _note(self, name: str, mark: bool, path: Path, number: int) -> None:
        self._places[name], self._marks[name] = (path, number), mark

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def is_marked(self, name: str) -> bool:
        """The mark with which a row was added."""
        return self._marks[name]

    def add(self, names: Sequence[str], rows: Rows, marks: Sequence[bool]) -> None:
        """Keep float32 rows [B, width]. Raises MCLDError when no place takes them."""
        try:
            self._write(names, rows, marks)
        except OSError as error:
            if self._temporary or self.folder is None:
                raise MCLDError(f"cannot write in {tempfile.gettempdir()}: {error}") from error
            self.say(
                f"cannot write in {self.folder}: {error.strerror}: the next run will have to see"
                " all pictures again"
            )
            self._writing = self.folder = None
            self._write(names, rows, marks)

    def _write(self, names: Sequence[str], rows: Rows, marks: Sequence[bool]) -> None:
        if self._writing is None:
            if self.folder is None:
                self._temporary = tempfile.TemporaryDirectory(prefix=UNFINISHED)
                self.folder = Path(self._temporary.name)
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{self.name}.{secrets.token_hex(4)}.f32"
            self._own.add(path)
            self._writing = path, path.open("wb"), path.with_suffix(".txt").open("w", **_TEXT)
        path, file, lines = self._writing
        for name, row, mark in zip(names, np.ascontiguousarray(rows), marks, strict=True):
            number = file.tell() // (4 * self.width)
            content = row.tobytes()
            file.write(content)
            lines.write(f"{zlib.crc32(content):08x} {int(mark)} {name}\n")
            self._note(name, mark, path, number)
        file.flush()
        lines.flush()

    def read(self, names: Sequence[str]) -> Rows:
        """The rows of some names, float32 [len(names), width]; KeyError for one that has none."""
        rows: Rows = np.empty((len(names), self.width), np.float32)
        places = sorted((self._places[name], k) for k, name in enumerate(names))
        file: BinaryIO | None = None
        opened: Path | None = None
        try:
            for (path, number), k in places:
                if path != opened:
                    if file:
                        file.close()
                    file, opened = path.open("rb"), path
                assert file is not None
                file.seek(number * 4 * self.width)
                rows[k] = np.frombuffer(file.read(4 * self.width), np.float32)
        finally:
            if file:
                file.close()
        return rows

    def iterate(self, names: Sequence[str]) -> Iterator[Rows]:
        """The rows of some names, `CHUNK` at a time."""
        for start in range(0, len(names), CHUNK):
            yield self.read(names[start : start + CHUNK])

    def sum(self, names: Sequence[str], device: torch.device) -> FeatureSums:
        """The sums over the rows of some names; marked ones count as enlarged."""
        sums = FeatureSums.zeros(self.width, device)
        for start in range(0, len(names), CHUNK):
            some = names[start : start + CHUNK]
            rows = torch.from_numpy(self.read(some)).to(device)
            sums.add(rows, sum(map(self.is_marked, some)))
        return sums

    def close(self) -> None:
        """End writing."""
        if self._writing:
            _, file, lines = self._writing
            file.close()
            lines.close()
            self._writing = None


@dataclass
class FeatureSet:
    """The features of a set of pictures, as set metrics take them."""

    sums: FeatureSums
    """Their sums, on the network's device."""
    file: FeatureFile | None
    """Where the rows are; None of real pictures whose rows no metric needs."""
    names: Sequence[str]
    """Of the rows, in the order of the pictures."""

    @property
    def count(self) -> int:
        """Pictures."""
        return self.sums.count

    @cached_property
    def rows(self) -> Rows:
        """The features of each picture, float32 [count, width], mapped from a temporary file.

        Of real pictures for metrics that say so in `needs_rows`. Raises MCLDError when a row is not
        there.
        """
        assert self.file is not None
        self.file.scan()  # what other processes have written
        shape = (len(self.names), self.file.width)
        try:
            place: Any = tempfile.TemporaryFile()  # noqa: SIM115 - it goes with the array
            mapped: Rows = np.memmap(place, np.float32, "w+", shape=shape)
            for k, chunk in enumerate(self.file.iterate(self.names)):
                mapped[k * CHUNK : k * CHUNK + len(chunk)] = chunk
        except (OSError, KeyError) as error:
            raise MCLDError(f"cannot read the features in {self.file.folder}: {error}") from error
        return mapped
