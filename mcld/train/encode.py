"""From pictures on disk to what training needs of them."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mcld.person import BATCH, PictureFiles, read_batches
from mcld.pipeline import MCLDPipeline
from mcld.train.cache import EncodedCache, EncodedPicture


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
