"""The process `mcld`, which is `python -m mcld_cli`, too."""

import atexit
import os
import sys


def start() -> None:
    """Run the command line, and end the process."""
    codes = [1]
    # Before anything else is imported: what is to be done at the end runs in the reverse order.
    atexit.register(_leave, codes)
    from mcld_cli.app import main

    try:
        main()
    except SystemExit as end:
        codes.append(int(end.code or 0))
        raise


def _leave(codes: list[int]) -> None:
    """End the process once threads have ended and all else is done that is to be done at the end.

    To take apart what it has loaded takes Python up to a second of PyTorch, a third of a second of
    compiled functions and ONNX Runtime.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # which Python tells of
        return
    os._exit(codes[-1])


if __name__ == "__main__":
    start()
