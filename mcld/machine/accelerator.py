"""The accelerator of this machine, as PyTorch names it.

`cuda` is NVIDIA's GPUs, and AMD's with PyTorch's build for ROCm; `mps` is Apple's, `xpu` Intel's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def find_accelerator() -> torch.device | None:
    """The accelerator that is here, without a number; None on a machine with a CPU alone."""
    import torch

    found: torch.device | None = torch.accelerator.current_accelerator(check_available=True)
    return found


def is_discrete(device: torch.device) -> bool:
    """Whether a device has memory of its own, as GPUs but Apple's have: those share the CPU's.

    It is those, too, on which half precision and channels-last convolutions are known to be fast.
    """
    return device.type not in ("cpu", "mps")


def ran_out_of_memory(error: Exception) -> bool:
    """Whether an accelerator's memory was too small; of Apple's, PyTorch says so in words alone."""
    import torch

    words = ("MPS backend out of memory", "Invalid buffer size")
    return isinstance(error, torch.OutOfMemoryError) or str(error).startswith(words)


def is_failure(error: RuntimeError) -> bool:
    """Whether an accelerator, or what PyTorch runs on it, failed: not the program's own fault."""
    import torch

    if isinstance(error, torch.AcceleratorError):
        return True
    return any(word in str(error) for word in ("CUDA", "HIP", "MPS", "XPU"))
