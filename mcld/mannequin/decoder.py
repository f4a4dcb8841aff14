"""Training what decodes: the autoencoder's convolutions, and a refiner behind them.

After a network is trained, `adapt_decoder` fits both to the latents that it samples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mcld.conditions import scale_iuv
from mcld.dataset.layout import DatasetLayout
from mcld.mannequin.autoencoder import PatchAutoencoder
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.mannequin.refiner import TextureRefiner
from mcld.person import BATCH, read_batches
from mcld.pipeline import SCALE_FACTOR, MCLDPipeline
from mcld.settings import TrainSettings
from mcld.surface.parts import HEAD

PICTURES = 4096
"""At most so many pairs are sampled, and held in memory."""
DECODER_BATCH = 32
DECODER_LEARNING_RATE = 2e-3
CROP = 96
"""Side, in pixels, of the crops that a refiner learns from.

Half of them show a head, which is a twentieth of a picture. Smaller ones would be quicker, but the
convolutions see zeros beyond a crop's border, where in a picture there is more of it.
"""
CROP_JITTER = 16
"""Pixels that a crop's middle is off the head's, at most."""


def train_decoder(
    vae: PatchAutoencoder,
    refiner: TextureRefiner | None,
    count: int,
    draw: Callable[[Tensor], tuple[Tensor, ...]],
    *,
    images: int,
    generator: torch.Generator,
    on_image: Callable[[int, int], None],
) -> None:
    """Train all of a decoder but its components, and a refiner, to give `count` pictures back.

    draw: rows of the pictures, int64 [B] -> what they show, [B, 3, h, w] in -1..1, the latents of
    that, and what a refiner looks at besides. The order is drawn from `generator`.
    """
    parts: list[nn.Module] = [vae.refinement, *([] if refiner is None else [refiner])]
    trained = [parameter for part in parts for parameter in part.parameters()]
    vae.requires_grad_(False)
    for parameter in trained:
        parameter.requires_grad_(True)
    for part in parts:
        part.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(trained, DECODER_LEARNING_RATE)
    steps = max(1, images // DECODER_BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, DECODER_LEARNING_RATE, steps)
    for step in range(steps):
        rows = torch.randint(count, (DECODER_BATCH,), generator=generator)
        pixels, latents, *looked_at = (tensor.to(vae.device) for tensor in draw(rows))
        decoded = vae.decode(latents).sample
        if refiner is not None:
            decoded = refiner(decoded, *looked_at)
        loss = functional.l1_loss(decoded, pixels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_image((step + 1) * DECODER_BATCH, steps * DECODER_BATCH)
    for parameter in trained:
        parameter.requires_grad_(False)


@dataclass(frozen=True)
class SampledPictures:
    """N photos and what a network made of their poses, on the CPU."""

    latents: Tensor
    """[N, C, h, w] as the decoder takes them."""
    photos: Tensor
    """[N, 3, H, W] uint8 RGB."""
    poses: Tensor
    """[N, 3, H, W] uint8 (I, U, V)."""
    warped: Tensor
    """[N, 3, H, W] uint8 RGB what is warped onto the poses; [N, 0, H, W] where nothing is."""

    def draw_whole(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Photos in -1..1 and latents."""
        return self.photos[rows] / 127.5 - 1, self.latents[rows]

    def draw_crops(
        self, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Photos in -1..1, latents, poses and what is warped onto them, in a window of each.

        One window in two is at the head.
        """
        crops = [self._crop(row, generator) for row in rows.tolist()]
        photos, latents, poses, warped = (torch.stack(kind) for kind in zip(*crops, strict=True))
        return photos / 127.5 - 1, latents, scale_iuv(poses), warped / 255

    def _crop(self, row: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        def draw_below(end: int) -> int:
            return int(torch.randint(end, (), generator=generator))

        pose = self.poses[row]
        head = (pose[0] >= HEAD[0]).nonzero().float()
        at_head = len(head) > 0 and draw_below(2) == 0
        window = []
        for axis, pixels in enumerate(pose.shape[1:]):
            side = min(CROP, pixels)
            if at_head:
                jitter = draw_below(2 * CROP_JITTER) - CROP_JITTER
                middle = int(head[:, axis].mean()) + jitter
                start = max(0, min(middle - side // 2, pixels - side)) // SCALE_FACTOR
            else:
                start = draw_below((pixels - side) // SCALE_FACTOR + 1)
            window.append((start, start + side // SCALE_FACTOR))
        (top, bottom), (left, right) = window
        rows, columns = (slice(a * SCALE_FACTOR, b * SCALE_FACTOR) for a, b in window)
        return (
            self.photos[row, :, rows, columns],
            self.latents[row, :, top:bottom, left:right],
            pose[:, rows, columns],
            self.warped[row, :, rows, columns],
        )


def adapt_decoder(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    pairs: list[tuple[str, str]],
    options: TrainSettings,
    *,
    images: int,
    on_image: Callable[[int, int], None],
) -> None:
    """Train the autoencoder's decoder on latents that the trained network samples.

    They differ from what the encoder gives in ways the decoder can learn to see through, such as
    blotches in a plain background. The encoder stays as it is, and so do the latents. Beside a
    textured pose guider the pipeline gets a refiner, and both learn from crops.

    Args:
        pipeline: trained, with a PatchAutoencoder.
        layout: the dataset.
        pairs: stems, (source, target), of training pictures.
        options: size, batch size and seed count.
        images: pictures, or crops for a refiner, to see.
        on_image: called with (pictures sampled and seen, pictures to sample and see).
    """
    chosen = pairs[:: -(-len(pairs) // PICTURES)]
    total = len(chosen) + images
    generator = torch.Generator().manual_seed(options.seed)
    sampled = _sample_pairs(
        pipeline, layout, chosen, options, generator, lambda done: on_image(done, total)
    )
    textured = isinstance(pipeline.pose_guider, TexturedPoseGuider)
    if textured and pipeline.refiner is None:
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            pipeline.register_modules(refiner=TextureRefiner().to(pipeline.vae.device))

    def draw(rows: Tensor) -> tuple[Tensor, ...]:
        return sampled.draw_crops(rows, generator) if textured else sampled.draw_whole(rows)

    train_decoder(
        pipeline.vae,
        pipeline.refiner,
        len(chosen),
        draw,
        images=images,
        generator=generator,
        on_image=lambda seen, _: on_image(min(len(chosen) + seen, total), total),
    )


@torch.no_grad()
def _sample_pairs(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    pairs: list[tuple[str, str]],
    settings: TrainSettings,
    generator: torch.Generator,
    on_image: Callable[[int], None],
) -> SampledPictures:
    """Sample the pairs of training pictures as the pipeline samples."""
    options = pipeline.resolve_options(settings.height, settings.width)
    size = options.height, options.width
    latent_size = tuple(side // SCALE_FACTOR for side in size)
    channels = pipeline.denoising_unet.config.in_channels
    textured = isinstance(pipeline.pose_guider, TexturedPoseGuider)
    # Made at once, since thousands of pictures are not copied for nothing
    sampled = SampledPictures(
        torch.empty(len(pairs), channels, *latent_size),
        *(
            torch.empty(len(pairs), planes, *size, dtype=torch.uint8)
            for planes in (3, 3, 3 if textured else 0)
        ),
    )
    at_once = min(BATCH, settings.batch_size)  # a GPU that trained has room for so many
    for start in range(0, len(pairs), at_once):
        batch = pairs[start : start + at_once]
        sources = next(read_batches(layout, "train", [source for source, _ in batch]))
        targets = next(read_batches(layout, "train", [target for _, target in batch]))
        inputs = pipeline.inputs(
            [p.photo for p in sources],
            [p.texture for p in sources],
            [p.iuv for p in targets],
            torch.stack([p.face for p in sources]),
            *size,
        )
        latents = pipeline.denoise(
            pipeline.conditions(inputs),
            pipeline.draw_noise(len(batch), options, generator),
            options,
            generator=generator,
        )
        photos = pipeline.image_processor.preprocess([p.photo for p in targets], *size)
        rows = slice(start, start + len(batch))
        sampled.latents[rows] = latents.cpu() / pipeline.vae.config.scaling_factor
        sampled.photos[rows] = ((photos + 1) * 127.5).round().to(torch.uint8)
        sampled.poses[rows] = inputs.pose
        if inputs.warped is not None:
            sampled.warped[rows] = inputs.warped
        on_image(start + len(batch))
    return sampled
