"""The two frozen encoders of a new network, made from nothing but a prepared dataset.

They are trained where the pipeline's parts are. The pictures stay in the CPU's memory, and what is
random is drawn there: a GPU sees a batch at a time, and the same batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.functional import pil_to_tensor
from transformers import CLIPVisionModelWithProjection

from mcld.dataset.layout import DatasetLayout
from mcld.mannequin.autoencoder import PatchAutoencoder
from mcld.person import BATCH, read_batches
from mcld.pipeline import SCALE_FACTOR, MCLDPipeline
from mcld.settings import Settings, TrainSettings
from mcld.surface.parts import HEAD, PARTS

AUTOENCODER_PICTURES = 4096
"""At most so many photos are held in memory to train the autoencoder's decoder on."""
COMPONENT_PICTURES = 256
"""Photos and as many texture maps: some 100,000 patches at 128x96 for 192 by 192 covariances."""
DECODER_BATCH = 32
DECODER_LEARNING_RATE = 2e-3
DECODER_CROP = 96
"""Side, in pixels, of the crops that a textured decoder learns from.

Half of them show a head, which is a twentieth of a picture. Smaller ones would be quicker, but the
convolutions see zeros beyond a crop's border, where in a picture there is more of it.
"""
DECODER_CROP_JITTER = 16
"""Pixels that a crop's middle is off the head's, at most."""
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

    def draw(rows: Tensor) -> tuple[Tensor, Tensor, None]:
        photos = pixels[rows]
        latents = pipeline.vae.encode(photos.to(pipeline.vae.device)).latent_dist.mode().cpu()
        level = DECODER_NOISE * torch.rand(len(latents), 1, 1, 1, generator=generator)
        return photos, latents + level * torch.randn(latents.shape, generator=generator), None

    _train_decoder(
        pipeline.vae,
        len(pixels),
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
    count: int,
    draw: Callable[[Tensor], tuple[Tensor, Tensor, Tensor | None]],
    *,
    images: int,
    generator: torch.Generator,
    on_image: Callable[[int, int], None],
) -> None:
    """Train all of the decoder but its components to give `count` pictures back.

    draw: rows of the pictures, int64 [B] -> what they show, [B, 3, h, w] in -1..1, and of that the
    latents and the pose, if the decoder looks at it. The order is drawn from `generator`.
    """
    vae.requires_grad_(True)
    for components in (vae.encoder, vae.decoder):
        components.requires_grad_(False)
    trained = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    vae.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(trained, DECODER_LEARNING_RATE)
    steps = max(1, images // DECODER_BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, DECODER_LEARNING_RATE, steps)
    for step in range(steps):
        rows = torch.randint(count, (DECODER_BATCH,), generator=generator)
        pixels, latents, pose = draw(rows)
        pose = None if pose is None else pose.to(vae.device)
        decoded = vae.decode(latents.to(vae.device), pose=pose).sample
        loss = functional.l1_loss(decoded, pixels.to(vae.device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_image((step + 1) * DECODER_BATCH, steps * DECODER_BATCH)
    vae.requires_grad_(False)


@dataclass(frozen=True)
class _Sampled:
    """N photos and what a network made of their poses, on the CPU."""

    latents: Tensor
    """[N, C, h, w] as the decoder takes them."""
    photos: Tensor
    """[N, 3, H, W] uint8 RGB."""
    poses: Tensor
    """[N, 3 or 6, H, W] uint8, those of the conditions."""

    def whole(self, rows: Tensor) -> tuple[Tensor, Tensor, None]:
        """Photos in -1..1 and latents."""
        return self.photos[rows] / 127.5 - 1, self.latents[rows], None

    def cropped(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Photos in -1..1, latents and poses in a window of each, one in two at the head."""
        crops = [self._crop(row, generator) for row in rows.tolist()]
        photos, latents, poses = (torch.stack(kind) for kind in zip(*crops, strict=True))
        return photos / 127.5 - 1, latents, poses / 255

    def _crop(self, row: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        def drawn(below: int) -> int:
            return int(torch.randint(below, (), generator=generator))

        pose = self.poses[row]
        head = (pose[2] >= HEAD[0]).nonzero().float()
        at_head = len(head) > 0 and drawn(2) == 0
        window = []
        for axis, pixels in enumerate(pose.shape[1:]):
            side = min(DECODER_CROP, pixels)
            if at_head:
                jitter = drawn(2 * DECODER_CROP_JITTER) - DECODER_CROP_JITTER
                middle = int(head[:, axis].mean()) + jitter
                start = max(0, min(middle - side // 2, pixels - side)) // SCALE_FACTOR
            else:
                start = drawn((pixels - side) // SCALE_FACTOR + 1)
            window.append((start, start + side // SCALE_FACTOR))
        (top, bottom), (left, right) = window
        rows, columns = (slice(a * SCALE_FACTOR, b * SCALE_FACTOR) for a, b in window)
        return (
            self.photos[row, :, rows, columns],
            self.latents[row, :, top:bottom, left:right],
            pose[:, rows, columns],
        )


def adapt_decoder(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    pairs: list[tuple[str, str]],
    settings: Settings,
    on_image: Callable[[int, int], None],
) -> None:
    """Train the autoencoder's decoder on latents that the trained network samples.

    They differ from what the encoder gives in ways the decoder can learn to see through, such as
    blotches in a plain background. The encoder stays as it is, and so do the latents. Beside a
    textured pose guider the decoder becomes a textured one, and learns from crops.

    pairs: stems, (source, target), of training pictures. on_image: called with (pictures sampled
    and seen, pictures to sample and see).
    """
    options = settings.train
    chosen = pairs[:: _stride(len(pairs), AUTOENCODER_PICTURES)]
    total = len(chosen) + options.adapt_decoder_images
    generator = torch.Generator().manual_seed(options.seed)
    sampled = _sampled(
        pipeline, layout, chosen, options, generator, lambda done: on_image(done, total)
    )
    textured = pipeline.pose_guider.config.textured
    if textured and not pipeline.vae.config.textured:
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            pipeline.vae.add_texture()

    def draw(rows: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        return sampled.cropped(rows, generator) if textured else sampled.whole(rows)

    _train_decoder(
        pipeline.vae,
        len(chosen),
        draw,
        images=options.adapt_decoder_images,
        generator=generator,
        on_image=lambda seen, _: on_image(min(len(chosen) + seen, total), total),
    )


@torch.no_grad()
def _sampled(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    pairs: list[tuple[str, str]],
    options: TrainSettings,
    generator: torch.Generator,
    on_image: Callable[[int], None],
) -> _Sampled:
    """Sample the pairs of training pictures as the pipeline samples."""
    size = (options.height, options.width)
    channels = pipeline.denoising_unet.config.in_channels
    # Made at once, since thousands of pictures are not copied for nothing
    sampled = _Sampled(
        torch.empty(len(pairs), channels, *(side // SCALE_FACTOR for side in size)),
        torch.empty(len(pairs), 3, *size, dtype=torch.uint8),
        torch.empty(
            len(pairs), 6 if pipeline.pose_guider.config.textured else 3, *size, dtype=torch.uint8
        ),
    )
    at_once = min(BATCH, options.batch_size)  # a GPU that trained has room for so many
    for start in range(0, len(pairs), at_once):
        batch = pairs[start : start + at_once]
        sources = next(read_batches(layout, "train", [source for source, _ in batch]))
        targets = next(read_batches(layout, "train", [target for _, target in batch]))
        inputs = pipeline.inputs(
            [f.image for f in sources],
            [f.texture for f in sources],
            [f.pose for f in targets],
            torch.stack([f.face for f in sources]),
            *size,
        )
        latents = pipeline.denoise(
            pipeline.conditions(inputs),
            pipeline.starting_noise(len(batch), *size, generator, None),
            pipeline.config.num_inference_steps,
            pipeline.config.guidance_scale,
            generator=generator,
        )
        photos = pipeline.image_processor.preprocess([f.image for f in targets], *size)
        rows = slice(start, start + len(batch))
        sampled.latents[rows] = latents.cpu() / pipeline.vae.config.scaling_factor
        sampled.photos[rows] = ((photos + 1) * 127.5).round().to(torch.uint8)
        sampled.poses[rows] = (inputs.pose * 255).round().to(torch.uint8)
        on_image(start + len(batch))
    return sampled


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
