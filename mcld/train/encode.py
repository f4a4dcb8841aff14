"""From pictures on disk to what training needs of them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.views import split_views
from mcld.errors import WeightsError
from mcld.person.person import Person
from mcld.person.prepared import BATCH, read_batches
from mcld.pipeline import MCLDPipeline
from mcld.settings import TrainSettings
from mcld.train.cache import EncodedCache, EncodedPicture, cache_key
from mcld.train.finite import find_not_finite


@torch.no_grad()
def encode_batch(
    pipeline: MCLDPipeline, people: list[Person], size: tuple[int, int]
) -> list[EncodedPicture]:
    """Encode pictures with the pipeline's frozen encoders, exactly as sampling does.

    size: (height, width) to train at, in pixels.
    """
    kinds = [p.photo for p in people], [p.texture for p in people]
    latents = []
    for images in kinds:
        pixels = pipeline.image_processor.preprocess(images, *size)
        latents.append(torch.stack(pipeline.encode_moments(pixels), dim=1).float().cpu())
    embeddings = [pipeline.embed(pipeline.encoder_pixels(images)).float().cpu() for images in kinds]
    resize_iuv = pipeline.input_form.resize_iuv
    poses = [torch.from_numpy(resize_iuv(p.iuv, *size)).permute(2, 0, 1) for p in people]
    faces = [torch.from_numpy(p.face) for p in people]
    return [EncodedPicture(*row) for row in zip(*latents, *embeddings, faces, poses, strict=True)]


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
    many are done. Raises InputError for a picture that cannot be read, WeightsError when the
    encoders make something of one that is not finite, MCLDError when the cache cannot be written.
    """
    done = 0
    made_from = {stem: cache.made_from(stem) for stem in stems}
    known = pipeline.config.face_embedder
    for people in read_batches(cache.layout, cache.split, stems, batch_size, known):
        for encoded in encode_batch(pipeline, people, size):
            stem = stems[done]
            if what := find_not_finite(vars(encoded)):
                raise WeightsError(
                    f"{what} of {cache.layout.image(cache.split, split_views(stem)[0])} is not"
                    " finite: the weights"
                    " of the encoders are damaged, or cannot stand this picture"
                )
            cache.write(stem, encoded, made_from[stem])
            done += 1
        on_picture(done)


def share_cache(
    pipeline: MCLDPipeline,
    options: TrainSettings,
    layout: DatasetLayout,
    stems: list[str],
    start: Path,
    accelerator: Accelerator,
    on_picture: Callable[[int, int], None],
) -> EncodedCache:
    """What the pipeline's encoders make of all training pictures; each process fills in a share.

    start: the folder that the pipeline was loaded from. on_picture: told (pictures done, pictures
    to do). The encoders are on the CPU afterwards: the room is the network's.
    """
    size = (options.height, options.width)
    place = options.dataset / "cache"
    if options.cache:  # datasets may have names in common
        dataset = str(options.dataset.resolve()).encode()
        place = options.cache / hashlib.sha256(dataset).hexdigest()[:8]
    key = cache_key(start, size)
    if pipeline.config.face_embedder != layout.face_embedder:  # the files' faces do not count
        key += f"-{pipeline.config.face_embedder}"
    cache = EncodedCache(place / key, layout, "train")
    share = stems[accelerator.process_index :: accelerator.num_processes]
    missing = cache.missing(share)
    if missing:
        encoders = (pipeline.vae, pipeline.image_encoder)
        for encoder in encoders:
            encoder.to(accelerator.device)
        fill_cache(
            cache,
            pipeline,
            missing,
            size,
            lambda done: on_picture(done, len(missing)),
            min(BATCH, options.batch_size),
        )
        for encoder in encoders:
            encoder.to("cpu")
    accelerator.wait_for_everyone()
    return cache
