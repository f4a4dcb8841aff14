"""Tensors by name in files: read without running code from them, checked, written whole."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mcld.errors import MCLDError, WeightsError
from mcld.machine.file_kind import describe_first
from mcld.machine.files import write_whole
from mcld.machine.processes import place_like


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file, on the CPU. No code in the file is run.

    Of a network that was saved as PyTorch had wrapped it, keys come without "module." and
    "_orig_mod.". Raises WeightsError when the file is damaged, or holds more than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except (
        *(OSError, RuntimeError, EOFError, KeyError, ValueError),
        *(SafetensorError, pickle.UnpicklingError),
    ) as error:
        raise WeightsError(explain_unreadable(path, error)) from error
    if not isinstance(weights, dict) or not all(map(torch.is_tensor, weights.values())):
        raise WeightsError(f"{path} holds something else than tensors by name")
    for wrapper in ("_orig_mod.", "module.", "_orig_mod."):
        if weights and all(key.startswith(wrapper) for key in weights):
            weights = {key.removeprefix(wrapper): tensor for key, tensor in weights.items()}
    return weights


def halve_exact(path: Path) -> None:
    """Write a .safetensors file of float32 anew in float16, where that changes no number in it.

    So are the weights of a network that was saved in float16 and loaded in float32. Other files are
    left as they are. Raises as `write_tensors` does.
    """
    weights = load_file(path)
    single = {key: tensor for key, tensor in weights.items() if tensor.dtype == torch.float32}
    halves = {key: tensor.half() for key, tensor in single.items()}
    if halves and all(torch.equal(halves[key].float(), single[key]) for key in single):
        write_tensors(path, weights | halves, {"format": "pt"})


def explain_unreadable(path: Path, error: Exception) -> str:
    """Why weights in a file, or in a folder of a library's, cannot be read; in our own words."""
    kinds = (".safetensors", ".pth", ".bin", ".json")
    inside = (*path.glob("[!.]*"), *path.glob("[!.]*/[!.]*"))
    files = [path] if path.is_file() else [file for file in inside if file.suffix in kinds]
    return describe_first(files) or f"cannot read the weights in {path}: {tell_reason(error)}"


def tell_reason(error: Exception) -> str:
    """What an error of reading weights says.

    PyTorch advises to load what it refuses without its safeguard, which would run code in the file.
    """
    reason = shorten(str(error), 300, placeholder=" …") or type(error).__name__
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in reason:
        reason = "the file is damaged, or holds more than tensors, which could run code"
    if isinstance(error, OSError) and error.errno == errno.EINVAL:
        reason = "the file is damaged or cut short"  # its archive has no end
    return reason


def load_into(module: nn.Module, path: Path) -> None:
    """Load a file's weights into `module`, every key of which must be there with the same shape.

    Raises WeightsError naming the first few keys that are missing, unexpected or of another shape.
    """
    weights, wanted = read_state_dict(path), module.state_dict()
    first = next(iter(wanted))
    for key in weights:
        prefix = key.removesuffix(first)
        if prefix and key.endswith(first) and all(k.startswith(prefix) for k in weights):
            raise WeightsError(
                f"{path}: all its keys begin with {prefix!r}, as of a network in another: save the"
                " inner one's state dict"
            )
    check_keys(path, weights, {key: tensor.shape for key, tensor in wanted.items()})
    module.load_state_dict({key: place_like(weights[key], wanted[key]) for key in wanted})


def check_keys(
    path: Path, weights: Mapping[str, Any], wanted: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise WeightsError unless a file's weights are those of a network, key by key.

    weights: whatever has a shape; wanted: the network's keys and shapes. The first few keys that
    are missing, unexpected or of another shape are named.
    """
    missing = [key for key in wanted if key not in weights]
    unexpected = [key for key in weights if key not in wanted]
    misshapen = [
        f"{key} {list(weights[key].shape)} where the network has {list(wanted[key])}"
        for key in wanted
        if key in weights and weights[key].shape != wanted[key]
    ]
    for what, keys in (("lacks", missing), ("has unknown", unexpected), ("has", misshapen)):
        if keys:
            more = f" and {len(keys) - 2} more" if len(keys) > 2 else ""
            raise WeightsError(
                f"{path} is of another network: it {what} {', '.join(map(_show, keys[:2]))}{more}"
            )


def _show(key: str) -> str:
    """A key as part of a line, whatever a file has for one."""
    return key if len(key) <= 200 and key.isprintable() else f"{key[:80]!r} …"


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a .safetensors file, whole or not at all.

    Raises MCLDError when it cannot be written or the disk is full.
    """
    with write_whole(path) as temporary:
        try:
            save_file({k: t.contiguous() for k, t in tensors.items()}, temporary, metadata)
        except SafetensorError as error:  # how safetensors says that the disk is full
            raise MCLDError(f"cannot write {path}: {error}") from error
