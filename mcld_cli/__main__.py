"""The process `mcld`, which is `python -m mcld_cli`, too."""

import atexit
import os
import sys

from mcld_cli.app import main


def start() -> None:
    """Run the command line, and end the process."""
    codes = [1]
    atexit.register(_leave, codes)
    try:
        main()
    except SystemExit as end:
        codes.append(int(end.code or 0))
        raise


def _leave(codes: list[int]) -> None:
    """End the process once all else is done, without taking apart what it has loaded.

    That takes compilers and networks a third of a second. It is left to Python where PyTorch, which
    may hold devices and other processes, is loaded.
    """
    if "torch" in sys.modules:
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # which Python tells of
        return
    os._exit(codes[-1])


if __name__ == "__main__":
    start()
