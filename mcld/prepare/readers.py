"""What reads the photos of a run: which estimators, and whether they can work here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcld.dataset.layout import SPLITS, DatasetLayout
from mcld.errors import InputError, MCLDError
from mcld.estimators.face import face_pack
from mcld.estimators.pose import check_pose_estimator, resolve_pose_estimator
from mcld.licences import LICENCES
from mcld.prepare.raw import has_raw_folders, is_plain
from mcld.settings import PrepareSettings

if TYPE_CHECKING:
    from mcld.prepare.dataset import PrepareRequest


@dataclass(frozen=True)
class Readers:
    """What reads the photos of a run."""

    plain: bool
    """Whether the folder is a plain one of photos."""
    pose_estimator: str
    """As `prepare.pose_estimator`, but for "auto"."""
    face_embedder: str
    """As `MCLDPipeline` has it."""
    record: dict[str, str | int]
    """Of the whole folder once the run has ended: `DatasetLayout.read_record`."""
    changed: tuple[str, ...]
    """Stages whose files another reader has made, to be made again."""


def choose_readers(request: PrepareRequest, options: PrepareSettings) -> Readers:
    """What reads the photos: of a plain folder what did so before, or what is here.

    A dataset in DeepFashion's layout is prepared as it is asked for, or not at all: maps of
    another estimator would give other figures.

    Raises InputError where files of another reader would be kept.
    """
    layout, plain = DatasetLayout(request.root), is_plain(request.root)
    earlier = layout.read_record()
    pose: str = options.pose_estimator
    if pose == "auto":
        usual = resolve_pose_estimator(options) if plain else "densepose"
        pose = str(earlier.get("pose_estimator", usual)) if plain else usual
    face = "arcface"
    if plain:
        here = _has_face_pack(options)
        face = str(earlier.get("face_embedder", "arcface" if here else "head_crop"))
    record: dict[str, str | int] = {}
    if "pose" in request.stages:
        # Of maps that an earlier version made, or that were brought along.
        unknown = "pose_estimator" not in earlier and _has_maps(layout)
        if not unknown:
            record |= {"pose_estimator": pose, "person": options.person}
        elif pose == "embedded":
            earlier["pose_estimator"] = "unknown"
            record["pose_estimator"] = pose
    if "face" in request.stages:
        record["face_embedder"] = face
    differ = [name for name, value in record.items() if earlier.get(name, value) != value]
    if differ and (not request.overwrite or request.limit):
        name = differ[0]
        how = "without --limit" if request.overwrite else "with --overwrite"
        raise InputError(
            f"{request.root} was prepared with {name}={earlier[name]}, not {record[name]}: go on"
            f" with it, or make all files again {how}"
        )
    changed = tuple("face" if name == "face_embedder" else "pose" for name in differ)
    return Readers(plain, pose, face, earlier | record, changed)


def _has_face_pack(options: PrepareSettings) -> bool:
    try:
        face_pack(options, options.face_pack)
    except MCLDError:
        return False
    return True


def _has_maps(layout: DatasetLayout) -> bool:
    folders = [layout.densepose(split, "x").parent for split in SPLITS]
    return any(folder.is_dir() and any(folder.iterdir()) for folder in folders)


def check_installed(request: PrepareRequest, options: PrepareSettings, readers: Readers) -> None:
    """Raise MCLDError at once for what is not installed, which would else stop the run later.

    And for what may not be used under `prepare.commercial`.
    """
    if options.commercial and has_raw_folders(request.root):
        LICENCES["deepfashion"].check_commercial()
    if "pose" in request.stages and readers.pose_estimator != "precomputed":
        options = options.model_copy(update={"pose_estimator": readers.pose_estimator})
        with _suggest(
            "read bodies with --pose-estimator embedded, less exactly, or use maps that are there"
            " already with --pose-estimator precomputed"
        ):
            check_pose_estimator(options)
    if "face" in request.stages and readers.face_embedder == "arcface":
        others = ",".join(stage for stage in request.stages if stage != "face")
        with _suggest(others and f"leave faces out with --stages {others}"):
            face_pack(options, options.face_pack)


@contextmanager
def _suggest(alternative: str) -> Iterator[None]:
    """Add an alternative, if there is any, to the message of an MCLDError."""
    try:
        yield
    except MCLDError as error:
        if not alternative:
            raise
        raise type(error)(f"{error}; or {alternative}") from error
