"""How many threads PyTorch works in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch work in this thread alone: the same numbers everywhere, and no waiting.

    Of several threads, small steps wait for each other, and sums depend on how they are shared out.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
