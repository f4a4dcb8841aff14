"""The optimizer's steps: from samples to gradients, batch by batch."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch.utils.data import DataLoader

from mcld.errors import InputError, MCLDError, SettingsError
from mcld.machine.processes import gather_whole
from mcld.model import MCLD
from mcld.pipeline import ddim_scheduler
from mcld.settings import Settings, TrainSettings
from mcld.train.interrupt import Interrupt
from mcld.train.loss import face_mask, mcld_loss, min_snr_weights
from mcld.train.samples import Batch, BatchSampler, TrainingSamples, collate


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
    """Mean loss of the latest step over all processes, when there is one."""
    gradient_norm: float | None = None
    """Of the latest step, before clipping."""
    learning_rate: float | None = None
    """Of the latest step."""

    def values(self) -> dict[str, float]:
        """What trackers log of a step."""
        names = ("loss", "gradient_norm", "learning_rate")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class Trainer:
    """Takes the optimizer's steps."""

    def __init__(
        self,
        settings: Settings,
        accelerator: Accelerator,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        trained: list[torch.nn.Parameter],
        focal_conditions: Sequence[str],
    ) -> None:
        self.focal_conditions = focal_conditions
        self.options = settings.train
        self.accelerator = accelerator
        self.model = model
        self.forward = torch.compile(model) if self.options.compile else model
        self.optimizer = optimizer
        self.trained = trained
        self.total_batch = total_batch(self.options, accelerator)
        self.schedule = ddim_scheduler(
            settings.scheduler.train_beta_schedule,
            settings.scheduler.beta_start,
            settings.scheduler.beta_end,
        )

    def steps(self, samples: TrainingSamples, images: int) -> Iterator[tuple[int, TrainReport]]:
        """Step by step: pictures seen, of which `images` before, and the report of the step.

        Raises MCLDError when loss or gradient are not finite, before the step.
        """
        options, accelerator = self.options, self.accelerator
        loader = DataLoader(
            samples,
            batch_sampler=BatchSampler(
                images,
                options.images,
                options.batch_size,
                accelerator.process_index,
                accelerator.num_processes,
                options.accumulation,
            ),
            collate_fn=collate,
            num_workers=options.workers,
            worker_init_fn=Interrupt.leave_to_parent,
            pin_memory=accelerator.device.type == "cuda",
        )
        self.model.train()
        losses: list[torch.Tensor] = []
        for batch in _clearly(loader):
            rate = learning_rate(options, images)
            with accelerator.accumulate(self.model):
                losses.append(self._backward(batch))
                if not accelerator.sync_gradients:
                    continue
                loss = accelerator.reduce(torch.stack(losses).mean(), "mean").item()
                _check_finite(loss, images, rate)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                clipped = accelerator.clip_grad_norm_(self.trained, options.max_grad_norm)
                norm = float(gather_whole(clipped))
                if accelerator.scaler is None:  # which would leave the step out
                    _check_finite(norm, images, rate, "the gradient's norm")
                self.optimizer.step()
                self.optimizer.zero_grad()
            losses.clear()
            images += self.total_batch
            yield (
                images,
                TrainReport("Training", images, options.images, loss, norm, rate),
            )

    def _backward(self, batch: Batch) -> torch.Tensor:
        """Add the gradient of a batch's mean loss; return that loss."""
        with self.accelerator.autocast():
            loss = self._loss(batch.to(self.accelerator.device))
        self.accelerator.backward(loss)
        return loss.detach()

    def _loss(self, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch: noise its targets, predict v, weigh what is wrong."""
        target, noise, timesteps = batch["target"], batch["noise"], batch["timestep"]
        noisy = self.schedule.add_noise(target, noise, timesteps)
        velocity = self.schedule.get_velocity(target, noise, timesteps)
        conditions = batch.conditions.keep(self.focal_conditions)
        prediction = self.forward(noisy, timesteps, conditions, batch.dropped)
        mask = face_mask(batch["pose"][:, 2], noisy.shape[-2:])
        mask *= self.options.face_loss_weight
        alphas_cumprod = self.schedule.alphas_cumprod.to(timesteps.device)
        weights = min_snr_weights(alphas_cumprod, timesteps, self.options.min_snr_gamma)
        return mcld_loss(prediction, velocity, mask, weights).mean()


def set_up(
    network: MCLD, options: TrainSettings, accelerator: Accelerator
) -> tuple[torch.nn.Module, torch.optim.Optimizer, list[torch.nn.Parameter]]:
    """Make a network ready to train: the wrapped network, its optimizer, the trained parameters.

    Raises SettingsError for settings that do not go together.
    """
    network.to(accelerator.device)
    trained = _trainable(network, options)
    if options.gradient_checkpointing:
        network.enable_gradient_checkpointing()
    optimizer = _optimizer(options, trained)
    sharded = accelerator.distributed_type == DistributedType.FSDP
    if options.optimizer == "adamw" and not sharded:  # the others need them contiguous
        network.to(memory_format=torch.channels_last)  # convolutions are fastest so
    model, optimizer = accelerator.prepare(network, optimizer)
    # FSDP has put others in their place
    return model, optimizer, [p for p in network.parameters() if p.requires_grad]


def _trainable(network: MCLD, options: TrainSettings) -> list[torch.nn.Parameter]:
    """The parameters to train, which alone require gradients: all that get one and are not frozen.

    Raises SettingsError when `train.frozen` names no weights, or all of them.
    """
    network.requires_grad_(True)
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
    trained = [parameter for parameter in parameters.values() if parameter.requires_grad]
    if not trained:
        raise SettingsError("train.frozen: nothing is left to train")
    return trained


def _optimizer(options: TrainSettings, trained: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW over the trained parameters. Raises SettingsError when its package is not installed."""
    if options.optimizer == "adamw":
        return torch.optim.AdamW(
            trained, options.learning_rate, weight_decay=options.weight_decay, fused=True
        )
    try:
        eight_bit: Any = importlib.import_module("bitsandbytes.optim")
    except ImportError as error:
        raise SettingsError(
            "train.optimizer=adamw8bit needs the package bitsandbytes: pip install bitsandbytes,"
            " or set it to adamw"
        ) from error
    optimizer: torch.optim.Optimizer = eight_bit.AdamW8bit(
        trained, options.learning_rate, weight_decay=options.weight_decay
    )
    return optimizer


def total_batch(options: TrainSettings, accelerator: Accelerator) -> int:
    """Pairs per step, over all processes."""
    return options.batch_size * options.accumulation * int(accelerator.num_processes)


def learning_rate(options: TrainSettings, images: int) -> float:
    """The learning rate after `images` pictures: linear warm-up, then constant or a half cosine."""
    warmup = min(1.0, (images + 1) / options.lr_warmup_images) if options.lr_warmup_images else 1.0
    if options.lr_schedule == "constant":
        return options.learning_rate * warmup
    return options.learning_rate * warmup * (1 + math.cos(math.pi * images / options.images)) / 2


def _clearly(loader: Iterable[Batch]) -> Iterator[Batch]:
    """The batches; what a loading process found wrong is said as it was found."""
    try:
        yield from loader
    except InputError as error:
        said = str(error).strip().splitlines()[-1]  # after a traceback of the process's own
        raise InputError(said.removeprefix("mcld.errors.InputError: ")) from error


def _check_finite(value: float, images: int, rate: float, what: str = "the loss") -> None:
    if not math.isfinite(value):
        raise MCLDError(
            f"{what} is {value} after {images} pictures at learning rate {rate:.1e}: lower"
            " train.learning_rate"
        )
