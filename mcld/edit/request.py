"""An edit as a person asks for it: files, names and colours, on the command line or in a recipe."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageColor
from pydantic import ValidationError

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.outputs import check_outputs
from mcld.dataset.pictures import read_painted
from mcld.edit.options import EditOptions
from mcld.edit.recolor import Colour
from mcld.edit.texture import GROUPS, check_group, check_texture
from mcld.errors import SettingsError
from mcld.machine.files import expand_home
from mcld.machine.yaml_file import read_yaml
from mcld.person.check import (
    check_person,
    check_pose,
    check_sources,
    name_files,
    resolve_pose_kind,
)
from mcld.settings import PrepareSettings


class EditRequest(EditOptions):
    """One edit, and what is wrong with it."""

    def garments(self) -> dict[str, Path]:
        """Part -> the photo it is taken from. Raises SettingsError for two of one part."""
        donors: dict[str, Path] = {}
        if self.face:
            donors["head"] = self.face
        asked = [(group, getattr(self, group)) for group in GROUPS if getattr(self, group)]
        for text in self.garment:
            names, _, file = text.partition("=")
            if not names or not file:
                raise SettingsError(
                    f"--garment {text}: give PART,PART=FILE, as upper,lower=bob.jpg"
                )
            asked += [(name.strip(), expand_home(Path(file))) for name in names.split(",")]
        for group, file in asked:
            check_group(group)
            if donors.setdefault(group, file) != file:
                also = ", which --face brings as well" if group == "head" and self.face else ""
                raise SettingsError(
                    f"two donors for {group}{also}: {donors[group]} and {file}; give one"
                )
        if self.face:
            del donors["head"]
        return donors

    def colours(self) -> dict[str, Colour]:
        """Part -> its new colour. Raises SettingsError for what is no part or no colour."""
        colours: dict[str, Colour] = {}
        for text in self.recolor:
            group, _, name = text.partition("=")
            if not group or not name:
                raise SettingsError(f"--recolor {text}: give PART=COLOUR, such as upper=#803020")
            check_group(group)
            if group in colours:
                raise SettingsError(f"two colours for {group}: give one")
            colours[group] = _colour(name, text)
        return colours

    def amounts(self) -> tuple[float, ...]:
        """How far to go towards the other person."""
        if self.interpolate is None:
            if self.amount is not None:
                raise SettingsError("--amount goes with --interpolate")
            return (1.0,)
        return parse_amounts("0:1:7" if self.amount is None else self.amount)

    def check(self) -> None:
        """Raise SettingsError for what is wrong with the edit before any file is opened."""
        for name, value in self:
            if Path() in (value if isinstance(value, tuple) else (value,)):
                raise SettingsError(f"--{name} is empty: give a file")
        self.garments()
        self.colours()
        self.amounts()
        if self.pose_kind and not self.pose:
            raise SettingsError("--pose-kind goes with --pose")
        if self.out.suffix.lower() != ".png":
            raise SettingsError(f"--out {self.out}: the picture is written as PNG; name it .png")

    @property
    def sheet(self) -> Path:
        """The sheet beside `out`."""
        return self.out.with_name(f"{self.out.stem}-sheet.png")

    def check_files(self, estimators: PrepareSettings, *, sheet: bool) -> None:
        """Refuse what no network is needed for to see in the files of the edit.

        estimators: where the weights are of what reads photos that are not prepared; sheet: whether
        that is written, too. Raises SettingsError when something would be written over what the
        picture is made from, MCLDError where a file cannot be written or a pose would have to be
        estimated that cannot be here, InputError for a file that cannot be used.
        """
        check_outputs("--out", [self.out, self.sheet] if sheet else [self.out], self.inputs())
        if self.pose:
            check_pose(self.pose, self.pose_kind or "auto", estimators)
        if self.texture:
            check_texture(read_painted(self.texture), str(self.texture))
        check_sources(self.source, self.source_pose, estimators)
        for photo in (self.face, self.interpolate, *self.garments().values()):
            if photo:
                check_person(photo, estimators)

    def inputs(self) -> list[Path]:
        """Every file that is read, the source first, each once."""
        given = [*self.source, *self.source_pose]
        pose = None if self._resolve_kind() == "gallery" else self.pose
        given += [p for p in (pose, self.face, self.texture, self.interpolate) if p]
        return list(dict.fromkeys([*given, *self.garments().values()]))

    def _resolve_kind(self) -> str:
        """What the pose is, as `resolve_pose_kind` tells; of none, "auto"."""
        return (
            "auto" if self.pose is None else resolve_pose_kind(self.pose, self.pose_kind or "auto")
        )

    def reads_photos(self) -> bool:
        """Whether a file is read that no `mcld prepare` has prepared, or a pose that is no file."""
        if self._resolve_kind() == "gallery":
            return True
        beside = [(file, DatasetLayout.beside(file)) for file in self.inputs()]
        return any(found is None or not found[0].is_prepared(*found[1:]) for _, found in beside)

    @property
    def changes_nothing(self) -> bool:
        """Whether no edit is given."""
        left_out = {"source", "source_pose", "out", "seed", "strength"}
        return not self.model_dump(exclude_defaults=True, exclude=left_out)

    def record(self, hash_of: Callable[[Path], str | None]) -> dict[str, Any]:
        """What was asked for, as JSON has it, without what was not; and what the files hold.

        hash_of: `mcld.dataset.outputs.hash_content`, or one that remembers.
        """
        left_out = {"out", "seed", "strength"}
        asked = self.model_dump(exclude_defaults=True, exclude=left_out)
        asked |= {n: file.name for n, file in asked.items() if isinstance(file, Path)}
        if self.pose is not None:
            asked |= {"pose_kind": kind} if (kind := self._resolve_kind()) != "auto" else {}
        asked |= {n: name_files(asked[n]) for n in ("source", "source_pose") if n in asked}
        # In whichever order they are given, the picture is the same.
        if "recolor" in asked:
            asked["recolor"] = sorted(asked["recolor"])
        if "garment" in asked:
            split = [text.partition("=") for text in asked["garment"]]
            asked["garment"] = sorted(f"{parts}={Path(file).name}" for parts, _, file in split)
        return {**asked, "files": [[file.name, hash_of(file)] for file in self.inputs()]}


@dataclass(frozen=True)
class ExportRequest:
    """A photo whose person's texture map is written.

    Raises SettingsError for a name that is no PNG or would overwrite the source, MCLDError where
    nothing can be written, InputError for a source that is no picture.
    """

    sources: tuple[Path, ...]
    """Photos of the person; of several, the map is gathered."""
    out: Path
    """The PNG of the map."""
    estimators: PrepareSettings = field(default_factory=PrepareSettings)
    """Where the weights are of what reads a photo that is not prepared."""
    source_poses: tuple[Path, ...] = ()
    """The sources' own IUV maps, given by hand, in their order."""

    @property
    def guide(self) -> Path:
        """The PNG of the guide layer."""
        return self.out.with_name(f"{self.out.stem}-guide.png")

    def __post_init__(self) -> None:
        if self.out.suffix.lower() != ".png":
            raise SettingsError(f"--export-texture {self.out}: name it .png")
        read = [*self.sources, *self.source_poses]
        check_outputs("--export-texture", [self.out, self.guide], read)
        check_sources(self.sources, self.source_poses, self.estimators)


def parse_amounts(text: str) -> tuple[float, ...]:
    """The amounts of "FROM:TO:COUNT", evenly spaced, or of a single number; all in 0..1.

    Raises SettingsError for anything else.
    """
    numbers = re.fullmatch(r"(0|1|[01]?\.\d+)(?::(0|1|[01]?\.\d+):(\d+))?", text)
    first, last, count = numbers.groups() if numbers else ("2", None, None)
    start, end = float(first), float(last or first)
    pictures = int(count) if count else 1
    several = 2 <= pictures <= LONGEST and start != end
    if max(start, end) > 1 or (count and not several):
        raise SettingsError(
            f"--amount {text}: give one number from 0 to 1, or FROM:TO:COUNT of 2 to {LONGEST}"
            " pictures, such as 0:1:7"
        )
    return tuple(np.linspace(start, end, pictures).tolist())


LONGEST = 64
"""Pictures in a strip, at most."""


def _colour(name: str, text: str) -> Colour:
    """The colour of a name. Raises SettingsError, which quotes `text`, for what is none."""
    wrong = SettingsError(
        f"--recolor {text}: {name} is no colour; give #RRGGBB or a name such as navy"
    )
    try:
        values = ImageColor.getrgb(name)
    except ValueError as error:
        raise wrong from error
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        raise wrong
    red, green, blue = values
    return red, green, blue


_WORDS = {
    "path_type": "give one file",
    "tuple_type": "give a text, or a list of texts; quote what begins with # or holds it",
    "string_type": "give a text; quote what begins with # or holds it",
}
"""What to say of pydantic's errors."""


def parse_edit_request(given: Any, where: str) -> EditRequest:
    """Check what was given for one edit.

    where: what a message begins with, such as the recipe and the entry. Raises SettingsError.
    """
    if not isinstance(given, dict):
        raise SettingsError(f"{where}: give `source`, `out` and the edits, as keys and values")
    known = ", ".join(EditRequest.model_fields)
    try:
        request = EditRequest.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        if first["type"] == "missing":
            raise SettingsError(f"{where}: {key} is missing") from error
        if first["type"] == "extra_forbidden":
            raise SettingsError(f"{where}: there is no {key}; there are {known}") from error
        words = _WORDS.get(first["type"], first["msg"].lower())
        raise SettingsError(f"{where}: {key} cannot be {first['input']!r}: {words}") from error
    try:
        request.check()
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}" if where else str(error)) from error
    return request


def read_recipe(path: Path) -> list[EditRequest]:
    """The edits of a YAML file.

    Raises SettingsError for what is wrong with it, MCLDError where a picture cannot be written.
    """
    entries = read_yaml(path, "--recipe")
    if not isinstance(entries, list) or not entries:
        raise SettingsError(f"{path} must be a list of edits, each with `source` and `out`")
    requests = [
        parse_edit_request(entry, f"{path}, edit {k}") for k, entry in enumerate(entries, start=1)
    ]
    first: dict[Path, int] = {}
    for k, request in enumerate(requests, start=1):
        if first.setdefault(request.out.resolve(), k) != k:
            raise SettingsError(
                f"{path}: edits {first[request.out.resolve()]} and {k} both write {request.out};"
                " give two names"
            )
    read = dict.fromkeys(file for request in requests for file in request.inputs())
    check_outputs(f"{path}, `out`", [request.out for request in requests], [path, *read])
    return requests
