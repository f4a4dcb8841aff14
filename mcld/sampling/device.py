"""The device that networks run on; light, so that one that is not there is told at once."""

import warnings

import torch

from mcld.errors import SettingsError
from mcld.machine.accelerator import find_accelerator, is_discrete
from mcld.settings import SampleSettings


def choose_device(options: SampleSettings, default: torch.device | None = None) -> torch.device:
    """The device of `sample.device`; when that is not set, `default`, or a GPU where there is one.

    Raises SettingsError when it cannot be used here, or when other settings need another.
    """
    if options.device is not None:
        device = open_device(options.device, "sample.device")
    else:
        device = default or find_accelerator() or torch.device("cpu")
    if options.low_memory and device.type == "cpu":
        raise SettingsError(
            "--low-memory spares a GPU's memory, and this runs on the CPU: leave it out"
        )
    if options.low_memory and not is_discrete(device):
        raise SettingsError(
            "--low-memory spares the memory of a GPU that has its own, and Apple's GPUs share the"
            " machine's: leave it out, or give --dtype bfloat16, which needs half of float32's"
        )
    if options.storage_dtype and device.type == "mps":  # which PyTorch 2.11 has no float8 on
        raise SettingsError(
            f"sample.storage_dtype={options.storage_dtype} cannot be had on Apple's GPUs: leave it"
            " out, or give --dtype bfloat16, which needs half the memory of float32"
        )
    if options.storage_dtype and options.compile:
        raise SettingsError(
            f"--compile and sample.storage_dtype={options.storage_dtype} do not go together: leave"
            " one out"
        )
    return device


def open_device(name: str, setting: str) -> torch.device:
    """A device by its name, such as "cuda:1". Raises SettingsError when it cannot be used here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            device = torch.device(name)
            torch.ones(1, device=device).add(1).item()
    except Exception as error:  # of some devices, PyTorch's modules are missing
        # Of others than these it speaks of its own insides.
        told = name.startswith(("cuda", "xpu"))
        reason = str(error).partition("\n")[0].partition(" on your system.")[0]
        raise SettingsError(
            f"{setting}={name} cannot be used here"
            + (f": {reason}" if told else "")
            + "; give cpu, or leave it out"
        ) from error
    if is_discrete(device) and device.index is None:  # the one that accelerate gave this process
        device = torch.device(device.type, torch.accelerator.current_device_index())
    return device
