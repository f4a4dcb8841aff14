"""The stages of preparing photos, each one picture at a time.

A stage says where a picture's output lies and makes it. It raises InputError for a picture that
cannot be used, and any other MCLDError to stop the run. It is sent to the worker processes, and
loads what it works with in each of them once, before the first picture.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import (
    check_image,
    read_image,
    read_image_and_iuv,
    write_face,
    write_iuv,
    write_jpeg,
    write_png,
)
from mcld.errors import InputError, MCLDError
from mcld.estimators.face import InsightFace, runs_on_gpu
from mcld.estimators.head_crop import HeadCrop
from mcld.estimators.people import explain_absence
from mcld.estimators.pose import (
    GPU_BATCH,
    EstimatedPose,
    PoseEstimator,
    open_pose_estimator,
)
from mcld.machine.files import write_text
from mcld.prepare.raw import JPEG, link_or_copy
from mcld.settings import PrepareSettings
from mcld.surface.map_check import find_map_fault

CHECK_VERSION = 1
"""Raised whenever maps are checked in another way."""
Stamps = dict[str, list[int]]
"""Map, such as train/NAME.png -> bytes and time of last change, in ns, of picture and map."""


class Picture(NamedTuple):
    """One listed picture."""

    split: str
    stem: str


@dataclass
class Stage(ABC):
    """One step of preparing every picture of a dataset."""

    layout: DatasetLayout
    name: ClassVar[str]
    place: ClassVar[Callable[[DatasetLayout, str, str], Path]]
    """Where the layout puts what the stage makes."""
    device = "cpu"
    """Of its network, if it has one: known once there is something to make."""
    has_network: ClassVar[bool] = False
    seen: Stamps = field(default_factory=dict, init=False)
    """Of what the stage only checks: as `is_done` found it."""

    @property
    def one_process(self) -> bool:
        """Whether its network fills the device, so that more processes would only crowd it."""
        return False

    def load(self) -> None:  # noqa: B027 - most have nothing to load
        """Load its network. Raises MCLDError when that cannot be loaded."""

    @property
    def batch_size(self) -> int:
        """How many pictures are worked on at once."""
        return 1

    def begin(self, pictures: Sequence[Picture]) -> None:  # noqa: B027 - most have nothing to begin
        """Work on some pictures at once; `make` of each follows. Raises MCLDError to stop."""

    def output(self, picture: Picture) -> Path:
        """The file the stage makes."""
        return type(self).place(self.layout, *picture)

    def is_done(self, picture: Picture) -> bool:
        """Whether nothing is left to make."""
        return self.output(picture).exists()

    def remember(self, pictures: list[Picture]) -> None:  # noqa: B027 - what is made is there to see
        """Keep, for the next run, which pictures are done, as they were `seen`."""

    def made_from_output(self, picture: Picture) -> tuple[Path, ...]:
        """The files that later stages make from that file: stale once it is made again."""
        del picture
        return ()

    def check(self, picture: Picture) -> None:  # noqa: B027 - most are given nothing
        """Raise InputError when a file that the user gives is not there."""

    @abstractmethod
    def make(self, picture: Picture) -> None:
        """Make the file. Raises InputError when the picture cannot be used."""


@dataclass
class SplitStage(Stage):
    """The picture under its flat name."""

    raw: dict[str, Path]
    name = "split"
    place = DatasetLayout.image

    def check(self, picture: Picture) -> None:
        """Look for the raw picture, or the flat one."""
        if f"{picture.stem}.jpg" not in self.raw and not self.output(picture).exists():
            raise InputError("listed, but not among the raw pictures")

    def make(self, picture: Picture) -> None:
        """Check the raw picture and link it; the flat one may be the only one left."""
        self.check(picture)
        source = self.raw.get(f"{picture.stem}.jpg")
        if source is None:
            return
        if source.suffix.lower() in JPEG:
            check_image(source)
            link_or_copy(source, self.output(picture))
        else:
            write_jpeg(self.output(picture), read_image(source))


@dataclass
class PoseStage(Stage):
    """The IUV map, by an estimator."""

    options: PrepareSettings
    poses: dict[Picture, EstimatedPose | None] = field(default_factory=dict, init=False)
    """Of the pictures that were begun together and are not made yet."""
    name = "pose"
    has_network = True
    place = DatasetLayout.densepose

    @property
    def one_process(self) -> bool:
        """On a GPU."""
        return self.device != "cpu"

    @property
    def batch_size(self) -> int:
        """Several on a GPU."""
        return 1 if self.device == "cpu" else GPU_BATCH

    def load(self) -> None:
        """The estimator."""
        _ = self._estimator

    @cached_property
    def _estimator(self) -> PoseEstimator:
        return open_pose_estimator(self.options, self.device)

    def begin(self, pictures: Sequence[Picture]) -> None:
        """Estimate the poses of several at once."""
        self.poses = {}
        if len(pictures) == 1:
            return
        try:
            images = (read_image(self.layout.image(*picture)) for picture in pictures)
            self.poses = dict(zip(pictures, self._estimator.estimate(images), strict=True))
        except (MCLDError, MemoryError) as error:
            if not isinstance(error, InputError):
                raise
        except Exception:  # noqa: BLE001, S110 - made alone, the one that it is of will say why
            pass

    def made_from_output(self, picture: Picture) -> tuple[Path, ...]:
        """The texture map and the face embedding."""
        return self.layout.texture(*picture), self.layout.face(*picture)

    def make(self, picture: Picture) -> None:
        """Estimate the IUV map and write it."""
        if picture in self.poses:
            pose = self.poses.pop(picture)
        else:
            (pose,) = self._estimator.estimate([read_image(self.layout.image(*picture))])
        if pose is None or not pose.iuv[..., 0].any():
            raise InputError(explain_absence(self.options.person))
        if fault := find_map_fault(pose.iuv):  # as the next stages would find
            raise InputError(f"its estimated IUV map cannot be used: {fault.reason}")
        write_iuv(self.output(picture), pose.iuv)


@dataclass
class EmbeddedPoseStage(PoseStage):
    """The IUV map, by the embedded reader of bodies, which runs on the CPU in every process."""

    has_network = False


@dataclass
class PrecomputedPoseStage(Stage):
    """The IUV map that is there already; it is only checked, and again when it has changed."""

    name = "pose"
    place = DatasetLayout.densepose

    @property
    def _record(self) -> Path:
        return self.layout.root / "cache" / f"checked-maps-{CHECK_VERSION}.json"

    @cached_property
    def _checked(self) -> Stamps:
        """Of the maps that passed in earlier runs."""
        try:
            checked: Stamps = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return checked if isinstance(checked, dict) else {}

    def is_done(self, picture: Picture) -> bool:
        """Whether map and picture passed the check and are as they were then."""
        name = self._name(picture)
        try:
            status = [path.stat() for path in self.layout.image_and_iuv(*picture)]
        except OSError:
            return False
        self.seen[name] = [number for s in status for number in (s.st_size, s.st_mtime_ns)]
        return self._checked.get(name) == self.seen[name]

    def remember(self, pictures: list[Picture]) -> None:
        """Keep which maps passed."""
        names = map(self._name, pictures)
        passed = {name: self.seen[name] for name in names if name in self.seen}
        checked = dict(sorted((self._checked | passed).items()))
        if checked != self._checked:
            write_text(self._record, json.dumps(checked, separators=(",", ":")))

    def _name(self, picture: Picture) -> str:
        return f"{picture.split}/{picture.stem}.png"

    def check(self, picture: Picture) -> None:
        """Look for the map."""
        check_map(self.layout, picture)

    def make(self, picture: Picture) -> None:
        """Check that the map fits its picture and shows somebody."""
        self.check(picture)
        read_image_and_iuv(*self.layout.image_and_iuv(*picture))


@dataclass
class TextureStage(Stage):
    """The texture map."""

    name = "texture"
    place = DatasetLayout.texture

    def make(self, picture: Picture) -> None:
        """Unroll the picture and write its texture map."""
        from mcld.estimators.texture import extract_texture  # here, because it loads numba

        check_map(self.layout, picture)
        write_png(
            self.output(picture),
            extract_texture(*read_image_and_iuv(*self.layout.image_and_iuv(*picture))),
        )


@dataclass
class FaceStage(Stage):
    """The face embedding, by insightface."""

    options: PrepareSettings
    name = "face"
    has_network = True
    place = DatasetLayout.face

    @property
    def one_process(self) -> bool:
        """On a GPU."""
        return runs_on_gpu(self.device)

    def load(self) -> None:
        """The face pack."""
        _ = self._embedder

    @cached_property
    def _embedder(self) -> InsightFace:
        return InsightFace(self.options, self.options.face_pack, self.device)

    def make(self, picture: Picture) -> None:
        """Embed the largest face and write it; without an IUV map only native size is tried."""
        if self.layout.densepose(*picture).exists():
            image, iuv = read_image_and_iuv(*self.layout.image_and_iuv(*picture))
        else:
            image = read_image(self.layout.image(*picture))
            iuv = np.zeros_like(image)
        face = self._embedder.embed(image, iuv)
        if face is None:
            raise InputError("no face was found")
        write_face(self.output(picture), face)


@dataclass
class HeadCropStage(Stage):
    """The face embedding that the embedded network knows, which needs no weights."""

    name = "face"
    place = DatasetLayout.face

    def make(self, picture: Picture) -> None:
        """Embed the head and write it."""
        check_map(self.layout, picture)
        face = HeadCrop().embed(*read_image_and_iuv(*self.layout.image_and_iuv(*picture)))
        if face is None:
            raise InputError("no face was found")
        write_face(self.output(picture), face)


def check_map(layout: DatasetLayout, picture: Picture) -> None:
    """Raise InputError for a picture without an IUV map."""
    path = layout.densepose(*picture)
    if not path.exists():
        raise InputError(f"no IUV map at {path.relative_to(layout.root)}")
