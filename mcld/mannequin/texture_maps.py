"""The texture maps of training pictures, unpacked once: a sample that wears one decodes no PNG."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_image
from mcld.dataset.views import split_views
from mcld.machine.files import write_whole
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.person.prepared import read_prepared
from mcld.surface.parts import PARTS
from mcld.surface.warp import warp_texture


class TextureMaps:
    """Texture maps as arrays on disk, from which only the texels that are looked up are read.

    Args:
        folder: where the arrays lie, 1 MB each.
        layout, split: the dataset they are of.
    """

    def __init__(self, folder: Path, layout: DatasetLayout, split: str) -> None:
        self.folder = folder
        self.layout = layout
        self.split = split

    def path(self, stem: str) -> Path:
        """The array of a picture's texture map, completed: uint8 [512, 512, 4].

        RGB, and 255 where the picture shows it.
        """
        return self.folder / f"{stem}-completed.npy"

    def unpack(self, stems: list[str], on_picture: Callable[[int, int], None]) -> None:
        """Write the arrays that are missing, or whose maps have changed since.

        on_picture: told (maps done, maps to do). Raises InputError for a map that cannot be read,
        MCLDError when an array cannot be written.
        """
        missing = [stem for stem in stems if not self._is_fresh(stem)]
        with ThreadPoolExecutor() as pool:
            for done, _ in enumerate(pool.map(self._unpack, missing), 1):
                on_picture(done, len(missing))

    def _is_fresh(self, stem: str) -> bool:
        array = self.path(stem)
        return array.exists() and array.stat().st_mtime_ns == self._find_change(stem)

    def _find_change(self, stem: str) -> int:
        """When the map was written; of gathered ones a number that tells all their files."""
        views, layout = split_views(stem), self.layout
        if len(views) == 1:
            return layout.texture(self.split, stem).stat().st_mtime_ns
        parts = (layout.image, layout.densepose, layout.texture)
        files = [part(self.split, view).stat() for view in views for part in parts]
        told = repr([(file.st_size, file.st_mtime_ns) for file in files]).encode()
        return int.from_bytes(hashlib.sha256(told).digest()[:7], "big")

    def _unpack(self, stem: str) -> None:
        changed = self._find_change(stem)
        with write_whole(self.path(stem)) as file:
            np.save(file, TexturedPoseGuider.complete(self._read(stem)), allow_pickle=False)
            os.utime(file, ns=(changed, changed))

    def _read(self, stem: str) -> NDArray[np.uint8]:
        """The texture map of a picture, or that gathered from several."""
        if len(split_views(stem)) == 1:
            return read_image(self.layout.texture(self.split, stem))
        return np.asarray(read_prepared(self.layout, self.split, stem).texture)

    def warp(self, stem: str, pose: Tensor) -> Tensor:
        """What a textured pose guider sees of a source in a pose: uint8 [3, H, W] RGB.

        stem: of the source; pose: uint8 [3, H, W] (I, U, V).
        """
        texture = np.load(self.path(stem), mmap_mode="r")
        return torch.from_numpy(TexturedPoseGuider.look(_clip(pose), texture)).permute(2, 0, 1)

    def find_shown(self, stem: str, pose: Tensor) -> Tensor:
        """What of the body of a pose a source's texture map shows: bool [H, W].

        stem: of the source; pose: uint8 [3, H, W] (I, U, V).
        """
        shown = np.load(self.path(stem), mmap_mode="r")[..., 3:]
        return torch.from_numpy(warp_texture(_clip(pose), shown).any(axis=-1))


def _clip(pose: Tensor) -> NDArray[np.uint8]:
    """A pose [3, H, W] as maps are, [H, W, 3]; bicubic resizing overshoots the labels."""
    iuv = pose.permute(1, 2, 0).numpy().copy()
    iuv[..., 0] = iuv[..., 0].clip(max=PARTS)
    return np.asarray(iuv, np.uint8)
