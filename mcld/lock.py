"""One run at a time on one folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mcld.errors import InputError, MCLDError

LOCK_FILE = ".lock"


@contextmanager
def only_run(root: Path) -> Iterator[None]:
    """Hold the folder `root`, which exists, while the block runs; a killed run lets go of it.

    Raises InputError when another run holds it, MCLDError when it cannot be written.
    """
    lock = FileLock(root / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"{root} is in use by another run: wait for it to end") from error
    except OSError as error:
        raise MCLDError(f"cannot write in {root}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
