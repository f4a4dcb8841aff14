"""Writing files so that they appear whole or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mcld.errors import MCLDError

UNFINISHED = ".mcld-"
"""How the names of files and folders begin that are being written."""


def expand_home(path: Path) -> Path:
    """A path whose ~ is the home folder; as it is where there is no such folder."""
    try:
        return path.expanduser()
    except RuntimeError:  # as in a container whose user has no entry
        return path


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, make it `path`.

    The folder is created, the temporary file keeps the suffix (libraries choose the format by it),
    and its bytes reach the disk before the rename, so that a reader, or a run resumed after a power
    cut, sees the old file, the new file, or none. When the block raises, the temporary is removed.

    Raises MCLDError when the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            prefix=_begin_name(path), suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        raise MCLDError(f"cannot write {path}: {error.strerror}") from error
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        _settle(temporary)
        temporary.replace(path)
    except OSError as error:
        raise MCLDError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    """Bring a file's bytes to the disk; give what `tempfile` made private the usual mode."""
    if path.is_file():
        with path.open("rb") as written:
            os.fsync(written.fileno())
    umask = os.umask(0)
    os.umask(umask)
    path.chmod((0o666 if path.is_file() else 0o777) & ~umask)


def _begin_name(path: Path) -> str:
    """How the names begin of what will be `path`."""
    return f"{UNFINISHED}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, in UTF-8; what is not, as of a file's name, is escaped.

    Raises MCLDError when it cannot be written.
    """
    with write_whole(path) as temporary:
        temporary.write_text(text, "utf-8", "backslashreplace", "\n")


def write_json(path: Path, content: object) -> None:
    """Write a JSON file whole. Raises MCLDError when it cannot be written."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def hash_file(path: Path) -> str:
    """What tells a file from others, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(path: Path) -> None:
    """Raise MCLDError when a file could not be written at `path`: before long work, not after."""
    try:
        if path.is_dir():
            raise MCLDError(f"cannot write {path}: it is a folder")
        folder = next(p for p in path.absolute().parents if p.exists())
    except OSError as error:  # such as a name that is too long
        raise MCLDError(f"cannot write {path}: {error.strerror}") from error
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = f"{folder} is no folder that can be written"
        raise MCLDError(f"cannot write {path}: {reason}") from error


def make_folder(folder: Path) -> Path:
    """Make a folder, if need be with those above it. Raises MCLDError when that cannot be."""
    if folder.parts[:1] == ("~",):
        raise MCLDError(f"cannot write {folder}: there is no home folder here; set HOME")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MCLDError(f"cannot write {folder}: {error.strerror}") from error
    return folder


@contextmanager
def write_folder_whole(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; when the block ends well, make it `folder`.

    The counterpart of `write_whole` for files that belong together. A folder that was there
    before is replaced.

    Raises MCLDError when it cannot be written or the disk is full.
    """
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
        yield temporary
        for path in (temporary, *temporary.rglob("*")):
            _settle(path)
        if folder.exists():  # out of the way first: at every moment the old one or the new is whole
            old = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
            folder.replace(old)
            temporary.replace(folder)
            shutil.rmtree(old)
        else:
            temporary.replace(folder)
    except OSError as error:
        raise MCLDError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed runs left behind, in a folder and the folders in it.

    Only for a folder that no other run is writing to. Raises MCLDError when it cannot be written.
    """
    try:
        for pattern in (f"{UNFINISHED}*", f"*/{UNFINISHED}*"):
            for path in folder.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    except OSError as error:
        raise MCLDError(f"cannot write in {folder}: {error.strerror or error}") from error


def remove_unfinished_files(paths: Iterable[Path]) -> None:
    """Remove what killed runs left behind of some files, and nothing of others.

    Only for files that no other run is writing. Raises MCLDError when their folders cannot be
    written.
    """
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(_begin_name(path))
    for folder, beginnings in names.items():
        try:
            for found in folder.glob(f"{UNFINISHED}*"):
                if found.name.rpartition("-")[0] + "-" in beginnings:
                    found.unlink()
        except OSError as error:
            raise MCLDError(f"cannot write in {folder}: {error.strerror or error}") from error
