"""What every process that helps with preparing does first."""

import signal


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent: a worker ends the picture in hand and takes no further one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
