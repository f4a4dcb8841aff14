"""What of people and poses can be refused before any network is loaded."""

from collections.abc import Sequence
from pathlib import Path

from mcld.body.parameters import find_motion, is_body, is_in_gallery, read_body, read_gallery
from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import PoseKind, check_image, read_image_and_iuv
from mcld.dataset.poses import explain_no_map, find_pose
from mcld.errors import InputError, MCLDError
from mcld.estimators.body.keypoints import is_keypoints, read_keypoints
from mcld.estimators.pose import check_pose_estimator
from mcld.settings import PrepareSettings


def check_person(photo: Path, options: PrepareSettings, pose: Path | None = None) -> None:
    """Raise InputError, MCLDError or WeightsError when the person of a photo cannot be read here.

    options: what would estimate a pose. pose: the photo's own IUV map, given by hand.
    """
    if pose is not None:
        read_image_and_iuv(photo, pose)
        return
    check_pose(photo, "photo", options)
    found = DatasetLayout.beside(photo)
    if found is not None and found[0].is_prepared(*found[1:]):
        check_image(found[0].texture(*found[1:]))


def pair_sources(sources: Sequence[Path], poses: Sequence[Path]) -> list[tuple[Path, Path | None]]:
    """The photos of one person, each with its own IUV map where one is given by hand.

    Raises InputError for a photo that is given twice, and for more maps than photos.
    """
    twice = [source for source in sources if list(sources).count(source) > 1]
    if twice:
        raise InputError(f"--source {twice[0]} is given twice: one photo shows no more than itself")
    if poses and len(poses) != len(sources):
        raise InputError(
            f"{len(poses)} --source-pose for {len(sources)} --source: give each photo its own map,"
            " in the same order, or none"
        )
    given: Sequence[Path | None] = poses or [None] * len(sources)
    return list(zip(sources, given, strict=True))


def check_sources(sources: Sequence[Path], poses: Sequence[Path], options: PrepareSettings) -> None:
    """Raise as `pair_sources` and `check_person` do for the photos of one person."""
    for photo, pose in pair_sources(sources, poses):
        check_person(photo, options, pose)


def name_files(files: Sequence[Path]) -> str | list[str]:
    """Files as records have them, wherever they lie: one by its name, several as a list."""
    names = [file.name for file in files]
    return names[0] if len(names) == 1 else names


def resolve_pose_kind(path: Path, kind: PoseKind) -> PoseKind:
    """What a pose is, where "auto" asks its name; "auto" where its content tells map from photo."""
    if kind != "auto":
        return kind
    if is_in_gallery(path):
        return "gallery"
    if is_keypoints(path):
        return "keypoints"
    return "body" if is_body(path) else "auto"


def check_pose(path: Path, kind: PoseKind, options: PrepareSettings) -> None:
    """Raise InputError, MCLDError or WeightsError when the pose of a file cannot be read here."""
    kind = resolve_pose_kind(path, kind)
    if kind == "keypoints":
        read_keypoints(path, options.person)
        return
    if kind == "body":
        read_body(path)
        return
    if kind == "gallery":
        read_gallery(str(path))
        return
    if find_motion(path) != path:
        raise InputError(
            f"{path} is a motion, not a pose: mcld sample --pose {path} --out {path}.mp4"
        )
    if kind == "auto" and not (path.suffix or path.exists()):
        raise InputError(
            f"{path} is neither a file nor a pose that comes with mcld: mcld sample --list-poses"
        )
    if find_pose(path, kind) is not None:
        return
    try:
        check_pose_estimator(options)
    except MCLDError as error:
        raise explain_missing_estimator(path, kind, error) from error


def explain_missing_estimator(path: Path, kind: PoseKind, error: MCLDError) -> MCLDError:
    """The same error of a file whose pose would have to be estimated."""
    reason = f"{path} needs a pose estimator: {error}"
    if kind == "auto":
        reason = f"{explain_no_map(path)}; as a photo, it needs a pose estimator: {error}"
    return type(error)(reason)
