"""From pictures on disk to what training needs of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcld.dataset.pictures import FACE_SIZE, read_face, read_image, read_iuv
from mcld.train.cache import EncodedPicture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mcld.dataset.layout import DatasetLayout
    from mcld.pipeline import MCLDPipeline
    from mcld.train.cache import EncodedCache

BATCH = 32
"""Pictures encoded at once."""


@dataclass(frozen=True)
class PictureFiles:
    """One picture and its conditions, as read from disk."""

    image: Image.Image
    texture: Image.Image
    pose: Image.Image
    face: Tensor


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
def encode_batch(
    pipeline: MCLDPipeline, files: list[PictureFiles], size: tuple[int, int]
) -> list[EncodedPicture]:
    """Encode pictures with the pipeline's frozen encoders, exactly as sampling does.

    size: (height, width) to train at, in pixels.
    """
    images, textures = [f.image for f in files], [f.texture for f in files]
    latents = torch.stack(pipeline.moments_of(images, *size), dim=1).float().cpu()
    texture_latents = torch.stack(pipeline.moments_of(textures, *size), dim=1).float().cpu()
    source, texture = pipeline.embed(images).float().cpu(), pipeline.embed(textures).float().cpu()
    poses = pipeline.pose_processor.preprocess([f.pose for f in files], *size)
    poses = (poses * 255).round().to(torch.uint8)
    return [
        EncodedPicture(*row)
        for row in zip(
            latents,
            texture_latents,
            source,
            texture,
            [f.face for f in files],
            poses,
            strict=True,
        )
    ]


def fill_cache(
    cache: EncodedCache,
    pipeline: MCLDPipeline,
    stems: list[str],
    size: tuple[int, int],
    on_picture: Callable[[int], None],
    batch_size: int = BATCH,
) -> None:
    """Encode pictures into the cache.

    size: (height, width) to train at, in pixels. batch_size: at once, at most. on_picture: told how
    many are done. Raises InputError for a picture that cannot be read, MCLDError when the cache
    cannot be written.
    """
    done = 0
    made_from = {stem: cache.made_from(stem) for stem in stems}
    for files in read_batches(cache.layout, cache.split, stems, batch_size):
        for encoded in encode_batch(pipeline, files, size):
            stem = stems[done]
            cache.write(stem, encoded, made_from[stem])
            done += 1
        on_picture(done)
