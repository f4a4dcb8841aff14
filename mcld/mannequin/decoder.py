"""Training what decodes: the autoencoder's convolutions, and a refiner behind them.

After a network is trained, `adapt_decoder` fits both to the latents that it samples. What is done
of that is kept on disk: broken off, it goes on to the same result.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mcld.conditions import scale_iuv
from mcld.dataset.layout import DatasetLayout
from mcld.errors import MCLDError, StoppedError
from mcld.machine.files import write_whole
from mcld.mannequin.autoencoder import PatchAutoencoder
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.mannequin.refiner import TextureRefiner
from mcld.person.prepared import BATCH, read_batches
from mcld.pipeline import SCALE_FACTOR, MCLDPipeline
from mcld.sampling_options import SamplingOptions
from mcld.settings import TrainSettings
from mcld.surface.parts import HEAD

PICTURES = 2048
"""At most so many pairs are sampled, and held in memory."""
DECODER_BATCH = 32
DECODER_LEARNING_RATE = 2e-3
CROP = 128
"""Side, in pixels, of the crops that a refiner learns from.

Half of them show a head, which is a twentieth of a picture. Smaller ones would be quicker, but the
convolutions see zeros beyond a crop's border, where in a picture there is more of it.
"""
CROP_JITTER = 16
"""Pixels that a crop's middle is off the head's, at most."""
COARSE = 4
"""One crop in so many has a map, and what is warped onto it, of the network's own size: as those of
small photos are, which are enlarged."""


@dataclass(frozen=True)
class Going:
    """How the training of a decoder is broken off and gone on with."""

    file: Path
    """Where its state is kept."""
    every: int
    """Pictures that are seen between two times that it is written."""
    stop: Callable[[], bool]
    """Asked after every step: whether to write it and stop."""


def train_decoder(
    vae: PatchAutoencoder, count: int, draw: Callable[[Tensor], tuple[Tensor, ...]], **how: Any
) -> None:
    """Train all of a decoder but its components to give `count` pictures back.

    draw: rows of the pictures, int64 [B] -> what they show, [B, 3, h, w] in -1..1, and the latents
    of that. how: as `learn_to_paint` has it. Raises as that does.
    """
    vae.requires_grad_(False)
    learn_to_paint(vae.refinement, lambda latents: vae.decode(latents).sample, count, draw, **how)


def learn_to_paint(
    part: nn.Module,
    paint: Callable[..., Tensor],
    count: int,
    draw: Callable[[Tensor], tuple[Tensor, ...]],
    *,
    images: int,
    generator: torch.Generator,
    on_image: Callable[[int, int], None],
    precision: torch.dtype = torch.float32,
    going: Going | None = None,
) -> None:
    """Train a part of a network to paint `count` pictures as they are.

    paint: what it is given -> pictures [B, 3, h, w] in -1..1. draw: rows of the pictures,
    int64 [B] -> what they show, and what `paint` is given of them. The order is drawn from
    `generator`. images: to see. on_image: called with (pictures seen, pictures to see). precision:
    what is computed in, while weights stay float32. going: where it goes on, if there is anything
    of it, and where it stops.

    Raises StoppedError when it was asked to stop, with its state written, and MCLDError when that
    cannot be written.
    """
    device = next(part.parameters()).device
    trained = list(part.parameters())
    part.requires_grad_(True)
    part.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(trained, DECODER_LEARNING_RATE)
    steps = -(-images // DECODER_BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, DECODER_LEARNING_RATE, steps)
    learners: dict[str, Any] = {
        "part": part,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    seen = 0
    if going and (state := _read(going.file)):
        for name, learner in learners.items():
            learner.load_state_dict(state[name])
        generator.set_state(state["generator"])
        seen = state["seen"]
        on_image(seen, images)
    while seen < images:
        rows = torch.randint(count, (min(DECODER_BATCH, images - seen),), generator=generator)
        pixels, *given = (tensor.to(device) for tensor in draw(rows))
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = functional.l1_loss(paint(*given), pixels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        seen += len(rows)
        on_image(seen, images)
        if going and ((stop := going.stop()) or seen % going.every < DECODER_BATCH):
            state = {name: learner.state_dict() for name, learner in learners.items()}
            _write(going.file, {**state, "generator": generator.get_state(), "seen": seen})
            if stop:
                raise StoppedError(f"interrupted after {seen:,} of {images:,} pictures")
    part.requires_grad_(False)


def _write(file: Path, content: dict[str, Any]) -> None:
    """Write tensors and numbers, whole. Raises MCLDError when they cannot be written."""
    with write_whole(file) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # how PyTorch says that the disk is full
            raise MCLDError(f"cannot write {file}: {error}") from error


def _read(file: Path) -> dict[str, Any] | None:
    """What `_write` wrote; None where it did not, or the file is damaged."""
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        return None
    return content


@dataclass(frozen=True)
class SampledPictures:
    """N photos and what a network made of their poses, on the CPU.

    H and W are those of the refined pictures, a whole number of times as large as the latents.
    """

    latents: Tensor
    """[N, C, h, w] as the decoder takes them."""
    photos: Tensor
    """[N, 3, H, W] uint8 RGB."""
    poses: Tensor
    """[N, 3, H, W] uint8 (I, U, V)."""
    warped: Tensor
    """[N, 4, H, W] uint8 what a refiner sees warped onto the poses; [N, 0, H, W] without one."""
    decoded: Tensor
    """[N, 3, h, w] float16, what the decoder makes of the latents, whole: what a refiner is given;
    [N, 0, h, w] without one."""

    def draw_whole(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Photos in -1..1 and latents."""
        return self.photos[rows] / 127.5 - 1, self.latents[rows]

    def draw_crops(
        self, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Photos in -1..1, as decoded, poses and what is warped onto them, in a window of each.

        One window in two is at the head.
        """
        crops = [self._crop(row, generator) for row in rows.tolist()]
        photos, decoded, poses, warped = (torch.stack(kind) for kind in zip(*crops, strict=True))
        return photos / 127.5 - 1, decoded.float(), scale_iuv(poses), warped / 255

    def _crop(self, row: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        def draw_below(end: int) -> int:
            return int(torch.randint(end, (), generator=generator))

        pose = self.poses[row]
        step = pose.shape[1] // self.decoded.shape[2]  # pixels along a decoded one's side
        head = (pose[0] >= HEAD[0]).nonzero().float()
        at_head = len(head) > 0 and draw_below(2) == 0
        window = []
        for axis, pixels in enumerate(pose.shape[1:]):
            side = min(CROP, pixels)
            if at_head:
                jitter = draw_below(2 * CROP_JITTER) - CROP_JITTER
                middle = int(head[:, axis].mean()) + jitter
                start = max(0, min(middle - side // 2, pixels - side)) // step
            else:
                start = draw_below((pixels - side) // step + 1)
            window.append((start, start + side // step))
        (top, bottom), (left, right) = window
        rows, columns = (slice(a * step, b * step) for a, b in window)
        grain = step if step > 1 and draw_below(COARSE) == 0 else 1

        def coarsen(planes: Tensor) -> Tensor:
            few = planes[:, rows, columns][:, ::grain, ::grain]
            return few.repeat_interleave(grain, dim=1).repeat_interleave(grain, dim=2)

        return (
            self.photos[row, :, rows, columns],
            self.decoded[row, :, top:bottom, left:right],
            coarsen(pose),
            coarsen(self.warped[row]),
        )


def add_refiner(pipeline: MCLDPipeline, channels: tuple[int, ...], scale: int, seed: int) -> None:
    """Give a pipeline with a textured pose guider a refiner of this shape, if it has none.

    Its weights are drawn from `seed`; that of another shape is replaced.
    """
    if not isinstance(pipeline.pose_guider, TexturedPoseGuider):
        return
    found = pipeline.refiner.config if pipeline.refiner is not None else {}
    if (found.get("scale"), tuple(found.get("channels", ()))) == (scale, tuple(channels)):
        return
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        refiner = TextureRefiner(channels=tuple(channels), scale=scale)
    pipeline.register_modules(refiner=refiner.to(pipeline.vae.device))


def choose_pairs(pairs: list[tuple[str, str]], images: int) -> list[tuple[str, str]]:
    """Of all pairs, evenly spread, those to sample for `images` pictures: no more than are seen."""
    return pairs[:: -(-len(pairs) // min(PICTURES, images))]


def adapt_decoder(
    pipeline: MCLDPipeline,
    sampled: SampledPictures,
    *,
    images: int,
    generator: torch.Generator,
    on_image: Callable[[int, int], None],
    precision: torch.dtype = torch.float32,
    going: Going | None = None,
) -> None:
    """Train what decodes on what the trained network has sampled.

    Its latents differ from what the encoder gives in ways the decoder can learn to see through,
    such as blotches in a plain background. The encoder stays as it is, and so do the latents. Of a
    pipeline with a refiner that alone learns, from crops of what is decoded.

    Args:
        pipeline: trained, with a PatchAutoencoder.
        sampled: by `sample_pairs`.
        images: pictures, or crops for a refiner, to see.
        generator: of the order, as `sample_pairs` left it.
        on_image: called with (pictures seen, pictures to see).
        precision: what is computed in.
        going: how it is broken off and gone on with.

    Raises StoppedError and MCLDError as `train_decoder` does.
    """
    how: dict[str, Any] = {
        "images": images,
        "generator": generator,
        "on_image": on_image,
        "precision": precision,
        "going": going,
    }
    count, refiner = len(sampled.latents), pipeline.refiner
    if refiner is None:
        train_decoder(pipeline.vae, count, sampled.draw_whole, **how)
    else:
        learn_to_paint(
            refiner, refiner, count, lambda rows: sampled.draw_crops(rows, generator), **how
        )


@torch.no_grad()
def sample_pairs(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    pairs: list[tuple[str, str]],
    settings: TrainSettings,
    generator: torch.Generator,
    folder: Path,
    on_pair: Callable[[int, int], None],
) -> SampledPictures:
    """Sample pairs of training pictures as the pipeline samples.

    Args:
        pipeline: trained.
        layout: the dataset.
        pairs: stems, (source, target).
        settings: size and batch size count.
        generator: of all noise.
        folder: every batch is kept there, and not sampled again, for the same pairs alone.
        on_pair: called with (pairs sampled, pairs to sample).

    Raises InputError for a picture that cannot be read, MCLDError when `folder` cannot be written.
    """
    options = pipeline.resolve_options(settings.height, settings.width)
    sides = options.height, options.width
    scale = 1 if pipeline.refiner is None else pipeline.refiner.scale
    channels = pipeline.denoising_unet.config.in_channels
    # Made at once, since thousands of pictures are not copied for nothing
    count, refined = len(pairs), [side * scale for side in sides]
    colours, planes = (0, 0) if pipeline.refiner is None else (3, 4)
    sampled = SampledPictures(
        latents=torch.empty(count, channels, *(side // SCALE_FACTOR for side in sides)),
        photos=torch.empty(count, 3, *refined, dtype=torch.uint8),
        poses=torch.empty(count, 3, *refined, dtype=torch.uint8),
        warped=torch.empty(count, planes, *refined, dtype=torch.uint8),
        decoded=torch.empty(count, colours, *sides, dtype=torch.float16),
    )
    at_once = min(BATCH, settings.batch_size)  # a GPU that trained has room for so many
    for start in range(0, len(pairs), at_once):
        batch = pairs[start : start + at_once]
        file = folder / f"{start:06d}.pt"
        kept = _read(file)
        if kept is None:
            kept = _sample_batch(pipeline, layout, batch, options, generator)
            _write(file, {**kept, "generator": generator.get_state()})
        else:
            generator.set_state(kept["generator"])
        for field in fields(sampled):
            getattr(sampled, field.name)[start : start + len(batch)] = kept[field.name]
        on_pair(start + len(batch), len(pairs))
    return sampled


def _sample_batch(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    pairs: list[tuple[str, str]],
    options: SamplingOptions,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Of a few pairs, the fields of SampledPictures."""
    size = options.height, options.width
    stems, known = zip(*pairs, strict=True), pipeline.config.face_embedder
    sources, targets = (
        next(read_batches(layout, "train", list(one), face_embedder=known)) for one in stems
    )
    inputs = pipeline.inputs(
        [p.photo for p in sources],
        [p.texture for p in sources],
        [p.iuv for p in targets],
        np.stack([p.face for p in sources]),
        *size,
        None if pipeline.refiner is None else [p.atlas for p in sources],
    )
    latents = pipeline.denoise(
        pipeline.conditions(inputs),
        pipeline.draw_noise(len(pairs), options, generator),
        options,
        generator=generator,
    )
    poses, warped = inputs.fine_pose, inputs.fine_warped
    if poses is None or warped is None:
        poses, warped = inputs.pose, np.empty((len(pairs), 0, *size), np.uint8)
    photos = pipeline.image_processor.preprocess([p.photo for p in targets], *poses.shape[2:])
    latents = latents / pipeline.vae.config.scaling_factor
    decoded = torch.empty(len(pairs), 0, *size)
    if pipeline.refiner is not None:
        decoded = pipeline.vae.decode(latents.to(pipeline.vae.dtype)).sample
    return {
        "latents": latents.cpu(),
        "decoded": decoded.to("cpu", torch.float16),
        "photos": ((photos + 1) * 127.5).round().to(torch.uint8),
        "poses": torch.from_numpy(poses),
        "warped": torch.from_numpy(warped),
    }
