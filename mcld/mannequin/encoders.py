"""The two frozen encoders of a new small network, made from nothing but a prepared dataset.

They are trained where the pipeline's parts are. The pictures stay in the CPU's memory, and what is
random is drawn there: a GPU sees a batch at a time, and the same batches.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPVisionModelWithProjection

from mcld.dataset.layout import DatasetLayout
from mcld.mannequin.decoder import train_decoder
from mcld.person.prepared import read_batches
from mcld.pipeline import MCLDPipeline
from mcld.surface.parts import PARTS

AUTOENCODER_PICTURES = 4096
"""At most so many photos are held in memory to train the autoencoder's decoder on."""
COMPONENT_PICTURES = 256
"""Photos and as many texture maps: some 100,000 patches at 128x96 for 192 by 192 covariances."""
DECODER_NOISE = 0.3
"""Largest standard deviation of the noise on latents that the decoder learns to see through."""
ENCODER_BATCH = 64
ENCODER_LEARNING_RATE = 1e-3


def fit_autoencoder(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    stems: list[str],
    size: tuple[int, int],
    *,
    images: int,
    seed: int,
    on_image: Callable[[int, int], None],
) -> None:
    """Make the autoencoder from the training pictures.

    Its components are known in closed form. The convolutions of its decoder learn to give photos
    back from latents with a little noise, because the latents that sampling ends with have some.

    size: (height, width) to train at. images: pictures that the decoder sees. seed: of all that is
    drawn. on_image: called with (pictures seen, pictures to see).
    """
    chosen = stems[:: stride(len(stems), AUTOENCODER_PICTURES)]
    pixels = torch.empty(len(chosen), 3, *size)
    done = 0
    for people in read_batches(layout, "train", chosen):
        photos = pipeline.image_processor.preprocess([p.photo for p in people], *size)
        pixels[done : done + len(photos)] = photos
        done += len(photos)
    every = stride(len(chosen), COMPONENT_PICTURES)
    textures = [
        pipeline.image_processor.preprocess([p.texture for p in people], *size)
        for people in read_batches(layout, "train", chosen[::every])
    ]
    pipeline.vae.fit(torch.cat([pixels[::every], *textures]))
    generator = torch.Generator().manual_seed(seed)

    def draw(rows: Tensor) -> tuple[Tensor, Tensor]:
        photos = pixels[rows]
        latents = pipeline.vae.encode(photos.to(pipeline.vae.device)).latent_dist.mode().cpu()
        level = DECODER_NOISE * torch.rand(len(latents), 1, 1, 1, generator=generator)
        return photos, latents + level * torch.randn(latents.shape, generator=generator)

    train_decoder(
        pipeline.vae, len(pixels), draw, images=images, generator=generator, on_image=on_image
    )


def stride(count: int, most: int) -> int:
    """Every how-manieth of `count` to take, for at most `most`, evenly spread."""
    return -(-count // most)


def fit_image_encoder(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    stems: list[str],
    *,
    images: int,
    seed: int,
    on_image: Callable[[int, int], None],
) -> None:
    """Train the image encoder on the training pictures, and freeze it.

    It learns to tell, from a photo as well as from its texture map, the mean colour of every body
    part the photo shows and of the background: what the whole person looks like, as CLIP's
    embedding of a fashion photo does. Colours are told in standard deviations of their part, so
    that the light background, which varies least, counts as much as the shirt.

    images: pictures that it sees. seed: of their order. on_image: called with (pictures seen,
    pictures to see).
    """
    colours: list[Tensor] = []
    pixels: list[Tensor] = []
    for people in read_batches(layout, "train", stems):
        both = [p.photo for p in people] + [p.texture for p in people]
        inputs = pipeline.feature_extractor(images=both, return_tensors="pt")
        pixels.append(torch.stack(inputs.pixel_values.chunk(2), dim=1))
        colours += [average_parts(np.asarray(p.photo), p.iuv) for p in people]
    wanted = torch.stack(colours)
    wanted = wanted - wanted.nanmean(dim=0)
    wanted = wanted / wanted.square().nanmean(dim=0).sqrt().clamp(min=1e-3)
    _train_image_encoder(
        pipeline.image_encoder,
        torch.cat(pixels),
        wanted,
        images=images,
        seed=seed,
        on_image=on_image,
    )


def average_parts(image: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> Tensor:
    """Mean colour of background and parts, float32 [25, 3] in 0..1; NaN for parts not seen.

    image: uint8 [H, W, 3] RGB; iuv: uint8 [H, W, 3] (I, U, V).
    """
    labels = torch.from_numpy(iuv[..., 0].astype(np.int64)).flatten()
    rgb = torch.tensor(image.reshape(-1, 3)).float() / 255
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
    steps = -(-images // ENCODER_BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, ENCODER_LEARNING_RATE, steps)
    encoder.train().requires_grad_(True)
    for start in range(0, images, ENCODER_BATCH):
        batch = min(ENCODER_BATCH, images - start)
        rows = torch.randint(len(pixels), (batch,), generator=generator)
        kinds = torch.randint(2, (batch,), generator=generator)
        wanted = colours[rows]
        wanted[kinds == 1, 0] = torch.nan
        wanted = wanted.to(device)
        estimate = read_out(encoder(pixels[rows, kinds].to(device)).image_embeds).view_as(wanted)
        seen = ~wanted.isnan()
        loss = functional.mse_loss(estimate[seen], wanted[seen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_image(start + batch, images)
    encoder.eval().requires_grad_(False)
