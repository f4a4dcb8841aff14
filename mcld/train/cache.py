"""What the frozen encoders make of every picture, kept on disk.

    <folder>/<key>/NAME.safetensors

Neither targets nor references are augmented, so the moments of their latents and their embeddings
are the same in every epoch: they are computed once, and training then holds no autoencoder and no
image encoder. The key is a hash of the encoders and the picture size, and every file says of which
picture, map, texture and face it was made: what has changed is made again.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import READING
from mcld.dataset.views import split_views
from mcld.errors import InputError, WeightsError
from mcld.machine.tensor_files import write_tensors

VERSION = 3
"""Raised whenever the same picture would be encoded otherwise."""
ENCODERS = ("vae", "image_encoder", "feature_extractor")
"""Folders of the frozen parts in a pipeline folder."""


@dataclass(frozen=True)
class EncodedPicture:
    """One picture, encoded. h x w is the size of the latents, H x W that of the picture."""

    latents: Tensor
    """[2, C, h, w] float32 mean and standard deviation of the picture's scaled latents."""
    texture_latents: Tensor
    """[2, C, h, w] float32 mean and standard deviation of the texture map's scaled latents."""
    source: Tensor
    """[1, D] float32 embedding of the picture."""
    texture: Tensor
    """[1, D] float32 embedding of the texture map."""
    face: Tensor
    """[512] float32."""
    pose: Tensor
    """[3, H, W] uint8 IUV map, (I, U, V)."""


def cache_key(encoders: Path, size: tuple[int, int]) -> str:
    """The name of the cache of a pipeline folder's encoders at (height, width): 16 hex digits.

    Raises WeightsError when the folder lacks an encoder.
    """
    index = encoders / "model_index.json"
    facts = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
    how = [VERSION, READING, *size, facts.get("pose_resample")]
    digest = hashlib.sha256(json.dumps(how).encode())
    for part in ENCODERS:
        if not (encoders / part).is_dir():
            raise WeightsError(f"{encoders} lacks {part}: it is no pipeline folder")
        for path in sorted((encoders / part).iterdir()):
            if path.suffix == ".json":  # without what says where it came from
                config = json.loads(path.read_text(encoding="utf-8"))
                kept = {k: v for k, v in config.items() if not k.startswith("_")}
                digest.update(json.dumps([part, kept], sort_keys=True).encode())
            else:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


class EncodedCache:
    """The encoded pictures of one split, file by file.

    Args:
        folder: where they lie, named after `cache_key`.
        layout, split: the dataset they are made from.
    """

    def __init__(self, folder: Path, layout: DatasetLayout, split: str) -> None:
        self.folder = folder
        self.layout = layout
        self.split = split

    def path(self, stem: str) -> Path:
        """The file of one picture."""
        return self.folder / f"{stem}.safetensors"

    def missing(self, stems: Iterable[str]) -> list[str]:
        """The pictures that are not encoded yet, or have changed since."""
        stems = list(stems)
        with ThreadPoolExecutor() as pool:
            return [
                stem
                for stem, fresh in zip(stems, pool.map(self._is_fresh, stems), strict=True)
                if not fresh
            ]

    def _is_fresh(self, stem: str) -> bool:
        try:
            with safe_open(self.path(stem), "pt") as file:
                return bool((file.metadata() or {}).get("made_from") == self.made_from(stem))
        except (OSError, SafetensorError):
            return False

    def made_from(self, stem: str) -> str:
        """Size and time of every file an encoding is made from, as text."""
        layout = self.layout
        return json.dumps(
            [
                _size_and_time(path(self.split, view))
                for view in split_views(stem)
                for path in (layout.image, layout.densepose, layout.texture, layout.face)
            ]
        )

    def write(self, stem: str, encoded: EncodedPicture, made_from: str) -> None:
        """Write one picture's file, whole; `made_from` was taken before the picture was read.

        Raises MCLDError when it cannot be written or the disk is full.
        """
        tensors = {f.name: getattr(encoded, f.name) for f in fields(encoded)}
        tensors["pose"] = _pack(encoded.pose)
        about = {"made_from": made_from, "pose_shape": json.dumps(list(encoded.pose.shape))}
        write_tensors(self.path(stem), tensors, about)

    def read(self, stem: str, *names: str) -> list[Tensor]:
        """Some fields of one EncodedPicture, on the CPU.

        Raises InputError when the file is missing or damaged.
        """
        try:
            with safe_open(self.path(stem), "pt") as file:
                tensors = {name: file.get_tensor(name) for name in names}
                if "pose" in tensors:
                    shape = json.loads(file.metadata()["pose_shape"])
                    tensors["pose"] = _unpack(tensors["pose"], shape)
        except (
            *(OSError, SafetensorError, zlib.error),
            *(TypeError, KeyError, ValueError, RuntimeError),  # of a header that says other things
        ) as error:
            raise InputError(
                f"cannot read {self.path(stem)}: {error}; delete it and run again"
            ) from error
        return list(tensors.values())

    def size(self, stems: Iterable[str]) -> int:
        """Bytes on disk of some pictures."""
        return sum(self.path(stem).stat().st_size for stem in stems)

    def source_std(self, stems: list[str]) -> Tensor:
        """The standard deviation of every dimension of the source embedding, float32 [1, D].

        Of a single picture it is 0.
        """
        with ThreadPoolExecutor() as pool:
            embeddings = pool.map(lambda stem: self.read(stem, "source")[0], stems)
            stacked = torch.stack(list(embeddings))
        return stacked.std(dim=0) if len(stems) > 1 else torch.zeros_like(stacked[0])


def _size_and_time(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _pack(pose: Tensor) -> Tensor:
    """uint8 -> its bytes, compressed: IUV maps shrink to a tenth, and a PNG would unpack slower."""
    packed = bytearray(zlib.compress(pose.contiguous().numpy().tobytes(), level=3))
    return torch.frombuffer(packed, dtype=torch.uint8)


def _unpack(packed: Tensor, shape: list[int]) -> Tensor:
    pixels = bytearray(zlib.decompress(packed.numpy().tobytes()))
    return torch.frombuffer(pixels, dtype=torch.uint8).view(shape)
