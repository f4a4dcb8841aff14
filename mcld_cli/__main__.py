"""The process `mcld`, which is `python -m mcld_cli`, too."""

import atexit
import os
import signal
import sys


def start() -> None:
    """Run the command line, and end the process; `mcld_cli.app.main` runs it within another one."""
    codes = [1]
    # Before anything else is imported: what is to be done at the end runs in the reverse order.
    atexit.register(_leave, codes)
    try:
        from mcld_cli.app import main

        main()
    except KeyboardInterrupt:  # before any command has begun
        codes.append(128 + signal.SIGINT)
        raise
    except SystemExit as end:
        codes.append(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise


def _leave(codes: list[int]) -> None:
    """End the process once threads have ended and all else is done that is to be done at the end.

    To take apart what it has loaded takes Python up to a second of PyTorch, a third of a second of
    compiled functions and ONNX Runtime.
    """
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # as where it was closed before Python began
                stream.flush()
    except (OSError, ValueError):  # which Python tells of
        return
    os._exit(codes[-1])


if __name__ == "__main__":
    start()
