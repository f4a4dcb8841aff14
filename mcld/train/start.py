"""A new network, and the two frozen encoders it needs, from nothing but a prepared dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.functional import pil_to_tensor
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from mcld.dataset.charts import PARTS
from mcld.errors import SettingsError
from mcld.model import DenoisingUNet, ImageProjector, PatchAutoencoder, PoseGuider, ReferenceNet
from mcld.pipeline import SCALE_FACTOR, MCLDPipeline, ddim_scheduler
from mcld.train.encode import read_batches

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcld.dataset.layout import DatasetLayout
    from mcld.settings import ModelSettings, Settings

AUTOENCODER_PICTURES = 512
"""Photos and texture maps: some 100,000 patches at 128x96, enough for 192 by 192 covariances."""
ENCODER_BATCH = 64
ENCODER_LEARNING_RATE = 1e-3


def new_pipeline(settings: Settings) -> MCLDPipeline:
    """A pipeline of `settings.model`'s widths with random weights, drawn from `train.seed`.

    Raises SettingsError when the widths do not fit together.
    """
    _check_widths(settings.model)
    torch.manual_seed(settings.train.seed)
    model, size = settings.model, (settings.train.height, settings.train.width)
    levels = len(model.block_out_channels)
    unet = {
        "sample_size": tuple(pixels // SCALE_FACTOR for pixels in size),
        "in_channels": model.latent_channels,
        "out_channels": model.latent_channels,
        "block_out_channels": model.block_out_channels,
        "layers_per_block": model.layers_per_block,
        "attention_head_dim": model.attention_heads,  # diffusers' name for the number of heads
        "norm_num_groups": model.norm_num_groups,
        "cross_attention_dim": model.cross_attention_dim,
        "down_block_types": ("CrossAttnDownBlock2D",) * levels,
        "up_block_types": ("CrossAttnUpBlock2D",) * levels,
        "use_linear_projection": True,
    }
    pose_guider = PoseGuider(model.block_out_channels[0], model.pose_channels)
    # Part labels end at 24 of 255, where U and V reach 1: let all three start with a like weight.
    pose_guider.conv_in.weight.data[:, 2] *= 255 / PARTS
    pixels = model.image_encoder_size
    return MCLDPipeline(
        vae=PatchAutoencoder(model.latent_channels),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=model.image_encoder_width,
                intermediate_size=2 * model.image_encoder_width,
                num_hidden_layers=model.image_encoder_layers,
                num_attention_heads=model.attention_heads,
                image_size=pixels,
                patch_size=8,
                projection_dim=model.cross_attention_dim,
            )
        ),
        feature_extractor=CLIPImageProcessor(
            size={"height": pixels, "width": pixels}, do_center_crop=False
        ),
        denoising_unet=DenoisingUNet(**unet),
        reference_unet=ReferenceNet(**unet),
        pose_guider=pose_guider,
        image_projector=ImageProjector(
            dim=model.projector_dim,
            depth=model.projector_depth,
            dim_head=model.projector_dim // model.projector_heads,
            heads=model.projector_heads,
            output_dim=model.cross_attention_dim,
        ),
        scheduler=ddim_scheduler(
            settings.scheduler.beta_schedule,
            settings.scheduler.beta_start,
            settings.scheduler.beta_end,
        ),
        num_inference_steps=settings.sample.num_inference_steps or 20,
        guidance_scale=settings.sample.guidance_scale or 3.5,
    )


def _check_widths(model: ModelSettings) -> None:
    shared = (
        ("block_out_channels", model.block_out_channels, "norm_num_groups"),
        ("block_out_channels", model.block_out_channels, "attention_heads"),
        ("image_encoder_width", (model.image_encoder_width,), "attention_heads"),
        ("projector_dim", (model.projector_dim,), "projector_heads"),
    )
    for name, widths, divisor in shared:
        for width in widths:
            if width % getattr(model, divisor):
                raise SettingsError(
                    f"model.{name}: {width} is not divisible by model.{divisor},"
                    f" {getattr(model, divisor)}"
                )


def fit_encoders(
    pipeline: MCLDPipeline,
    layout: DatasetLayout,
    stems: list[str],
    settings: Settings,
    on_image: Callable[[int, int], None],
) -> None:
    """Make the autoencoder and the image encoder from the training pictures.

    The autoencoder is known in closed form. The image encoder learns to tell, from a photo as well
    as from its texture map, the mean colour of every body part the photo shows and of the
    background: what the whole person looks like, as CLIP's embedding of a fashion photo does.

    on_image: called with (pictures seen, pictures to see).
    """
    size = (settings.train.height, settings.train.width)
    pixels: list[Tensor] = []
    colours: list[Tensor] = []
    pictures: list[Tensor] = []
    for files in read_batches(layout, "train", stems):
        images, textures = [f.image for f in files], [f.texture for f in files]
        inputs = pipeline.feature_extractor(images=images + textures, return_tensors="pt")
        pixels.append(torch.stack(inputs.pixel_values.chunk(2), dim=1))
        colours += [part_colours(f.image, f.pose) for f in files]
        if sum(map(len, pictures)) < AUTOENCODER_PICTURES:
            pictures.append(pipeline.image_processor.preprocess(images + textures, *size))
    pipeline.vae.fit(torch.cat(pictures))
    _train_image_encoder(
        pipeline.image_encoder,
        torch.cat(pixels),
        torch.stack(colours),
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
    read_out = nn.Linear(encoder.config.projection_dim, colours[0].numel())
    optimizer = torch.optim.AdamW(
        [*encoder.parameters(), *read_out.parameters()], ENCODER_LEARNING_RATE
    )
    steps = max(1, images // ENCODER_BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, ENCODER_LEARNING_RATE, steps)
    encoder.train().requires_grad_(True)
    for step in range(steps):
        rows = torch.randint(len(pixels), (ENCODER_BATCH,), generator=generator)
        kinds = torch.randint(2, (ENCODER_BATCH,), generator=generator)
        wanted = colours[rows].clone()
        wanted[kinds == 1, 0] = torch.nan
        told = read_out(encoder(pixels[rows, kinds]).image_embeds).view_as(wanted)
        seen = ~wanted.isnan()
        loss = functional.mse_loss(told[seen], wanted[seen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        on_image((step + 1) * ENCODER_BATCH, steps * ENCODER_BATCH)
    encoder.eval().requires_grad_(False)
