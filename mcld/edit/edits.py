"""What can be changed about a person, and the one function that changes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mcld.conditions import FocalConditions
from mcld.edit.interpolate import blend_conditions, blend_textures
from mcld.edit.options import EditOptions
from mcld.edit.photo import keep_background, rewarp, tint
from mcld.edit.recolor import Colour, recolor
from mcld.edit.texture import GROUPS, Texture, check_group, check_texture, group_mask, sew, shows
from mcld.errors import InputError, SettingsError
from mcld.machine.processes import ignore
from mcld.person.person import Person
from mcld.pipeline import MCLDPipeline
from mcld.pipeline_inputs import PipelineInputs
from mcld.sampling.background import finish_pictures
from mcld.sampling.inputs import read_inputs
from mcld.sampling.paint import OnStep, as_images, paint
from mcld.sampling_options import SamplingOptions
from mcld.surface.charts import find_texels


@dataclass(frozen=True)
class Edits:
    """What to change about a person, all of it at once; what is not named stays.

    Raises SettingsError for an unknown group and for edits that contradict each other, InputError
    for a painted texture map of another size.
    """

    texture: Texture | None = None
    """A painted texture map instead of the person's, uint8 [512, 512, 3] RGB in the SMPL layout."""
    garments: Mapping[str, Person] = field(default_factory=dict)
    """Keys of `GROUPS` -> whose texture is taken there."""
    face: Person | None = None
    """Whose face embedding and head texture are taken."""
    recolor: Mapping[str, Colour] = field(default_factory=dict)
    """Keys of `GROUPS` -> the garment's new main colour."""
    interpolate: Person | None = None
    """Who the person turns into."""
    amounts: tuple[float, ...] = (1.0,)
    """How far, 0..1; a picture for each. Without `interpolate` they do not count."""
    pose: NDArray[np.uint8] | None = None
    """The new pose, uint8 [H, W, 3] (I, U, V); None: that of the photo."""
    keep: Literal["background", "nothing"] | None = None
    """What of the photo stays: "background", which is not body, or "nothing"; None: nothing in the
    photo's own pose, in another what the network is sampled with."""

    def __post_init__(self) -> None:
        for group in (*self.garments, *self.recolor):
            check_group(group)
        if self.face is not None and "head" in self.garments:
            raise SettingsError("a face brings its own head: give no other one")
        if self.keep not in (None, "background", "nothing"):
            raise SettingsError(f"keep {self.keep!r}: give background or nothing")
        if not self.amounts or not all(0 <= amount <= 1 for amount in self.amounts):
            raise SettingsError(f"amounts {self.amounts}: give one or more from 0 to 1")
        if self.texture is not None:
            check_texture(self.texture, "the painted texture map")


def edit_person(source: Person, edits: Edits) -> Person:
    """The person with the edited texture map and face; `interpolate` and `pose` are not read.

    The edited texture is warped back onto the photo, so that its embedding agrees with it; another
    colour tints the photo's own pixels.

    Raises InputError when a donor does not show what is taken from them, or when there is no
    garment to recolor.
    """
    before = np.asarray(source.texture)
    own = before if edits.texture is None else edits.texture
    face, donors = source.face, dict(edits.garments)
    for group, donor in donors.items():
        if not shows(np.asarray(donor.texture), group):
            raise InputError(f"{donor.name} does not show {_WORDS[group]}: give another photo")
    if edits.face is not None:
        if not edits.face.has_face:
            raise InputError(
                f"no face is known of {edits.face.name}: give a photo that shows one, or take the"
                " head's texture alone (--head)"
            )
        face = edits.face.face
        if shows(np.asarray(edits.face.texture), "head"):
            donors["head"] = edits.face
    # In the order of the body, whichever order they were given in
    worn = {g: np.asarray(donors[g].texture) for g in GROUPS if g in donors}
    coloured = dressed = sew(own, [(texture, group) for group, texture in worn.items()])
    if edits.recolor:
        # A garment is looked at in the map that it comes from, before any other edit.
        kept = {g: colour for g, colour in edits.recolor.items() if g not in worn}
        pieces = []
        for group, texture in worn.items():
            # A person who gives several groups gets all their colours in each: where the maps are
            # equal, `sew` knows one person by them, between whose own groups there is no seam.
            colours = {
                g: colour
                for g, colour in edits.recolor.items()
                if g in worn and np.array_equal(worn[g], texture)
            }
            pieces.append((_recolor(texture, colours, donors[group].name), group))
        coloured = sew(_recolor(own, kept, source.name), pieces)
    photo = rewarp(np.asarray(source.photo), source.iuv, before, dressed)
    photo = tint(photo, source.iuv, dressed, coloured)
    # Views would show what was worn before.
    views = source.views if np.array_equal(coloured, before) else ()
    return replace(
        source,
        photo=Image.fromarray(photo),
        texture=Image.fromarray(coloured),
        face=face,
        views=views,
    )


def _recolor(texture: Texture, colours: Mapping[str, Colour], name: str) -> Texture:
    """The map with the garments of some groups in other colours; name: of the person, in errors."""
    coloured = texture.copy()
    for group, colour in colours.items():
        try:
            changed = recolor(texture, group, colour)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        inside = group_mask([group])
        coloured[inside] = changed[inside]
    return coloured


_WORDS = {
    "head": "a head",
    "upper": "an upper body",
    "lower": "legs",
    "feet": "feet",
    "hands": "hands",
}


def find_guesses(source: Person, edits: Edits) -> list[str]:
    """What of an edit is mostly guessed, in words: its donor is seen from another side."""
    pose = source.iuv if edits.pose is None else edits.pose
    texels = find_texels(pose)
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


def _wear_texture(person: Person, texture: Texture) -> Person:
    """The person with another texture map, which the photo shows as well."""
    photo = rewarp(np.asarray(person.photo), person.iuv, np.asarray(person.texture), texture)
    # Its views would show what was worn before.
    return replace(person, photo=Image.fromarray(photo), texture=Image.fromarray(texture), views=())


LARGEST_STRIP = 89
"""Megapixels of an interpolation's pictures together; of more, Pillow warns whoever opens them."""
ROWS = 8
"""Rows encoded at once: a strip has up to 66."""


@dataclass(frozen=True)
class EditedPeople:
    """An edit carried out on photo, texture map and face; what is left is to paint it."""

    source: Person
    edits: Edits
    persons: list[Person]
    """The person of each picture."""
    ends: list[Person]
    """When interpolating, the two that it goes from and to."""

    @property
    def pose(self) -> NDArray[np.uint8]:
        """The pose of all pictures, uint8 [H, W, 3] (I, U, V)."""
        return self.source.iuv if self.edits.pose is None else self.edits.pose


def apply_edits(source: Person, edits: Edits) -> EditedPeople:
    """Do all of an edit that needs no network; several threads may.

    Raises as `edit_person` does, and InputError for a strip that no other program would open.
    """
    strip = source.photo.width * source.photo.height * len(edits.amounts) / 1e6
    if edits.interpolate is not None and strip > LARGEST_STRIP:
        raise InputError(
            f"{source.name}: a strip of {len(edits.amounts)} such pictures has {strip:.0f}"
            f" megapixels: at most {LARGEST_STRIP}; make fewer, or the photo smaller"
        )
    person = edit_person(source, edits)
    if (goal := edits.interpolate) is None:
        return EditedPeople(source, edits, [person], [])
    textures = blend_textures(np.asarray(person.texture), np.asarray(goal.texture), edits.amounts)
    persons = [_wear_texture(person, texture) for texture in textures]
    return EditedPeople(source, edits, persons, [person, goal])


def read_edit_inputs(
    pipeline: MCLDPipeline, edited: EditedPeople, options: SamplingOptions
) -> PipelineInputs:
    """One row for each picture of an edit; after them, when interpolating, the two ends."""
    return read_inputs(pipeline, [*edited.persons, *edited.ends], edited.pose, options)


def blend_rows(edited: EditedPeople, conditions: FocalConditions) -> FocalConditions:
    """The conditions of an edit's pictures, from those of the rows of `read_edit_inputs`."""
    if not edited.ends:
        return conditions
    count = len(edited.persons)
    start, end = conditions[count : count + 1], conditions[count + 1 :]
    return FocalConditions.cat(
        [
            blend_conditions(start, end, conditions[k : k + 1], amount)
            for k, amount in enumerate(edited.edits.amounts)
        ]
    )


def finish(
    edited: EditedPeople, pictures: list[Image.Image], strength: float, options: SamplingOptions
) -> list[Image.Image]:
    """The network's pictures at the photo's size, and with what the photo gives them.

    strength: the network's share, 0..1, in the photo's own pose; the rest is the photo with the
    edited texture warped onto it. In another pose the figure is the network's alone.
    """
    if edited.edits.pose is not None:
        options = replace(options, keep=resolve_keep(edited.edits, options))
        return finish_pictures(pictures, edited.source, edited.edits.pose, options)
    photo = np.asarray(edited.source.photo)
    finished = []
    for person, picture in zip(edited.persons, pictures, strict=True):
        resized = picture.resize(edited.source.photo.size, Image.Resampling.BICUBIC)
        resized = Image.blend(person.photo, resized, strength)
        if resolve_keep(edited.edits, options) == "background":
            kept = keep_background(np.asarray(resized), photo, edited.source.iuv)
            resized = Image.fromarray(kept)
        finished.append(resized)
    return finished


def resolve_keep(edits: EditOptions | Edits, options: SamplingOptions) -> str:
    """What of the photo stays: as the edit says, or in another pose as the network is sampled."""
    return edits.keep or ("nothing" if edits.pose is None else options.keep)


@torch.no_grad()
def paint_edit(
    pipeline: MCLDPipeline,
    edited: EditedPeople,
    options: SamplingOptions,
    seed: int,
    strength: float,
    on_step: OnStep = ignore,
) -> list[Image.Image]:
    """The pictures of an edit, at the photo's size, all from the same noise; see `edit`."""
    inputs = read_edit_inputs(pipeline, edited, options)
    starts = range(0, len(inputs.face), ROWS)
    rows = FocalConditions.cat([pipeline.conditions(inputs[k : k + ROWS]) for k in starts])
    seeds = [seed] * len(edited.persons)
    pictures = paint(pipeline, blend_rows(edited, rows), options, seeds, on_step=on_step)
    return finish(edited, as_images(pictures), strength, options)


def edit(
    pipeline: MCLDPipeline,
    source: Person,
    edits: Edits,
    options: SamplingOptions | None = None,
    *,
    seed: int = 0,
    strength: float | None = None,
    on_step: OnStep = ignore,
) -> list[Image.Image]:
    """Change what `edits` names about the person of a photo, and nothing else.

    Args:
        pipeline: the network, in its place.
        source: the person; `PersonReader.person` reads one.
        edits: what to change.
        options: how to sample; None: as the weights were saved with.
        seed: of the starting noise, from which all pictures start.
        strength: see `finish`; None: as the weights were saved with.
        on_step: called with (steps done, steps to do), over all pictures.

    Returns one picture of the photo's size, or with `edits.interpolate` one for each amount.

    Raises InputError when a donor does not show what is taken from them, and SettingsError for a
    strength that is none.
    """
    strength = resolve_strength(pipeline, strength)
    options = options or pipeline.resolve_options()
    return paint_edit(pipeline, apply_edits(source, edits), options, seed, strength, on_step)


def resolve_strength(pipeline: MCLDPipeline, strength: float | None) -> float:
    """The strength asked for, or else that of the weights. Raises SettingsError beyond 0..1."""
    strength = float(pipeline.config.edit_strength) if strength is None else strength
    if not 0 <= strength <= 1:
        raise SettingsError(f"strength {strength}: give 0 to 1")
    return strength
