"""A session of the page: its files, the people read of them, and its jobs; gone when it ends."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcld.dataset.pictures import read_image, read_painted
from mcld.edit.texture import check_texture
from mcld.errors import InputError, MCLDError
from mcld.machine.files import make_folder
from mcld.person import Person
from mcld.studio.jobs import Job
from mcld.studio.shown import write_jpeg

UPLOAD = 25_000_000
"""Bytes of a file that is uploaded, at most."""
_FILES, _BYTES = 200, 500_000_000
"""Files of a session, and bytes of all, at most."""
_SESSIONS = 64
"""Sessions at once, at most."""
_JOBS = 60
"""Jobs that a session remembers."""
_PEOPLE = 16
"""People that a session keeps read."""
_IDLE = 3600.0
"""Seconds without a request after which a session ends."""
_LONGEST_NAME = 80
_SUFFIXES = {"pose": (".npz", ".json", ".csv")}
"""Of what is no picture."""


class RefusedError(MCLDError):
    """A request that the studio cannot fulfil; status: the HTTP status that says so."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class StoredFile:
    """A file of a session."""

    path: Path
    kind: str
    """photo, pose or texture."""
    shown: Path
    """A picture of it that a browser shows."""
    size: tuple[int, int]
    """Width and height of what it shows, pixels."""


@dataclass
class Session:
    """What one open page has; several threads may use it."""

    token: str
    folder: Path
    files: dict[str, StoredFile] = field(default_factory=dict)
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was told of each person that was read."""
    jobs: dict[str, Job] = field(default_factory=dict)
    """In the order in which they were asked for."""
    used: float = field(default_factory=time.monotonic)
    lock: RLock = field(default_factory=RLock)
    _read: dict[Any, Person] = field(default_factory=dict)

    def file(self, name: str) -> StoredFile:
        """A file by its name. Raises RefusedError for one that is not of this session."""
        found = self.files.get(name)
        if found is None:
            raise RefusedError(f"there is no file {name} in this session", 404)
        return found

    def job(self, number: str) -> Job:
        """A job. Raises RefusedError for one that there is not."""
        found = self.jobs.get(number)
        if found is None:
            raise RefusedError(f"there is no job {number} in this session", 404)
        return found

    def tell(self, text: str) -> str:
        """A message, with this session's files called by their names alone."""
        return text.replace(f"{self.folder / 'files'}/", "")

    def store(
        self,
        name: str,
        content: bytes,
        kind: str,
        draw: Callable[[Path], NDArray[np.uint8]],
    ) -> StoredFile:
        """Keep a file that was given.

        draw: what is shown of a pose's file. Raises RefusedError where a session holds too much,
        InputError for what cannot be used as what it was given for, without a trace of it.
        """
        with self.lock:
            if len(self.files) >= _FILES or self._count_bytes() + len(content) > _BYTES:
                raise RefusedError("this session holds too many files: open a new page", 413)
            path = self._choose_path(name, kind)
            path.write_bytes(content)
            self.files[path.name] = StoredFile(path, kind, path, (0, 0))  # its name is taken
        try:
            picture = _draw_file(path, kind, draw)
            shown = self.folder / "shown" / f"{path.name}.jpg"
            write_jpeg(shown, picture)
        except BaseException:
            path.unlink(missing_ok=True)
            with self.lock:
                del self.files[path.name]
            raise
        stored = StoredFile(path, kind, shown, (picture.shape[1], picture.shape[0]))
        with self.lock:
            self.files[path.name] = stored
        return stored

    def reserve(self, name: str) -> Path:
        """A path for a file of the session's own making. Raises RefusedError as `store` does."""
        with self.lock:
            if len(self.files) >= _FILES:
                raise RefusedError("this session holds too many files: open a new page", 413)
            return self._choose_path(name, "pose")

    def remember(self, key: Any, read: Callable[[], Person]) -> Person:
        """The person of a key; of those that were not asked for longest, some are forgotten."""
        person = self._read.pop(key, None) or read()
        self._read[key] = person
        while len(self._read) > _PEOPLE:
            del self._read[next(iter(self._read))]
        return person

    def add(self, job: Job) -> None:
        """Remember a job; the oldest ended ones are forgotten, with their files."""
        with self.lock:
            self.jobs[job.id] = job
            ended = [known for known in self.jobs.values() if known.has_ended]
            for old in ended[: max(len(self.jobs) - _JOBS, 0)]:
                self.forget(old)

    def forget(self, job: Job) -> None:
        """Remove a job that has ended, and its files."""
        with self.lock:
            self.jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def _choose_path(self, name: str, kind: str) -> Path:
        """Where a file of a given name goes: no other's place, and nowhere else."""
        plain = re.sub(r"[^\w. -]+", "-", name.replace("\\", "/").rpartition("/")[2]).strip(" .-")
        stem, dot, suffix = plain.rpartition(".")
        if not dot:
            stem, suffix = plain, "png" if kind != "pose" else ""
        stem = stem[:_LONGEST_NAME].strip(" .-") or kind
        end = f".{suffix[:8].lower()}" if suffix else ""
        candidates = (f"{stem}{'' if k == 1 else f'-{k}'}{end}" for k in range(1, _FILES + 2))
        folder = make_folder(self.folder / "files")
        return folder / next(one for one in candidates if one not in self.files)

    def _count_bytes(self) -> int:
        return sum(one.path.stat().st_size for one in self.files.values() if one.path.exists())


def _draw_file(
    path: Path, kind: str, draw: Callable[[Path], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """What is shown of a file. Raises InputError for what is not what it was given for."""
    if kind == "pose":
        return draw(path)
    if path.suffix in _SUFFIXES["pose"]:
        raise InputError(f"{path} is no picture: as a pose it may be what it is")
    if kind == "texture":
        painted = read_painted(path)
        check_texture(painted, str(path))
        return painted
    return read_image(path)


class Sessions:
    """All open pages; several threads may use it.

    root: the folder that holds theirs.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sessions: dict[str, Session] = {}
        self._lock = Lock()

    def open(self) -> Session:
        """Begin a session. Raises RefusedError where there are too many."""
        self.end_idle()
        token = secrets.token_urlsafe(24)
        with self._lock:
            if len(self._sessions) >= _SESSIONS:
                raise RefusedError("too many pages are open: close some", 429)
            session = Session(token, self.root / secrets.token_hex(8))
            self._sessions[token] = session
        make_folder(session.folder / "shown")
        return session

    def find(self, token: str) -> Session:
        """An open session. Raises RefusedError for one that there is not, or no longer."""
        session = self._sessions.get(token)
        if session is None:
            raise RefusedError("this session has ended", 404)
        session.used = time.monotonic()
        return session

    def end(self, session: Session) -> None:
        """End a session: its jobs stop, its files are removed."""
        with self._lock:
            self._sessions.pop(session.token, None)
        for job in list(session.jobs.values()):
            job.cancel()
        shutil.rmtree(session.folder, ignore_errors=True)

    def end_idle(self, longest: float = _IDLE) -> None:
        """End those that were not used for so many seconds and have no job left to do."""
        now = time.monotonic()
        for session in list(self._sessions.values()):
            busy = any(not job.has_ended for job in list(session.jobs.values()))
            if now - session.used > longest and not busy:
                self.end(session)

    def end_all(self) -> None:
        """End every session."""
        for session in list(self._sessions.values()):
            self.end(session)
