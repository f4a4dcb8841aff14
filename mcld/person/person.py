"""A person as they are read of one picture, or of several: photo, pose, texture map, face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcld.body.shape import BodyShape
from mcld.surface.atlas import lay_atlas
from mcld.surface.charts import find_texels

if TYPE_CHECKING:
    from mcld.estimators.gather import View


@dataclass(frozen=True)
class Person:
    """A person, and the pose they have in their picture."""

    name: str
    """What messages call the person, such as the file name."""
    photo: Image.Image
    """RGB, of any size."""
    iuv: NDArray[np.uint8]
    """The photo's IUV map, uint8 [H, W, 3] (I, U, V)."""
    texture: Image.Image
    """Texture map in the SMPL layout, RGB, 512x512."""
    face: NDArray[np.float32]
    """[512] face embedding; zeros where no face was found."""
    views: tuple[Person, ...] = ()
    """Of a person who was gathered from several photos, each as it was read, the first among them;
    of any other, none."""
    gains: tuple[NDArray[np.float32], ...] = ()
    """Of each view, what its colours are multiplied by to be the first's: [3] RGB."""

    @property
    def has_face(self) -> bool:
        """Whether a face was found."""
        return bool(self.face.any())

    @cached_property
    def atlas(self) -> NDArray[np.uint8]:
        """What the photo shows, or the photos do, on the charts: uint8 [24, 200, 200, 4].

        As `lay_atlas` lays it: RGB, and 255 where it is shown.
        """
        if self.views:
            from mcld.estimators.gather import gather_atlases

            return gather_atlases(_make_views(self.views), self.gains)
        return lay_atlas(np.asarray(self.photo), self.iuv)

    @cached_property
    def body_shape(self) -> BodyShape:
        """Lengths and girths, fitted to the map. Raises InputError where it shows too little."""
        from mcld.body.fit import fit_body  # here, because it loads much

        return fit_body(self.iuv, self.name).shape

    def choose_view(self, iuv: NDArray[np.uint8]) -> Person:
        """The view that shows the most of what a pose, uint8 [H, W, 3] (I, U, V), shows.

        Of equals, the first; of a person of one photo, the person.
        """
        if not self.views:
            return self
        shown = find_texels(iuv)[iuv[..., 0] > 0]
        shares = [
            np.asarray(view.texture).reshape(-1, 3)[shown].any(axis=-1).mean()
            for view in self.views
        ]
        return self.views[int(np.argmax(shares))]


_OTHER_CLOTHES = 40.0
"""Levels of 255 by which two photos of one person hardly differ where both show the body."""


def gather_person(views: Sequence[Person], say: Callable[[str], None]) -> Person:
    """One person of several photos; of one photo, as it is.

    Photo and pose are the first's, so that the background is, too; the texture map is gathered from
    all (`mcld.estimators.gather`); the face embedding is that of the photo that sees the face best.
    Which photo is embedded is left to `Person.choose_view`, once a pose is known. `say` is told of
    photos that seem to show other clothes or another person.
    """
    from mcld.estimators.gather import gather_textures, measure_face

    first = views[0]
    if len(views) == 1:
        return first
    arrays = _make_views(views)
    gathered = gather_textures(arrays)
    for view, difference in zip(views[1:], gathered.difference, strict=True):
        if difference is not None and difference > _OTHER_CLOTHES:
            say(
                f"{Path(view.name).name} shows other colours than what comes before it, by"
                f" {difference:.0f} of 255 where both see the body: other clothes, or somebody"
                " else?"
            )
    faces = [
        measure_face(one) if view.has_face else 0.0 for view, one in zip(views, arrays, strict=True)
    ]
    return replace(
        first,
        texture=Image.fromarray(gathered.texture),
        face=views[int(np.argmax(faces))].face,
        views=tuple(views),
        gains=tuple(gathered.gains),
    )


def _make_views(people: Sequence[Person]) -> list[View]:
    """What is gathered of people."""
    from mcld.estimators.gather import View

    return [View(np.asarray(one.photo), one.iuv, np.asarray(one.texture)) for one in people]


def warn_of_no_face(person: Person, say: Callable[[str], None]) -> None:
    """Say that a source has no face, if it has none."""
    if not person.has_face:
        name = Path(person.name).name
        say(f"No face is known of {name}: whose face it is, is left open.")
