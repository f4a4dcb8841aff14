"""What a network cannot be trained to be, or accelerate cannot do, said before training starts."""

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from mcld.errors import SettingsError
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.pipeline import MCLDPipeline
from mcld.settings import Settings, TrainSettings


def check_sharding(options: TrainSettings, accelerator: Accelerator) -> None:
    """Raise SettingsError for ways of sharding that the checkpoints do not know."""
    if accelerator.distributed_type != DistributedType.FSDP:
        return
    # Blocks wrapped alone would be asked for their keys and values outside their own forward pass.
    if not accelerator.is_fsdp2 or accelerator.state.fsdp_plugin.auto_wrap_policy is not None:
        raise SettingsError(
            "accelerate's configuration asks for another FSDP than mcld trains with: set"
            " fsdp_version: 2 and fsdp_auto_wrap_policy: NO_WRAP"
        )
    if options.correspondence:
        raise SettingsError(
            "train.correspondence is not trained with under FSDP, which gathers the weights for the"
            " network's own output alone: set it to 0, or choose plain multi-GPU"
        )
    if options.optimizer == "adamw8bit" or options.precision == "fp16":
        raise SettingsError(
            "under FSDP, train.optimizer is adamw and train.precision is no or bf16:"
            f" not {options.optimizer} and {options.precision}"
        )


def check_optimizer(options: TrainSettings, device: torch.device) -> None:
    """Raise SettingsError for an optimizer that the device has no kernels for."""
    if options.optimizer == "adamw8bit" and device.type == "mps":
        raise SettingsError(
            "train.optimizer=adamw8bit: bitsandbytes does not have it for Apple's GPUs: set it to"
            " adamw"
        )


def check_patches(settings: Settings, pipeline: MCLDPipeline) -> None:
    """Raise SettingsError for patches where ReferenceNet does not see the texture map."""
    if settings.mannequin.patches and pipeline.config.reference_input != "texture":
        raise SettingsError(
            "mannequin.patches teaches to look at the texture map, and this network's ReferenceNet"
            f" sees the {pipeline.config.reference_input}: set it to 0"
        )


def check_correspondence(options: TrainSettings, pipeline: MCLDPipeline) -> None:
    """Raise SettingsError where attention's places in the reference cannot be told."""
    if not options.correspondence:
        return
    if pipeline.config.reference_input != "texture":
        raise SettingsError(
            "train.correspondence tells where to look in the texture map, and this network's"
            f" ReferenceNet sees the {pipeline.config.reference_input}: set it to 0"
        )
    if not pipeline.denoising_unet.finer_grids(1, 1):
        raise SettingsError(
            "train.correspondence is for the resolutions above the lowest, and this network has one"
            " alone: set it to 0"
        )


def check_ablation(settings: Settings, pipeline: MCLDPipeline) -> None:
    """Raise SettingsError when a network is asked to be what it was not trained to be."""
    for name in ("focal_conditions", "reference_input"):
        asked, found = getattr(settings.model, name), getattr(pipeline.config, name)
        if name in settings.model.model_fields_set and list(asked) != list(found):
            raise SettingsError(
                f"model.{name}: the network in {settings.train.start_from} was trained with {found}"
            )
    given = "pose_input" in settings.mannequin.model_fields_set
    textured = isinstance(pipeline.pose_guider, TexturedPoseGuider)
    if given and settings.mannequin.pose_input == "iuv" and textured:
        raise SettingsError(
            f"mannequin.pose_input: the network in {settings.train.start_from} was trained"
            " with textured: leave it out"
        )
