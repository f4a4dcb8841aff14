"""What of people and poses can be refused before any network is loaded."""

from pathlib import Path

from mcld.dataset.layout import DatasetLayout
from mcld.dataset.pictures import PoseKind, check_image
from mcld.dataset.poses import explain_no_map, find_pose
from mcld.errors import MCLDError
from mcld.estimators.pose import check_pose_estimator
from mcld.settings import PrepareSettings


def check_person(photo: Path, options: PrepareSettings) -> None:
    """Raise InputError, MCLDError or WeightsError when the person of a photo cannot be read here.

    options: what would estimate a pose.
    """
    check_pose(photo, "photo", options)
    found = DatasetLayout.beside(photo)
    if found is not None and found[0].is_prepared(*found[1:]):
        check_image(found[0].texture(*found[1:]))


def check_pose(path: Path, kind: PoseKind, options: PrepareSettings) -> None:
    """Raise InputError, MCLDError or WeightsError when the pose of a file cannot be read here."""
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
