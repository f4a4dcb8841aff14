"""Trained networks, written: as pipeline folders, and in the authors' four files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from mcld.errors import MCLDError
from mcld.machine.files import write_folder_whole
from mcld.networks.checkpoints import save_authors_files, select_part
from mcld.pipeline import MCLDPipeline
from mcld.settings import Settings
from mcld.train.trackers import make_record, write_record


def save_trained(
    pipeline: MCLDPipeline, weights: dict[str, torch.Tensor], settings: Settings
) -> None:
    """Write the trained network: as a pipeline folder, and as the authors' four files.

    weights: of the whole network, of which sharding has left a process a share. They replace the
    pipeline's own.
    """
    for name in dict(pipeline.network.named_children()):
        part = pipeline.components[name]
        with torch.device("meta"):
            whole = type(part).from_config(part.config)
        own = {k: w.cpu().contiguous() for k, w in select_part(weights, name).items()}
        whole.load_state_dict(own, assign=True)
        pipeline.register_modules(**{name: whole})
    round_weights(pipeline, settings.train.save_dtype)
    with write_folder_whole(settings.train.output / "weights") as temporary:
        save_authors_files(pipeline.network.state_dict(), temporary)
        write_record(temporary, make_record(settings))
    save_pipeline(pipeline, settings.train.output / "pipeline", settings)


def round_weights(pipeline: MCLDPipeline, save_dtype: str) -> None:
    """Bring all networks to the precision that they are written in: "float32" or "float16"."""
    for part in (pipeline.network, pipeline.vae, pipeline.image_encoder, pipeline.refiner):
        if part is not None and save_dtype == "float16":
            part.half()


def save_pipeline(pipeline: MCLDPipeline, folder: Path, settings: Settings) -> None:
    """Write the pipeline folder of a training, with how it came about beside the weights.

    Raises MCLDError when it cannot be written or the disk is full.
    """
    write_pipeline(pipeline, folder, make_record(settings))


def write_pipeline(pipeline: MCLDPipeline, folder: Path, record: Mapping[str, Any]) -> None:
    """Write the pipeline folder, and a record of how it came about.

    Raises MCLDError when it cannot be written or the disk is full.
    """
    with write_folder_whole(folder) as temporary:
        try:
            pipeline.save_pretrained(temporary)
        except SafetensorError as error:  # how safetensors says that the disk is full
            raise MCLDError(f"cannot write {folder}: {error}") from error
        write_record(temporary, record)
