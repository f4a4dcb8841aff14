"""Poses one after the other: of a folder, a video, or a motion file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcld.body.parameters import Motion, find_motion, is_body, is_in_gallery, read_motion
from mcld.dataset.pictures import PoseKind, is_frame, split_numbers
from mcld.errors import InputError
from mcld.estimators.body.keypoints import is_keypoints
from mcld.machine.video import READABLE, count_seconds, read_frames, read_rate
from mcld.settings import PrepareSettings

if TYPE_CHECKING:
    from mcld.person.reader import PersonReader

FPS = 25.0
"""Frames a second of a folder, and of a motion that does not say."""

Map = NDArray[np.uint8]


class Span(NamedTuple):
    """Which frames are wanted."""

    fps: float | None
    """Frames a second; None: as the poses have."""
    start: float
    """Seconds."""
    end: float | None
    """Seconds; None: to the last."""


WHOLE = Span(None, 0.0, None)
"""All frames, as they are."""


class PoseFrames(ABC):
    """IUV maps, uint8 [H, W, 3] (I, U, V), in their order."""

    estimated = False
    """Whether an estimator makes them, whose maps flicker."""

    def __init__(self, path: Path, span: Span) -> None:
        self.path = path
        self.span = span

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.span.fps or self.own_fps

    @cached_property
    @abstractmethod
    def own_fps(self) -> float:
        """Frames a second that the poses were taken at."""

    @cached_property
    @abstractmethod
    def count(self) -> int:
        """How many there are; of a video, about how many."""

    @property
    def files(self) -> list[Path]:
        """What is read."""
        return [self.path]

    @abstractmethod
    def read(
        self, reader: PersonReader, find_kept: Callable[[int], Map | None]
    ) -> Iterator[tuple[int, Map | None]]:
        """The number of each frame and its map; None of one that is kept already.

        find_kept: the map of a frame that an earlier run has read, or None. Raises InputError for
        what cannot be read, and as `PersonReader.pose` does.
        """


class FolderFrames(PoseFrames):
    """Files of maps, photos or keypoints, in the order of their names."""

    def __init__(self, path: Path, span: Span, kind: PoseKind) -> None:
        super().__init__(path, span)
        self.kind = kind
        files = sorted(filter(_is_pose, path.iterdir()), key=split_numbers)
        first = round(span.start * self.fps)
        self.poses = files[first : None if span.end is None else round(span.end * self.fps)]
        if len(self.poses) < 2:
            raise InputError(
                f"{path} holds {len(self.poses)} poses between --from and --to: maps, photos or"
                " keypoints, one a file, make a sequence of two or more"
            )

    @cached_property
    def own_fps(self) -> float:
        """A folder does not say."""
        return FPS

    @cached_property
    def count(self) -> int:
        """The files."""
        return len(self.poses)

    @property
    def files(self) -> list[Path]:
        """Each of the poses."""
        return self.poses

    def read(
        self, reader: PersonReader, find_kept: Callable[[int], Map | None]
    ) -> Iterator[tuple[int, Map | None]]:
        """Each file's, as `PersonReader.pose` reads it."""
        for number, file in enumerate(self.poses):
            yield number, reader.pose(file, self.kind) if find_kept(number) is None else None


class VideoFrames(PoseFrames):
    """The frames of a video, whose poses are estimated."""

    estimated = True

    @cached_property
    def own_fps(self) -> float:
        """The video's mean rate."""
        return read_rate(self.path)

    @cached_property
    def count(self) -> int:
        """As the video's length tells."""
        end = min(self.span.end or np.inf, count_seconds(self.path))
        return max(round((end - self.span.start) * self.fps), 1)

    def read(
        self, reader: PersonReader, find_kept: Callable[[int], Map | None]
    ) -> Iterator[tuple[int, Map | None]]:
        """Each frame's; of one that shows nobody, that of the one before, or the first found."""
        last: Map | None = None
        frames = read_frames(self.path, self.fps, self.span.start, self.span.end)
        begun = 0  # frames that wait for the first who is found
        for number, frame in enumerate(frames):
            if (kept := find_kept(number)) is not None:
                last = kept
                yield number, None
                begun = number + 1
                continue
            estimated = reader.estimate(frame)
            last = last if estimated is None else estimated.iuv
            if last is not None:
                for waiting in range(begun, number + 1):
                    yield waiting, last
                begun = number + 1
        if last is None:
            raise InputError(f"{self.path} shows nobody between --from and --to")


class MotionFrames(PoseFrames):
    """The bodies of a motion file, before a camera that does not move."""

    def __init__(self, path: Path, span: Span, options: PrepareSettings) -> None:
        super().__init__(path, span)
        self.options = options
        if not self.chosen:
            raise InputError(f"{path} has no body between --from and --to")

    @cached_property
    def motion(self) -> Motion:
        """As it lies in the file."""
        return read_motion(self.path)

    @cached_property
    def own_fps(self) -> float:
        """The motion's."""
        return self.motion.fps or FPS

    @cached_property
    def chosen(self) -> list[int]:
        """Which bodies, at the wanted rate."""
        bodies = len(self.motion.bodies)
        end = min(bodies / self.own_fps, np.inf if self.span.end is None else self.span.end)
        times = np.arange(self.span.start, end - 1e-6, 1 / self.fps)
        return [min(round(time * self.own_fps), bodies - 1) for time in times.tolist()]

    @cached_property
    def count(self) -> int:
        """The bodies that are chosen."""
        return len(self.chosen)

    def read(
        self, reader: PersonReader, find_kept: Callable[[int], Map | None]
    ) -> Iterator[tuple[int, Map | None]]:
        """Rendered, all of them alike."""
        del reader
        from mcld.body.pose_map import draw_motion_maps  # here, because it loads much

        bodies = [self.motion.bodies[k] for k in self.chosen]
        turn, pitch = self.options.body_turn, self.options.body_pitch
        maps = draw_motion_maps(bodies, turn, pitch, is_wanted=lambda n: find_kept(n) is None)
        yield from enumerate(maps)


def is_sequence(pose: Path) -> bool:
    """Whether a pose is more than one: a folder, a video, an animated picture, a named motion."""
    if pose.is_dir() or find_motion(pose) != pose:
        return True
    return pose.suffix.lower() in READABLE and not _is_still(pose)


def open_frames(pose: Path, kind: PoseKind, span: Span, options: PrepareSettings) -> PoseFrames:
    """The poses of a folder, a video, a motion file, or a motion that comes along.

    Raises InputError for what is none of them, or holds fewer than two poses.
    """
    pose = find_motion(pose)
    if pose.is_dir():
        return FolderFrames(pose, span, kind)
    if is_body(pose):
        return MotionFrames(pose, span, options)
    one = is_in_gallery(pose)
    if not one and not pose.exists():
        raise InputError(f"{pose} does not exist")
    if one or not is_sequence(pose):
        raise InputError(
            f"{pose} is one pose, for which --out is a .png: a sequence is of a folder of them, a"
            " video, a motion (.npz), or one of --list-poses"
        )
    return VideoFrames(pose, span)


def _is_still(path: Path) -> bool:
    """Whether a picture has one frame; what is no picture has not."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return getattr(picture, "n_frames", 1) == 1
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _is_pose(path: Path) -> bool:
    return is_frame(path) or (path.name[0] != "." and path.is_file() and is_keypoints(path))
