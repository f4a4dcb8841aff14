"""What is to be sampled, and what of it can be refused at once.

No network is needed for that: this module takes a fraction of a second to import.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mcld.dataset.layout import SPLITS, DatasetLayout
from mcld.dataset.outputs import check_outputs
from mcld.dataset.pictures import PoseKind
from mcld.dataset.results import SETTINGS_FILE
from mcld.errors import SettingsError
from mcld.person_check import check_pose, check_sources
from mcld.settings import PrepareSettings

AttentionFormat = Literal["png", "pdf", "svg"]


@dataclass(frozen=True)
class PictureRequest:
    """Pictures of one person in one pose.

    Raises SettingsError for a name that the picture should not have, MCLDError where it cannot be
    written or a pose would have to be estimated that cannot be here, InputError for a source or a
    pose that cannot be used.
    """

    sources: tuple[Path, ...]
    """Photos of the person, one or more; the picture has size and background of the first."""
    pose: Path
    """IUV map of the target pose, or a photo of somebody in it."""
    out: Path
    """A PNG; of several pictures, each has its seed added to the name."""
    weights: Path | None = None
    """A pipeline folder, or one with the four files of the authors' layout; None: the embedded."""
    estimators: PrepareSettings = field(default_factory=PrepareSettings)
    """Where the weights are of what reads photos that are not prepared."""
    pose_kind: PoseKind = "auto"
    """What the pose file is."""
    seed: int = 0
    """Of the first picture's starting noise."""
    count: int = 1
    """Pictures, of the seed and those after it."""
    sheet: bool = False
    """Write source, pose, texture and results side by side."""
    attention_maps: bool = False
    """Write where source, texture and face are looked at, in the last picture."""
    attention_format: AttentionFormat = "png"
    """Of the sheet of these maps."""
    source_poses: tuple[Path, ...] = ()
    """The sources' own IUV maps, given by hand, in their order: as many, or none."""

    @property
    def seeds(self) -> range:
        """The seed of each picture."""
        return range(self.seed, self.seed + self.count)

    def picture(self, seed: int) -> Path:
        """The picture of a seed."""
        return self.out if self.count == 1 else self.beside(str(seed))

    def beside(self, what: str, suffix: str = "png") -> Path:
        """A file beside `out`."""
        return self.out.with_name(f"{self.out.stem}-{what}.{suffix}")

    @property
    def attention_files(self) -> list[Path]:
        """The sheet of attention maps, and the numbers."""
        suffixes = (self.attention_format, "npz") if self.attention_maps else ()
        return [self.beside("attention", suffix) for suffix in suffixes]

    def __post_init__(self) -> None:
        if self.out.suffix.lower() != ".png":
            raise SettingsError(f"--out {self.out}: the picture is written as PNG; name it .png")
        written = [*map(self.picture, self.seeds)]
        written += [self.beside("sheet")] if self.sheet else []
        written += self.attention_files
        check_outputs("--out", written, [*self.sources, self.pose, *self.source_poses])
        check_sources(self.sources, self.source_poses, self.estimators)
        check_pose(self.pose, self.pose_kind, self.estimators)


@dataclass(frozen=True)
class SplitRequest:
    """Every pair of a split.

    Raises SettingsError for a split that there is not and for results that would lie among the
    files of a dataset, InputError for a dataset without a readable table of its pairs, MCLDError
    where no result can be written.
    """

    dataset: Path
    split: str
    save_path: Path
    """Folder of the results: 256/ and 512/ are made in it."""
    weights: Path | None = None
    """A pipeline folder, or one with the four files of the authors' layout; None: the embedded."""
    limit: int | None = None
    """Only so many pairs; None: all."""
    pairs: list[tuple[str, str]] = field(init=False, repr=False)
    """The flat names of every pair, (from, to), prepared or not."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise SettingsError(f"--split {self.split}: there are {' and '.join(SPLITS)}")
        object.__setattr__(self, "pairs", DatasetLayout(self.dataset).pairs(self.split))
        check_outputs("--save-path", [self.save_path / SETTINGS_FILE])
