"""One edited picture, and the texture map to paint on."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from diffusers.utils import make_image_grid
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mcld.dataset.outputs import hash_content
from mcld.dataset.pictures import read_painted, write_png
from mcld.dataset.sheet import contact_sheet
from mcld.edit.edits import (
    EditedPeople,
    Edits,
    apply_edits,
    find_guesses,
    paint_edit,
    resolve_keep,
    resolve_strength,
)
from mcld.edit.request import EditRequest, ExportRequest
from mcld.edit.texture import GROUPS, check_texture, find_pieces
from mcld.machine.files import write_whole
from mcld.machine.provenance import COMPOSITE, GENERATED
from mcld.machine.threads import limit_threads
from mcld.networks.places import read_face_embedder
from mcld.person.check import pair_sources
from mcld.person.person import Person, gather_person, warn_of_no_face
from mcld.person.reader import PersonReader, record_reading
from mcld.sampling.device import choose_device
from mcld.sampling.open import OpenPipeline, open_pipeline
from mcld.sampling.paint import OnStep
from mcld.sampling.placement import explain_memory
from mcld.sampling.record import make_provenance
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
    on_step: OnStep,
) -> list[Path]:
    """Make one edit; return the files written. An interpolation is one picture, a strip.

    Args:
        request: the edit; `check_files` has refused what it can.
        weights: a pipeline folder, or one with the four files of the authors' layout; None: the
            embedded.
        settings: `sample`, `scheduler`, `edit` and the weights of `prepare`'s estimators count.
        sheet: also write source, donors, edited texture and result side by side.
        say: told, in one line each, what the user should know.
        on_step: called with (steps done, steps to do).

    Raises InputError, WeightsError, SettingsError or MCLDError, before anything is written but for
    a disk that fills up.
    """
    device = choose_device(settings.sample)
    place = "cpu" if settings.sample.low_memory else str(device)
    reader = PersonReader(settings.prepare, place, say, read_face_embedder(weights, settings))
    source, edits = read_edit(request, reader, lru_cache(REMEMBERED)(reader.person))
    edited = apply_edits(source, edits)  # what is wrong with it is known before networks load
    warn_of_edit(request, source, edits, say)
    if request.changes_nothing:
        say("No edit is given: the person is repainted as they are.")
    opened = open_pipeline(weights, settings, device, say)
    return write_edit(request, edited, opened, settings, sheet=sheet, on_step=on_step)


def write_edit(
    request: EditRequest,
    edited: EditedPeople,
    opened: OpenPipeline,
    settings: Settings,
    *,
    sheet: bool,
    on_step: OnStep,
) -> list[Path]:
    """Paint an edit that is carried out, and write its files; the rest is `edit_picture`'s.

    What is written depends on the request, the settings and the network alone.
    """
    record = record_edit(request, opened, settings, hash_content)
    options = opened.options
    made = make_provenance(record, opened.signer, find_source_type(request, record))
    on_step(0, len(edited.persons) * options.num_inference_steps)
    memory = explain_memory(settings.sample, options, opened.device)
    with memory, limit_threads(settings.sample.threads):
        pictures = paint_edit(
            opened.pipeline, edited, options, record["seed"], record["strength"], on_step
        )
    write_png(request.out, np.asarray(join_strip(pictures)), made)
    written = [request.out]
    if sheet:
        written.append(request.sheet)
        columns = _sheet_columns(edited, pictures)
        width, height = edited.source.photo.size
        cell = (max(round(_CELL * width / height), _CELL // 2), _CELL)
        picture = contact_sheet([*columns], [[*columns.values()]], cell)
        write_png(request.sheet, picture, made)
    return written


def record_edit(
    request: EditRequest,
    opened: OpenPipeline,
    settings: Settings,
    hash_of: Callable[[Path], str | None],
) -> dict[str, Any]:
    """What an edit's picture is made of, for its metadata; hash_of: as `EditRequest.record`'s."""
    strength = settings.edit.strength if request.strength is None else request.strength
    return {
        **request.record(hash_of),
        **record_reading(
            settings.prepare,
            reads_photos=request.reads_photos(),
            has_pose=request.pose is not None,
        ),
        "seed": settings.sample.seed if request.seed is None else request.seed,
        "weights": opened.weights,
        **opened.options.record(),
        "keep": resolve_keep(request, opened.options),
        "strength": resolve_strength(opened.pipeline, strength),
    }


def find_source_type(request: EditRequest, record: dict[str, Any]) -> str:
    """IPTC's digital source type of an edit; record: of it, as `record_edit` makes it.

    In the photo's own pose, what the network has no share in is the photo.
    """
    keeps_photo = record["strength"] < 1 or record["keep"] == "background"
    return COMPOSITE if request.pose is None and keeps_photo else GENERATED


def read_edit(
    request: EditRequest, reader: PersonReader, read_person: Callable[[Path, Path | None], Person]
) -> tuple[Person, Edits]:
    """The source and the edits, with all their files read.

    read_person: `reader.person` or one that remembers.

    Raises InputError for what cannot be read or shows nobody, and what the reader's estimators
    raise.
    """
    views = [read_person(*view) for view in pair_sources(request.source, request.source_pose)]
    source, painted = gather_person(views, reader.say), None
    if request.texture:
        painted = read_painted(request.texture)
        check_texture(painted, str(request.texture))
    return source, Edits(
        texture=painted,
        garments={group: read_person(file, None) for group, file in request.garments().items()},
        face=read_person(request.face, None) if request.face else None,
        recolor=request.colours(),
        interpolate=read_person(request.interpolate, None) if request.interpolate else None,
        amounts=request.amounts(),
        pose=(
            reader.pose_of(source, request.pose, request.pose_kind or "auto")
            if request.pose
            else None
        ),
        keep=request.keep,
    )


def warn_of_edit(
    request: EditRequest, source: Person, edits: Edits, say: Callable[[str], None]
) -> None:
    """Say what of an edit is left open or guessed."""
    if request.face is None:
        warn_of_no_face(source, say)
    for guess in find_guesses(source, edits):
        say(guess)


def join_strip(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of one size beside each other."""
    grid: Image.Image = make_image_grid(pictures, rows=1, cols=len(pictures))
    return grid


def _sheet_columns(edited: EditedPeople, pictures: list[Image.Image]) -> dict[str, Image.Image]:
    source, edits = edited.source, edited.edits
    texture = (edited.ends or edited.persons)[0].texture
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
    request: ExportRequest, settings: Settings, *, say: Callable[[str], None]
) -> list[Path]:
    """Write the texture map of a photo's person, and a transparent guide layer of its parts.

    Returns the two files. Raises as `PersonReader.person` does.
    """
    device = str(choose_device(settings.sample))
    reader = PersonReader(settings.prepare, device, say, "head_crop")  # the face does not count
    person = reader.gather(request.sources, request.source_poses)
    write_png(request.out, np.asarray(person.texture))
    with write_whole(request.guide) as temporary:
        draw_guide_layer().save(temporary, "PNG")
    return [request.out, request.guide]


def draw_guide_layer() -> Image.Image:
    """The borders of the parts, their groups' names, and which way is up, RGBA 512x512, else clear.

    An arrow in each piece of a part points along the body towards the head: in an arm to the
    shoulder, in the head to the crown.
    """
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
            for middle, up in find_pieces(part):
                _draw_arrow(draw, middle + 6 * up, up)
                draw.text(
                    tuple(middle - 9 * up),
                    f"{group}\n{part}",
                    "white",
                    anchor="mm",
                    align="center",
                    stroke_width=1,
                    stroke_fill="black",
                    font_size=10,
                )
    return layer


def _draw_arrow(
    draw: ImageDraw.ImageDraw, tail: NDArray[np.float64], up: NDArray[np.float64]
) -> None:
    side = np.array([-up[1], up[0]])
    tip = tail + 13 * up
    lines = [(tail, tip), (tip, tip - 5 * up + 4 * side), (tip, tip - 5 * up - 4 * side)]
    for colour, width in (("black", 4), ("yellow", 2)):
        for start, end in lines:
            draw.line([*start, *end], colour, width)
