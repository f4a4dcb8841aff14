"""The two frozen encoders of a new network, made from nothing but a prepared dataset.

They are trained where the pipeline's parts are. The pictures stay in the CPU's memory, and what is
random is drawn there: a GPU sees a batch at a time, and the same batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.functional import pil_to_tensor

from mcld.dataset.charts import PARTS
from mcld.train.encode import BATCH, read_batches

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import CLIPVisionModelWithProjection

    from mcld.dataset.layout import DatasetLayout
    from mcld.model import PatchAutoencoder
    from mcld.pipeline import MCLDPipeline
    from mcld.settings import Settings

AUTOENCODER_PICTURES = 4096
"""At most so many photos are held in memory to train the autoencoder's decoder on."""
COMPONENT_PICTURES = 256
"""Photos and as many texture maps: some 100,000 patches at 128x96 for 192 by 192 covariances."""
DECODER_BATCH = 32
DECODER_LEARNING_RATE = 2e-3
DECODER_NOISE = 0.3
"""Largest standard deviation of the noise on latents that the decoder learns to see through."""
ENCODER_BATCH = 64
ENCODER_LEARNING_RATE = 1e-3


def fit_autoencoder(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    stems: list[str],
    settings: Settings,
    on_image: Callable[[int, int], None],
) -> None:
    """Make the autoencoder from the training pictures.

    Its components are known in closed form. The convolutions of its decoder learn to give photos
    back from latents with a little noise, because the latents that sampling ends with have some.

    on_image: called with (pictures seen, pictures to see).
    """
    size = (settings.train.height, settings.train.width)
    chosen = stems[:: _stride(len(stems), AUTOENCODER_PICTURES)]
    pixels = torch.empty(len(chosen), 3, *size)
    done = 0
    for files in read_batches(layout, "train", chosen):
        photos = pipeline.image_processor.preprocess([f.image for f in files], *size)
        pixels[done : done + len(photos)] = photos
        done += len(photos)
    stride = _stride(len(chosen), COMPONENT_PICTURES)
    textures = [
        pipeline.image_processor.preprocess([f.texture for f in files], *size)
        for files in read_batches(layout, "train", chosen[::stride])
    ]
    pipeline.vae.fit(torch.cat([pixels[::stride], *textures]))
    generator = torch.Generator().manual_seed(settings.train.seed)

    def draw(rows: Tensor) -> Tensor:
        photos = pixels[rows].to(pipeline.vae.device)
        latents: Tensor = pipeline.vae.encode(photos).latent_dist.mode().cpu()
        level = DECODER_NOISE * torch.rand(len(latents), 1, 1, 1, generator=generator)
        return latents + level * torch.randn(latents.shape, generator=generator)

    _train_decoder(
        pipeline.vae,
        pixels,
        draw,
        images=settings.model.decoder_images,
        generator=generator,
        on_image=on_image,
    )


def _stride(count: int, most: int) -> int:
    """Every how-manieth of `count` to take, for at most `most`, evenly spread."""
    return -(-count // most)


def _train_decoder(
    vae: PatchAutoencoder,
    pixels: Tensor,
    draw: Callable[[Tensor], Tensor],
    *,
    images: int,
    generator: torch.Generator,
    on_image: Callable[[int, int], None],
) -> None:
    """Train the refinement to give pixels [N, 3, H, W] in -1..1 back.

    draw: rows of `pixels`, int64 [B] -> latents of them. The order is drawn from `generator`.
    """
    vae.requires_grad_(False)
    trained = vae.refinement.requires_grad_(True).parameters()
    vae.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(trained, DECODER_LEARNING_RATE)
    steps = max(1, images // DECODER_BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, DECODER_LEARNING_RATE, steps)
    for step in range(steps):
        rows = torch.randint(len(pixels), (DECODER_BATCH,), generator=generator)
        decoded = vae.decode(draw(rows).to(vae.device)).sample
        loss = functional.l1_loss(decoded, pixels[rows].to(vae.device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_image((step + 1) * DECODER_BATCH, steps * DECODER_BATCH)
    vae.requires_grad_(False)


def adapt_decoder(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    pairs: list[tuple[str, str]],
    settings: Settings,
    on_image: Callable[[int, int], None],
) -> None:
    """Train the autoencoder's decoder on latents that the trained network samples.

    They differ from what the encoder gives in ways the decoder can learn to see through, such as
    blotches in a plain background. The encoder stays as it is, and so do the latents.

    pairs: stems, (source, target), of training pictures. on_image: called with (pictures sampled
    and seen, pictures to sample and see).
    """
    options = settings.train
    size = (options.height, options.width)
    chosen = pairs[:: _stride(len(pairs), AUTOENCODER_PICTURES)]
    total = len(chosen) + options.adapt_decoder_images
    generator = torch.Generator().manual_seed(options.seed)
    pipeline.set_progress_bar_config(disable=True)
    latents = []
    pixels = torch.empty(len(chosen), 3, *size)
    at_once = min(BATCH, options.batch_size)  # a GPU that trained has room for so many
    for start in range(0, len(chosen), at_once):
        batch = chosen[start : start + at_once]
        sources = next(read_batches(layout, "train", [source for source, _ in batch]))
        targets = next(read_batches(layout, "train", [target for _, target in batch]))
        sampled = pipeline(
            [f.image for f in sources],
            [f.texture for f in sources],
            [f.pose for f in targets],
            torch.stack([f.face for f in sources]),
            height=size[0],
            width=size[1],
            generator=generator,
            output_type="latent",
            return_dict=False,
        )[0]
        latents.append(sampled.cpu() / pipeline.vae.config.scaling_factor)
        photos = pipeline.image_processor.preprocess([f.image for f in targets], *size)
        pixels[start : start + len(batch)] = photos
        on_image(start + len(batch), total)
    every = torch.cat(latents)

    def draw(rows: Tensor) -> Tensor:
        return every[rows]

    _train_decoder(
        pipeline.vae,
        pixels,
        draw,
        images=options.adapt_decoder_images,
        generator=generator,
        on_image=lambda seen, _: on_image(min(len(chosen) + seen, total), total),
    )


def fit_image_encoder(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    stems: list[str],
    settings: Settings,
    on_image: Callable[[int, int], None],
) -> None:
    """Train the image encoder on the training pictures, and freeze it.

    It learns to tell, from a photo as well as from its texture map, the mean colour of every body
    part the photo shows and of the background: what the whole person looks like, as CLIP's
    embedding of a fashion photo does. Colours are told in standard deviations of their part, so
    that the light background, which varies least, counts as much as the shirt.

    on_image: called with (pictures seen, pictures to see).
    """
    colours: list[Tensor] = []
    pixels: list[Tensor] = []
    for files in read_batches(layout, "train", stems):
        images, textures = [f.image for f in files], [f.texture for f in files]
        inputs = pipeline.feature_extractor(images=images + textures, return_tensors="pt")
        pixels.append(torch.stack(inputs.pixel_values.chunk(2), dim=1))
        colours += [part_colours(f.image, f.pose) for f in files]
    told = torch.stack(colours)
    told = told - told.nanmean(dim=0)
    told = told / told.square().nanmean(dim=0).sqrt().clamp(min=1e-3)
    _train_image_encoder(
        pipeline.image_encoder,
        torch.cat(pixels),
        told,
        images=settings.model.image_encoder_images,
        seed=settings.train.seed,
        on_image=on_image,
    )


def part_colours(image: Image.Image, pose: Image.Image) -> Tensor:
    """Mean colour of background and parts, float32 [25, 3] in 0..1; NaN for parts not seen."""
    labels = pil_to_tensor(pose)[2].flatten().long()
    rgb = pil_to_tensor(image).flatten(1).T.float() / 255
    sums = torch.zeros(PARTS + 1, 3).index_add_(0, labels, rgb)
    return sums / torch.bincount(labels, minlength=PARTS + 1)[:, None]


def _train_image_encoder(
    encoder: CLIPVisionModelWithProjection,
    pixels: Tensor,
    colours: Tensor,
    *,
    images: int,
    seed: int,
    on_image: Callable[[int, int], None],
) -> None:
    """Train on pixels [N, 2, 3, h, w] (photo and texture map) to tell colours [N, 25, 3].

    The pictures are seen in an order drawn from `seed`. The background is asked of photos only.
    """
    generator = torch.Generator().manual_seed(seed)
    device = encoder.device
    read_out = nn.Linear(encoder.config.projection_dim, colours[0].numel()).to(device)
    optimizer = torch.optim.AdamW(
        [*encoder.parameters(), *read_out.parameters()], ENCODER_LEARNING_RATE
    )
    steps = max(1, images // ENCODER_BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, ENCODER_LEARNING_RATE, steps)
    encoder.train().requires_grad_(True)
    for step in range(steps):
        rows = torch.randint(len(pixels), (ENCODER_BATCH,), generator=generator)
        kinds = torch.randint(2, (ENCODER_BATCH,), generator=generator)
        wanted = colours[rows]
        wanted[kinds == 1, 0] = torch.nan
        wanted = wanted.to(device)
        told = read_out(encoder(pixels[rows, kinds].to(device)).image_embeds).view_as(wanted)
        seen = ~wanted.isnan()
        loss = functional.mse_loss(told[seen], wanted[seen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_image((step + 1) * ENCODER_BATCH, steps * ENCODER_BATCH)
    encoder.eval().requires_grad_(False)
