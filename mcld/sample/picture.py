"""One picture: a photo and a target pose in, the person in that pose out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import read_face, read_image, read_iuv, write_png
from mcld.errors import InputError, SettingsError
from mcld.files import check_writable
from mcld.pipeline import EMBEDDED
from mcld.pretrained import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mcld.pipeline import MCLDPipeline
    from mcld.settings import Settings


def sample_picture(
    settings: Settings,
    *,
    source: Path,
    pose: Path,
    out: Path,
    weights: Path | None,
    say: Callable[[str], None],
    on_step: Callable[[int, int], None],
) -> None:
    """Repaint the person of `source` in `pose`, and write the picture to `out`.

    Args:
        settings: `sample` and `scheduler` count.
        source: a picture of a prepared dataset; its texture map and face embedding lie beside it.
        pose: the target IUV map, of any size.
        out: a PNG, of the source's width and height.
        weights: a pipeline folder, or one of the four files of the authors' layout; None for the
            embedded network.
        say: told, in one line each, what the user should know.
        on_step: called with (steps done, steps to do).

    Raises:
        InputError, WeightsError, SettingsError or MCLDError: nothing is then written.
    """
    if out.suffix.lower() != ".png":
        raise SettingsError(f"--out {out}: the picture is written as PNG; name it .png")
    check_writable(out)
    photo = Image.fromarray(read_image(source))
    texture, face = conditions_beside(source)
    if not face.any():
        say(f"No face embedding lies beside {source.name}: whose face it is, is left open.")
    target = read_iuv(pose)
    if not target[..., 0].any():
        raise InputError(f"{pose} shows nobody: all its part labels are 0")
    if weights is None:
        say("Using the embedded mannequin network; give --weights for your own.")
    picture = sample(
        load_weights(weights or EMBEDDED, settings),
        settings,
        photo=photo,
        texture=texture,
        iuv=target,
        face=face,
        on_step=on_step,
    )
    write_png(out, np.asarray(picture.resize(photo.size, Image.Resampling.BICUBIC)))


def conditions_beside(source: Path) -> tuple[Image.Image, torch.Tensor]:
    """The texture map and the face embedding [512] prepared for a picture; zeros for no face.

    Raises InputError when the picture lies in no prepared dataset, or has no texture map there.
    """
    found = DatasetLayout.beside(source)
    if found is None:
        raise InputError(
            f"{source} lies in no prepared dataset, so its texture map is not known: give a picture"
            " of a folder that `mcld prepare` wrote, such as dataset/mannequin/test/NAME.jpg"
        )
    layout, split, stem = found
    texture = layout.texture(split, stem)
    if not texture.exists():
        raise InputError(f"{texture} is missing: run `mcld prepare` on {layout.root} again")
    face = layout.face(split, stem)
    embedding = torch.from_numpy(read_face(face)) if face.exists() else torch.zeros(512)
    return Image.fromarray(read_image(texture)), embedding


def sample(
    pipeline: MCLDPipeline,
    settings: Settings,
    *,
    photo: Image.Image,
    texture: Image.Image,
    iuv: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    face: torch.Tensor,
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
) -> Image.Image:
    """One picture of the network's size, its starting noise drawn from `sample.seed`.

    Args:
        pipeline: the network.
        settings: `sample` and, where given, `scheduler` count.
        photo: the source, RGB; texture: its texture map, RGB; face: [512], zeros for none.
        iuv: the target pose, uint8 [H, W, 3] (I, U, V).
        on_step: called with (steps done, steps to do).
    """
    options = settings.sample
    given = settings.scheduler.model_dump(include=settings.scheduler.model_fields_set)
    given.pop("train_beta_schedule", None)
    if given:  # else the schedule that the weights were saved with
        scheduler = pipeline.scheduler
        pipeline.scheduler = scheduler.from_config(scheduler.config, **given)
    steps = options.num_inference_steps or pipeline.config.num_inference_steps
    pipeline.set_progress_bar_config(disable=True)

    def after_step(
        _: MCLDPipeline, step: int, __: int, state: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        on_step(step + 1, steps)
        return state

    picture: Image.Image
    (picture,) = pipeline(
        photo,
        texture,
        Image.fromarray(np.ascontiguousarray(iuv[..., ::-1])),
        face[None],
        height=options.height,
        width=options.width,
        num_inference_steps=steps,
        guidance_scale=options.guidance_scale,
        generator=torch.Generator().manual_seed(options.seed),
        callback_on_step_end=after_step,
        return_dict=False,
    )[0]
    return picture
