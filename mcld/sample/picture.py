"""One picture: a photo and a target pose in, the person in that pose out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mcld.dataset.pictures import coloured_iuv, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.networks.folders import chosen_pipeline
from mcld.person import Person, PersonReader
from mcld.pipeline import MCLDPipeline
from mcld.sample.attention import attention_sheet, write_attention
from mcld.sample.request import PictureRequest
from mcld.sampling.placement import chosen_device, memory_explained, place, steps_of
from mcld.sampling.record import hash_of, how_sampled, png_text
from mcld.settings import SampleSettings, Settings

_CELL = 384
"""Height of one picture on the sheet, pixels."""


def sample_picture(
    request: PictureRequest,
    settings: Settings,
    *,
    say: Callable[[str], None],
    on_step: Callable[[int, int], None],
) -> list[Path]:
    """Repaint the person of `request.source`; return the files written.

    A picture has the source's width and height, and carries how it was made as text metadata.

    Args:
        request: what to sample.
        settings: `sample`, `scheduler` and the weights of `prepare`'s estimators count.
        say: told, in one line each, what the user should know.
        on_step: called with (steps done, steps to do).

    Raises:
        InputError, WeightsError, SettingsError or MCLDError: before anything is written, but for a
            disk that fills up, on which the files that were written stay.
    """
    options = settings.sample
    request.check(options.seed)
    seeds = request.seeds(options.seed)
    device = chosen_device(options)
    # The estimators would share the GPU with the network.
    reader = PersonReader(settings.prepare, "cpu" if options.low_memory else str(device), say)
    person = reader.person(request.source)
    iuv = reader.pose(request.pose, request.pose_kind)
    pipeline = chosen_pipeline(request.weights, settings, say)
    weights = hash_of(pipeline)
    place(pipeline, settings, device)
    if options.compile:
        say("Compiling the network: its first picture takes minutes longer.")

    record = {
        "source": str(request.source),
        "pose": str(request.pose),
        "seed": options.seed,
        "weights": weights,
        **how_sampled(pipeline, options),
    }
    steps = record["num_inference_steps"]
    on_step(0, request.count * steps)
    pictures = []
    recorder = None
    with memory_explained(options, pipeline):
        for k, seed in enumerate(seeds):
            watched = request.attention_maps and seed == seeds[-1]
            recording = pipeline.denoising_unet.recorded_attention() if watched else nullcontext()

            def step_done(done: int, _: int, before: int = k * steps) -> None:
                on_step(before + done, request.count * steps)

            changed = options.model_copy(update={"seed": seed})
            with recording as recorder:
                pictures.append(sample(pipeline, changed, person, iuv, step_done))

    written = [request.picture(seed) for seed in seeds]
    size, cubic = person.photo.size, Image.Resampling.BICUBIC
    for path, seed, picture in zip(written, seeds, pictures, strict=True):
        text = png_text({**record, "seed": seed})
        write_png(path, np.asarray(picture.resize(size, cubic)), text)
    pose = Image.fromarray(coloured_iuv(iuv))
    if request.sheet:
        columns = ["source", "pose", "texture", *(f"result, seed {seed}" for seed in seeds)]
        results = [picture.resize(size, cubic) for picture in pictures]
        row = [person.photo, pose, person.texture, *results]
        cell = (max(round(_CELL * size[0] / size[1]), _CELL // 2), _CELL)
        written.append(request.beside("sheet"))
        write_png(written[-1], contact_sheet(columns, [row], cell), png_text(record))
    if recorder is not None:
        latents = pictures[-1].height // 8, pictures[-1].width // 8
        written.append(request.beside("attention"))
        seen = person.photo if pipeline.config.reference_input == "source" else person.texture
        sheet = attention_sheet(recorder, latents, pictures[-1], seen)
        write_png(written[-1], sheet, png_text(record))
        written.append(request.out.with_name(f"{request.out.stem}-attention.npz"))
        write_attention(written[-1], recorder)
    return written


def sample(
    pipeline: MCLDPipeline,
    options: SampleSettings,
    person: Person,
    iuv: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
) -> Image.Image:
    """One picture of the network's size, its starting noise drawn from `sample.seed`.

    Args:
        pipeline: the network, in its place.
        options: seed, steps, guidance and size count.
        person: the source.
        iuv: the target pose, uint8 [H, W, 3] (I, U, V).
        on_step: called with (steps done, steps to do).
    """
    steps = steps_of(pipeline, options)

    def after_step(
        _: MCLDPipeline, step: int, __: int, state: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        on_step(step + 1, steps)
        return state

    picture: Image.Image
    (picture,) = pipeline(
        person.photo,
        person.texture,
        Image.fromarray(np.ascontiguousarray(iuv[..., ::-1])),
        person.face[None],
        height=options.height,
        width=options.width,
        num_inference_steps=steps,
        guidance_scale=options.guidance_scale,
        generator=torch.Generator().manual_seed(options.seed),
        callback_on_step_end=after_step,
        return_dict=False,
    )[0]
    return picture
