"""How many threads PyTorch works in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def limit_threads(count: int | None = 1) -> Iterator[None]:
    """Let PyTorch work in so many threads; None: in as many as before.

    In one, the numbers are the same everywhere, and nothing waits: of several threads, small steps
    wait for each other, and sums depend on how they are shared out.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
