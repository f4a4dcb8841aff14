"""What can be changed about a person, and the one function that changes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mcld.conditions import FocalConditions
from mcld.edit.interpolate import between, on_the_way
from mcld.edit.photo import background_kept, rewarped, tinted
from mcld.edit.recolor import Colour, recoloured
from mcld.edit.texture import GROUPS, Texture, check_group, check_texture, sewn, shows
from mcld.errors import InputError, SettingsError
from mcld.person import Person, PosedPerson
from mcld.pipeline import MCLDPipeline, PipelineInputs, StepCallback
from mcld.sampling.placement import steps_of
from mcld.settings import SampleSettings
from mcld.surface.charts import texels_of


@dataclass(frozen=True)
class Edits:
    """What to change about a person, in this order; what is not named stays.

    Raises SettingsError for an unknown group and for edits that contradict each other, InputError
    for a painted texture map of another size.
    """

    texture: Texture | None = None
    """A painted texture map instead of the person's, uint8 [512, 512, 3] RGB in the SMPL layout."""
    garments: Mapping[str, PosedPerson] = field(default_factory=dict)
    """Keys of `GROUPS` -> whose texture is taken there."""
    face: PosedPerson | None = None
    """Whose face embedding and head texture are taken."""
    recolor: Mapping[str, Colour] = field(default_factory=dict)
    """Keys of `GROUPS` -> the garment's new main colour."""
    interpolate: PosedPerson | None = None
    """Who the person turns into."""
    amounts: tuple[float, ...] = (1.0,)
    """How far, 0..1; a picture for each. Without `interpolate` they do not count."""
    pose: NDArray[np.uint8] | None = None
    """The new pose, uint8 [H, W, 3] (I, U, V); None: that of the photo."""
    keep_background: bool = False
    """Take what is not body, with a margin, from the photo; in the photo's own pose only."""

    def __post_init__(self) -> None:
        for group in (*self.garments, *self.recolor):
            check_group(group)
        if self.face is not None and "head" in self.garments:
            raise SettingsError("a face brings its own head: give no other one")
        if self.keep_background and self.pose is not None:
            raise SettingsError("the background is kept in the photo's own pose only: give no pose")
        if not self.amounts or not all(0 <= amount <= 1 for amount in self.amounts):
            raise SettingsError(f"amounts {self.amounts}: give one or more from 0 to 1")
        if self.texture is not None:
            check_texture(self.texture, "the painted texture map")


def edited_person(source: PosedPerson, edits: Edits) -> Person:
    """The person with the edited texture map and face; `interpolate` and `pose` are not read.

    The edited texture is warped back onto the photo, so that its embedding agrees with it; another
    colour tints the photo's own pixels.

    Raises InputError when a donor does not show what is taken from them, or when there is no
    garment to recolor.
    """
    before = np.asarray(source.texture)
    after = before if edits.texture is None else edits.texture
    face = source.face
    for group, donor in edits.garments.items():
        if not shows(np.asarray(donor.texture), group):
            raise InputError(f"{donor.name} does not show {_WORDS[group]}: give another photo")
    pieces = [(np.asarray(donor.texture), group) for group, donor in edits.garments.items()]
    if edits.face is not None:
        if not edits.face.has_face:
            raise InputError(
                f"no face is known of {edits.face.name}: give a photo that shows one, or take the"
                " head's texture alone (head)"
            )
        face = edits.face.face
        head = np.asarray(edits.face.texture)
        pieces += [(head, "head")] if shows(head, "head") else []
    dressed = sewn(after, pieces)
    photo = rewarped(np.asarray(source.photo), source.iuv, before, dressed)
    after = dressed
    for group, colour in edits.recolor.items():
        try:
            after = recoloured(after, group, colour)
        except InputError as error:
            raise InputError(f"{source.name}: {error}") from error
    photo = tinted(photo, source.iuv, dressed, after)
    return Person(Image.fromarray(photo), Image.fromarray(after), face)


_WORDS = {
    "head": "a head",
    "upper": "an upper body",
    "lower": "legs",
    "feet": "feet",
    "hands": "hands",
}


def guesses(source: PosedPerson, edits: Edits) -> list[str]:
    """What of an edit is mostly guessed, in words: its donor is seen from another side."""
    pose = source.iuv if edits.pose is None else edits.pose
    texels = texels_of(pose)
    donors = {**edits.garments, **({"head": edits.face} if edits.face else {})}
    found = []
    for group, donor in donors.items():
        shown = texels[np.isin(pose[..., 0], GROUPS[group])]
        seen = np.asarray(donor.texture).any(axis=-1).ravel()[shown]
        if seen.size and seen.mean() < _KNOWN:
            found.append(
                f"{donor.name} shows only {seen.mean():.0%} of what the picture does of"
                f" {_WORDS[group]}: the rest is guessed"
            )
    return found


_KNOWN = 0.4
"""Share of a part, as the picture shows it, of which a donor must show as much."""


def _with_texture(person: Person, iuv: NDArray[np.uint8], texture: Texture) -> Person:
    """The person, in the pose `iuv`, with another texture map."""
    photo = rewarped(np.asarray(person.photo), iuv, np.asarray(person.texture), texture)
    return Person(Image.fromarray(photo), Image.fromarray(texture), person.face)


LARGEST_STRIP = 89
"""Megapixels of an interpolation's pictures together; of more, Pillow warns whoever opens them."""
ROWS = 8
"""Rows encoded at once: a strip has up to 66."""


@dataclass(frozen=True)
class EditInputs:
    """All that the pictures of one edit are made of; read and computed without a network."""

    source: PosedPerson
    edits: Edits
    persons: list[Person]
    """The person of each picture."""
    rows: PipelineInputs
    """One row for each picture; after them, when interpolating, the two ends."""


def edit_inputs(
    pipeline: MCLDPipeline, source: PosedPerson, edits: Edits, height: int, width: int
) -> EditInputs:
    """Do all of an edit that needs no network; several threads may.

    height, width: the size that the network works at. Raises as `edited_person` does, and
    InputError for a strip that no other program would open.
    """
    strip = source.photo.width * source.photo.height * len(edits.amounts) / 1e6
    if edits.interpolate is not None and strip > LARGEST_STRIP:
        raise InputError(
            f"{source.name}: a strip of {len(edits.amounts)} such pictures has {strip:.0f}"
            f" megapixels: at most {LARGEST_STRIP}; make fewer, or the photo smaller"
        )
    person = edited_person(source, edits)
    persons, ends = [person], []
    if (goal := edits.interpolate) is not None:
        way = between(np.asarray(person.texture), np.asarray(goal.texture), edits.amounts)
        persons = [_with_texture(person, source.iuv, texture) for texture in way]
        ends = [person, goal]
    pose = source.iuv if edits.pose is None else edits.pose
    iuv = Image.fromarray(np.ascontiguousarray(pose[..., ::-1]))
    everybody = [*persons, *ends]
    rows = pipeline.inputs(
        [p.photo for p in everybody],
        [p.texture for p in everybody],
        [iuv] * len(everybody),
        torch.stack([p.face for p in everybody]),
        height,
        width,
    )
    return EditInputs(source, edits, persons, rows)


def encode(pipeline: MCLDPipeline, inputs: list[EditInputs]) -> list[FocalConditions]:
    """The conditions of the pictures of several edits."""
    rows = PipelineInputs.cat([i.rows for i in inputs])
    starts = range(0, len(rows.face), ROWS)
    encoded = FocalConditions.cat([pipeline.conditions(rows[k : k + ROWS]) for k in starts])
    conditions = []
    for one in inputs:
        mine, encoded = encoded[: len(one.rows.face)], encoded[len(one.rows.face) :]
        count = len(one.persons)
        if one.edits.interpolate is not None:
            start, end = mine[count : count + 1], mine[count + 1 :]
            way = [
                on_the_way(start, end, mine[k : k + 1], amount)
                for k, amount in enumerate(one.edits.amounts)
            ]
            mine = type(mine).cat(way)
        conditions.append(mine)
    return conditions


def finished(inputs: EditInputs, pictures: list[Image.Image], strength: float) -> list[Image.Image]:
    """The network's pictures at the photo's size, and with what the photo gives them.

    strength: the network's share, 0..1, in the photo's own pose; the rest is the photo with the
    edited texture warped onto it. In another pose the picture is the network's alone.
    """
    photo = np.asarray(inputs.source.photo)
    done = []
    for person, picture in zip(inputs.persons, pictures, strict=True):
        resized = picture.resize(inputs.source.photo.size, Image.Resampling.BICUBIC)
        if inputs.edits.pose is None:
            resized = Image.blend(person.photo, resized, strength)
        if inputs.edits.keep_background:
            kept = background_kept(np.asarray(resized), photo, inputs.source.iuv)
            resized = Image.fromarray(kept)
        done.append(resized)
    return done


def edit(
    pipeline: MCLDPipeline,
    source: PosedPerson,
    edits: Edits,
    options: SampleSettings,
    *,
    strength: float | None = None,
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Image.Image]:
    """Change what `edits` names about the person of a photo, and nothing else.

    Args:
        pipeline: the network, in its place.
        source: the person; `PersonReader.posed` reads one.
        edits: what to change.
        options: seed, steps, guidance and size count. All pictures start from the same noise.
        strength: see `finished`; None: as the weights were saved with.
        on_step: called with (steps done, steps to do), over all pictures.

    Returns one picture of the photo's size, or with `edits.interpolate` one for each amount.

    Raises InputError when a donor does not show what is taken from them, and SettingsError for a
    strength that is none.
    """
    strength = strength_of(pipeline, strength)
    if not 0 <= strength <= 1:
        raise SettingsError(f"strength {strength}: give 0 to 1")
    height, width = pipeline.picture_size(options.height, options.width)
    steps = steps_of(pipeline, options)
    guidance = options.guidance_scale or float(pipeline.config.guidance_scale)
    inputs = edit_inputs(pipeline, source, edits, height, width)
    total = steps * len(inputs.persons)
    on_step(0, total)
    pictures: list[Image.Image] = []
    with torch.no_grad():
        (conditions,) = encode(pipeline, [inputs])
        for k in range(len(inputs.persons)):
            generator = torch.Generator().manual_seed(options.seed)
            latents = pipeline.denoise(
                conditions[k : k + 1],
                pipeline.starting_noise(1, height, width, generator, None),
                steps,
                guidance,
                generator=generator,
                callback_on_step_end=_counting(on_step, k * steps, total),
            )
            decoded = pipeline.pictures_of(latents, conditions.pose[k : k + 1])
            pictures += pipeline.image_processor.postprocess(decoded, "pil")
    pipeline.maybe_free_model_hooks()
    return finished(inputs, pictures, strength)


def strength_of(pipeline: MCLDPipeline, strength: float | None) -> float:
    """The strength asked for, or else that of the weights."""
    return float(pipeline.config.edit_strength) if strength is None else strength


def _counting(on_step: Callable[[int, int], None], before: int, total: int) -> StepCallback:
    def counted(
        _: MCLDPipeline, step: int, __: int, state: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        on_step(before + step + 1, total)
        return state

    return counted
