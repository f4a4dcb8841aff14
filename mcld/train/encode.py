"""What training needs of every picture, computed once: targets and references are not augmented."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcld.dataset.pictures import FACE_SIZE, read_face, read_image, read_iuv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mcld.dataset.layout import DatasetLayout
    from mcld.pipeline import MCLDPipeline

BATCH = 32
"""Pictures encoded at once."""


@dataclass(frozen=True)
class PictureFiles:
    """One picture and its conditions, as read from disk."""

    image: Image.Image
    texture: Image.Image
    pose: Image.Image
    face: Tensor


@dataclass(frozen=True)
class EncodedPictures:
    """N pictures, encoded. h x w is the size of the latents, H x W that of the picture."""

    latents: Tensor
    """[N, C, h, w] scaled latents of the picture."""
    texture_latents: Tensor
    """[N, C, h, w] scaled latents of the texture map."""
    source: Tensor
    """[N, 1, D] embedding of the picture."""
    texture: Tensor
    """[N, 1, D] embedding of the texture map."""
    face: Tensor
    """[N, 512]."""
    pose: Tensor
    """[N, 3, H, W] uint8 IUV map in file order, (V, U, I)."""


def read_picture(layout: DatasetLayout, split: str, stem: str) -> PictureFiles:
    """Read a prepared picture. Raises InputError for a file that is missing or cannot be used."""
    face_path = layout.face(split, stem)
    face = read_face(face_path) if face_path.exists() else np.zeros(FACE_SIZE, np.float32)
    iuv = read_iuv(layout.densepose(split, stem))
    return PictureFiles(
        image=Image.fromarray(read_image(layout.image(split, stem))),
        texture=Image.fromarray(read_image(layout.texture(split, stem))),
        pose=Image.fromarray(np.ascontiguousarray(iuv[..., ::-1])),
        face=torch.from_numpy(face),
    )


def read_batches(
    layout: DatasetLayout, split: str, stems: list[str], size: int = BATCH
) -> Iterator[list[PictureFiles]]:
    """Read prepared pictures in batches of `size`, the next batch while this one is worked on."""
    with ThreadPoolExecutor() as pool:
        starts = range(0, len(stems), size)
        read = [
            pool.map(lambda stem: read_picture(layout, split, stem), stems[start : start + size])
            for start in starts[:2]
        ]
        for start in starts:
            yield list(read.pop(0))
            ahead = start + 2 * size
            if ahead < len(stems):
                read.append(
                    pool.map(
                        lambda stem: read_picture(layout, split, stem), stems[ahead : ahead + size]
                    )
                )


@torch.no_grad()
def encode_pictures(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    split: str,
    stems: list[str],
    size: tuple[int, int],
    on_picture: Callable[[int], None],
) -> EncodedPictures:
    """Encode pictures with the pipeline's frozen encoders, exactly as sampling does.

    Args:
        pipeline: its VAE, image encoder and preprocessing.
        layout, split, stems: the pictures.
        size: (height, width) to train at, in pixels.
        on_picture: called with the number of pictures encoded so far.
    """
    parts: list[EncodedPictures] = []
    done = 0
    for files in read_batches(layout, split, stems):
        images, textures = [f.image for f in files], [f.texture for f in files]
        poses = pipeline.pose_processor.preprocess([f.pose for f in files], *size)
        parts.append(
            EncodedPictures(
                latents=pipeline.latents_of(images, *size).cpu(),
                texture_latents=pipeline.latents_of(textures, *size).cpu(),
                source=pipeline.embed(images).cpu(),
                texture=pipeline.embed(textures).cpu(),
                face=torch.stack([f.face for f in files]),
                pose=(poses * 255).round().to(torch.uint8),
            )
        )
        done += len(files)
        on_picture(done)
    return EncodedPictures(
        **{
            name: torch.cat([getattr(part, name) for part in parts])
            for name in EncodedPictures.__dataclass_fields__
        }
    )
