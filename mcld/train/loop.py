"""The training loop, from a prepared dataset to a pipeline folder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch.utils.data import DataLoader

from mcld.dataset.layout import DatasetLayout
from mcld.errors import InputError, MCLDError, SettingsError
from mcld.files import folder_written_whole
from mcld.pipeline import ddim_scheduler, load_pipeline
from mcld.train import checkpoint
from mcld.train.encode import encode_pictures
from mcld.train.encoders import fit_autoencoder, fit_image_encoder
from mcld.train.loss import face_mask, mcld_loss, min_snr_weights
from mcld.train.samples import Batch, BatchSampler, TrainingSamples, collate
from mcld.train.start import new_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from diffusers import DDIMScheduler

    from mcld.model import MCLD
    from mcld.pipeline import MCLDPipeline
    from mcld.settings import Settings, TrainSettings


@dataclass(frozen=True)
class TrainReport:
    """How far a stage of training has come."""

    stage: str
    """What is being done, in words."""
    images: int
    """Pictures done."""
    total: int
    """Pictures to do."""
    loss: float | None = None
    """Mean loss of the latest step, when there is one."""


def train(  # noqa: C901 - one story, read from top to bottom
    settings: Settings, *, resume: bool, report: Callable[[TrainReport], None]
) -> Path:
    """Train a network on a prepared dataset; return the folder of the finished pipeline.

    The network is a new one of `settings.model`'s widths, or that of `train.start_from`.

    The output folder holds `pipeline/` (the frozen encoders from the start, everything at the end)
    and `checkpoints/`. With `resume`, training goes on from the newest checkpoint.

    Raises SettingsError, InputError, WeightsError or MCLDError for what the user can mend.
    """
    options = settings.train
    try:
        accelerator = Accelerator(mixed_precision=options.precision)
    except ValueError as error:
        raise SettingsError(
            f"train.precision={options.precision} cannot be had: {error}"
        ) from error
    earlier = checkpoint.checkpoints(options.output)
    folder = options.output / "pipeline"
    if earlier and not resume:
        raise SettingsError(
            f"{options.output} holds checkpoints already: add --resume to go on from"
            f" {earlier[-1].name}, or set train.output to a new folder"
        )
    if resume and not earlier:
        raise SettingsError(f"{options.output} holds no checkpoint: leave --resume out")
    batch_images = options.batch_size * accelerator.num_processes
    if options.images < batch_images:
        raise SettingsError(
            f"train.images, {options.images}, is less than one batch, {batch_images}: raise it,"
            " or lower train.batch_size"
        )
    layout = DatasetLayout(options.dataset)
    stems, pairs = _pictures_and_pairs(layout)

    # The network, and the encoders it looks through
    if earlier:
        pipeline = load_pipeline(folder)
    else:
        if options.start_from:
            pipeline = load_pipeline(options.start_from)
        else:
            pipeline = new_pipeline(settings)
            counted = _counter(report, "Training the autoencoder")
            fit_autoencoder(pipeline, layout, stems, settings, counted)
            counted = _counter(report, "Training the image encoder")
            fit_image_encoder(pipeline, layout, stems, settings, counted)
        if accelerator.is_main_process:
            _save(pipeline, folder)
    network = _trainable(pipeline, options)
    pipeline.vae.to(accelerator.device)
    pipeline.image_encoder.to(accelerator.device)
    counted = _counter(report, "Encoding pictures")
    encoded = encode_pictures(
        pipeline,
        layout,
        "train",
        stems,
        (options.height, options.width),
        lambda done: counted(done, len(stems)),
    )

    # The optimizer, and the state of an earlier run
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, options.learning_rate, weight_decay=options.weight_decay)
    ema = EMAModel(trained, options.ema_decay, use_ema_warmup=True) if options.ema_decay else None
    images = checkpoint.load(earlier[-1], network, optimizer, ema) if earlier else 0
    network.to(memory_format=torch.channels_last)  # convolutions are fastest so, on CPU and GPU
    model, optimizer = accelerator.prepare(network, optimizer)
    if ema:
        ema.to(accelerator.device)
    forward = torch.compile(model) if options.compile else model

    # The data from here on
    loader = DataLoader(
        TrainingSamples(encoded, pairs, options),
        batch_sampler=BatchSampler(
            images,
            options.images,
            options.batch_size,
            accelerator.process_index,
            accelerator.num_processes,
        ),
        collate_fn=collate,
        num_workers=options.workers,
    )
    noise_schedule = ddim_scheduler(
        settings.scheduler.train_beta_schedule,
        settings.scheduler.beta_start,
        settings.scheduler.beta_end,
    )

    model.train()
    for batch in loader:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options, images)
        with accelerator.autocast():
            loss = _loss(forward, batch.to(accelerator.device), noise_schedule, options)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained, options.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        if ema:
            ema.step(trained)
        images += batch_images
        report(TrainReport("Training", images, options.images, _finite(loss, images, options)))
        last = images + batch_images > options.images
        due = images % options.checkpoint_every < batch_images or last
        if due and accelerator.is_main_process:
            checkpoint.save(options.output, images, network, optimizer, ema, options.keep)

    if ema:
        ema.copy_to(trained)
    if accelerator.is_main_process:
        if options.save_dtype == "float16":
            for part in (network, pipeline.vae, pipeline.image_encoder):
                part.half()
        _save(pipeline, folder)
    accelerator.end_training()
    return folder


def _loss(
    forward: Callable[..., torch.Tensor],
    batch: Batch,
    schedule: DDIMScheduler,
    options: TrainSettings,
) -> torch.Tensor:
    """The mean loss of a batch: noise its targets, predict v, weigh what is wrong."""
    noisy = schedule.add_noise(batch.target, batch.noise, batch.timesteps)
    velocity = schedule.get_velocity(batch.target, batch.noise, batch.timesteps)
    prediction = forward(noisy, batch.timesteps, batch.conditions, batch.dropped)
    mask = face_mask(batch.part_labels, noisy.shape[-2:])
    if not options.face_loss:
        mask = torch.zeros_like(mask)
    alphas_cumprod = schedule.alphas_cumprod.to(batch.timesteps.device)
    weights = min_snr_weights(alphas_cumprod, batch.timesteps, options.min_snr_gamma)
    return mcld_loss(prediction, velocity, mask, weights).mean()


def _finite(loss: torch.Tensor, images: int, options: TrainSettings) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise MCLDError(
            f"the loss is {value} after {images} pictures at learning rate"
            f" {learning_rate(options, images):.1e}: lower train.learning_rate"
        )
    return value


def _save(pipeline: MCLDPipeline, folder: Path) -> None:
    with folder_written_whole(folder) as temporary:
        pipeline.save_pretrained(temporary)


def learning_rate(options: TrainSettings, images: int) -> float:
    """The learning rate after `images` pictures: linear warm-up, then constant or a half cosine."""
    warmup = min(1.0, (images + 1) / options.lr_warmup_images) if options.lr_warmup_images else 1.0
    if options.lr_schedule == "constant":
        return options.learning_rate * warmup
    return options.learning_rate * warmup * (1 + math.cos(math.pi * images / options.images)) / 2


def _trainable(pipeline: MCLDPipeline, options: TrainSettings) -> MCLD:
    """The network, requiring gradients only where there are any and where they are wanted.

    Raises SettingsError when `train.frozen` names no weights, or all of them.
    """
    network = pipeline.network.requires_grad_(True)
    for unet in (network.denoising_unet, network.reference_unet):
        for parameter in unet.unused_parameters():
            parameter.requires_grad_(False)
    parameters = dict(network.named_parameters())
    for beginning in options.frozen:
        named = [parameter for name, parameter in parameters.items() if name.startswith(beginning)]
        if not named:
            raise SettingsError(
                f"train.frozen: no weight's name begins with {beginning!r}; they begin like"
                f" {next(iter(parameters))}"
            )
        for parameter in named:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise SettingsError("train.frozen: nothing is left to train")
    return network


def _pictures_and_pairs(layout: DatasetLayout) -> tuple[list[str], torch.Tensor]:
    """The stems of the training pictures, and the pairs as rows of them, int64 [P, 2]."""
    stems = [name.removesuffix(".jpg") for name in layout.names("train")]
    row = {f"{stem}.jpg": k for k, stem in enumerate(stems)}
    pairs = [(row[a], row[b]) for a, b in layout.pairs("train") if a in row and b in row]
    if not pairs:
        raise InputError(f"{layout.pairs_file('train')} names no pair of listed pictures")
    return stems, torch.tensor(pairs)


def _counter(report: Callable[[TrainReport], None], stage: str) -> Callable[[int, int], None]:
    return lambda done, total: report(TrainReport(stage, done, total))
