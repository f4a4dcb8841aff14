"""The network's weights on disk, in the authors' four-file layout.

    {denoising_unet, reference_unet, pose_guider, image_projector}.pth or .safetensors

The authors' keys are ours, so files travel both ways. Their Hugging Face repository calls the last
file image_proj_model.pth; both names are read.
"""

from __future__ import annotations

import errno
import hashlib
import pickle
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import shorten

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mcld.errors import MCLDError, WeightsError
from mcld.machine.file_kind import describe_first
from mcld.machine.files import write_whole
from mcld.machine.processes import place_like
from mcld.model.network import MCLD
from mcld.networks.names import FILE_STEMS, file_names, four_files


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
    missing = [key for key in wanted if key not in weights]
    unexpected = [key for key in weights if key not in wanted]
    misshapen = [
        f"{key} {list(weights[key].shape)} where the network has {list(wanted[key].shape)}"
        for key in wanted
        if key in weights and weights[key].shape != wanted[key].shape
    ]
    for what, keys in (("lacks", missing), ("has unknown", unexpected), ("has", misshapen)):
        if keys:
            more = f" and {len(keys) - 2} more" if len(keys) > 2 else ""
            raise WeightsError(
                f"{path} is of another network: it {what} {', '.join(keys[:2])}{more}"
            )
    module.load_state_dict({key: place_like(weights[key], wanted[key]) for key in wanted})


def load_checkpoint(network: MCLD, folder: Path) -> None:
    """Load the four files in `folder` into `network`.

    Raises WeightsError when one is missing, damaged, or of another network.
    """
    for part, path in four_files(folder).items():
        if path is None:
            raise WeightsError(f"{folder} holds no {part}: one of {', '.join(file_names(part))}")
        load_into(getattr(network, part), path)


def save_checkpoint(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write a network's state dict into `folder` as four .safetensors files.

    Raises MCLDError when they cannot be written or the disk is full.
    """
    for part, (stem, *_) in FILE_STEMS.items():
        write_tensors(folder / f"{stem}.safetensors", select_part(weights, part))


def save_authors_files(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write a network's state dict into `folder` as the authors' programs read it: four .pth files.

    Raises MCLDError when they cannot be written or the disk is full.
    """
    for part, (stem, *_) in FILE_STEMS.items():
        with write_whole(folder / f"{stem}.pth") as temporary:
            tensors = {key: t.cpu().contiguous() for key, t in select_part(weights, part).items()}
            try:
                torch.save(tensors, temporary)
            except RuntimeError as error:  # how PyTorch says that the disk is full
                raise MCLDError(f"cannot write {folder / stem}.pth: {error}") from error


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """What tells a network's weights from any others: 16 hex digits of names, shapes and values.

    The same for the same values, in whatever files and precision they lie.
    """

    def hashed(key: str) -> str:
        values = weights[key].detach().float().cpu().contiguous()
        return f"{key} {list(values.shape)} {hashlib.sha256(values.numpy().data).hexdigest()}\n"

    with ThreadPoolExecutor() as pool:
        lines = "".join(pool.map(hashed, sorted(weights)))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def select_part(weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Of a network's state dict, that of one part."""
    return {
        key.removeprefix(f"{part}."): tensor
        for key, tensor in weights.items()
        if key.startswith(f"{part}.")
    }


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
