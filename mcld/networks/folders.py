"""Weights in folders: pipelines as diffusers writes them, and four files in the authors' layout."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from mcld.errors import WeightsError
from mcld.machine.tensor_files import explain_unreadable, read_state_dict
from mcld.mannequin import autoencoder, refiner  # noqa: F401 - diffusers loads what is imported
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.model import DenoisingUNet, ImageProjector, PoseGuider, ReferenceNet
from mcld.model_card import INDEX
from mcld.networks.checkpoints import load_checkpoint
from mcld.networks.names import four_files
from mcld.networks.places import EMBEDDED, find_folder, find_pipeline
from mcld.networks.stable_diffusion import align_weights, load_frozen_parts, read_unet_config
from mcld.pipeline import MCLDPipeline, ddim_scheduler
from mcld.settings import ModelSettings, Settings


def load_pipeline(folder: Path = EMBEDDED, **parts: nn.Module | None) -> MCLDPipeline:
    """Load a pipeline folder, as `save_pretrained` writes it, from disk only.

    parts: by their names, to be used in place of what the folder holds; None leaves one out.

    Raises WeightsError when the folder is missing, is no pipeline folder, or is damaged.
    """
    if not (folder / INDEX).is_file():
        raise WeightsError(
            f"{folder} is no pipeline folder: it "
            + ("has no model_index.json" if folder.is_dir() else "does not exist")
            + "; give the `pipeline` or `weights` folder that `mcld train` wrote"
        )
    try:
        pipeline: MCLDPipeline = MCLDPipeline.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, **parts
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(explain_unreadable(folder, error)) from error
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module) and name not in parts:
            align_weights(part)
    return pipeline


def load_weights(folder: Path, settings: Settings) -> MCLDPipeline:
    """The pipeline in a folder: as diffusers writes it, or four files in the authors' layout.

    folder: may also be a repository's id on the Hugging Face hub: see `find_network`.

    Four files bring no encoders. They are taken from the output folder of `mcld train` that theirs
    lies in, as `weights` or as a checkpoint, or else from `sample.pretrained`.

    Raises WeightsError when something is missing, damaged, or does not fit, and under
    `prepare.commercial` for the paper's authors' network.
    """
    folder = find_folder(folder, settings)
    found = find_pipeline(folder, settings)
    if found == folder or not any(four_files(folder).values()):
        return load_pipeline(folder)
    pipeline = load_pipeline(found) if found else _make_empty_pipeline(folder, settings)
    load_checkpoint(pipeline.network, folder)
    return pipeline


def _make_empty_pipeline(folder: Path, settings: Settings) -> MCLDPipeline:
    """A pipeline of the layout of the four files in `folder`, whose weights are not loaded yet."""
    root = settings.sample.pretrained
    if not root.is_dir():
        raise WeightsError(
            f"{folder} holds four files of weights, which need the autoencoder and the image"
            f" encoder of {root}, and there is no such folder: set sample.pretrained"
        )
    config = read_unet_config(root)
    pose_guider = _make_pose_guider(folder)
    return assemble_pipeline(
        settings,
        **load_frozen_parts(root, config["cross_attention_dim"]),
        denoising_unet=DenoisingUNet.from_config(config),
        reference_unet=ReferenceNet.from_config(config),
        pose_guider=pose_guider,
        image_projector=_make_image_projector(folder, settings.model),
        pose_resample=pose_guider.resample,
    )


def assemble_pipeline(settings: Settings, **parts: Any) -> MCLDPipeline:
    """A pipeline of these parts and facts, with the conditions and the noise schedule set."""
    return MCLDPipeline(
        **parts,
        scheduler=ddim_scheduler(
            settings.scheduler.beta_schedule,
            settings.scheduler.beta_start,
            settings.scheduler.beta_end,
        ),
        focal_conditions=list(settings.model.focal_conditions),
        reference_input=settings.model.reference_input,
    )


def read_guider_channels(weights: dict[str, Tensor]) -> tuple[int, ...]:
    """Widths of the pose guider, or of a ControlNet's conditioning embedding, full size first.

    Raises KeyError when a layer is missing.
    """
    return tuple(len(weights[f"{name}.bias"]) for name in ("conv_in", *_WIDENING))


_WIDENING = ("blocks.1", "blocks.3", "blocks.5")
_AUTHORS_HEAD = 64
"""Width of a head in the authors' image projector."""


def _make_pose_guider(folder: Path) -> PoseGuider:
    path = four_files(folder)["pose_guider"]
    weights = read_state_dict(path) if path else {}
    kind = TexturedPoseGuider if "patch_embedding.weight" in weights else PoseGuider
    try:
        guider: PoseGuider = kind(len(weights["conv_out.bias"]), read_guider_channels(weights))
    except KeyError as error:
        raise WeightsError(f"{path or folder} is no pose guider: it lacks {error}") from error
    return guider


def _make_image_projector(folder: Path, model: ModelSettings) -> ImageProjector:
    """Of the file's widths, which do not tell heads: as set, else as wide as the authors'."""
    path = four_files(folder)["image_projector"]
    weights = read_state_dict(path) if path else {}
    try:
        dim, embedding_dim = weights["proj_in.weight"].shape
        inner = len(weights["layers.0.0.to_q.weight"])
        is_set = "projector_heads" in model.model_fields_set or inner % _AUTHORS_HEAD
        heads = model.projector_heads if is_set else inner // _AUTHORS_HEAD
        projector: ImageProjector = ImageProjector(
            dim=dim,
            depth=len({key.split(".")[1] for key in weights if key.startswith("layers.")}),
            dim_head=inner // heads,
            heads=heads,
            num_queries=weights["latents"].shape[1],
            embedding_dim=embedding_dim,
            output_dim=len(weights["proj_out.weight"]),
            ff_mult=len(weights["layers.0.1.1.weight"]) // dim,
        )
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path or folder} is no image projector: {error}") from error
    return projector
