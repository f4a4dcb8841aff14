"""One picture: a photo and a target pose in, the person in that pose out."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from mcld.dataset.pictures import coloured_iuv, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.errors import SettingsError
from mcld.files import check_writable
from mcld.person import PersonReader
from mcld.pipeline import EMBEDDED
from mcld.placement import chosen_device, memory_explained, place, steps_of
from mcld.pretrained import load_weights
from mcld.record import hash_of, how_sampled, png_text
from mcld.sample.attention import attention_sheet, write_attention

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mcld.person import Person, PoseKind
    from mcld.pipeline import MCLDPipeline
    from mcld.settings import SampleSettings, Settings

_CELL = 384
"""Height of one picture on the sheet, pixels."""


@dataclass(frozen=True)
class PictureRequest:
    """What to sample."""

    source: Path
    """Photo of the person."""
    pose: Path
    """IUV map of the target pose, or a photo of somebody in it."""
    out: Path
    """A PNG; of several pictures, each has its seed added to the name."""
    weights: Path | None = None
    """A pipeline folder, or one of the four files of the authors' layout; None: the embedded."""
    pose_kind: PoseKind = "auto"
    """What the pose file is."""
    count: int = 1
    """Pictures, of the seed and those after it."""
    sheet: bool = False
    """Write source, pose, texture and results side by side."""
    attention_maps: bool = False
    """Write where source, texture and face are looked at, in the last picture."""

    def picture(self, seed: int) -> Path:
        """The picture of a seed."""
        return self.out if self.count == 1 else self.beside(str(seed))

    def beside(self, what: str) -> Path:
        """A PNG beside `out`."""
        return self.out.with_name(f"{self.out.stem}-{what}.png")


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
    seeds = range(options.seed, options.seed + request.count)
    _check_out(request, seeds)
    device = chosen_device(options)
    # The estimators would share the GPU with the network.
    reader = PersonReader(settings.prepare, "cpu" if options.low_memory else str(device), say)
    person = reader.person(request.source)
    iuv = reader.pose(request.pose, request.pose_kind)
    if request.weights is None:
        say("Using the embedded mannequin network; give --weights for your own.")
    pipeline = load_weights(request.weights or EMBEDDED, settings)
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


def _check_out(request: PictureRequest, seeds: range) -> None:
    """Raise SettingsError or MCLDError where no picture should or can be written."""
    out = request.out
    if out.suffix.lower() != ".png":
        raise SettingsError(f"--out {out}: the picture is written as PNG; name it .png")
    inputs = (request.source.resolve(), request.pose.resolve())
    written = [*map(request.picture, seeds)]
    written += [request.beside("sheet")] if request.sheet else []
    written += [request.beside("attention")] if request.attention_maps else []
    for path in written:
        if path.resolve() in inputs:
            raise SettingsError(
                f"--out {out}: {path} is what the picture is made from; give another name"
            )
        check_writable(path)


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
