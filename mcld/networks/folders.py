"""Weights as they lie on a user's disk: the pretrained networks, and four files of MCLD's own.

    <pretrained>/stable-diffusion-v1-5/unet      the layout of both UNets, and where they start
    <pretrained>/control_v11p_sd15_seg           where the pose guider starts
    <pretrained>/sd-vae-ft-mse                   the autoencoder, frozen
    <pretrained>/image_encoder                   the image encoder, frozen

Each as diffusers and transformers write them, .safetensors or .bin.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from mcld import mannequin
from mcld.errors import WeightsError
from mcld.mannequin import autoencoder as _autoencoder  # noqa: F401 - diffusers loads what is imported
from mcld.model import DenoisingUNet, ImageProjector, PoseGuider, ReferenceNet
from mcld.model.checkpoints import four_files, load_checkpoint, read_state_dict
from mcld.pipeline import MCLDPipeline, ddim_scheduler
from mcld.sampling.placement import steps_of
from mcld.settings import ModelSettings, Settings

EMBEDDED = Path(mannequin.__file__).parent / "weights"
"""The pipeline folder that comes with mcld: a small network trained on the mannequin world."""


def load_pipeline(folder: Path = EMBEDDED, **parts: nn.Module | None) -> MCLDPipeline:
    """Load a pipeline folder, as `save_pretrained` writes it, from disk only.

    parts: by their names, to be used in place of what the folder holds; None leaves one out.

    Raises WeightsError when the folder is missing, is no pipeline folder, or is damaged.
    """
    if not (folder / "model_index.json").is_file():
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
        reason = " ".join(str(error).split())
        raise WeightsError(f"cannot load the weights in {folder}: {reason}") from error
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module) and name not in parts:
            align(part)
    return pipeline


def align(module: nn.Module) -> None:
    """Copy all weights to memory that begins where PyTorch's own does.

    Weights that were just loaded lie as they did in their file, sometimes. On a CPU a matrix
    product rounds otherwise there, so that the same picture would differ from run to run.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone(memory_format=torch.preserve_format)


class Pretrained(NamedTuple):
    """One of the pretrained networks, and where it comes from."""

    name: str
    """What `mcld weights download` calls it."""
    folder: str
    """Below the pretrained folder, with its config.json."""
    stem: str
    """Of the weights file."""
    repository: str
    """On the Hugging Face hub."""
    inside: str = "."
    """Folder of the repository."""

    def weights_names(self) -> tuple[str, ...]:
        """The names its weights file may have, the best first."""
        stems = [self.stem, "pytorch_model"] if self.stem == "model" else [self.stem]
        return tuple(stem + suffix for stem in stems for suffix in (".safetensors", ".bin"))


TORCHVISION = {
    "inception": "inception_v3_google-0cc3c7bd.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
}
"""The networks that evaluation uses: names for `mcld weights` -> torchvision's file names."""


def torchvision_folders(pretrained: Path) -> tuple[Path, Path]:
    """Where their files may lie: the pretrained folder and torch's hub folder."""
    return pretrained, Path(torch.hub.get_dir()) / "checkpoints"


UNET = Pretrained(
    "unet",
    "stable-diffusion-v1-5/unet",
    "diffusion_pytorch_model",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "unet",
)
VAE = Pretrained("vae", "sd-vae-ft-mse", "diffusion_pytorch_model", "stabilityai/sd-vae-ft-mse")
CONTROLNET = Pretrained(
    "controlnet",
    "control_v11p_sd15_seg",
    "diffusion_pytorch_model",
    "lllyasviel/control_v11p_sd15_seg",
)
IMAGE_ENCODER = Pretrained(
    "image-encoder",
    "image_encoder",
    "model",
    "lambdalabs/sd-image-variations-diffusers",
    "image_encoder",
)


def weights_file(root: Path, source: Pretrained) -> Path:
    """The weights file of a pretrained network, whose config.json lies beside it.

    Raises WeightsError, with the command that brings what is missing.
    """
    folder = root / source.folder
    names = source.weights_names()
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    needed = [] if source is CONTROLNET or (folder / "config.json").is_file() else ["config.json"]
    if found is None:
        raise _missing(root, source, [f"{names[0]} (or .bin)", *needed])
    if needed:
        raise _missing(root, source, needed)
    return found


def unet_config(root: Path) -> dict[str, Any]:
    """The configuration of both UNets. Raises WeightsError when it is missing or damaged."""
    path = root / UNET.folder / "config.json"
    if not path.is_file():
        raise _missing(root, UNET, ["config.json"])
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config["cross_attention_dim"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{path} is no UNet's configuration: {error}") from error
    return config


def frozen_parts(root: Path, width: int) -> dict[str, Any]:
    """The pipeline's parts that are never trained: vae, image_encoder and feature_extractor.

    width: of the UNets' context, which the embeddings must have.

    Raises WeightsError for what is missing, damaged, or does not fit.
    """
    for source in (VAE, IMAGE_ENCODER):
        weights_file(root, source)
    vae = _loaded(AutoencoderKL, root / VAE.folder)
    image_encoder = _loaded(CLIPVisionModelWithProjection, root / IMAGE_ENCODER.folder)
    embedded = image_encoder.config.projection_dim
    if embedded != width:
        raise WeightsError(
            f"{root / IMAGE_ENCODER.folder} gives embeddings of {embedded} numbers, where the UNet"
            f" reads {width}: it is not that of {IMAGE_ENCODER.repository}"
        )
    return {
        "vae": vae.requires_grad_(False),
        "image_encoder": image_encoder.requires_grad_(False),
        "feature_extractor": CLIPImageProcessor(),
    }


def load_weights(folder: Path, settings: Settings) -> MCLDPipeline:
    """The pipeline in a folder: as diffusers writes it, or four files in the authors' layout.

    Four files bring no encoders. They are taken from the output folder of `mcld train` that theirs
    lies in, as `weights` or as a checkpoint, or else from `sample.pretrained`.

    Raises WeightsError when something is missing, damaged, or does not fit.
    """
    if (folder / "model_index.json").is_file() or not any(four_files(folder).values()):
        return load_pipeline(folder)
    run = folder.resolve().parent
    beside = (run / "pipeline", run.parent / "start")  # of weights/, and of a checkpoint
    places = (*beside, settings.sample.pretrained)  # which may be a pipeline folder as well
    found = next((place for place in places if (place / "model_index.json").is_file()), None)
    pipeline = load_pipeline(found) if found else _pipeline_of(folder, settings)
    load_checkpoint(pipeline.network, folder)
    return pipeline


def chosen_pipeline(
    weights: Path | None, settings: Settings, say: Callable[[str], None]
) -> MCLDPipeline:
    """The pipeline in a folder, or, when none is chosen, the embedded one, which is said in a line.

    say: also told when `sample` departs from the size, steps or guidance that it was saved with.

    Raises WeightsError as `load_weights` does.
    """
    if weights is not None:
        return load_weights(weights, settings)
    say("Using the embedded mannequin network; give --weights for your own.")
    pipeline = load_pipeline()
    options, saved = settings.sample, pipeline.config
    height, width = pipeline.picture_size(None, None)
    made_for = (height, width, saved.num_inference_steps, saved.guidance_scale)
    asked = (
        *pipeline.picture_size(options.height, options.width),
        steps_of(pipeline, options),
        options.guidance_scale or saved.guidance_scale,
    )
    if asked != made_for:
        say(
            f"It was made for {height}x{width}, num_inference_steps={saved.num_inference_steps},"
            f" guidance_scale={saved.guidance_scale:g}: with other values its pictures are worse."
        )
    return pipeline


def _pipeline_of(folder: Path, settings: Settings) -> MCLDPipeline:
    """A pipeline of the layout of the four files in `folder`, whose weights are not loaded yet."""
    root = settings.sample.pretrained
    if not root.is_dir():
        raise WeightsError(
            f"{folder} holds four files of weights, which need the autoencoder and the image"
            f" encoder of {root}, and there is no such folder: set sample.pretrained"
        )
    config = unet_config(root)
    pose_guider = _empty_pose_guider(folder)
    return MCLDPipeline(
        **frozen_parts(root, config["cross_attention_dim"]),
        denoising_unet=DenoisingUNet.from_config(config),
        reference_unet=ReferenceNet.from_config(config),
        pose_guider=pose_guider,
        image_projector=_empty_image_projector(folder, settings.model),
        scheduler=ddim_scheduler(
            settings.scheduler.beta_schedule,
            settings.scheduler.beta_start,
            settings.scheduler.beta_end,
        ),
        focal_conditions=list(settings.model.focal_conditions),
        reference_input=settings.model.reference_input,
        pose_resample="nearest" if pose_guider.config.textured else "bicubic",
    )


def guider_channels(weights: dict[str, Tensor]) -> tuple[int, ...]:
    """Widths of the pose guider, or of a ControlNet's conditioning embedding, full size first.

    Raises KeyError when a layer is missing.
    """
    return tuple(len(weights[f"{name}.bias"]) for name in ("conv_in", *_WIDENING))


_WIDENING = ("blocks.1", "blocks.3", "blocks.5")
_AUTHORS_HEAD = 64
"""Width of a head in the authors' image projector."""


def _empty_pose_guider(folder: Path) -> PoseGuider:
    path = four_files(folder)["pose_guider"]
    weights = read_state_dict(path) if path else {}
    try:
        guider: PoseGuider = PoseGuider(
            len(weights["conv_out.bias"]),
            guider_channels(weights),
            textured="patch_embedding.weight" in weights,
        )
    except KeyError as error:
        raise WeightsError(f"{path or folder} is no pose guider: it lacks {error}") from error
    return guider


def _empty_image_projector(folder: Path, model: ModelSettings) -> ImageProjector:
    """Of the widths of the file. It does not tell heads: as set, else as wide as the authors'."""
    path = four_files(folder)["image_projector"]
    weights = read_state_dict(path) if path else {}
    try:
        dim, embedding_dim = weights["proj_in.weight"].shape
        inner = len(weights["layers.0.0.to_q.weight"])
        told = "projector_heads" in model.model_fields_set or inner % _AUTHORS_HEAD
        heads = model.projector_heads if told else inner // _AUTHORS_HEAD
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


def _missing(root: Path, source: Pretrained, names: list[str]) -> WeightsError:
    return WeightsError(
        f"{root / source.folder} lacks {' and '.join(names)}: mcld weights download {source.name}"
    )


def _loaded(kind: Any, folder: Path) -> Any:
    try:
        module = kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"cannot load the weights in {folder}: {reason}") from error
    align(module)
    return module
