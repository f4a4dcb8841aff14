"""A session of the page: its files, the people read of them, and its jobs; gone when it ends."""

from __future__ import annotations

import re
import secrets
import shutil
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.dataset.pictures import read_image, read_painted
from mcld.edit.texture import check_texture
from mcld.errors import InputError, MCLDError
from mcld.machine.files import make_folder, write_whole
from mcld.person.person import Person
from mcld.studio.jobs import Job
from mcld.studio.shown import write_jpeg

UPLOAD = 25_000_000
"""Bytes of a file that is uploaded, at most."""
_FILES, _BYTES = 200, 500_000_000
"""Files of a session, and bytes of all, at most."""
_SESSIONS = 64
"""Sessions at once, at most."""
_PIXELS = 40_000_000
"""Of a picture, at most: several may be read at once."""
_JOBS = 60
"""Jobs that a session remembers."""
_PEOPLE, _TOLD = 8, 40
"""People that a session keeps read, and that it remembers the pictures of."""
_IDLE = 3600.0
"""Seconds without a request after which a session ends."""
_LONGEST_NAME = 80
"""Bytes of a file's name, without its suffix, at most."""
_RESERVED = ("recipe.yaml",)
"""What lies beside the files when they are exported."""
_NUMBERS = (".npz", ".json", ".csv")
"""Suffixes of poses that are no pictures."""
_UNPACKED = 100_000_000
"""Bytes of the arrays of an .npz, at most."""
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""Of pictures, as Pillow calls them: no other program is started to read them."""
_decoding = Lock()
"""One picture at a time, for a large one takes much memory."""


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
    has_ended: bool = False
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
        return text.replace(f"{self.folder / 'files'}/", "").replace(f"{self.folder}/", "")

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
            if self.has_ended:
                raise RefusedError("this session has ended", 404)
            self.make_room(len(content))
            if len(self.files) >= _FILES:
                raise RefusedError(f"this session holds {_FILES} files: remove some", 413)
            path = self._choose_path(name)
            self.files[path.name] = StoredFile(path, kind, path)  # its name is taken
        try:
            with write_whole(path) as temporary:
                temporary.write_bytes(content)
            with _decoding:
                picture = _draw_file(path, kind, draw)
            shown = self.folder / "shown" / f"{path.name}.jpg"
            write_jpeg(shown, picture)
        except BaseException:
            path.unlink(missing_ok=True)
            with self.lock:
                del self.files[path.name]
            raise
        finally:
            if self.has_ended:
                self.remove_files()
        stored = StoredFile(path, kind, shown)
        with self.lock:
            self.files[path.name] = stored
        return stored

    def remember(self, key: Any, read: Callable[[], Person]) -> Person:
        """The person of a key; of those that were not asked for longest, some are forgotten."""
        person = self._read.pop(key, None) or read()
        self._read[key] = person
        while len(self._read) > _PEOPLE:
            del self._read[next(iter(self._read))]
        return person

    def is_busy(self) -> bool:
        """Whether a job of it waits or is done now."""
        return any(not job.has_ended for job in list(self.jobs.values()))

    def remove_files(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def make_room(self, size: int) -> None:
        """Let so many bytes more fit in, if need be by forgetting the oldest pictures.

        Raises RefusedError where they do not fit even so.
        """
        with self.lock:
            while self._count_bytes() + size > _BYTES:
                old = next((j for j in self.jobs.values() if j.has_ended and j.is_shown), None)
                if old is None:
                    raise RefusedError("this session holds too much: remove some files", 413)
                self.forget(old)

    def add(self, job: Job) -> None:
        """Remember a job; the oldest ended ones of its kind are forgotten, with their files."""
        with self.lock:
            if self.has_ended:
                raise RefusedError("this session has ended", 404)
            self.jobs[job.id] = job
            alike = [known for known in self.jobs.values() if known.is_shown == job.is_shown]
            ended = [known for known in alike if known.has_ended]
            for old in ended[: max(len(alike) - _JOBS, 0)]:
                self.forget(old)

    def forget(self, job: Job) -> None:
        """Remove a job that has ended, and its files."""
        with self.lock:
            self.jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def keep_person(self, told: dict[str, Any]) -> None:
        """Remember a person who was read; the oldest are forgotten, with their pictures."""
        with self.lock:
            self.people[told["id"]] = told
            while len(self.people) > _TOLD:
                oldest = next(iter(self.people))
                del self.people[oldest]
                shutil.rmtree(self.find_person_folder(oldest), ignore_errors=True)

    def find_person_folder(self, person: str) -> Path:
        """Where the pictures of a person lie."""
        return self.folder / "people" / person

    def remove(self, name: str) -> None:
        """Remove a file. Raises RefusedError for one that there is not, or that is used."""
        with self.lock:
            file = self.file(name)
            users = [job.request for job in self.jobs.values() if job.is_shown]
            users += [{"photos": told["photos"]} for told in self.people.values()]
            if any(name in _list_texts(user) for user in users):
                raise RefusedError(f"{name} is used: remove what was made of it first", 409)
            del self.files[name]
        for path in (file.path, file.shown):
            path.unlink(missing_ok=True)

    def _choose_path(self, name: str) -> Path:
        """Where a file of a given name goes: no other's place, and nowhere else."""
        plain = re.sub(r"[\x00-\x1f\x7f#]+", "-", name.replace("\\", "/").rpartition("/")[2])
        stem, dot, suffix = plain.strip(" .-").rpartition(".")
        stem, suffix = (stem, suffix) if dot else (suffix, "png")
        cut = stem.encode()[:_LONGEST_NAME].decode(errors="ignore").strip(" .-") or "file"
        numbers = (cut if k == 1 else f"{cut}-{k}" for k in range(1, _FILES + 3))
        taken = {*self.files, *_RESERVED}
        names = (f"{one}.{suffix[:8]}" for one in numbers)
        return make_folder(self.folder / "files") / next(n for n in names if n not in taken)

    def _count_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def _list_texts(value: Any) -> list[str]:
    """Every text in a request."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in _list_texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _list_texts(one)]
    return [value] if isinstance(value, str) else []


def _check_size(path: Path) -> None:
    """Raise InputError for what would take too much memory, or another program, to read."""
    if path.suffix.lower() == ".npz":
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _UNPACKED:
                raise InputError(f"{path} holds more than {_UNPACKED / 1e6:.0f} MB of numbers")
        return
    with suppress(OSError, ValueError, SyntaxError), Image.open(path) as picture:
        if picture.format not in _FORMATS:
            raise InputError(f"{path} is {picture.format}: save it as JPEG or PNG")
        pixels = picture.width * picture.height
        if pixels > _PIXELS:
            raise InputError(
                f"{path} has {pixels / 1e6:.0f} megapixels: give one of at most {_PIXELS / 1e6:.0f}"
            )


def _draw_file(
    path: Path, kind: str, draw: Callable[[Path], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """What is shown of a file. Raises InputError for what is not what it was given for."""
    _check_size(path)
    if kind == "pose":
        return draw(path)
    if path.suffix.lower() in _NUMBERS:
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
        """Begin a session; of too many, that ends which was not used for longest.

        Raises RefusedError where all have jobs left to do.
        """
        if len(self._sessions) >= _SESSIONS:
            unused = [one for one in list(self._sessions.values()) if not one.is_busy()]
            if not unused:
                raise RefusedError("too many pages are at work: try again later", 429)
            self.end(min(unused, key=lambda one: one.used))
        token = secrets.token_urlsafe(24)
        with self._lock:
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
        session.has_ended = True
        for job in list(session.jobs.values()):
            job.cancel()
        session.remove_files()

    def end_idle(self, longest: float = _IDLE) -> None:
        """End those that were not used for so many seconds and have no job left to do."""
        now = time.monotonic()
        for session in list(self._sessions.values()):
            if now - session.used > longest and not session.is_busy():
                self.end(session)

    def end_all(self) -> None:
        """End every session."""
        for session in list(self._sessions.values()):
            self.end(session)
