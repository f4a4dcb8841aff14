"""One edited picture, and the texture map to paint on."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mcld.dataset.pictures import read_painted, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.edit.edits import Edits, edit, edited_person, guesses, strength_of
from mcld.edit.request import EditRequest, check_export, content_hash
from mcld.edit.texture import GROUPS, check_texture
from mcld.machine.files import written_whole
from mcld.networks.folders import chosen_pipeline
from mcld.person import PersonReader, PosedPerson, no_face_known
from mcld.pipeline import MCLDPipeline
from mcld.sampling.placement import chosen_device, memory_explained, place
from mcld.sampling.record import hash_of, how_sampled, png_text
from mcld.settings import Settings
from mcld.surface.charts import smpl_labels

_CELL = 384
"""Height of one picture on the sheet, pixels."""
REMEMBERED = 32
"""People that a run keeps in memory, of those it has read."""


def edit_picture(
    request: EditRequest,
    weights: Path | None,
    settings: Settings,
    *,
    sheet: bool = False,
    say: Callable[[str], None],
    on_step: Callable[[int, int], None],
) -> list[Path]:
    """Make one edit; return the files written. An interpolation is one picture, a strip.

    Args:
        request: the edit.
        weights: a pipeline folder, or one with the four files of the authors' layout; None: the
            embedded.
        settings: `sample`, `scheduler`, `edit` and the weights of `prepare`'s estimators count.
        sheet: also write source, donors, edited texture and result side by side.
        say: told, in one line each, what the user should know.
        on_step: called with (steps done, steps to do).

    Raises InputError, WeightsError, SettingsError or MCLDError, before anything is written but for
    a disk that fills up.
    """
    request.check()
    request.check_files(sheet=sheet)
    options = settings.sample
    if request.seed is not None:
        options = options.model_copy(update={"seed": request.seed})
    device = chosen_device(options)
    reader = PersonReader(settings.prepare, "cpu" if options.low_memory else str(device), say)
    source, edits = read_edit(request, reader, lru_cache(REMEMBERED)(reader.posed))
    edited = edited_person(source, edits)  # what is wrong with it is known before networks load
    if request.face is None and not source.has_face:
        say(no_face_known(source.name))
    for guess in guesses(source, edits):
        say(guess)
    if request.changes_nothing:
        say("No edit is given: the person is repainted as they are.")
    pipeline = chosen_pipeline(weights, settings, say)
    told = {"seed": options.seed, "weights": hash_of(pipeline)}
    place(pipeline, settings, device)
    record = {**request.told(content_hash), **told, **how_edited(pipeline, settings)}
    with memory_explained(options, pipeline):
        pictures = edit(
            pipeline, source, edits, options, strength=settings.edit.strength, on_step=on_step
        )
    write_png(request.out, np.asarray(strip(pictures)), png_text(record))
    written = [request.out]
    if sheet:
        written.append(request.sheet)
        columns = _sheet_columns(source, edits, edited.texture, pictures)
        width, height = source.photo.size
        cell = (max(round(_CELL * width / height), _CELL // 2), _CELL)
        picture = contact_sheet([*columns], [[*columns.values()]], cell)
        write_png(request.sheet, picture, png_text(record))
    return written


def read_edit(
    request: EditRequest, reader: PersonReader, posed: Callable[[Path], PosedPerson]
) -> tuple[PosedPerson, Edits]:
    """The source and the edits, with all their files read.

    posed: reads a person, `reader.posed` or one that remembers.

    Raises InputError for what cannot be read or shows nobody, and what the reader's estimators
    raise.
    """
    source, painted = posed(request.source), None
    if request.texture:
        painted = read_painted(request.texture)
        check_texture(painted, str(request.texture))
    return source, Edits(
        texture=painted,
        garments={group: posed(file) for group, file in request.garments().items()},
        face=posed(request.face) if request.face else None,
        recolor=request.colours(),
        interpolate=posed(request.interpolate) if request.interpolate else None,
        amounts=request.amounts(),
        pose=reader.pose(request.pose, request.pose_kind or "auto") if request.pose else None,
        keep_background=request.keep is not None,
    )


def how_edited(pipeline: MCLDPipeline, settings: Settings) -> dict[str, Any]:
    """Everything besides the edit, seed and weights that its picture depends on."""
    return {
        **how_sampled(pipeline, settings.sample),
        "strength": strength_of(pipeline, settings.edit.strength),
    }


def strip(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one size beside each other."""
    width, height = pictures[0].size
    whole = Image.new("RGB", (width * len(pictures), height))
    for k, picture in enumerate(pictures):
        whole.paste(picture, (k * width, 0))
    return whole


def _sheet_columns(
    source: PosedPerson, edits: Edits, texture: Image.Image, pictures: list[Image.Image]
) -> dict[str, Image.Image]:
    donors: dict[int, tuple[list[str], Image.Image]] = {}
    given = [*edits.garments.items(), ("face", edits.face), ("goal", edits.interpolate)]
    for name, donor in given:
        if donor is not None:
            donors.setdefault(id(donor), ([], donor.photo))[0].append(name)
    columns = {"source": source.photo}
    columns |= {", ".join(names): photo for names, photo in donors.values()}
    if edits.interpolate is None:
        return columns | {"edited texture": texture, "result": pictures[0]}
    columns["texture at the start"] = texture
    amounts = [f"{amount:.2g}" for amount in edits.amounts]
    return columns | {
        f"{k + 1}: {amount}": picture
        for k, (amount, picture) in enumerate(zip(amounts, pictures, strict=True))
    }


def export_texture(
    source: Path, out: Path, settings: Settings, *, say: Callable[[str], None]
) -> list[Path]:
    """Write the texture map of a photo's person, and a transparent guide layer of its parts.

    Returns the two files. Raises as `PersonReader.posed` and `check_export` do.
    """
    guide = check_export(source, out)
    reader = PersonReader(settings.prepare, str(chosen_device(settings.sample)), say)
    person = reader.person(source)
    write_png(out, np.asarray(person.texture))
    with written_whole(guide) as temporary:
        guide_layer().save(temporary, "PNG")
    return [out, guide]


def guide_layer() -> Image.Image:
    """The borders of the parts and the names of their groups, RGBA 512x512, clear elsewhere."""
    labels = smpl_labels().astype(int)
    border = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        step = np.diff(labels, axis=axis) != 0
        border |= np.pad(step, [(0, 1) if k == axis else (0, 0) for k in (0, 1)])
    pixels = np.zeros((*labels.shape, 4), np.uint8)
    pixels[border] = (255, 0, 255, 255)
    layer = Image.fromarray(pixels)
    draw = ImageDraw.Draw(layer)
    for group, parts in GROUPS.items():
        for part in parts:
            rows, columns = np.nonzero(labels == part)
            # A part of several pieces is named in the piece that its first column belongs to.
            middle = np.argmin(abs(rows - np.median(rows)) + abs(columns - np.median(columns)))
            place = (int(columns[middle]), int(rows[middle]))
            draw.text(
                place,
                f"{group}\n{part}",
                "white",
                anchor="mm",
                stroke_width=1,
                stroke_fill="black",
                font_size=10,
            )
    return layer
