"""What training runs on: accelerate, the trained parameters, their optimizer."""

import importlib
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, ProjectConfiguration, parse_flag_from_env

from mcld.errors import SettingsError
from mcld.machine.processes import processes, runs_on_cpu
from mcld.model import MCLD
from mcld.settings import TrainSettings


def make_accelerator(options: TrainSettings) -> Accelerator:
    """Accelerate, as the settings and the launcher want it.

    Raises SettingsError for a precision that cannot be had here, and for DeepSpeed.
    """
    if parse_flag_from_env("ACCELERATE_USE_DEEPSPEED"):
        raise SettingsError(
            "accelerate's configuration asks for DeepSpeed, which mcld does not train with: choose"
            " FSDP with fsdp_version: 2, or plain multi-GPU"
        )
    processes()
    try:
        return Accelerator(
            cpu=runs_on_cpu(),
            mixed_precision=options.precision,
            log_with=list(options.trackers),
            project_config=ProjectConfiguration(
                project_dir=str(options.output), logging_dir=str(options.output / "logs")
            ),
            gradient_accumulation_steps=options.accumulation,
        )
    except ValueError as error:
        raise SettingsError(
            f"train.precision={options.precision} cannot be had: {error}"
        ) from error


def prepare_network(
    network: MCLD, options: TrainSettings, accelerator: Accelerator
) -> tuple[torch.nn.Module, torch.optim.Optimizer, list[torch.nn.Parameter]]:
    """Make a network ready to train: the wrapped network, its optimizer, the trained parameters.

    Raises SettingsError for settings that do not go together.
    """
    network.to(accelerator.device)
    _choose_trained(network, options)
    trained = [p for p in network.parameters() if p.requires_grad]
    if options.gradient_checkpointing:
        network.enable_gradient_checkpointing()
    optimizer = _make_optimizer(options, trained)
    sharded = accelerator.distributed_type == DistributedType.FSDP
    apple = accelerator.device.type == "mps"  # where neither speed nor results of it are known
    if options.optimizer == "adamw" and not sharded and not apple:  # others need them contiguous
        network.to(memory_format=torch.channels_last)  # convolutions are fastest so
    model, optimizer = accelerator.prepare(network, optimizer)
    # FSDP has put others in their place
    return model, optimizer, [p for p in network.parameters() if p.requires_grad]


def _choose_trained(network: MCLD, options: TrainSettings) -> None:
    """Let gradients be required by the parameters to train alone: all that get one, less `frozen`.

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
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise SettingsError("train.frozen: nothing is left to train")


def _make_optimizer(
    options: TrainSettings, trained: list[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    """AdamW over the trained parameters."""
    if options.optimizer == "adamw":
        return torch.optim.AdamW(
            trained, options.learning_rate, weight_decay=options.weight_decay, fused=True
        )
    eight_bit: Any = importlib.import_module("bitsandbytes.optim")
    optimizer: torch.optim.Optimizer = eight_bit.AdamW8bit(
        trained, options.learning_rate, weight_decay=options.weight_decay
    )
    return optimizer
