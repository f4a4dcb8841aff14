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
from mcld.machine.video import ANIMATIONS, LARGEST_RATE, VIDEOS
from mcld.person.check import check_pose, check_sources
from mcld.sample.frames import WHOLE, PoseFrames, Span, open_frames
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
class SequenceRequest:
    """A person in poses one after the other.

    Raises SettingsError for a name that the result should not have and for times that cannot be,
    MCLDError where it cannot be written, InputError for a source or poses that cannot be used.
    """

    sources: tuple[Path, ...]
    """Photos of the person, one or more; the frames have size and background of the first."""
    pose: Path
    """A folder of maps, photos or keypoints; a video; a motion file (.npz), or the name of one."""
    out: Path
    """A video (.mp4, .webm), an animated picture (.gif, .webp), or a folder of PNGs (no suffix)."""
    weights: Path | None = None
    """A pipeline folder, or one with the four files of the authors' layout; None: the embedded."""
    estimators: PrepareSettings = field(default_factory=PrepareSettings)
    """Where the weights are of what reads photos that are not prepared."""
    pose_kind: PoseKind = "auto"
    """What the files of a folder are."""
    seed: int = 0
    """Of the starting noise, which all frames share."""
    sheet: bool = False
    """Write frames and poses side by side."""
    source_poses: tuple[Path, ...] = ()
    """The sources' own IUV maps, given by hand, in their order: as many, or none."""
    span: Span = WHOLE
    """Which poses, and how fast."""
    frames: PoseFrames = field(init=False, repr=False)
    """The poses, opened."""

    @property
    def folder(self) -> Path:
        """Where poses and frames are kept until all is whole; of a folder of PNGs, that."""
        return self.out.with_name(f"{self.out.name}.frames") if self.out.suffix else self.out

    @property
    def sheet_file(self) -> Path:
        """The sheet beside `out`."""
        return self.out.with_name(f"{self.out.stem}-sheet.png")

    def files(self) -> list[Path]:
        """Every file that is read."""
        return [*self.sources, *self.source_poses, *self.frames.files]

    def __post_init__(self) -> None:
        if not is_sequence_name(self.out):
            known = ", ".join([*VIDEOS, *ANIMATIONS])
            raise SettingsError(
                f"--out {self.out}: --pose {self.pose} is a sequence of poses, whose result is"
                f" {known} or a folder of PNGs"
            )
        fps, start, end = self.span
        if fps is not None and not 0 < fps <= LARGEST_RATE:
            raise SettingsError(f"--fps {fps:g}: give more than 0 and at most {LARGEST_RATE:g}")
        if start < 0 or (end is not None and end <= start):
            raise SettingsError(f"--from {start:g} --to {end}: give seconds, one after the other")
        written = [self.folder / "000000.png", *([self.out] if self.out.suffix else [])]
        written += [self.sheet_file] if self.sheet else []
        check_sources(self.sources, self.source_poses, self.estimators)
        opened = open_frames(self.pose, self.pose_kind, self.span, self.estimators)
        object.__setattr__(self, "frames", opened)
        check_outputs("--out", written, self.files())


def is_sequence_name(out: Path) -> bool:
    """Whether a result is more than one picture, by its name."""
    return out.suffix.lower() in ("", *VIDEOS, *ANIMATIONS)


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
