"""One picture: a photo and a target pose in, the person in that pose out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mcld.dataset.outputs import hash_content
from mcld.dataset.pictures import colour_iuv, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.machine.threads import limit_threads
from mcld.model.attention import AttentionRecorder
from mcld.networks.places import read_face_embedder
from mcld.person import PersonReader, warn_of_no_face
from mcld.person_check import name_files
from mcld.sample.attention import draw_attention_sheet, write_attention, write_attention_sheet
from mcld.sample.request import PictureRequest
from mcld.sampling.background import finish_pictures
from mcld.sampling.device import choose_device
from mcld.sampling.open import open_pipeline
from mcld.sampling.paint import OnStep, as_images, paint, read_inputs
from mcld.sampling.placement import explain_memory
from mcld.sampling.record import make_provenance
from mcld.settings import Settings

_CELL = 384
"""Height of one picture on the sheet, pixels."""


def sample_picture(
    request: PictureRequest,
    settings: Settings,
    *,
    say: Callable[[str], None],
    on_step: OnStep,
) -> list[Path]:
    """Repaint the person of `request.sources`; return the files written.

    A picture has the first source's width and height, and carries how it was made as text metadata.

    Args:
        request: what to sample.
        settings: `sample`, `scheduler` and the weights of `prepare`'s estimators count.
        say: told, in one line each, what the user should know.
        on_step: called with (steps done, steps to do).

    Raises:
        InputError, WeightsError, SettingsError or MCLDError: before anything is written, but for a
            disk that fills up, on which the files that were written stay.
    """
    device = choose_device(settings.sample)
    # The estimators would share the GPU with the network.
    place = "cpu" if settings.sample.low_memory else str(device)
    embedder = read_face_embedder(request.weights, settings)
    reader = PersonReader(settings.prepare, place, say, embedder)
    person = reader.gather(request.sources, request.source_poses)
    warn_of_no_face(person, say)
    iuv = reader.pose_of(person, request.pose, request.pose_kind)
    opened = open_pipeline(request.weights, settings, device, say)
    pipeline, options = opened.pipeline, opened.options
    if settings.sample.compile:
        say("Compiling the network: its first picture takes minutes longer.")

    seeds = request.seeds
    if len(seeds) > 1 and options.num_inference_steps == 1:
        say("One step makes nearly the same picture of every seed: this network has no variety.")
    on_step(0, len(seeds) * options.num_inference_steps)
    recorder = AttentionRecorder()
    memory = explain_memory(settings.sample, options, device)
    with memory, limit_threads(settings.sample.threads):
        with torch.no_grad():
            conditions = pipeline.conditions(read_inputs(pipeline, [person], iuv, options))
        pictures = []
        for k, seed in enumerate(seeds):
            last = k == len(seeds) - 1
            with pipeline.denoising_unet.record_attention(
                recorder if request.attention_maps and last else None
            ):

                def count(done: int, steps: int, before: int = k) -> None:
                    on_step(before * steps + done, len(seeds) * steps)

                painted = paint(pipeline, conditions, options, [seed], on_step=count)
                pictures += as_images(painted)

    read = [*request.sources, *request.source_poses, request.pose]
    record = {
        "source": name_files(request.sources),
        "pose": request.pose.name,
        **({"source_pose": name_files(request.source_poses)} if request.source_poses else {}),
        "files": [[file.name, found] for file in read if (found := hash_content(file))],
        **reader.record(),
        "seed": request.seed,
        "weights": opened.weights,
        **options.record(),
    }
    size = person.photo.size
    results = finish_pictures(pictures, person, iuv, options)
    written = [request.picture(seed) for seed in seeds]
    for path, seed, result in zip(written, seeds, results, strict=True):
        made = make_provenance({**record, "seed": seed}, opened.signer)
        write_png(path, np.asarray(result), made)
    provenance = make_provenance(record, opened.signer)
    if request.sheet:
        columns = ["source", "pose", "texture", *(f"result, seed {seed}" for seed in seeds)]
        row = [person.photo, Image.fromarray(colour_iuv(iuv)), person.texture, *results]
        cell = (max(round(_CELL * size[0] / size[1]), _CELL // 2), _CELL)
        written.append(request.beside("sheet"))
        write_png(written[-1], contact_sheet(columns, [row], cell), provenance)
    if request.attention_maps:
        latents = options.height // 8, options.width // 8
        seen = person.photo if options.reference_input == "source" else person.texture
        sheet, numbers = request.attention_files
        drawn = draw_attention_sheet(recorder, latents, pictures[-1], seen)
        write_attention_sheet(sheet, drawn, provenance)
        write_attention(numbers, recorder)
        written += request.attention_files
    return written
