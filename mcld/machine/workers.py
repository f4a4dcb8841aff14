"""What every process that helps with preparing does first."""

import multiprocessing
import os
import signal
import threading


def start_worker() -> None:
    """Follow the parent: leave Ctrl-C to it, and end when it ends, however it ends.

    On Ctrl-C a worker ends the picture in hand and takes no further one. When the parent is killed
    a worker ends at once, so that it does not write into a folder that another run has taken over.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if parent := multiprocessing.parent_process():

        def end_with_parent() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=end_with_parent, daemon=True).start()
