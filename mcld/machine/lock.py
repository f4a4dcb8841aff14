"""One run at a time on one folder, or of one file."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mcld.errors import InputError, MCLDError

LOCK_FILE = ".lock"


def hold_folder(root: Path) -> AbstractContextManager[None]:
    """Hold the folder `root`, which exists, while the block runs; a killed run lets go of it.

    Raises InputError when another run holds it, MCLDError when it cannot be written.
    """
    return _hold(root / LOCK_FILE, root)


def hold_file(file: Path) -> AbstractContextManager[None]:
    """Hold what is done as `file` says, on this machine, while the block runs.

    The lock lies among the system's temporary files: the file's folder may not be ours to write.
    Raises InputError when another run holds it.
    """
    name = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:16]
    return _hold(Path(tempfile.gettempdir()) / f"mcld-{name}.lock", file)


@contextmanager
def _hold(path: Path, what: Path) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"{what} is in use by another run: wait for it to end") from error
    except OSError as error:
        raise MCLDError(f"cannot write in {path.parent}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
