"""What an edit is made of; light, for `mcld edit` takes its options from here."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mcld.settings import SettingsGroup

_Texts = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)]
"""One text, or a list of them."""


Paths = Annotated[
    tuple[Path, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str | Path) else v)
]
"""One file, or a list of them."""


def _option(
    description: str,
    metavar: str | None = "FILE",
    panel: str | None = "What to change",
    default: Any = None,
) -> Any:
    """A field, with how the help of `mcld edit` shows it."""
    shown: Any = {"metavar": metavar, "rich_help_panel": panel}
    return Field(default, description=description, json_schema_extra=shown)


class EditOptions(SettingsGroup):
    """One edit; a field is an option of `mcld edit`, and a key of a recipe's entry."""

    source: Paths = _option(
        "Photo of the person. May be repeated: more photos show more of them.", "JPG", None, ...
    )
    source_pose: Paths = _option(
        "The source's own IUV map, in place of an estimated one; one for each --source.",
        "PNG",
        None,
        (),
    )
    out: Path = _option("Where the picture goes.", "PNG", None, ...)
    pose: Path | None = _option(
        "Another pose: a photo of somebody in it, a DensePose IUV map, keypoints, body parameters,"
        " or a name of mcld sample --list-poses."
    )
    pose_kind: Literal["auto", "iuv", "photo", "keypoints", "body", "gallery"] | None = _option(
        "What --pose is; auto: its name and content tell. (default: auto)",
        None,
    )
    face: Path | None = _option("Who it is: the face and the head's texture of this photo.")
    head: Path | None = _option("The head's texture only, as in this photo.")
    upper: Path | None = _option(
        "Torso and arms as in this photo; the torso reaches down to the seat of the trousers."
    )
    lower: Path | None = _option("Legs as in this photo.")
    feet: Path | None = _option("Feet as in this photo.")
    hands: Path | None = _option("Hands as in this photo.")
    garment: _Texts = _option(
        "Several of these parts of one photo: upper,lower=bob.jpg. May be repeated.",
        "PARTS=FILE",
        default=(),
    )
    texture: Path | None = _option("A texture map painted by hand.", "PNG", "Texture map")
    recolor: _Texts = _option(
        "A garment in another colour: upper=#803020. May be repeated.", "PART=COLOUR", default=()
    )
    interpolate: Path | None = _option("Who the person turns into; the picture is a strip.")
    amount: str | None = _option(
        "How far --interpolate goes, 0 to 1, in how many pictures. (default: 0:1:7)",
        "FROM:TO:COUNT",
    )
    keep: Literal["background", "nothing"] | None = _option(
        "background: what is not body comes from the photo. (default: nothing; in another pose the"
        " weights' own)",
        None,
    )
    # These two are settings on the command line, which has them for all commands alike.
    seed: int | None = Field(None, ge=0, lt=2**63)
    strength: float | None = Field(None, ge=0, le=1)


DONORS = ("face", "head", "upper", "lower", "feet", "hands")
"""The options that take a part of another photo."""
