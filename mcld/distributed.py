"""The processes that `accelerate launch`, torchrun or `--processes` start."""

import os
from datetime import timedelta

PATIENCE = timedelta(days=7)
"""How long processes wait for the slowest of them: it may train encoders, or read a slow disk."""


def on_cpu() -> bool:
    """Whether this machine has no accelerator.

    The library accelerate wants to be told: on such a machine it would take several processes for
    as many runs that know nothing of each other.
    """
    import torch

    return not torch.accelerator.is_available()


def is_first() -> bool:
    """Whether this process is the one that speaks; known before anything is imported."""
    return os.environ.get("RANK", "0") == "0"
