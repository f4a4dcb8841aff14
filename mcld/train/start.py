"""Where training starts: a pipeline folder, its encoders made or taken, its network new or not."""

from pathlib import Path
from typing import Any

import torch

from mcld.dataset.layout import DatasetLayout
from mcld.mannequin.encoders import fit_autoencoder, fit_image_encoder
from mcld.mannequin.network import new_network
from mcld.mannequin.pose_guider import TexturedPoseGuider
from mcld.networks.folders import assemble_pipeline, load_pipeline
from mcld.pipeline import SCALE_FACTOR, MCLDPipeline
from mcld.settings import Settings, TrainSettings
from mcld.train.checks import check_ablation, check_correspondence
from mcld.train.finish import save_pipeline
from mcld.train.finite import check_weights
from mcld.train.pretrained import load_pretrained
from mcld.train.report import Report, count_stage


def make_start(
    settings: Settings,
    layout: DatasetLayout,
    stems: list[str],
    folder: Path,
    device: torch.device,
    report: Report,
) -> None:
    """Write the pipeline folder that training starts from, with its frozen encoders.

    Its network is that of `train.start_from`, or of Stable Diffusion in `train.pretrained`, or a
    new one of `mannequin`'s widths, whose encoders are trained on the pictures `stems` on `device`.

    Raises SettingsError, InputError, WeightsError or MCLDError for what the user can mend.
    """
    if settings.train.start_from:
        pipeline = load_pipeline(settings.train.start_from)
        check_weights(pipeline, str(settings.train.start_from))
        check_ablation(settings, pipeline)
        _keep_sampling(pipeline, settings)
    elif settings.train.pretrained:
        root, seed = settings.train.pretrained, settings.train.seed
        pipeline = make_pipeline(settings, **load_pretrained(root, settings.model, seed))
        check_weights(pipeline, str(root))
    else:
        pipeline = new_pipeline(settings)
        check_correspondence(settings.train, pipeline)  # before the encoders are trained
        _fit_encoders(pipeline, settings, layout, stems, device, report)
    plain = not isinstance(pipeline.pose_guider, TexturedPoseGuider)
    if settings.mannequin.pose_input == "textured" and plain:
        guider = TexturedPoseGuider.from_plain(pipeline.pose_guider)
        pipeline.register_modules(pose_guider=guider)
        pipeline.register_to_config(pose_resample=guider.resample)
    _keep_size(pipeline, settings.train)
    save_pipeline(pipeline, folder, settings)


def new_pipeline(settings: Settings) -> MCLDPipeline:
    """A pipeline of `settings.mannequin`'s widths with random weights, drawn from `train.seed`.

    Raises SettingsError when the widths do not fit together.
    """
    network = new_network(settings.mannequin, settings.model, settings.train.seed)
    return make_pipeline(settings, **network)


def make_pipeline(settings: Settings, **parts: Any) -> MCLDPipeline:
    """A pipeline of these parts and facts that samples as the settings say."""
    pipeline = assemble_pipeline(settings, **parts)
    pipeline.register_to_config(face_embedder=DatasetLayout(settings.train.dataset).face_embedder)
    _keep_sampling(pipeline, settings)
    _keep_size(pipeline, settings.train)
    return pipeline


def _fit_encoders(
    pipeline: MCLDPipeline,
    settings: Settings,
    layout: DatasetLayout,
    stems: list[str],
    device: torch.device,
    report: Report,
) -> None:
    pipeline.vae.to(device)
    pipeline.image_encoder.to(device)
    options = settings.train
    fit_autoencoder(
        pipeline,
        layout,
        stems,
        (options.height, options.width),
        images=settings.mannequin.decoder_images,
        seed=options.seed,
        on_image=count_stage(report, "Training the autoencoder"),
    )
    fit_image_encoder(
        pipeline,
        layout,
        stems,
        images=settings.mannequin.image_encoder_images,
        seed=options.seed,
        on_image=count_stage(report, "Training the image encoder"),
    )


def _keep_size(pipeline: MCLDPipeline, options: TrainSettings) -> None:
    """Let the network sample at the size it is trained at, when it is not told another."""
    size = options.height // SCALE_FACTOR, options.width // SCALE_FACTOR
    for unet in (pipeline.denoising_unet, pipeline.reference_unet):
        unet.register_to_config(sample_size=size)


def _keep_sampling(pipeline: MCLDPipeline, settings: Settings) -> None:
    """Let the network sample and edit as the settings say, where they say anything."""
    said = {
        "num_inference_steps": settings.sample.num_inference_steps,
        "guidance_scale": settings.sample.guidance_scale,
        "edit_strength": settings.edit.strength,
        "keep": settings.sample.keep,
    }
    pipeline.register_to_config(**{name: v for name, v in said.items() if v is not None})
