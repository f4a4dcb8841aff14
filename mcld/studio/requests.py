"""What the page may ask for, as JSON has it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from mcld.body.pose import JOINTS

SEEDS, PHOTOS = 8, 8
"""Pictures of one job, and photos of one person, at most."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=120)]
"""Of a file of the session, a pose, a motion or weights: looked up among those that there are."""
Photos = Annotated[list[Name], Field(min_length=1, max_length=PHOTOS)]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
Vector = Annotated[
    list[Annotated[float, Field(ge=-100, le=100)]], Field(min_length=3, max_length=3)
]
Rotations = Annotated[list[Vector], Field(min_length=len(JOINTS), max_length=len(JOINTS))]
"""Axis-angle of the joints of a body, radians."""


class _Request(BaseModel):
    """Nothing unknown, and no number that is not finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class PeopleRequest(_Request):
    """One person is read of one or several photos."""

    photos: Photos


class ExampleRequest(_Request):
    """An example becomes a file of the session."""

    example: Name


class DressRequest(_Request):
    """What is changed about a person: files of the session by what is taken from them."""

    face: Name | None = None
    head: Name | None = None
    upper: Name | None = None
    lower: Name | None = None
    feet: Name | None = None
    hands: Name | None = None
    texture: Name | None = None
    recolor: dict[Name, Colour] = Field(default_factory=dict, max_length=8)


class PreviewRequest(_Request):
    """An edit, pasted."""

    source: Photos
    edits: DressRequest = DressRequest()


class SamplingRequest(_Request):
    """How is sampled."""

    weights: Name = "embedded"
    steps: int | None = None
    guidance: float | None = None
    scheduler: Name | None = None


class PictureRequest(SamplingRequest):
    """Pictures of one person, of one or several seeds."""

    kind: Literal["picture"]
    source: Photos
    pose: Name | None = None
    """A pose of the gallery, or a file of the session; None: as in the photo."""
    edits: DressRequest = DressRequest()
    keep: Literal["background", "nothing"] | None = None
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    fit_body: bool = False
    seeds: Annotated[
        list[Annotated[int, Field(ge=0, lt=2**53)]], Field(min_length=1, max_length=SEEDS)
    ] = [0]

    @field_validator("seeds")
    @classmethod
    def _are_others(cls, seeds: list[int]) -> list[int]:
        return list(dict.fromkeys(seeds))


class SequenceRequest(SamplingRequest):
    """A person in the poses of a motion."""

    kind: Literal["sequence"]
    source: Photos
    motion: Name
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0


class DragRequest(_Request):
    """A joint is brought somewhere: x, y in 0..1 of the picture, depth in metres."""

    handle: Name
    x: Annotated[float, Field(ge=-2, le=3)]
    y: Annotated[float, Field(ge=-2, le=3)]
    depth: Annotated[float, Field(ge=-3, le=3)] | None = None


class CameraRequest(_Request):
    """As `mcld.studio.figure.Camera` has it."""

    scale: Annotated[float, Field(gt=0.01, lt=100)]
    x: Annotated[float, Field(ge=-10, le=10)]
    y: Annotated[float, Field(ge=-10, le=10)]


class BodyRequest(_Request):
    """A body posed by hand, and from where it is looked at."""

    rotations: Rotations
    orientation: Vector
    turn: Annotated[float, Field(ge=-180, le=180)] = 0.0
    pitch: Annotated[float, Field(ge=-60, le=60)] = 0.0


class PoseRequest(_Request):
    """The next picture of a body that is posed by hand."""

    start: Name | None = None
    """A pose to begin from: of the gallery, or a saved one of the session."""
    rotations: Rotations | None = None
    orientation: Vector | None = None
    turn: Annotated[float, Field(ge=-180, le=180)] = 0.0
    pitch: Annotated[float, Field(ge=-60, le=60)] = 0.0
    drag: DragRequest | None = None
    mirror: bool = False
    camera: CameraRequest | None = None
    person: Name | None = None


class SavePoseRequest(BodyRequest):
    """A body posed by hand is kept as a pose."""

    name: Name
